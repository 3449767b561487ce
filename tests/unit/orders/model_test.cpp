#include "orders/model.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace hotspare::orders {
namespace TEST_FILE {

using Json = nlohmann::json;

Json good()
{
    return {{"order_id", "test-001"}, {"product", "Medicine A"}, {"quantity", 10}};
}

TEST(NewOrderFields, AreReadAsTheyAre)
{
    const auto order = parse_new_order(good());
    ASSERT_TRUE(order);
    EXPECT_EQ(*order, (NewOrder{"test-001", "Medicine A", 10}));
}

struct BadField {
    const char* field;
    Json value; ///< discarded = the field is left out
};

class WrongFields : public testing::TestWithParam<BadField> {};

TEST_P(WrongFields, AreNamed)
{
    auto body = good();
    if (GetParam().value.is_discarded())
        body.erase(GetParam().field);
    else
        body[GetParam().field] = GetParam().value;
    const auto order = parse_new_order(body);
    ASSERT_FALSE(order);
    EXPECT_EQ(order.error().status, 422U);
    EXPECT_EQ(order.error().member("field"), GetParam().field);
    EXPECT_NE(order.error().detail.find(GetParam().field), std::string::npos) << order.error().detail;
    EXPECT_NE(order.error().detail.find("expected"), std::string::npos) << order.error().detail;
}

INSTANTIATE_TEST_SUITE_P(All, WrongFields,
                         testing::Values(BadField{"order_id", Json(Json::value_t::discarded)}, BadField{"order_id", ""},
                                         BadField{"order_id", std::string(129, 'x')}, BadField{"order_id", 7},
                                         BadField{"order_id", nullptr}, BadField{"order_id", "a\nb"},
                                         BadField{"order_id", " "}, BadField{"order_id", "a\xc2\x85"},
                                         BadField{"order_id", "a\xe2\x80\xa8"
                                                              "b"},
                                         BadField{"product", "\xe2\x80\xa9"}, BadField{"product", "\xc2\xa0\t"},
                                         BadField{"product", "\xe3\x80\x80"},
                                         BadField{"product", Json(Json::value_t::discarded)}, BadField{"product", ""},
                                         BadField{"product", std::string(257, 'x')}, BadField{"product", Json::array()},
                                         BadField{"quantity", Json(Json::value_t::discarded)}, BadField{"quantity", 0},
                                         BadField{"quantity", -1}, BadField{"quantity", 1'000'001},
                                         BadField{"quantity", "10"}, BadField{"quantity", 1.5},
                                         BadField{"quantity", 1e30}, BadField{"quantity", 18'446'744'073'709'551'615U},
                                         BadField{"quantity", true}, BadField{"quantiy", 3}));

TEST(NewOrderFields, MayBeAsLargeAsTheLimits)
{
    Json body{{"order_id", std::string(128, 'x')}, {"product", std::string(256, 'y')}, {"quantity", 1'000'000}};
    EXPECT_TRUE(parse_new_order(body));
}

TEST(NewOrderFields, AreAnObject)
{
    for (const Json& body : {Json::array(), Json("text"), Json(1), Json(nullptr)}) {
        const auto order = parse_new_order(body);
        ASSERT_FALSE(order);
        EXPECT_EQ(order.error().status, 422U);
    }
}

TEST(IdempotencyKey, IsVisibleAscii)
{
    EXPECT_EQ(*parse_idempotency_key("a-1"), "a-1");
    EXPECT_TRUE(parse_idempotency_key(std::string(255, 'k')));
    for (const auto& wrong : {std::string(), std::string("a b"), std::string(256, 'k'), std::string("\xc3\xa4")})
        EXPECT_FALSE(parse_idempotency_key(wrong)) << wrong;
}

TEST(StatusWords, AreThoseOfTheInterface)
{
    for (const auto status : {Status::processing, Status::validated, Status::rejected, Status::failed})
        EXPECT_EQ(status_named(to_string(status)), status);
    EXPECT_EQ(to_string(Status::processing), "Processing");
    EXPECT_FALSE(status_named("processing"));
}

TEST(Settlements, AreTakenFromThePresentHolderOnly)
{
    EXPECT_EQ(judge_settlement(Status::processing, 3, 3, Status::validated), Settled::applied);
    EXPECT_EQ(judge_settlement(Status::processing, 3, 3, std::nullopt), Settled::applied);
    EXPECT_EQ(judge_settlement(Status::processing, 4, 3, Status::validated), Settled::fenced);
    EXPECT_EQ(judge_settlement(Status::processing, 3, 4, Status::validated), Settled::fenced) << "forged";
}

TEST(Settlements, AreTakenOnce)
{
    EXPECT_EQ(judge_settlement(Status::validated, 3, 3, Status::validated), Settled::repeated);
    EXPECT_EQ(judge_settlement(Status::validated, 3, 3, Status::rejected), Settled::fenced);
    EXPECT_EQ(judge_settlement(Status::validated, 3, 3, std::nullopt), Settled::fenced);
    EXPECT_EQ(judge_settlement(Status::failed, 4, 3, Status::failed), Settled::fenced) << "an operator cancelled it";
}

} // namespace TEST_FILE
} // namespace hotspare::orders
