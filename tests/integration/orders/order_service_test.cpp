// order_service in this process, asked over real sockets: what its workers can rely on.
#include "orders/order_service/service.hpp"
#include "orders/order_service/sqlite_store.hpp"
#include "orders/order_service/store_queue.hpp"
#include "orders/wire.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/post.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::orders {
namespace TEST_FILE {

using test::Answer;
using test::get;
using test::post;

/// The service with a thread of its own.
class OrderServiceTest : public testing::Test {
protected:
    ~OrderServiceTest() override
    {
        asio::post(context_, [this] { service_.stop(); });
        thread_.join();
    }

    void create(const std::string& id)
    {
        const auto body = nlohmann::json{{"order_id", id}, {"product", "x"}, {"quantity", 1}}.dump();
        ASSERT_EQ(post(service_.port(), "/create_order", body).status(), 200);
    }

    /// The order_ids of the jobs that it gives.
    std::vector<std::string> lease(milliseconds wait)
    {
        const auto call = wire::to_json(wire::LeaseCall{.worker = "w", .most = 10, .wait = wait});
        const auto answer = wire::parse_lease_answer(post(service_.port(), "/jobs/lease", call.dump()).json());
        std::vector<std::string> ids;
        if (answer)
            for (const auto& job : answer->jobs) ids.push_back(job.what.order_id);
        return ids;
    }

    Answer put_back(const std::string& id, Epoch epoch, milliseconds pause)
    {
        const Settlement settlement{
            .order_id = id, .epoch = epoch, .kind = Settlement::Kind::snooze, .reason = "later", .pause = pause};
        return post(service_.port(), "/jobs/settle", wire::settle_call({settlement}).dump());
    }

