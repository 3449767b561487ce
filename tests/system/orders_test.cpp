// The order pipeline as its users meet it: the five real processes of config/orders.system.yaml, asked as seed 002 asks
// them, with a validator that is slow, ill or gone, and with processes that are killed.
#include "tests/support/load.hpp"
#include "tests/support/order_clients.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/running_system.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

class Orders : public testing::Test {
protected:
    Answer create(const std::string& id, std::int64_t quantity = 10, std::vector<Header> headers = {})
    {
        headers.emplace_back("Content-Type", "application/json");
        const auto body = nlohmann::json{{"order_id", id}, {"product", "Medicine A"}, {"quantity", quantity}}.dump();
        return request(gateway(), "POST", "/create_order", headers, body);
    }
    std::string status_of(const std::string& id) { return get(gateway(), "/orders/" + id).json().value("status", ""); }
    bool becomes(const std::string& id, const std::string& status)
    {
        return eventually([&] { return status_of(id) == status; });
    }
    void validator(const std::string& mode)
    {
        const auto answer = request(system_.port(5103), "POST", "/set_failure_mode",
                                    {{"Content-Type", "application/json"}}, nlohmann::json{{"mode", mode}}.dump());
        ASSERT_EQ(answer.status(), 200) << answer.message.body;
    }
    std::string breaker() { return get(gateway(), "/breaker").json().value("state", ""); }
    std::string health_of(const std::string& service)
    {
        const auto status = get(gateway(), "/health_status").json();
        return status["services"][service].value("status", "");
    }
    std::uint16_t gateway() const { return system_.port(8080); }
    std::uint16_t order_port() const { return system_.port(5001); }
    std::uint16_t worker_port() const { return system_.port(5002); }

    RunningSystem system_{"orders"};
};

TEST_F(Orders, EveryCommandOfTheDocumentAnswersAsItSays)
{
    for (const unsigned port : {8080U, 5001U, 5002U, 5003U, 5004U})
        EXPECT_EQ(get(system_.port(port), "/health").status(), 200) << port;
    EXPECT_TRUE(eventually([&] { return health_of("order_service") == "healthy"; }));
    const auto status = get(system_.port(5004), "/health_status").json();
    EXPECT_TRUE(status.contains("overall") && status.contains("timestamp"));
    EXPECT_TRUE(status["services"]["external_service"]["response_time"].is_number());

    const auto created = create("test-001");
    ASSERT_EQ(created.status(), 200) << created.message.body;
    EXPECT_EQ(created.json()["message"], "Order placed successfully!");
    EXPECT_EQ(created.json()["order_id"], "test-001");
    EXPECT_EQ(created.json()["status"], "Processing");
    EXPECT_TRUE(becomes("test-001", "Validated"));

    const auto orders = get(system_.port(5001), "/get_orders").json();
    ASSERT_EQ(orders["orders"].size(), 1U);
    EXPECT_EQ(orders["orders"][0]["order_id"], "test-001");
    EXPECT_EQ(request(order_port(), "DELETE", "/clear_orders").status(), 200);
    EXPECT_TRUE(get(system_.port(5001), "/get_orders").json()["orders"].empty());
}

