// GET /health_status of the monitor, with real sockets: it names each failure mode of the order pipeline's validator,
// and every way of not answering.
#include "tests/support/eventually.hpp"
#include "tests/support/gate.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

/// Long enough that what is not slow is far from it on a machine that is.
constexpr auto slow = milliseconds(400);

struct Watched {
    std::string name;
    std::string url;
};

/// A monitor as config/orders-monitor.yaml makes it, with shorter times.
class Monitor {
public:
    explicit Monitor(const std::vector<Watched>& services, milliseconds timeout = seconds(10))
        : process_(binary("monitor"), arguments(services, timeout)), port_(process_.wait_ready())
    {
    }

    std::uint16_t port() const { return port_; }
    Process& process() { return process_; }
    nlohmann::json statuses() const { return get(port_, "/health_status").json(); }
    nlohmann::json status_of(const std::string& service) const { return statuses()["services"][service]; }
    bool comes_to(const std::string& service, const std::string& status) const
    {
        return eventually([&] { return status_of(service)["status"] == status; });
    }

private:
    std::vector<std::string> arguments(const std::vector<Watched>& services, milliseconds timeout) const
    {
        const auto config = (dir_.path() / "monitor.yaml").string();
        std::ofstream file(config);
        file << "targets:\n";
        for (const auto& [name, url] : services)
            file << fmt::format("  - {{name: {}, url: '{}/health', health_word: true, interval: 100ms, doubt_interval: "
                                "20ms, timeout: {}ms, slow: {}ms, confirm_down: 2, confirm_degraded: 2}}\n",
                                name, url, timeout.count(), slow.count());
        return {"--config",         config, "--port",       "0",   "--data", (dir_.path() / "monitor.sqlite").string(),
                "--jump-tolerance", "10s",  "--log-format", "json"};
    }

    TempDir dir_;
    Process process_;
    std::uint16_t port_;
};

/// The validator of the order pipeline.
class Validator {
public:
    Validator()
        : process_(binary("external_service"),
                   {"--port", "0", "--control-port", "0", "--latency", "0s", "--log-format", "json"}),
          port_(process_.wait_ready()), control_(process_.ready_event().at("control_port").get<std::uint16_t>())
    {
    }

    std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
    void set(const std::string& body) const
    {
        EXPECT_EQ(post(control_, "/set_failure_mode", body).status(), 200) << body;
    }

private:
    Process process_;
    std::uint16_t port_;
    std::uint16_t control_;
};

void say(Origin& origin, const std::string& body)
{
    origin.probe_script([body](const Message&) {
        Reply reply;
        reply.body = body;
        return reply;
    });
}

TEST(HealthStatus, NamesEachModeOfTheValidator)
{
    const Validator validator;
    const Monitor monitor({{"external_service", validator.url()}});
    ASSERT_TRUE(monitor.comes_to("external_service", "healthy"));
    for (int round = 0; round < 2; ++round) {
        validator.set(R"({"mode":"slow","delay":"600ms"})");
        EXPECT_TRUE(monitor.comes_to("external_service", "degraded"));
        EXPECT_GE(monitor.status_of("external_service")["response_time"].get<double>(), 0.4);
        validator.set(R"({"mode":"error"})");
        EXPECT_TRUE(monitor.comes_to("external_service", "unhealthy"));
        const auto unhealthy = monitor.status_of("external_service");
        EXPECT_EQ(unhealthy["last_error"].get<std::string>().find("HTTP 500 Internal Server Error"), 0U) << unhealthy;
        validator.set(R"({"mode":"down"})");
        EXPECT_TRUE(monitor.comes_to("external_service", "down"));
        const auto down = monitor.status_of("external_service");
        EXPECT_EQ(down["last_error"], "Connection refused");
        EXPECT_EQ(down["cause"], "Connection refused");
        EXPECT_EQ(down["response_time"], nullptr);
        EXPECT_EQ(down["url"], validator.url());
        validator.set(R"({"mode":"normal"})");
        EXPECT_TRUE(monitor.comes_to("external_service", "healthy"));
    }
    EXPECT_TRUE(eventually([&] {
        const auto healthy = monitor.status_of("external_service");
        return healthy["last_error"].is_null() && healthy["response_time"].get<double>() < 0.4;
    }));
    const auto metrics = get(monitor.port(), "/metrics").message.body;
    for (const auto* line : {"hotspare_monitor_transitions_total{target=\"external_service\",status=\"degraded\"} 2\n",
                             "hotspare_monitor_transitions_total{target=\"external_service\",status=\"unhealthy\"} 2\n",
                             "hotspare_monitor_status{target=\"external_service\",status=\"healthy\"} 1\n",
                             "hotspare_monitor_status{target=\"external_service\",status=\"down\"} 0\n",
                             "hotspare_monitor_overall{status=\"healthy\"} 1\n",
                             "hotspare_monitor_probes_total{target=\"external_service\",outcome=\"refused\"}"})
        EXPECT_NE(metrics.find(line), std::string::npos) << line << metrics;
}

TEST(HealthStatus, NamesEveryWayOfNotAnswering)
{
    Origin origin;
    Gate gate(origin.port());
    const Monitor monitor({{"s", gate.url()}}, milliseconds(1500));
    for (const auto& fault : {Fault::refuse(), Fault::reset_after(0), Fault::cut_after(5), Fault::black_hole()}) {
        ASSERT_TRUE(monitor.comes_to("s", "healthy"));
        gate.set(fault);
        EXPECT_TRUE(monitor.comes_to("s", "down")) << static_cast<int>(fault.kind);
        EXPECT_TRUE(monitor.status_of("s")["last_error"].is_string());
        gate.set(Fault::pass());
    }
    ASSERT_TRUE(monitor.comes_to("s", "healthy"));
    origin.probe_script([](const Message&) {
        Reply reply;
        reply.raw = "nonsense\r\n\r\n";
        return reply;
    });
    EXPECT_TRUE(monitor.comes_to("s", "unhealthy")) << "what is no HTTP is an answer, and a wrong one";
}

