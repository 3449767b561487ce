// The bytes of a request: what can be sent again, and what only once.
#include "balancer/serve/replay_buffer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace hotspare::balancer {
namespace TEST_FILE {

std::string from(const ReplayBuffer& buffer, std::uint64_t position)
{
    const auto bytes = buffer.from(position);
    return {bytes.data(), bytes.size()};
}

TEST(ReplayBuffer, EachAttemptBeginsWithTheFirstByteWhileItIsWhole)
{
    ReplayBuffer buffer;
    buffer.begin().append("head");
    buffer.head_ends();
    buffer.bytes().append("body");
    EXPECT_TRUE(buffer.whole());
    EXPECT_EQ(buffer.end(), 8U);
    buffer.drop_until(6); // one attempt has come further: another may begin
    EXPECT_EQ(from(buffer, 0), "headbody");
    EXPECT_EQ(from(buffer, 6), "dy");
}

TEST(ReplayBuffer, TakesOneByteMoreThanItMayKeepAndIsNotWholeFromThen)
{
    ReplayBuffer buffer;
    buffer.begin().append("head");
    buffer.head_ends();
    EXPECT_EQ(buffer.room(3), 4U);
    buffer.bytes().append("abc");
    EXPECT_FALSE(buffer.outgrows(3));
    EXPECT_EQ(buffer.room(3), 1U);
    buffer.bytes().append("d");
    EXPECT_TRUE(buffer.outgrows(3));
    EXPECT_FALSE(buffer.outgrows(3)) << "told once";
    EXPECT_FALSE(buffer.whole());
    EXPECT_EQ(buffer.room(3), 1U) << "memory may run short after the bytes were read";
}

TEST(ReplayBuffer, DropsWhatWasSentOnceItIsNotWhole)
{
    ReplayBuffer buffer;
    buffer.begin().append("head");
    buffer.head_ends();
    buffer.bytes().append("ab");
    ASSERT_TRUE(buffer.outgrows(0));
    buffer.drop_until(5);
    EXPECT_EQ(from(buffer, 5), "b");
    EXPECT_EQ(buffer.end(), 6U);
    buffer.drop_until(6);
    buffer.passed(1000);
    EXPECT_EQ(buffer.end(), 1006U);
    buffer.bytes().append("z");
    EXPECT_EQ(from(buffer, 1006), "z");
}

TEST(ReplayBuffer, BeginsAnew)
{
    ReplayBuffer buffer;
    buffer.begin().append("head");
    buffer.head_ends();
    buffer.bytes().append("ab");
    ASSERT_TRUE(buffer.outgrows(0));
    buffer.drop_until(6);
    buffer.begin().append("next");
    EXPECT_TRUE(buffer.whole());
    EXPECT_EQ(from(buffer, 0), "next");
    EXPECT_EQ(buffer.end(), 4U);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
