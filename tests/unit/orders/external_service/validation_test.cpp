#include "orders/external_service/validation.hpp"

#include <gtest/gtest.h>

namespace hotspare::orders::external {
namespace TEST_FILE {

TEST(Judge, rejects_exactly_what_exceeds_the_stock)
{
    for (const std::uint32_t quantity : {1U, 999U, 1000U, 1001U, 1'000'000U}) {
        const NewOrder order{"a", "b", quantity};
        const auto effect = judge(order, 1000, 5);
        EXPECT_EQ(effect.valid, quantity <= 1000) << quantity;
        EXPECT_EQ(status_of(effect), quantity <= 1000 ? "Validated" : "Rejected");
        EXPECT_EQ(effect.at_ms, 5);
        EXPECT_EQ(effect.body, digest_of(order));
    }
    EXPECT_EQ(reason_of({"a", "b", 1001}, judge({"a", "b", 1001}, 1000, 0)),
              "the quantity 1001 exceeds the stock of 1000");
    EXPECT_EQ(reason_of({"a", "b", 7}, judge({"a", "b", 7}, 1000, 0)),
              "the quantity 7 does not exceed the stock of 1000");
}

TEST(Digest, tells_every_two_orders_apart)
{
    const NewOrder order{"ab", "cd", 12};
    EXPECT_EQ(digest_of(order), digest_of(NewOrder{"ab", "cd", 12}));
    for (const auto& other : {NewOrder{"a", "bcd", 12}, NewOrder{"abc", "d", 12}, NewOrder{"ab", "cd1", 2},
                              NewOrder{"ab", "cd", 1}, NewOrder{"ab2:cd1", "x", 2}})
        EXPECT_NE(digest_of(order), digest_of(other)) << other.order_id << " " << other.product;
}

} // namespace TEST_FILE
} // namespace hotspare::orders::external
