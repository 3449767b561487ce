#include "orders/validation_service/validator.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace hotspare::orders {
namespace TEST_FILE {

const WallTime now{seconds(1'700'000'000)};

CallEnd judged(unsigned status, std::string body, std::string_view retry_after = {})
{
    return judge_answer(ValidatorAnswer{status, std::move(body), std::string(retry_after)}, "a-1", now);
}

TEST(Validator, ItsWordIsTheVerdict)
{
    EXPECT_EQ(judged(200, R"({"valid":true})").kind, CallEnd::Kind::valid);
    const auto no = judged(200, R"({"valid":false,"reason":"out of stock"})");
    EXPECT_EQ(no.kind, CallEnd::Kind::rejected);
    EXPECT_EQ(no.text, "out of stock");
}

TEST(Validator, WhatIsNoVerdictNeverBecomesOne)
{
    for (const char* body : {"", "ok", "[]", "{}", R"({"valid":"true"})", R"({"valid":1})", R"({"valid":null})",
                             R"({"valid":true,"valid":false})", R"({"valid":true} {"valid":false})"})
        EXPECT_EQ(judged(200, body).kind, CallEnd::Kind::failed) << body;
    for (unsigned status = 100; status < 600; ++status)
        if (status != 200 && status != 400 && status != 422) {
            EXPECT_EQ(judged(status, R"({"valid":false})").kind, CallEnd::Kind::failed) << status;
        }
    for (const unsigned status : {400U, 422U})
        EXPECT_EQ(judged(status, R"({"valid":false})").kind, CallEnd::Kind::refused) << status;
    for (const auto error : {errc::timed_out, errc::closed_early, errc::malformed, errc::cancelled})
        EXPECT_EQ(judge_answer(error_code(error), "a-1", now).kind, CallEnd::Kind::failed);
}

TEST(Validator, AVerdictAboutAnotherOrderIsAFailedCall)
{
    EXPECT_EQ(judged(200, R"({"order_id":"a-1","valid":true})").kind, CallEnd::Kind::valid);
    for (const char* body : {R"({"order_id":"a-2","valid":true})", R"({"order_id":"a-2","valid":false})",
                             R"({"order_id":null,"valid":false})", R"({"order_id":["a-1"],"valid":true})"})
        EXPECT_EQ(judged(200, body).kind, CallEnd::Kind::failed) << body;
}

TEST(Validator, KnowsWhenNothingWasSent)
{
    namespace errors = boost::system::errc;
    for (const auto error : {errors::connection_refused, errors::host_unreachable, errors::too_many_files_open})
        EXPECT_EQ(judge_answer(errors::make_error_code(error), "a-1", now).kind, CallEnd::Kind::unreachable);
    EXPECT_EQ(judge_answer(errors::make_error_code(errors::connection_reset), "a-1", now).kind, CallEnd::Kind::failed);
}

TEST(Validator, IsAskedWithAKeyThatItTakesWhateverTheOrderIsCalled)
{
    std::string umlauts;
    while (umlauts.size() < OrderLimits::order_id) umlauts += "\xc3\xa4";
    auto others = umlauts;
    others.back() = '\xb6';
    for (const auto& id : {umlauts, others, std::string(OrderLimits::order_id, '%'), std::string("a")})
        EXPECT_TRUE(parse_idempotency_key(validation_key(id, "0123456789abcdef"))) << id;
    EXPECT_NE(validation_key(umlauts, "g"), validation_key(others, "g"));
    EXPECT_EQ(validation_key(umlauts, "g"), validation_key(umlauts, "g"));
}

TEST(Validator, SaysWhenToComeBack)
{
    EXPECT_EQ(judged(503, "", "7").retry_after, seconds(7));
    EXPECT_EQ(judged(429, "", "Tue, 14 Nov 2023 22:13:50 GMT").retry_after, seconds(30));
    EXPECT_FALSE(judged(503, "", "soon").retry_after);
    EXPECT_FALSE(judged(503, "").retry_after);
}

TEST(Validator, IsAskedWithAnotherKeyForAnotherOrderOfTheSameName)
{
    for (const auto& id : {std::string("a"), std::string(128, '%')}) {
        EXPECT_EQ(validation_key(id, "g1"), validation_key(id, "g1"));
        EXPECT_NE(validation_key(id, "g1"), validation_key(id, "g2"));
        EXPECT_NE(validation_key(id, "g1"), validation_key(id, ""));
    }
    EXPECT_NE(validation_key("a", "g1"), validation_key("a%.g1", ""));
    EXPECT_NE(validation_key("a", "g1"), validation_key("a.g1", ""));
}

TEST(Validator, IsAskedWithTheSameKeyEachTime)
{
    const NewOrder order{"a b%\xc3\xa4", "x", 1};
    EXPECT_EQ(validation_key(order.order_id, ""), "a%20b%25%C3%A4") << "as before there were generations";
    EXPECT_EQ(nlohmann::json::parse(validation_body(order))["order_id"], order.order_id);
    EXPECT_NE(validation_key("a b", ""), validation_key("a%20b", ""));
}

} // namespace TEST_FILE
} // namespace hotspare::orders