TEST_F(Orders, WhatTheValidatorRejectsIsRejected)
{
    ASSERT_EQ(create("big", 5'000).status(), 200);
    EXPECT_TRUE(becomes("big", "Rejected"));
    EXPECT_FALSE(get(gateway(), "/orders/big").json().value("reason", "").empty());
}

TEST_F(Orders, MayBeCalledAnything)
{
    std::string umlauts;
    std::string encoded;
    while (umlauts.size() < 128) {
        umlauts += "\xc3\xa4";
        encoded += "%C3%A4";
    }
    ASSERT_EQ(create(umlauts).status(), 200);
    EXPECT_TRUE(becomes(encoded, "Validated"));
    ASSERT_EQ(create("a/b c%").status(), 200);
    EXPECT_TRUE(becomes("a%2Fb%20c%25", "Validated"));
}

TEST_F(Orders, ARepeatedRequestIsOneOrder)
{
    const auto first = create("a", 10, {{"Idempotency-Key", "k-1"}});
    const auto again = create("a", 10, {{"Idempotency-Key", "k-1"}});
    EXPECT_EQ(again.status(), 200);
    EXPECT_EQ(again.message.body, first.message.body);
    EXPECT_EQ(create("a", 11).status(), 409);
    const auto other = create("b", 10, {{"Idempotency-Key", "k-1"}});
    EXPECT_EQ(other.status(), 422);
    EXPECT_EQ(other.json()["field"], "Idempotency-Key");
    EXPECT_EQ(get(gateway(), "/orders/b").status(), 404);
}

TEST_F(Orders, BadInputIsNamedAndStoresNothing)
{
    const auto post_body = [&](const std::string& body) {
        return request(gateway(), "POST", "/create_order", {{"Content-Type", "application/json"}}, body);
    };
    EXPECT_EQ(post_body("{").status(), 400);
    EXPECT_EQ(post_body("").status(), 400);
    EXPECT_EQ(post_body("{\"order_id\":\"\xff\"}").status(), 400);
    EXPECT_EQ(post_body("[]").status(), 422);
    const auto missing = post_body(R"({"order_id":"a","product":"x"})");
    EXPECT_EQ(missing.status(), 422);
    EXPECT_EQ(missing.json()["field"], "quantity");
    EXPECT_EQ(create("a", 0).json()["field"], "quantity");
    EXPECT_EQ(create("", 1).json()["field"], "order_id");
    EXPECT_EQ(create("a", 1, {{"Idempotency-Key", "a b"}}).status(), 422);
    EXPECT_EQ(get(gateway(), "/orders/a").status(), 404);
    EXPECT_EQ(get(gateway(), "/get_orders?status=Lost").status(), 422);
    EXPECT_EQ(get(gateway(), "/create_order").status(), 405);
    EXPECT_TRUE(get(gateway(), "/get_orders").json()["orders"].empty());
}

TEST_F(Orders, ASingleOneSurvivesAValidatorThatIsGone)
{
    validator("down");
    ASSERT_EQ(create("a").status(), 200);
    // Far more calls than an order has attempts.
    EXPECT_TRUE(eventually([&] {
        std::size_t calls = 0;
        const auto order = get(gateway(), "/orders/a").json();
        for (const auto& event : order["timeline"]) calls += event["event"] == "attempt" ? 1 : 0;
        return calls >= 5;
    }));
    EXPECT_EQ(status_of("a"), "Processing");
    validator("normal");
    EXPECT_TRUE(becomes("a", "Validated"));
}

TEST_F(Orders, AreAcceptedWhileTheValidatorIsGoneAndValidatedWhenItReturns)
{
    validator("down");
    EXPECT_TRUE(eventually([&] { return health_of("external_service") == "down"; }));
    for (int i = 0; i < 20; ++i) {
        const auto begun = Clock::now();
        ASSERT_EQ(create(fmt::format("o-{}", i)).status(), 200);
        EXPECT_LT(Clock::now() - begun, seconds(2));
    }
    EXPECT_TRUE(eventually([&] { return breaker() == "open" || breaker() == "half_open"; }));
    EXPECT_TRUE(eventually([&] { return health_of("validation_service") == "degraded"; })) << "its breaker is open";
    EXPECT_EQ(get(gateway(), "/get_orders?status=Processing").json()["orders"].size(), 20U);
    validator("normal");
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(becomes(fmt::format("o-{}", i), "Validated")) << i;
    EXPECT_TRUE(eventually([&] { return breaker() == "closed" || breaker() == "half_open"; }));
    // Also of the worker, whose breaker may stay half open for as long as no orders arrive.
    EXPECT_TRUE(eventually([&] { return get(gateway(), "/health_status").json()["overall"] == "healthy"; }));
}

TEST_F(Orders, SurviveAValidatorThatAnswersWithErrors)
{
    validator("error");
    for (int i = 0; i < 10; ++i) ASSERT_EQ(create(fmt::format("o-{}", i)).status(), 200);
    EXPECT_TRUE(eventually([&] { return breaker() == "open" || breaker() == "half_open"; }));
    EXPECT_TRUE(eventually([&] { return health_of("external_service") == "unhealthy"; }));
    validator("normal");
    for (int i = 0; i < 10; ++i)
        EXPECT_TRUE(eventually([&] { return status_of(fmt::format("o-{}", i)) != "Processing"; })) << i;
    EXPECT_EQ(get(gateway(), "/get_orders?status=Rejected").json()["orders"].size(), 0U) << "an error is no verdict";
}

TEST_F(Orders, SurviveTheDeathOfEveryProcessButTheirStore)
{
    validator("down");
    for (int i = 0; i < 10; ++i) ASSERT_EQ(create(fmt::format("o-{}", i)).status(), 200);
    for (const char* daemon : {"order_service", "validation_service", "external_service"}) {
        system_.process(daemon).signal(SIGKILL);
        system_.process(daemon).wait_exit();
    }
    for (const char* daemon : {"order_service", "validation_service", "external_service"}) system_.start(daemon);
    // A lease of the killed worker lasts for up to 30 s.
    for (int i = 0; i < 10; ++i)
        EXPECT_TRUE(eventually([&] { return status_of(fmt::format("o-{}", i)) == "Validated"; }, seconds(60))) << i;
}

/// What was on its way to it fails at once, as it may have been the cause; all later creations wait for its return.
TEST_F(Orders, AnOrderServiceThatDiesTakesNoCreationAlong)
{
    // First it stands still, so that some are surely on their way when it dies.
    const auto stand_still = [&] { system_.process("order_service").signal(SIGSTOP); };
    const auto die = [&] {
        system_.process("order_service").signal(SIGKILL);
        system_.process("order_service").wait_exit();
        system_.start("order_service");
    };
    const auto result =
        run_load(unkeyed_creations(gateway()), {{milliseconds(400), stand_still}, {milliseconds(450), die}});
    unsigned on_their_way = 0;
    for (const auto& sample : result.samples) {
        const auto id = fmt::format("load-{}", sample.number);
        if (sample.status == 200) {
            EXPECT_NE(status_of(id), "") << id << " was acknowledged";
            continue;
        }
        if (sample.status == 502) {
            ++on_their_way;
            continue;
        }
        EXPECT_TRUE(sample.status == 503 || sample.status == 504) << result.summary();
        EXPECT_GE(sample.latency(), milliseconds(1400)) << "only for want of a service that starts in time";
        EXPECT_LT(sample.latency(), seconds(5));
    }
    EXPECT_LE(on_their_way, 40U) << result.summary(); // 50 ms of 200 creations a second, and some slack
}

TEST_F(Orders, AnOrderServiceThatHangsKeepsNoCreationWaiting)
{
    system_.process("order_service").signal(SIGSTOP);
    const auto begun = Clock::now();
    const auto answer = create("a");
    const auto waited = Clock::now() - begun;
    system_.process("order_service").signal(SIGCONT);
    // 503 if the heartbeat was quicker to notice.
    EXPECT_TRUE(answer.status() == 504 || answer.status() == 503) << answer.message.body;
    EXPECT_GE(waited, milliseconds(1400)) << "it had the time that its disk may take";
    EXPECT_LT(waited, seconds(5)) << "and not the half minute of other requests";
    // It may have been done, and only asking again tells.
    EXPECT_TRUE(eventually([&] { return create("a").status() == 200; }));
    EXPECT_TRUE(becomes("a", "Validated"));
    EXPECT_EQ(get(gateway(), "/get_orders").json()["orders"].size(), 1U);
}

TEST_F(Orders, AnOperatorCancelsAndReplays)
{
    EXPECT_EQ(post(worker_port(), "/pause").status(), 200);
    ASSERT_EQ(create("a").status(), 200);
    EXPECT_EQ(post(order_port(), "/orders/a/replay").status(), 409);
    EXPECT_EQ(post(order_port(), "/orders/a/cancel").status(), 200);
    EXPECT_EQ(status_of("a"), "Failed");
    EXPECT_EQ(get(gateway(), "/queue").json()["dead_letters"], 1);
    EXPECT_EQ(post(order_port(), "/orders/a/replay").status(), 200);
    EXPECT_EQ(status_of("a"), "Processing");
    EXPECT_EQ(post(worker_port(), "/resume").status(), 200);
    EXPECT_TRUE(becomes("a", "Validated"));
    const auto timeline = get(gateway(), "/orders/a").json()["timeline"];
    // Without what a worker may do and undo that asked for work before it was paused.
    std::vector<std::string> events;
    for (const auto& event : timeline)
        if (event["event"] != "leased" && event["event"] != "snoozed") events.push_back(event["event"]);
    EXPECT_EQ(events, (std::vector<std::string>{"created", "failed", "replayed", "attempt", "validated"}));
}

/// The gateway is the clients': what it passes on is marked, and a client cannot take that mark away.
TEST_F(Orders, TheGatewayTakesNoOperatorsAndNoWorkersRequests)
{
    EXPECT_EQ(post(worker_port(), "/pause").status(), 200);
    ASSERT_EQ(create("a").status(), 200);
    const std::vector<std::pair<std::string, std::string>> operators{
        {"DELETE", "/clear_orders"},  {"POST", "/orders/a/cancel"}, {"POST", "/orders/a/retry"},
        {"POST", "/orders/a/replay"}, {"POST", "/replay_orders"},   {"POST", "/cancel_orders"},
        {"POST", "/pause"},           {"POST", "/resume"},          {"POST", "/breaker/force_open"},
        {"POST", "/breaker/disable"}, {"POST", "/breaker/reset"},   {"POST", "/set_failure_mode"},
    };
    const std::vector<std::vector<Header>> attempts{
        {},
        {{"Origin", "http://evil.example"}},
        {{"Content-Type", "text/plain"}},
        {{"Connection", "X-Forwarded-For, Via, Forwarded"}, {"X-Forwarded-For", "127.0.0.1"}},
    };
    for (const auto& [method, target] : operators)
        for (const auto& headers : attempts) {
            const auto answer = request(gateway(), method, target, headers, R"({"mode":"error"})");
            EXPECT_EQ(answer.status(), 403) << method << " " << target;
            EXPECT_NE(answer.json().value("error", ""), "") << answer.message.body;
        }
    const auto forged = R"({"results":[{"order_id":"a","epoch":1,"kind":"verdict","status":"Validated","reason":"",)"
                        R"("attempts":[]}]})";
    for (const auto* target :
         {"/jobs/lease", "/jobs/extend", "/jobs/settle", "/jobs/presence", "/orders/../jobs/settle"}) {
        const auto status = post(gateway(), target, forged).status();
        EXPECT_TRUE(status == 404 || status == 400) << target << " " << status;
    }
    EXPECT_EQ(status_of("a"), "Processing");
    EXPECT_EQ(get(worker_port(), "/work").json()["paused"], true);
    EXPECT_EQ(breaker(), "closed");
    EXPECT_EQ(get(gateway(), "/get_failure_mode").json()["mode"], "normal");
    // From this machine, to the documented ports, everything goes on working.
    EXPECT_EQ(request(worker_port(), "POST", "/resume", {{"User-Agent", "curl/7.88.1"}, {"Accept", "*/*"}}).status(),
              200);
    EXPECT_TRUE(becomes("a", "Validated"));
}

TEST_F(Orders, APausedWorkerStaysPausedAndEveryPageSaysSo)
{
    EXPECT_EQ(post(worker_port(), "/pause").status(), 200);
    auto& process = system_.process("validation_service");
    process.signal(SIGKILL);
    process.wait_exit();
    system_.start("validation_service");
    EXPECT_EQ(get(worker_port(), "/work").json()["paused"], true);
    EXPECT_EQ(get(worker_port(), "/health").json()["error"], "paused by an operator");
    EXPECT_TRUE(eventually([&] { return get(gateway(), "/queue").json()["workers_paused"].size() == 1; }));
    EXPECT_TRUE(eventually([&] { return get(gateway(), "/get_orders").json()["workers_paused"].size() == 1; }));
    EXPECT_TRUE(eventually([&] {
        const auto seen = get(gateway(), "/health_status").json()["services"]["validation_service"];
        return seen["paused"] == true && seen["status"] == "degraded";
    }));
    ASSERT_EQ(create("a").status(), 200);
    EXPECT_EQ(post(worker_port(), "/resume").status(), 200);
    EXPECT_TRUE(becomes("a", "Validated"));
    // The killed process is remembered for a while.
    EXPECT_TRUE(eventually([&] { return get(gateway(), "/queue").json()["workers_paused"].empty(); }, seconds(30)));
}

TEST_F(Orders, TheMonitorSaysDownWhereCreationsAreRefused)
{
    EXPECT_TRUE(eventually([&] { return health_of("order_service") == "healthy"; }));
    std::filesystem::remove(system_.directory() / ".run/orders/orders.sqlite");
    EXPECT_TRUE(eventually([&] { return health_of("order_service") == "down"; }));
    EXPECT_EQ(create("a").status(), 503);
    EXPECT_EQ(get(gateway(), "/health_status").json()["overall"], "unhealthy");
}

TEST_F(Orders, ManyThatFailedAreReplayedAtOnce)
{
    EXPECT_EQ(post(worker_port(), "/pause").status(), 200);
    for (int i = 0; i < 20; ++i) ASSERT_EQ(create(fmt::format("o-{}", i)).status(), 200);
    const auto cancelled = post(order_port(), "/cancel_orders", R"({"limit":15})").json();
    EXPECT_EQ(cancelled["changed"], 15);
    EXPECT_EQ(cancelled["left"], 5);
    EXPECT_EQ(post(order_port(), "/replay_orders", R"({"reason":"cancelled by"})").json()["changed"], 15);
    EXPECT_EQ(post(worker_port(), "/resume").status(), 200);
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(becomes(fmt::format("o-{}", i), "Validated")) << i;
}

} // namespace TEST_FILE
} // namespace hotspare::test
