// The monitor over real sockets: it names each failure mode of the external service, and every way of not answering.
#include "orders/monitor_service/service.hpp"

#include "orders/external_service/service.hpp"
#include "tests/support/gate.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::orders::monitor {
namespace {

using test::eventually;
using test::Fault;
using test::Gate;
using test::Origin;
using test::Reply;

/// A service on a thread of its own.
template <class Service, class Settings> class Running {
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
    /// Only of what has one.
    std::uint16_t control_port() const noexcept { return control_port_; }

private:
    static std::uint16_t control_port_of(const Service& service)
    {
        if constexpr (requires { service.control_port(); })
            return service.control_port();
        else
            return 0;
    }

    asio::io_context io_{1};
    Service service_;
    // The service belongs to its thread from now on; these are the test's.
    const std::uint16_t port_ = service_.port();
    const std::uint16_t control_port_ = control_port_of(service_);
    std::thread thread_;
};
using Monitor = Running<Service, Settings>;
using External = Running<external::Service, external::Settings>;

std::string url(std::uint16_t port)
{
    return "http://127.0.0.1:" + std::to_string(port);
}

Settings watching(std::vector<WatchedService> services)
{
    Settings out;
    out.port = 0;
    out.interval = milliseconds(100);
    out.fast_interval = milliseconds(20);
    out.slow = milliseconds(400); // what is not slow is a thousand times as fast, and sanitizers are slow
    out.timeout = seconds(60);    // longer than any test waits: slow must be named long before
    out.drain = seconds(1);
    out.services = std::move(services);
    return out;
}

external::Settings external_settings()
{
    external::Settings out;
    out.port = 0;
    out.latency = Duration::zero();
    out.drain = seconds(1);
    return out;
}

nlohmann::json statuses(const Monitor& monitor)
{
    return test::get(monitor.port(), "/health_status").json();
}

bool comes_to(const Monitor& monitor, const std::string& service, const std::string& status)
{
    return eventually([&] { return statuses(monitor)["services"][service]["status"] == status; });
}

TEST(MonitorService, NamesEachModeOfTheExternalService)
{
    const External external(external_settings());
    const Monitor monitor(watching({{"external_service", url(external.port())}}));
    const auto set = [&](const std::string& body) {
        EXPECT_EQ(test::post(external.control_port(), "/set_failure_mode", body).status(), 200) << body;
    };
    ASSERT_TRUE(comes_to(monitor, "external_service", "healthy"));
    for (int round = 0; round < 2; ++round) {
        set(R"({"mode":"slow","delay":"1h"})");
        EXPECT_TRUE(comes_to(monitor, "external_service", "degraded")) << "though no answer has come yet";
        EXPECT_GE(statuses(monitor)["services"]["external_service"]["response_time"].get<double>(), 0.4);
        set(R"({"mode":"error"})");
        EXPECT_TRUE(comes_to(monitor, "external_service", "unhealthy"));
        EXPECT_EQ(statuses(monitor)["services"]["external_service"]["last_error"], "HTTP 500 Internal Server Error");
        set(R"({"mode":"down"})");
        EXPECT_TRUE(comes_to(monitor, "external_service", "down"));
        const auto down = statuses(monitor)["services"]["external_service"];
        EXPECT_EQ(down["last_error"], "Connection refused");
        EXPECT_EQ(down["cause"], "Connection refused");
        EXPECT_EQ(down["response_time"], nullptr);
        set(R"({"mode":"normal"})");
        EXPECT_TRUE(comes_to(monitor, "external_service", "healthy"));
    }
    const auto healthy = statuses(monitor)["services"]["external_service"];
    EXPECT_EQ(healthy["last_error"], nullptr);
    EXPECT_LT(healthy["response_time"].get<double>(), 0.4);
    const auto metrics = test::get(monitor.port(), "/metrics").message.body;
    EXPECT_NE(metrics.find("hotspare_monitor_transitions_total{target=\"external_service\",status=\"degraded\"} 2\n"),
              std::string::npos)
        << metrics;
    EXPECT_NE(metrics.find("hotspare_monitor_status{target=\"external_service\",status=\"healthy\"} 1\n"),
              std::string::npos);
}

TEST(MonitorService, NamesASlowServiceThatAnswersInTheEnd)
{
    const External external(external_settings());
    ASSERT_EQ(test::post(external.control_port(), "/set_failure_mode", R"({"mode":"slow","delay":"600ms"})").status(),
              200);
    const Monitor monitor(watching({{"external_service", url(external.port())}}));
    EXPECT_TRUE(eventually([&] {
        const auto cause = statuses(monitor)["services"]["external_service"]["response_time"];
        return cause.is_number() && cause.get<double>() >= 0.6;
    }));
    EXPECT_EQ(statuses(monitor)["services"]["external_service"]["status"], "degraded");
}

TEST(MonitorService, NamesEveryWayOfNotAnswering)
{
    Origin origin;
    Gate gate(origin.port());
    auto settings = watching({{"s", gate.url()}});
    settings.timeout = milliseconds(1500);
    const Monitor monitor(settings);
    for (const auto& fault : {Fault::refuse(), Fault::reset_after(0), Fault::cut_after(5), Fault::black_hole()}) {
        ASSERT_TRUE(comes_to(monitor, "s", "healthy"));
        gate.set(fault);
        EXPECT_TRUE(comes_to(monitor, "s", "down")) << static_cast<int>(fault.kind);
        EXPECT_TRUE(statuses(monitor)["services"]["s"]["last_error"].is_string());
        gate.set(Fault::pass());
    }
    ASSERT_TRUE(comes_to(monitor, "s", "healthy"));
    origin.probe_script([](const test::Message&) {
        Reply reply;
        reply.raw = "nonsense\r\n\r\n";
        return reply;
    });
    EXPECT_TRUE(comes_to(monitor, "s", "unhealthy")) << "what is no HTTP is an answer, and a wrong one";
}

TEST(MonitorService, BelievesAServiceThatSaysItIsDegraded)
{
    Origin origin;
    const Monitor monitor(watching({{"s", "http://127.0.0.1:" + std::to_string(origin.port())}}));
    ASSERT_TRUE(comes_to(monitor, "s", "healthy"));
    const auto say = [&](std::string body) {
        origin.probe_script([body](const test::Message&) {
            Reply reply;
            reply.body = body;
            return reply;
        });
    };
    say(R"({"status":"degraded","error":"the disk is full"})");
    ASSERT_TRUE(comes_to(monitor, "s", "degraded"));
    EXPECT_TRUE(eventually([&] { // a slow answer would be said to be slow
        return statuses(monitor)["services"]["s"]["last_error"] == "says that it is degraded: the disk is full";
    }));
    for (const auto* word : {"unhealthy", "down"}) {
        say(fmt::format(R"({{"status":"{}","error":"{}"}})", word, std::string(1000, 'x')));
        ASSERT_TRUE(comes_to(monitor, "s", word));
        EXPECT_LT(statuses(monitor)["services"]["s"]["cause"].get<std::string>().size(), 300U);
    }
    for (const auto* well : {R"({"status":"fine"})", R"({"status":1})", "degraded", "[]", ""}) {
        say(well);
        EXPECT_TRUE(comes_to(monitor, "s", "healthy")) << well;
        say(R"({"status":"degraded"})");
        EXPECT_TRUE(comes_to(monitor, "s", "degraded"));
    }
}

TEST(MonitorService, TellsThatAWorkerIsPaused)
{
    Origin origin;
    const Monitor monitor(watching({{"s", "http://127.0.0.1:" + std::to_string(origin.port())}}));
    ASSERT_TRUE(comes_to(monitor, "s", "healthy"));
    EXPECT_FALSE(statuses(monitor)["services"]["s"].contains("paused")) << "it is no worker";
    const auto say = [&](const std::string& body) {
        origin.probe_script([body](const test::Message&) {
            Reply reply;
            reply.body = body;
            return reply;
        });
    };
    const auto paused = [&](bool wanted) {
        return eventually([&] { return statuses(monitor)["services"]["s"]["paused"] == wanted; });
    };
    say(R"({"status":"degraded","error":"paused by an operator","paused":true})");
    EXPECT_TRUE(paused(true));
    EXPECT_TRUE(comes_to(monitor, "s", "degraded"));
    say(R"({"status":"healthy","paused":false})");
    EXPECT_TRUE(paused(false));
}

TEST(MonitorService, TellsAboutAllOfThemTogether)
{
    const External one(external_settings()), other(external_settings());
    const Monitor monitor(watching({{"one", url(one.port())}, {"other", url(other.port())}}));
    const auto comes = [&](const std::string& word) {
        return eventually([&] { return statuses(monitor)["overall"] == word; });
    };
    const auto set = [](const External& external, const std::string& mode) {
        EXPECT_EQ(test::post(external.control_port(), "/set_failure_mode", mode).status(), 200);
    };
    EXPECT_TRUE(comes("healthy"));
    set(one, R"({"mode":"slow"})");
    EXPECT_TRUE(comes("degraded"));
    set(one, R"({"mode":"down"})");
    EXPECT_TRUE(comes("unhealthy"));
    set(other, R"({"mode":"down"})");
    EXPECT_TRUE(comes("down"));

    const auto body = statuses(monitor);
    EXPECT_EQ(body["timestamp"].get<std::string>().size(), std::string("2026-02-03T04:05:06.789Z").size());
    EXPECT_EQ(body["services"].size(), 2U);
    EXPECT_EQ(body["services"]["one"]["since"].get<std::string>().back(), 'Z');
    const auto health = test::get(monitor.port(), "/health");
    EXPECT_EQ(health.status(), 200) << "its own health is not theirs";
    EXPECT_EQ(health.json()["service"], "monitor_service");
    EXPECT_EQ(health.json()["status"], "healthy");
    EXPECT_EQ(test::get(monitor.port(), "/nothing").status(), 404);
}

TEST(MonitorService, EndsWhileAProbeHangs)
{
    const External external(external_settings());
    ASSERT_EQ(test::post(external.control_port(), "/set_failure_mode", R"({"mode":"slow","delay":"1h"})").status(),
              200);
    const Monitor monitor(watching({{"external_service", url(external.port())}}));
    EXPECT_TRUE(comes_to(monitor, "external_service", "degraded"));
    // ~Monitor joins its thread: it must not wait for the answer.
}

TEST(MonitorService, RefusesToStartWithWhatItCannotUse)
{
    const auto busy = test::listen_loopback(0);
    asio::io_context io;
    auto settings = watching({{"s", "http://127.0.0.1:1"}});
    settings.port = test::local_port(busy);
    EXPECT_THROW(Service(io, settings), UsageError);
    settings.port = 0;
    settings.host = "not-an-address";
    EXPECT_THROW(Service(io, settings), UsageError);
}

} // namespace
} // namespace hotspare::orders::monitor
