#include "orders/external_service/validation.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace hotspare::orders::external {
namespace {

using Json = nlohmann::json;

const Json good{{"order_id", "a-1"}, {"product", "Medicine A"}, {"quantity", 10}};

TEST(ParseOrder, reads_what_is_asked)
{
    const auto order = parse_order(good);
    ASSERT_TRUE(order);
    EXPECT_EQ(order->order_id, "a-1");
    EXPECT_EQ(order->product, "Medicine A");
    EXPECT_EQ(order->quantity, 10U);
}

TEST(ParseOrder, names_the_field_that_is_wrong)
{
    const std::vector<std::pair<std::string, Json>> cases{
        {"order_id", 7},
        {"order_id", ""},
        {"order_id", nullptr},
        {"order_id", std::string(longest_order_id + 1, 'x')},
        {"product", Json::array()},
        {"product", ""},
        {"product", std::string(longest_product + 1, 'x')},
        {"quantity", "10"},
        {"quantity", 10.0},
        {"quantity", true},
        {"quantity", 0},
        {"quantity", -1},
        {"quantity", largest_quantity + 1},
        {"quantity", 1ULL << 63},
        {"colour", "red"},
    };
    for (const auto& [field, value] : cases) {
        auto body = good;
        body[field] = value;
        const auto order = parse_order(body);
        ASSERT_FALSE(order) << field << "=" << value.dump().substr(0, 40);
        EXPECT_EQ(order.error().status, 422U);
        EXPECT_EQ(order.error().members["field"], field);
        EXPECT_NE(order.error().detail.find("'" + field + "'"), std::string::npos) << order.error().detail;
    }
    for (const char* field : {"order_id", "product", "quantity"}) {
        auto body = good;
        body.erase(field);
        const auto order = parse_order(body);
        ASSERT_FALSE(order);
        EXPECT_EQ(order.error().members["field"], field);
        EXPECT_NE(order.error().detail.find("is missing"), std::string::npos);
    }
    for (const auto& body : {Json(nullptr), Json::array(), Json("a-1")}) {
        const auto order = parse_order(body);
        ASSERT_FALSE(order);
        EXPECT_EQ(order.error().status, 422U);
    }
}

TEST(ParseOrder, accepts_the_limits_themselves)
{
    const auto order = parse_order({{"order_id", std::string(longest_order_id, 'x')},
                                    {"product", std::string(longest_product, 'x')},
                                    {"quantity", largest_quantity}});
    EXPECT_TRUE(order);
}

TEST(Key, is_printable_and_short)
{
    EXPECT_FALSE(check_key("a"));
    EXPECT_FALSE(check_key("\"8e03978e-40d5-43dd-bc93-6894a57f9324\""));
    EXPECT_FALSE(check_key(std::string(longest_key, 'k')));
    for (const std::string& key : {std::string(), std::string(longest_key + 1, 'k'), std::string("a\tb"),
                                   std::string("caf\xc3\xa9"), std::string("a\0b", 3)}) {
        const auto wrong = check_key(key);
        ASSERT_TRUE(wrong) << key;
        EXPECT_EQ(wrong->status, 422U);
        EXPECT_EQ(wrong->members["field"], "Idempotency-Key");
    }
}

TEST(Judge, rejects_exactly_what_exceeds_the_stock)
{
    for (const std::uint32_t quantity : {1U, 999U, 1000U, 1001U, largest_quantity}) {
        const Order order{"a", "b", quantity};
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
    const Order order{"ab", "cd", 12};
    EXPECT_EQ(digest_of(order), digest_of(Order{"ab", "cd", 12}));
    for (const auto& other : {Order{"a", "bcd", 12}, Order{"abc", "d", 12}, Order{"ab", "cd1", 2}, Order{"ab", "cd", 1},
                              Order{"ab2:cd1", "x", 2}})
        EXPECT_NE(digest_of(order), digest_of(other)) << other.order_id << " " << other.product;
}

} // namespace
} // namespace hotspare::orders::external
