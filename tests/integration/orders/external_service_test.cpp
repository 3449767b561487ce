// The external service over its two listeners: what it answers, that a key has one effect, and that each failure mode
// is what it says.
#include "orders/external_service/service.hpp"

#include "tests/support/full_disk.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::orders::external {
namespace TEST_FILE {

using test::Answer;
using test::eventually;
using test::RawClient;

/// A service on a thread of its own.
class Running {
public:
    explicit Running(const Settings& settings) : service_(io_, settings), thread_([this] { io_.run(); }) {}
    ~Running()
    {
        asio::post(io_, [this] { service_.stop(); });
        thread_.join();
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    std::uint16_t control_port() const noexcept { return control_port_; }

private:
    asio::io_context io_{1};
    Service service_;
    // The service belongs to its thread from now on; these are the test's.
    const std::uint16_t port_ = service_.port();
    const std::uint16_t control_port_ = service_.control_port();
    std::thread thread_;
};

std::string order(const std::string& id, unsigned quantity = 10)
{
    return nlohmann::json{{"order_id", id}, {"product", "Medicine A"}, {"quantity", quantity}}.dump();
}

std::vector<test::Header> headers(const std::optional<std::string>& key)
{
    std::vector<test::Header> out{{"Content-Type", "application/json"}};
    if (key) out.push_back({"Idempotency-Key", *key});
    return out;
}

class ExternalServiceTest : public testing::Test {
protected:
    Settings settings()
    {
        Settings out;
        out.port = 0;
        out.latency = Duration::zero();
        out.ledger = ledger_;
        out.drain = seconds(1);
        return out;
    }
    void start(const Settings& settings)
    {
        service_.reset();
        service_ = std::make_unique<Running>(settings);
    }
    void SetUp() override { start(settings()); }

    Answer get(const std::string& target) { return test::get(service_->port(), target); }
    Answer validate(const std::string& body, const std::optional<std::string>& key = {})
    {
        return test::request(service_->port(), "POST", "/validate", headers(key), body);
    }
    std::string call(const std::string& body, const std::optional<std::string>& key = {})
    {
        return test::format_request("POST", "/validate", headers(key), body);
    }
    Answer set_mode(const std::string& body) { return test::post(service_->port(), "/set_failure_mode", body); }
    Answer control_mode(const std::string& body)
    {
        return test::post(service_->control_port(), "/set_failure_mode", body);
    }
    std::vector<std::string> ledger() const
    {
        std::ifstream in(ledger_);
        std::vector<std::string> lines;
        for (std::string line; std::getline(in, line);) lines.push_back(line);
        return lines;
    }
    bool metrics_show(const std::string& line)
    {
        return test::get(service_->control_port(), "/metrics").message.body.find("\n" + line + "\n") !=
               std::string::npos;
    }
    bool refuses() const
    {
        try {
            RawClient client(service_->port());
            return false;
        } catch (const std::system_error&) {
            return true;
        }
    }
    static void expect_problem(const Answer& answer, int status, const std::string& field = {})
    {
        EXPECT_EQ(answer.status(), status) << answer.message.body;
        EXPECT_EQ(answer.message.header("Content-Type"), "application/problem+json");
        const auto body = answer.json();
        ASSERT_TRUE(body.is_object());
        EXPECT_EQ(body["error"], body["detail"]);
        if (!field.empty()) {
            EXPECT_EQ(body["field"], field) << body;
        }
    }