TEST(HealthStatus, BelievesAServiceThatSaysWhatIsWrongWithIt)
{
    Origin origin;
    const Monitor monitor({{"s", origin.url()}});
    ASSERT_TRUE(monitor.comes_to("s", "healthy"));
    say(origin, R"({"status":"degraded","error":"the disk is full"})");
    ASSERT_TRUE(monitor.comes_to("s", "degraded"));
    EXPECT_EQ(monitor.status_of("s")["cause"], "says that it is degraded: the disk is full");
    for (const std::string word : {"unhealthy", "down"}) {
        say(origin, fmt::format(R"({{"status":"{}","error":"{}"}})", word, std::string(1000, 'x')));
        ASSERT_TRUE(monitor.comes_to("s", word));
        EXPECT_TRUE(eventually([&] {
            const auto cause = monitor.status_of("s")["cause"].get<std::string>();
            return cause.starts_with("says that it is " + word) && cause.size() < 300;
        }));
        EXPECT_TRUE(monitor.status_of("s")["response_time"].is_number()) << "it does answer";
    }
    for (const auto* fine : {R"({"status":"fine"})", R"({"status":1})", "degraded", "[]", ""}) {
        say(origin, fine);
        EXPECT_TRUE(monitor.comes_to("s", "healthy")) << fine;
        say(origin, R"({"status":"degraded"})");
        EXPECT_TRUE(monitor.comes_to("s", "degraded"));
    }
}

TEST(HealthStatus, ForgivesASingleBadAnswer)
{
    Origin origin;
    const Monitor monitor({{"s", origin.url()}});
    ASSERT_TRUE(monitor.comes_to("s", "healthy"));
    const auto since = monitor.status_of("s")["since"];
    for (const auto* body : {R"({"status":"degraded"})", R"({"status":"down"})", R"({"status":"unhealthy"})"}) {
        const auto told = std::make_shared<std::atomic<int>>(0);
        origin.probe_script([told, body](const Message&) {
            Reply reply;
            if (told->fetch_add(1) == 0) reply.body = body;
            return reply;
        });
        ASSERT_TRUE(eventually([&] { return *told >= 4; }));
        EXPECT_EQ(monitor.status_of("s")["status"], "healthy") << body;
        EXPECT_EQ(monitor.status_of("s")["since"], since) << body;
    }
}

TEST(HealthStatus, TellsThatAWorkerIsPaused)
{
    Origin origin;
    const Monitor monitor({{"s", origin.url()}});
    ASSERT_TRUE(monitor.comes_to("s", "healthy"));
    EXPECT_FALSE(monitor.status_of("s").contains("paused")) << "it is no worker";
    const auto paused = [&](bool wanted) {
        return eventually([&] { return monitor.status_of("s")["paused"] == wanted; });
    };
    say(origin, R"({"status":"degraded","error":"paused by an operator","paused":true})");
    EXPECT_TRUE(paused(true));
    EXPECT_TRUE(monitor.comes_to("s", "degraded"));
    say(origin, R"({"status":"healthy","paused":false})");
    EXPECT_TRUE(paused(false));
}

TEST(HealthStatus, TellsAboutAllOfThemTogether)
{
    const Validator one, other;
    const Monitor monitor({{"one", one.url()}, {"other", other.url()}});
    const auto comes = [&](const std::string& word) {
        return eventually([&] { return monitor.statuses()["overall"] == word; });
    };
    EXPECT_TRUE(comes("healthy"));
    one.set(R"({"mode":"slow","delay":"600ms"})");
    EXPECT_TRUE(comes("degraded"));
    one.set(R"({"mode":"down"})");
    EXPECT_TRUE(comes("unhealthy"));
    other.set(R"({"mode":"down"})");
    EXPECT_TRUE(comes("down"));

    const auto body = monitor.statuses();
    EXPECT_EQ(body["timestamp"].get<std::string>().size(), std::string("2026-02-03T04:05:06.789Z").size());
    EXPECT_EQ(body["services"].size(), 2U);
    EXPECT_EQ(body["services"]["one"]["since"].get<std::string>().back(), 'Z');
    const auto health = get(monitor.port(), "/health");
    EXPECT_EQ(health.status(), 200) << "its own health is not theirs";
    EXPECT_EQ(health.json()["status"], "ok");
    EXPECT_EQ(health.json()["overall"], "down");
    for (const auto* member : {"service", "version", "uptime_s", "timestamp"})
        EXPECT_TRUE(health.json().contains(member)) << member;
}

TEST(HealthStatus, EndsWhileACheckHangs)
{
    const Validator validator;
    validator.set(R"({"mode":"slow","delay":"1h"})");
    Monitor monitor({{"external_service", validator.url()}}, std::chrono::minutes(1));
    ASSERT_TRUE(eventually([&] {
        return get(monitor.port(), "/metrics").message.body.find("hotspare_monitor_checks_total 1\n") !=
               std::string::npos;
    }));
    EXPECT_EQ(monitor.status_of("external_service")["status"], "unknown");
    monitor.process().signal(SIGTERM);
    EXPECT_EQ(monitor.process().wait_exit(), 0) << "it does not wait for the answer";
}

} // namespace TEST_FILE
} // namespace hotspare::test
