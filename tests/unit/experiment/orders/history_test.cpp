#include "experiment/orders/history.hpp"

#include "tests/unit/experiment/orders/example_orders.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sstream>
#include <string>

namespace hotspare::experiment {
namespace TEST_FILE {

std::string written(const OrdersHistory& history)
{
    std::ostringstream out;
    write_history(out, history);
    return out.str();
}

OrdersHistory read(const std::string& text)
{
    std::istringstream in(text);
    return read_history(in, "history.jsonl");
}

/// What the reader says about it; empty if it takes it.
std::string refusal(const std::string& text)
{
    try {
        read(text);
    } catch (const UsageError& error) {
        return error.what();
    }
    return {};
}

std::string replaced(std::string text, const std::string& what, const std::string& by)
{
    const auto at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    if (at != std::string::npos) text.replace(at, what.size(), by);
    return text;
}

TEST(OrdersHistory, IsReadAsItWasWritten)
{
    for (const auto mode : {FailureMode::normal, FailureMode::slow, FailureMode::down, FailureMode::error}) {
        auto history = good_orders(mode);
        history.creates.push_back({.what = {"order-x", "\"quoted\" \xc3\xa9", 1},
                                   .due = seconds(1),
                                   .invoked = seconds(1),
                                   .ended = seconds(2),
                                   .outcome = CreateOutcome::unknown,
                                   .status = 0,
                                   .again = 2,
                                   .waited = true});
        history.effects.push_back({.key = {}, .order_id = "order-x", .verdict = "Validated", .at_ms = 1, .stock = 2});
        history.prefix = "order-";
        history.invalid = "a reason";
        EXPECT_EQ(read(written(history)), history);
    }
    OrdersHistory other = good_orders();
    other.mode.reset();
    other.drained.reset();
    other.aborted = "interrupted";
    EXPECT_EQ(read(written(other)), other);
}

TEST(OrdersHistory, TheFirstLineTellsWhatItIs)
{
    const auto text = written(good_orders());
    EXPECT_TRUE(is_orders_history(text.substr(0, text.find('\n'))));
    EXPECT_FALSE(is_orders_history(R"({"type":"experiment","format":1})"));
    EXPECT_FALSE(is_orders_history("orders"));
    EXPECT_FALSE(is_orders_history(""));
}

TEST(OrdersHistory, WhatIsNotOneIsRefusedWithItsPlace)
{
    const auto good = written(good_orders());
    ASSERT_EQ(refusal(good), "");
    const auto refused = [&](const std::string& what, const std::string& by, const std::string& why) {
        const auto said = refusal(replaced(good, what, by));
        EXPECT_NE(said.find(why), std::string::npos) << what << " -> " << by << ": " << said;
        EXPECT_EQ(said.rfind("history.jsonl:", 0), 0U) << said;
    };
    refused(R"("type":"orders")", R"("type":"experiment")", "no history of orders");
    refused(R"("format":1)", R"("format":2)", "the format is 2");
    refused(R"("mode":"down")", R"("mode":"dawn")", "'mode' cannot be 'dawn'");
    refused(R"("rate":50.0)", R"("rate":0)", "'rate'");
    refused(R"("type":"create")", R"("type":"creation")", "unknown type 'creation'");
    refused(R"("outcome":"ok")", R"("outcome":"well")", "'outcome' cannot be 'well'");
    refused(R"("outcome":"ok","status":200)", R"("outcome":"ok","status":503)", "'ok' with the status 503");
    refused(R"("outcome":"ok","status":200)", R"("outcome":"fail","status":200)", "'fail' with the status 200");
    refused(R"("quantity":10)", R"("quantity":"10")", "'quantity' is not a whole number");
    refused(R"("quantity":10)", R"("quantity":10,"quantity":11)", "stands twice");
    refused(R"("product")", R"("produce":1,"product")", "unknown key 'produce'");
    refused(R"("due":0,)", "", "the key 'due' is missing");
    refused(R"("due":0)", R"("due":900000)", "'invoked' is before 'due'");
    refused(R"("ended":4000000)", R"("ended":1)", "'ended' is before 'invoked'");
    refused(R"("event":"created")", R"("what":"created")", "'timeline'");
    refused(R"("creates":10)", R"("creates":11)", "there should be 11 creates, but 10 stand here");
    refused(R"("orders":10,"effects")", R"("orders":9,"effects")", "there should be 9 orders");
    refused("{\"type\":\"end\"", "{\"type\":\"end\",", "not JSON");

    EXPECT_NE(refusal(good.substr(0, good.rfind("{\"type\":\"end\""))).find("has no end"), std::string::npos);
    EXPECT_NE(refusal(good + "{\"type\":\"drained\",\"at\":1}\n").find("after the end"), std::string::npos);
    EXPECT_NE(refusal("").find("empty"), std::string::npos);
    // A line that was taken out is missed by the end.
    const auto from = good.find("{\"type\":\"effect\"");
    EXPECT_NE(refusal(good.substr(0, from) + good.substr(good.find('\n', from) + 1)).find("effects"),
              std::string::npos);
}

TEST(OrdersHistory, AClientKnowsNoMoreThanItWasTold)
{
    EXPECT_EQ(judge_create(Outcome::good, 200), CreateOutcome::ok);
    EXPECT_EQ(judge_create(Outcome::status, 409), CreateOutcome::fail);
    EXPECT_EQ(judge_create(Outcome::status, 422), CreateOutcome::fail);
    EXPECT_EQ(judge_create(Outcome::refused, 0), CreateOutcome::fail);
    EXPECT_EQ(judge_create(Outcome::status, 503), CreateOutcome::unknown) << "it may be stored later";
    EXPECT_EQ(judge_create(Outcome::status, 408), CreateOutcome::unknown);
    EXPECT_EQ(judge_create(Outcome::wrong_body, 200), CreateOutcome::unknown);
    for (const auto outcome : {Outcome::broken, Outcome::truncated, Outcome::malformed, Outcome::timed_out})
        EXPECT_EQ(judge_create(outcome, 0), CreateOutcome::unknown);
}

TEST(OrdersHistory, AnswersOfTheServiceAreTakenAsTheyAre)
{
    const auto order = order_in(nlohmann::ordered_json::parse(
        R"({"order_id":"a","product":"b","quantity":3,"status":"Odd","reason":"why","attempts":2,"epoch":4,
            "created_at":"x","waits_until":null,
            "timeline":[{"at":"x","event":"created","epoch":0,"detail":""},{"at":"y","event":"odd","epoch":4}]})"));
    ASSERT_TRUE(order);
    EXPECT_EQ(order->what, (OrderContent{"a", "b", 3}));
    EXPECT_EQ(order->status, "Odd");
    EXPECT_EQ(order->reason, "why");
    EXPECT_EQ(order->attempts, 2U);
    ASSERT_EQ(order->timeline.size(), 2U);
    EXPECT_EQ(order->timeline[1].event, "odd");
    for (const char* other : {R"({"error":"no such order"})", "[]", "null",
                              R"({"order_id":"a","product":"b","quantity":3,"status":"s","attempts":-1,"epoch":4,
                                  "timeline":[]})"})
        EXPECT_FALSE(order_in(nlohmann::ordered_json::parse(other))) << other;

    const auto page = page_in(nlohmann::ordered_json::parse(
        R"({"orders":[{"order_id":"a","product":"b","quantity":3,"status":"Failed","epoch":1}],"count":1,"next":"17"})"));
    ASSERT_TRUE(page);
    ASSERT_EQ(page->orders.size(), 1U);
    EXPECT_EQ(page->orders[0].status, "Failed");
    EXPECT_EQ(page->next, "17");
    EXPECT_EQ(page_in(nlohmann::ordered_json::parse(R"({"orders":[],"next":null})"))->next, "");
    EXPECT_FALSE(page_in(nlohmann::ordered_json::parse(R"({"orders":[{"order_id":"a"}]})")));
    EXPECT_FALSE(page_in(nlohmann::ordered_json::parse(R"({"error":"none"})")));
}

TEST(OrdersHistory, ALedgerIsReadButForALineThatWasCutOff)
{
    const std::string line = R"({"key":"a","order_id":"a","verdict":"Validated","at_ms":5,"stock":7,"body":"d"})";
    const std::string unkeyed = R"({"key":null,"order_id":"b","verdict":"Rejected","at_ms":6,"stock":7,"body":"d"})";
    std::istringstream in(line + "\n" + unkeyed + "\n" + line.substr(0, 20));
    const auto effects = read_ledger(in, "effects.log");
    ASSERT_EQ(effects.size(), 2U);
    EXPECT_EQ(effects[0], (EffectRecord{"a", "a", "Validated", 5, 7}));
    EXPECT_EQ(effects[1].key, std::nullopt);

    std::istringstream other("hello\n");
    try {
        read_ledger(other, "effects.log");
        FAIL() << "taken for a ledger";
    } catch (const UsageError& error) {
        EXPECT_STREQ(error.what(), "effects.log:1: not a line of a ledger");
    }
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