    test::TempDir directory_;
    std::string ledger_ = (directory_.path() / "ledger").string();
    std::unique_ptr<Running> service_;
};

TEST_F(ExternalServiceTest, ValidatesWhatTheStockAllows)
{
    const auto good = validate(order("a-1", 1000));
    EXPECT_EQ(good.status(), 200);
    EXPECT_TRUE(good.message.body.starts_with(R"({"order_id":"a-1","valid":true,"status":"Validated","reason":")"))
        << good.message.body;
    EXPECT_EQ(good.json()["timestamp"].get<std::string>().size(), std::string("2026-02-03T04:05:06.789Z").size());
    const auto bad = validate(order("a-2", 1001));
    EXPECT_EQ(bad.status(), 200);
    EXPECT_EQ(bad.json()["valid"], false);
    EXPECT_EQ(bad.json()["status"], "Rejected");
    EXPECT_NE(bad.json()["reason"].get<std::string>().find("1001"), std::string::npos);
}

TEST_F(ExternalServiceTest, RefusesWhatItCannotRead)
{
    expect_problem(validate(R"({"order_id":)"), 400);
    EXPECT_EQ(validate("{\n oops").json()["line"], 2);
    expect_problem(validate("{\"order_id\":\"\xff\",\"product\":\"a\",\"quantity\":1}"), 400);
    expect_problem(validate("[]"), 422);
    expect_problem(validate(R"({"product":"a","quantity":1})"), 422, "order_id");
    expect_problem(validate(R"({"order_id":"a","product":"","quantity":1})"), 422, "product");
    expect_problem(validate(R"({"order_id":"a","product":"b","quantity":"1"})"), 422, "quantity");
    expect_problem(validate(order("a"), ""), 422, "Idempotency-Key");
    expect_problem(validate(order("a"), std::string(256, 'k')), 422, "Idempotency-Key");
    auto twice = headers("k-1");
    twice.push_back({"Idempotency-Key", "k-2"});
    expect_problem(test::request(service_->port(), "POST", "/validate", twice, order("a")), 422, "Idempotency-Key");
    EXPECT_EQ(get("/validate").status(), 405);
    EXPECT_EQ(get("/nothing").status(), 404);
    EXPECT_TRUE(ledger().empty()) << "nothing of that was an effect";
}

TEST_F(ExternalServiceTest, ARepeatedKeyHasOneEffectAndOneAnswer)
{
    const auto first = validate(order("a-1", 2000), "k-1");
    EXPECT_EQ(first.json()["replayed"], false);
    auto again = validate(order("a-1", 2000), "k-1").json();
    EXPECT_EQ(again["replayed"], true);
    again["replayed"] = false;
    EXPECT_EQ(again, first.json());
    expect_problem(validate(order("a-1", 1999), "k-1"), 422, "Idempotency-Key");
    EXPECT_EQ(ledger().size(), 1U);
    EXPECT_TRUE(metrics_show("hotspare_external_effects_total 1"));
    EXPECT_TRUE(metrics_show("hotspare_external_replays_total 1"));
    EXPECT_TRUE(metrics_show("hotspare_external_calls_total{outcome=\"rejected\"} 1"));
    EXPECT_TRUE(metrics_show("hotspare_external_calls_total{outcome=\"conflict\"} 1"));
}

TEST_F(ExternalServiceTest, WithoutAKeyEveryCallIsAnEffect)
{
    EXPECT_EQ(validate(order("a-1")).json()["replayed"], false);
    EXPECT_EQ(validate(order("a-1")).json()["replayed"], false);
    ASSERT_EQ(ledger().size(), 2U);
    const auto line = nlohmann::json::parse(ledger()[0]);
    EXPECT_EQ(line["key"], nullptr);
    EXPECT_EQ(line["order_id"], "a-1");
    EXPECT_EQ(line["verdict"], "Validated");
}

TEST_F(ExternalServiceTest, OneKeyFromTwoConnectionsAtOnceHasOneEffect)
{
    ASSERT_EQ(set_mode(R"({"mode":"slow","delay":"100ms"})").status(), 200);
    for (int round = 0; round < 5; ++round) {
        const auto key = "k-" + std::to_string(round);
        RawClient one(service_->port()), other(service_->port());
        one.send(call(order(key), key));
        other.send(call(order(key), key));
        const auto a = one.read_response().json();
        const auto b = other.read_response().json();
        EXPECT_NE(a["replayed"], b["replayed"]) << a << b;
        EXPECT_EQ(a["timestamp"], b["timestamp"]);
    }
    EXPECT_EQ(ledger().size(), 5U);
}

TEST_F(ExternalServiceTest, ARestartForgetsNothing)
{
    auto first = validate(order("a-1"), "k-1").json();
    const auto rejected = validate(order("a-2", 5000), "k-2").json();
    validate(order("a-3"));
    auto other = settings();
    other.stock = 5000;
    start(other);
    const auto again = validate(order("a-1"), "k-1").json();
    first["replayed"] = true;
    EXPECT_EQ(again, first);
    EXPECT_EQ(validate(order("a-2", 5000), "k-2").json()["reason"], rejected["reason"])
        << "the answer of then, whatever the stock is now";
    expect_problem(validate(order("a-9"), "k-1"), 422, "Idempotency-Key");
    EXPECT_EQ(validate(order("a-4"), "k-4").json()["replayed"], false);
    EXPECT_EQ(ledger().size(), 4U);
    start(other);
    EXPECT_EQ(validate(order("a-4"), "k-4").json()["replayed"], true);
}

TEST_F(ExternalServiceTest, RemembersAsManyKeysAsItIsAllowed)
{
    auto small = settings();
    small.keys = 2;
    start(small);
    for (const char* key : {"k-1", "k-2", "k-3"}) EXPECT_EQ(validate(order("a"), key).json()["replayed"], false);
    EXPECT_TRUE(metrics_show("hotspare_external_keys 2"));
    EXPECT_EQ(validate(order("a"), "k-3").json()["replayed"], true);
    EXPECT_EQ(validate(order("a"), "k-1").json()["replayed"], false) << "the oldest was forgotten";
}

TEST_F(ExternalServiceTest, TheLatencyOfOneCallHoldsUpNoOther)
{
    auto late = settings();
    late.latency = milliseconds(500);
    start(late);
    const auto before = Clock::now();
    std::vector<RawClient> clients;
    for (int i = 0; i < 20; ++i) clients.emplace_back(service_->port()).send(call(order("a-" + std::to_string(i))));
    for (auto& client : clients) EXPECT_EQ(client.read_response().status(), 200);
    const auto took = Clock::now() - before;
    EXPECT_GE(took, milliseconds(500));
    EXPECT_LT(took, seconds(5)) << "one after the other they would take ten seconds";
}

// --- Failure modes ---------------------------------------------------------------------------------------------------

TEST_F(ExternalServiceTest, TellsItsMode)
{
    EXPECT_EQ(get("/get_failure_mode").json()["mode"], "normal");
    for (const char* mode : {"slow", "error", "normal"}) {
        const auto set = set_mode(nlohmann::json{{"mode", mode}}.dump());
        EXPECT_EQ(set.status(), 200);
        EXPECT_EQ(set.json()["mode"], mode);
        EXPECT_TRUE(set.json()["message"].is_string());
        EXPECT_EQ(get("/get_failure_mode").json()["mode"], mode);
        EXPECT_EQ(test::get(service_->control_port(), "/get_failure_mode").json()["mode"], mode);
        EXPECT_TRUE(metrics_show("hotspare_external_mode{mode=\"" + std::string(mode) + "\"} 1"));
    }
    EXPECT_EQ(get("/health").status(), 200);
    EXPECT_EQ(get("/health").json()["service"], "external_service");
    EXPECT_EQ(get("/health").json()["status"], "healthy");
}

TEST_F(ExternalServiceTest, RefusesAModeThatIsNone)
{
    expect_problem(set_mode(R"({"mode":"explode"})"), 422, "mode");
    expect_problem(set_mode(R"({"mode":"slow","delay":3})"), 422, "delay");
    expect_problem(set_mode(R"({"mode")"), 400);
    expect_problem(set_mode(""), 400);
    EXPECT_EQ(get("/get_failure_mode").json()["mode"], "normal");
}

TEST_F(ExternalServiceTest, SlowDelaysCallsAndHealthAndNothingElse)
{
    ASSERT_EQ(set_mode(R"({"mode":"slow","delay":"1h"})").status(), 200);
    RawClient waiting(service_->port()), health(service_->port());
    waiting.send(call(order("a-1"), "k-1"));
    health.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(waiting.read_response(milliseconds(100)).end, Answer::End::timed_out);
    EXPECT_EQ(health.read_response(milliseconds(1)).end, Answer::End::timed_out);
    EXPECT_EQ(get("/get_failure_mode").json()["mode"], "slow");
    EXPECT_EQ(test::get(service_->control_port(), "/health").json()["status"], "degraded");

    ASSERT_EQ(set_mode(R"({"mode":"slow","delay":"80ms"})").status(), 200);
    for (const char* path : {"/health", "/validate"}) {
        const auto before = Clock::now();
        const auto answer = path == std::string("/health") ? get(path) : validate(order("a-2"));
        EXPECT_EQ(answer.status(), 200);
        EXPECT_GE(Clock::now() - before, milliseconds(80));
    }
}

TEST_F(ExternalServiceTest, AClientThatGivesUpOnASlowCallFindsItsEffect)
{
    ASSERT_EQ(set_mode(R"({"mode":"slow","delay":"1h"})").status(), 200);
    {
        RawClient impatient(service_->port());
        impatient.send(call(order("a-1"), "k-1"));
        ASSERT_TRUE(eventually([&] { return ledger().size() == 1; }));
    }
    ASSERT_EQ(set_mode(R"({"mode":"normal"})").status(), 200);
    EXPECT_EQ(validate(order("a-1"), "k-1").json()["replayed"], true);
    EXPECT_EQ(ledger().size(), 1U);
}

TEST_F(ExternalServiceTest, ErrorAnswers500WithoutAnEffect)
{
    ASSERT_EQ(set_mode(R"({"mode":"error"})").status(), 200);
    expect_problem(validate(order("a-1"), "k-1"), 500);
    const auto health = get("/health");
    EXPECT_EQ(health.status(), 500);
    EXPECT_EQ(health.json()["status"], "unhealthy");
    EXPECT_EQ(test::get(service_->control_port(), "/health").status(), 200);
    EXPECT_TRUE(ledger().empty());
    ASSERT_EQ(set_mode(R"({"mode":"normal"})").status(), 200);
    EXPECT_EQ(validate(order("a-1"), "k-1").json()["replayed"], false);
}

TEST_F(ExternalServiceTest, AModeHitsTheFractionThatWasAsked)
{
    ASSERT_EQ(set_mode(R"({"mode":"error","rate":0.5})").status(), 200);
    int failed = 0;
    for (int i = 0; i < 200; ++i) failed += validate(order("a")).status() == 500;
    EXPECT_GT(failed, 50);
    EXPECT_LT(failed, 150);
    EXPECT_EQ(ledger().size(), 200U - static_cast<std::size_t>(failed));
}

TEST_F(ExternalServiceTest, DownRefusesConnectionsUntilTheControlPortIsAsked)
{
    RawClient idle(service_->port());
    idle.send(call(order("a-1")));
    ASSERT_EQ(idle.read_response().status(), 200);
    const auto told = set_mode(R"({"mode":"down"})");
    EXPECT_EQ(told.status(), 200) << "who asks on the port that closes is still answered";
    EXPECT_EQ(told.json()["mode"], "down");
    EXPECT_TRUE(refuses());
    EXPECT_TRUE(idle.closed_by_peer());

    EXPECT_EQ(test::get(service_->control_port(), "/get_failure_mode").json()["mode"], "down");
    EXPECT_EQ(test::get(service_->control_port(), "/health").json()["status"], "down");
    EXPECT_TRUE(metrics_show("hotspare_external_mode{mode=\"down\"} 1"));
    EXPECT_EQ(test::post(service_->control_port(), "/validate", order("a-2")).status(), 404);
    EXPECT_EQ(control_mode(R"({"mode":"normal"})").status(), 200);
    EXPECT_EQ(validate(order("a-3")).status(), 200);
    EXPECT_EQ(ledger().size(), 2U);
}

TEST_F(ExternalServiceTest, DownCutsTheCallsInFlight)
{
    ASSERT_EQ(set_mode(R"({"mode":"slow","delay":"1h"})").status(), 200);
    RawClient waiting(service_->port()), sending(service_->port());
    waiting.send(call(order("a-1"), "k-1"));
    const auto whole = call(order("a-2"), "k-2");
    sending.send(whole.substr(0, whole.size() / 2));
    ASSERT_TRUE(eventually([&] { return ledger().size() == 1; }));
    ASSERT_EQ(control_mode(R"({"mode":"down"})").status(), 200);
    const auto cut = waiting.read_response();
    EXPECT_NE(cut.end, Answer::End::complete);
    EXPECT_NE(cut.end, Answer::End::timed_out);
    sending.send(whole.substr(whole.size() / 2));
    EXPECT_FALSE(sending.read_response().complete());
    EXPECT_FALSE(metrics_show("hotspare_external_cuts_total 0"));
    EXPECT_EQ(ledger().size(), 1U);

    ASSERT_EQ(control_mode(R"({"mode":"normal"})").status(), 200);
    EXPECT_EQ(validate(order("a-1"), "k-1").json()["replayed"], true) << "the one that was cut had its effect";
    EXPECT_EQ(validate(order("a-2"), "k-2").json()["replayed"], false);
}

TEST_F(ExternalServiceTest, DownCanBecomeAnotherModeAndComesBackByItself)
{
    ASSERT_EQ(set_mode(R"({"mode":"down"})").status(), 200);
    ASSERT_EQ(control_mode(R"({"mode":"error"})").status(), 200);
    EXPECT_EQ(get("/health").status(), 500);
    ASSERT_EQ(set_mode(R"({"mode":"down","for":"50ms"})").status(), 200);
    EXPECT_TRUE(eventually([&] { return get("/health").status() == 200; }));
    EXPECT_EQ(get("/get_failure_mode").json()["mode"], "normal");
    ASSERT_EQ(set_mode(R"({"mode":"error","for":"50ms"})").status(), 200);
    EXPECT_TRUE(eventually([&] { return get("/health").status() == 200; }));
}

TEST_F(ExternalServiceTest, SaysSoWhenThePortWasTakenMeanwhile)
{
    ASSERT_EQ(set_mode(R"({"mode":"down"})").status(), 200);
    {
        const auto thief = test::listen_loopback(service_->port());
        expect_problem(control_mode(R"({"mode":"normal"})"), 503);
    }
    EXPECT_TRUE(eventually([&] { return get("/health").status() == 200; })) << "it keeps trying";
}

TEST_F(ExternalServiceTest, EndsWhileCallsWait)
{
    ASSERT_EQ(set_mode(R"({"mode":"slow","delay":"1h"})").status(), 200);
    RawClient waiting(service_->port());
    waiting.send(call(order("a-1"), "k-1"));
    ASSERT_TRUE(eventually([&] { return ledger().size() == 1; }));
    service_.reset();
    EXPECT_EQ(waiting.read_response().status(), 200) << "its answer was ready";
}

TEST_F(ExternalServiceTest, HasNoEffectThatItCannotWriteDown)
{
    ASSERT_EQ(validate(order("a-1"), "k-1").status(), 200);
    {
        const test::FullDisk full(std::filesystem::file_size(ledger_) + 10);
        const auto answer = validate(order("a-2"), "k-2");
        expect_problem(answer, 503);
        EXPECT_EQ(answer.message.header("Retry-After"), "1");
        EXPECT_EQ(validate(order("a-1"), "k-1").json()["replayed"], true) << "what is known is still told";
    }
    EXPECT_EQ(ledger().size(), 1U);
    EXPECT_TRUE(metrics_show("hotspare_external_calls_total{outcome=\"unavailable\"} 1"));
    EXPECT_EQ(validate(order("a-2"), "k-2").json()["replayed"], false);
    EXPECT_EQ(ledger().size(), 2U);
}

TEST_F(ExternalServiceTest, RefusesToStartWithWhatItCannotUse)
{
    const auto busy = test::listen_loopback(0);
    const auto fails = [](const Settings& settings) {
        asio::io_context io;
        EXPECT_THROW(Service(io, settings), UsageError);
    };
    service_.reset();
    auto wrong = settings();
    wrong.port = test::local_port(busy);
    fails(wrong);
    wrong = settings();
    wrong.control.port = test::local_port(busy);
    fails(wrong);
    wrong = settings();
    wrong.host = "not-an-address";
    fails(wrong);
    for (const char* file : {"/nowhere/ledger", "/dev/full"}) {
        wrong = settings();
        wrong.ledger = file;
        fails(wrong);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::orders::external