    test::TempDir directory_;
    asio::io_context context_{1};
    SqliteStore store_{(directory_.path() / "orders.sqlite").string(), [] {}, {}};
    StoreQueue queue_{context_, store_};
    OrderService service_{context_, {.port = 0}, store_, queue_};
    std::thread thread_{[this] { context_.run(); }};
};

TEST_F(OrderServiceTest, AWaitingWorkerGetsAnOrderAsItComes)
{
    auto waiting = std::async(std::launch::async, [this] { return lease(seconds(20)); });
    ASSERT_TRUE(test::eventually([&] { return get(service_.port(), "/queue").json()["workers_waiting"] == 1; }));
    const auto begun = Clock::now();
    create("a");
    EXPECT_EQ(waiting.get(), std::vector<std::string>{"a"});
    EXPECT_LT(Clock::now() - begun, seconds(10)) << "not only at the end of its wait";
}

TEST_F(OrderServiceTest, AWaitingWorkerGetsWhatIsPutBackWhenItIsDue)
{
    create("a");
    ASSERT_EQ(lease(milliseconds(0)).size(), 1U);
    auto soonest = Duration::max();
    for (Epoch epoch = 1; epoch <= 9; epoch += 2) { // a lease raises it, and putting back does
        auto waiting = std::async(std::launch::async, [this] { return lease(seconds(20)); });
        ASSERT_TRUE(test::eventually([&] { return get(service_.port(), "/queue").json()["workers_waiting"] == 1; }));
        const auto begun = Clock::now();
        ASSERT_EQ(put_back("a", epoch, milliseconds(100)).json()["results"][0], "applied");
        ASSERT_EQ(waiting.get(), std::vector<std::string>{"a"});
        const auto took = Clock::now() - begun;
        EXPECT_GE(took, milliseconds(90));
        soonest = std::min(soonest, took);
    }
    EXPECT_LT(soonest, milliseconds(600)) << "it is told, and does not only look around once a second";
}

TEST_F(OrderServiceTest, ShowsOrdersAndTotalsOfTheSameMomentWithAllThatWasAnsweredBefore)
{
    EXPECT_EQ(get(service_.port(), "/get_orders").json()["totals"]["Processing"], 0);
    for (int i = 1; i <= 10; ++i) {
        create("a" + std::to_string(i));
        const auto page = get(service_.port(), "/get_orders").json();
        EXPECT_EQ(page["count"], i);
        EXPECT_EQ(page["totals"]["Processing"], i);
        EXPECT_EQ(get(service_.port(), "/queue").json()["depth"], i);
    }
}

TEST_F(OrderServiceTest, RefusesWhatIsSaidTwice)
{
    EXPECT_EQ(get(service_.port(), "/get_orders?limit=1&limit=2").status(), 422);
    EXPECT_EQ(post(service_.port(), "/create_order", R"({"order_id":"a","order_id":"b","product":"x","quantity":1})")
                  .status(),
              400);
    EXPECT_EQ(get(service_.port(), "/orders/b").status(), 404);
    const auto twice =
        test::request(service_.port(), "POST", "/create_order",
                      {{"Content-Type", "application/json"}, {"Idempotency-Key", "k"}, {"Idempotency-Key", "k"}},
                      R"({"order_id":"c","product":"x","quantity":1})");
    EXPECT_EQ(twice.status(), 422) << twice.message.body;
    EXPECT_EQ(twice.json()["field"], "Idempotency-Key");
    EXPECT_EQ(get(service_.port(), "/orders/c").status(), 404);
}

TEST_F(OrderServiceTest, GivesNoListThatIsLongerThanItsBound)
{
    EXPECT_EQ(get(service_.port(), "/get_orders?limit=1000").status(), 200);
    for (const auto* limit : {"1001", "0", "18446744073709551616"}) {
        const auto answer = get(service_.port(), std::string("/get_orders?limit=") + limit);
        EXPECT_EQ(answer.status(), 422) << limit;
        EXPECT_EQ(answer.json()["field"], "limit") << limit;
    }
}

TEST_F(OrderServiceTest, ExposesTheAgeOfTheOldestOrderThatIsProcessing)
{
    const auto age = [this] {
        const auto text = get(service_.port(), "/metrics").message.body;
        const std::string name = "\nhotspare_orders_oldest_age_seconds ";
        const auto at = text.find(name);
        return at == text.npos ? -1. : std::stod(text.substr(at + name.size()));
    };
    EXPECT_EQ(age(), 0.);
    create("a");
    EXPECT_TRUE(test::eventually([&] { return age() > 0; })) << age();
}

TEST_F(OrderServiceTest, SendsAWorkerAwayThatWaitedInVain)
{
    EXPECT_TRUE(lease(milliseconds(50)).empty());
}

/// Killed, which closes its connections, or cut off by a reset.
TEST_F(OrderServiceTest, GivesNothingToAWorkerThatDiedWhileItWaited)
{
    const auto call = wire::to_json(wire::LeaseCall{.worker = "dead", .most = 10, .wait = seconds(30)}).dump();
    int number = 0;
    for (const bool reset : {false, true}) {
        auto dead = std::make_unique<test::RawClient>(service_.port());
        dead->send(fmt::format("POST /jobs/lease HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                               "Content-Length: {}\r\n\r\n{}",
                               call.size(), call));
        ASSERT_TRUE(test::eventually([&] { return get(service_.port(), "/queue").json()["workers_waiting"] == 1; }));
        auto alive = std::async(std::launch::async, [this] { return lease(seconds(20)); });
        ASSERT_TRUE(test::eventually([&] { return get(service_.port(), "/queue").json()["workers_waiting"] == 2; }));
        if (reset)
            dead->reset();
        else
            dead->finish_sending();
        const auto id = std::to_string(++number);
        create(id);
        EXPECT_EQ(alive.get(), std::vector<std::string>{id}) << (reset ? "reset" : "closed");
    }
}

TEST_F(OrderServiceTest, AWaitingWorkerDoesNotKeepItFromStopping)
{
    auto waiting = std::async(std::launch::async, [this] { return lease(seconds(20)); });
    ASSERT_TRUE(test::eventually([&] { return get(service_.port(), "/queue").json()["workers_waiting"] == 1; }));
    const auto begun = Clock::now();
    asio::post(context_, [this] { service_.stop(); });
    EXPECT_TRUE(waiting.get().empty());
    EXPECT_LT(Clock::now() - begun, seconds(10));
}

/// Every request that changes more than an order of the caller's own.
const std::vector<std::pair<std::string, std::string>> guarded{
    {"DELETE", "/clear_orders"},  {"POST", "/orders/a/retry"}, {"POST", "/orders/a/cancel"},
    {"POST", "/orders/a/replay"}, {"POST", "/replay_orders"},  {"POST", "/cancel_orders"},
    {"POST", "/jobs/lease"},      {"POST", "/jobs/extend"},    {"POST", "/jobs/settle"},
    {"POST", "/jobs/presence"},
};

TEST_F(OrderServiceTest, TakesNoOrdersFromWebPages)
{
    create("a");
    const std::vector<std::vector<test::Header>> pages{
        {{"Origin", "http://evil.example"}, {"Content-Type", "application/json"}},
        {{"Sec-Fetch-Site", "cross-site"}},
        {{"Content-Type", "text/plain"}},
    };
    for (const auto port : {service_.port(), service_.control_port()})
        for (const auto& [method, target] : guarded)
            for (const auto& headers : pages)
                EXPECT_EQ(test::request(port, method, target, headers, "{}").status(), 403)
                    << method << " " << target << " " << headers[0].name;
    EXPECT_EQ(get(service_.port(), "/orders/a").json()["status"], "Processing");
}

TEST_F(OrderServiceTest, TakesNoneThroughAProxyButForWorkersOnTheControlPort)
{
    create("a");
    const auto status = [&](std::uint16_t port, const std::string& method, const std::string& target,
                            const char* mark) {
        return test::request(port, method, target, {{mark, "203.0.113.1"}, {"Content-Type", "application/json"}}, "{}");
    };
    for (const auto& [method, target] : guarded)
        for (const char* mark : {"X-Forwarded-For", "Via", "Forwarded"}) {
            const auto answer = status(service_.port(), method, target, mark);
            EXPECT_EQ(answer.status(), 403) << method << " " << target;
            EXPECT_NE(answer.json().value("error", "").find(std::to_string(service_.control_port())), std::string::npos)
                << answer.message.body;
            const bool work = target.starts_with("/jobs/");
            EXPECT_EQ(status(service_.control_port(), method, target, mark).status(), work ? 422 : 403) << target;
        }
    EXPECT_EQ(get(service_.port(), "/orders/a").json()["status"], "Processing");
    // Clients are served through a proxy.
    EXPECT_EQ(test::request(service_.port(), "GET", "/orders/a", {{"X-Forwarded-For", "203.0.113.1"}}).status(), 200);
}

TEST_F(OrderServiceTest, ReplaysAndCancelsManyByTheirReasonAndAge)
{
    for (int i = 0; i < 5; ++i) create("a" + std::to_string(i));
    const auto bulk = [&](const std::string& target, const std::string& body) {
        return post(service_.control_port(), target, body);
    };
    EXPECT_EQ(bulk("/cancel_orders", R"({"older_than":"1h"})").json()["changed"], 0);
    const auto cancelled = bulk("/cancel_orders", R"({"limit":3})");
    ASSERT_EQ(cancelled.status(), 200) << cancelled.message.body;
    EXPECT_EQ(cancelled.json()["changed"], 3);
    EXPECT_EQ(cancelled.json()["left"], 2);
    EXPECT_EQ(get(service_.port(), "/orders/a0").json()["status"], "Failed") << "the oldest first";
    EXPECT_EQ(get(service_.port(), "/orders/a4").json()["status"], "Processing");

    EXPECT_EQ(bulk("/replay_orders", R"({"reason":"no such reason"})").json()["left"], 0);
    const auto replayed = bulk("/replay_orders", R"({"reason":"by an operator","younger_than":"1h","limit":2})");
    EXPECT_EQ(replayed.json()["changed"], 2);
    EXPECT_EQ(replayed.json()["left"], 1);
    const auto totals = get(service_.port(), "/get_orders").json()["totals"];
    EXPECT_EQ(totals["Processing"], 4);
    EXPECT_EQ(totals["Failed"], 1);
    EXPECT_EQ(lease(milliseconds(0)).size(), 4U) << "they are due at once";

    EXPECT_EQ(bulk("/replay_orders", "").status(), 400) << "all orders are {}";
    EXPECT_EQ(bulk("/replay_orders", R"({"limit":0})").json()["field"], "limit");
}

TEST_F(OrderServiceTest, TellsWhichWorkersArePaused)
{
    const auto say = [&](bool paused) {
        const auto body = wire::to_json(wire::PresenceCall{.worker = "w", .paused = paused}).dump();
        return post(service_.control_port(), "/jobs/presence", body).status();
    };
    const auto paused = [&](const char* page) { return get(service_.port(), page).json()["workers_paused"].dump(); };
    EXPECT_EQ(paused("/queue"), "[]");
    EXPECT_EQ(say(true), 200);
    EXPECT_EQ(paused("/queue"), R"(["w"])");
    EXPECT_EQ(paused("/get_orders"), R"(["w"])");
    EXPECT_NE(get(service_.port(), "/metrics").message.body.find("hotspare_orders_workers_paused 1\n"),
              std::string::npos);
    EXPECT_EQ(say(false), 200);
    EXPECT_EQ(paused("/queue"), "[]");
    EXPECT_EQ(say(true), 200);
    (void)lease(milliseconds(0)); // by "w"
    EXPECT_EQ(paused("/queue"), "[]") << "a paused worker leases nothing";
}

TEST_F(OrderServiceTest, SaysThatItIsDownWhileItRefusesCreations)
{
    const auto health = [&] { return get(service_.port(), "/health"); };
    EXPECT_EQ(health().json()["status"], "healthy");
    const auto file = directory_.path() / "orders.sqlite";
    const auto aside = directory_.path() / "aside.sqlite";
    std::filesystem::rename(file, aside);
    EXPECT_TRUE(test::eventually([&] { return health().json()["status"] == "down"; }))
        << "though nothing is asked of it";
    EXPECT_EQ(health().status(), 200);
    const auto body = nlohmann::json{{"order_id", "a"}, {"product", "x"}, {"quantity", 1}}.dump();
    EXPECT_EQ(post(service_.port(), "/create_order", body).status(), 503);
    std::filesystem::rename(aside, file);
    EXPECT_TRUE(test::eventually([&] {
        return post(service_.port(), "/create_order", body).status() == 200 && health().json()["status"] == "healthy";
    }));
}

} // namespace TEST_FILE
} // namespace hotspare::orders
