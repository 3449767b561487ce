#include "balancer/decide/descriptor_shares.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace hotspare::balancer {
namespace TEST_FILE {

TEST(DescriptorShares, leave_some_to_carry_requests_whatever_clients_do)
{
    for (const std::size_t limit : {128U, 256U, 1024U, 4096U, 65536U, 1048576U}) {
        const DescriptorShares shares = share_out(limit);
        const std::size_t taken = shares.clients + 2 * shares.pages + 2 * shares.streams;
        EXPECT_LE(taken + 64 + limit / 16, limit + 32) << limit;
        EXPECT_GE(shares.clients, limit / 4) << limit;
    }
}

TEST(DescriptorShares, of_pages_and_streams_do_not_grow_for_ever)
{
    const DescriptorShares plenty = share_out(std::numeric_limits<std::size_t>::max());
    EXPECT_EQ(plenty.pages, 64U);
    EXPECT_EQ(plenty.streams, 256U);
    EXPECT_GT(plenty.clients, 1'000'000'000U);
}

TEST(DescriptorShares, are_never_nothing)
{
    for (std::size_t limit = 0; limit < 70; ++limit) {
        const DescriptorShares shares = share_out(limit);
        EXPECT_GE(shares.clients, 1U);
        EXPECT_GE(shares.pages, 1U);
        EXPECT_GE(shares.streams, 1U);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
