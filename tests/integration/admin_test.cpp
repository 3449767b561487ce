#include "balancer/config_routes.hpp"
#include "balancer/control/admin.hpp"

#include "balancer/decide/routes.hpp"
#include "common/log.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/web_socket.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

namespace hotspare::balancer {
namespace TEST_FILE {

using nlohmann::json;
using test::Answer;
using test::eventually;
using test::Origin;
using test::RawClient;

/// Accepts connections as a worker does and hands each to the admin with the first bytes that it read.
class FrontDoor {
public:
    FrontDoor(Admin& admin, const std::vector<RouteConfig>& routes)
        : routes_(routes), listener_(test::listen_loopback(0)), port_(test::local_port(listener_))
    {
        thread_ = std::thread([this, &admin] {
            while (test::wait_readable(listener_, std::nullopt, &stop_)) {
                const int client = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
                if (client < 0) continue;
                // At least the request line, as a worker; less than a request with a body, so that the server must
                // read on.
                std::string first;
                std::array<char, 256> piece{};
                while (first.find("\r\n") == first.npos) {
                    const auto size = ::recv(client, piece.data(), piece.size(), 0);
                    if (size <= 0) break;
                    first.append(piece.data(), static_cast<std::size_t>(size));
                }
                if (first.empty()) first = " ";
                const auto target = std::min(first.find(' '), first.size() - 1) + 1;
                const RouteConfig* route =
                    routes_.match(std::string_view(first).substr(target, first.find_first_of(" ?", target) - target));
                admin.adopt({.descriptor = client,
                             .bytes = std::move(first),
                             .builtin = route != nullptr ? route->builtin : Builtin::none,
                             .client = "127.0.0.1"});
            }
        });
    }
    ~FrontDoor()
    {
        stop_.raise();
        thread_.join();
    }

    std::uint16_t port() const noexcept { return port_; }

private:
    RouteTable routes_;
    test::WakeUp stop_;
    test::Fd listener_;
    std::uint16_t port_;
    std::thread thread_;
};

std::vector<RouteSettings> api_routes()
{
    std::vector<RouteSettings> routes(12);
    const std::vector<std::pair<std::string, Builtin>> exact{{"/health", Builtin::health},
                                                             {"/status", Builtin::status},
                                                             {"/metrics", Builtin::metrics},
                                                             {"/events", Builtin::events},
                                                             {"/logs", Builtin::logs},
                                                             {"/log", Builtin::logs},
                                                             {"/proxy/health", Builtin::proxy_health}};
    for (std::size_t i = 0; i < exact.size(); ++i) {
        routes[i].path = exact[i].first;
        routes[i].builtin = exact[i].second;
    }
    routes[7].prefix = "/admin";
    routes[7].builtin = Builtin::admin;
    routes[8].prefix = "/"; // a pool's; not the admin's
    routes[8].pool = "web";
    routes[9].path = "/twice";
    routes[9].builtin = Builtin::health;
    routes[10].prefix = "/twice";
    routes[10].builtin = Builtin::status;
    routes[11].path = "/admin";
    routes[11].builtin = Builtin::admin;
    return routes;
}

class AdminTest : public testing::Test {
protected:
    explicit AdminTest(Policy policy = Policy::failover) : config(settings(policy)) {}

    Config settings(Policy policy)
    {
        Config c;
        c.pools.resize(1);
        PoolConfig& pool = c.pools[0];
        pool.name = "web";
        pool.policy = policy;
        pool.probe.interval = milliseconds(100);
        pool.probe.fast_interval = milliseconds(20);
        pool.probe.timeout = milliseconds(1000);
        pool.probe.slow = milliseconds(900);
        pool.failback.hold_down = milliseconds(100);
        for (Origin* origin : {&primary, &spare}) {
            c.backends.push_back(
                {.name = origin->name(), .url = origin->url(), .host = "127.0.0.1", .port = origin->port()});
            pool.backends.push_back(static_cast<BackendIndex>(pool.backends.size()));
            pool.weights.push_back(1);
        }
        c.stated_routes = api_routes();
        for (const RouteSettings& route : c.stated_routes) c.routes.push_back(to_config(route, {"web"}, c.timeouts));
        c.admin = true;
        c.admin_hosts = {"balancer.internal"};
        c.admin_origins = {"https://console.example:8443"};
        return c;
    }

    static std::vector<Addresses> addresses(const Config& c)
    {
        std::vector<Addresses> result;
        for (const BackendConfig& backend : c.backends)
            result.push_back({{asio::ip::make_address(backend.host), backend.port}});
        return result;
    }

    void SetUp() override
    {
        for (WorkerCounters* const worker : {&first, &second}) {
            for (std::size_t b = 0; b < config.backends.size(); ++b) worker->backends.open(b);
            for (std::size_t p = 0; p < config.pools.size(); ++p) worker->pools.open(p);
        }
        monitor.start();
        admin.start();
        ASSERT_TRUE(eventually([&] {
            const json s = status();
            return s["primary_healthy"] == true && s["spare_healthy"] == true;
        }));
    }
    void TearDown() override
    {
        admin.stop();
        monitor.stop();
        monitor.join();
    }

    Answer get(const std::string& path) { return test::get(door.port(), path); }
    Answer post(const std::string& path, const std::string& body = {}) { return test::post(door.port(), path, body); }
    json status() { return get("/status").json(); }
    bool wait_active(const std::string& name)
    {
        return eventually([&] { return status()["active"] == name; });
    }

    Origin primary{"primary"}, spare{"spare"};
    Config config;
    WorkerCounters first, second;
    Monitor monitor{first_topology(config), addresses(config), 0, 1};
    Changes changes{monitor, Wanted(config), {}};
    const Admin::Reload reload = [](const std::function<void(ChangeReport)>& done) { done({.generation = 1}); };
    ConnectionLimits limits{2};
    UpgradeReport upgraded{.pid = 4711};
    const Admin::Upgrade upgrade = [this](const std::function<void(UpgradeReport)>& done) { done(upgraded); };
    Admin admin{config, monitor, changes, reload, upgrade, {&first, &second}, limits, share_out(1 << 20)};
    FrontDoor door{admin, config.routes};
};

TEST_F(AdminTest, status_tells_the_whole_truth)
{
    first.pools[0].requests.add(7);
    second.pools[0].requests.add(5);
    second.pools[0].saved[static_cast<std::size_t>(Saved::hedge)].add(2);
    first.pools[0].lost[static_cast<std::size_t>(Lost::budget)].add(1);
    first.backends[1].active.set(3);

    const Answer answer = get("/status");
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.message.header("Content-Type"), "application/json");
    EXPECT_FALSE(answer.message.keep_alive()) << "the next request on the connection may be for a backend";
    const json s = answer.json();
    EXPECT_EQ(s["primary_healthy"], true);
    EXPECT_EQ(s["spare_healthy"], true);
    EXPECT_EQ(s["active"], "primary");
    EXPECT_EQ(s["fail_open"], false);
    EXPECT_EQ(s["failovers"], 0);
    EXPECT_EQ(s["last_failover"], nullptr);
    EXPECT_EQ(s["requests"]["total"], 12);
    EXPECT_EQ(s["requests"]["saved"], 2);
    EXPECT_EQ(s["requests"]["lost"], 1);
    EXPECT_EQ(s["requests"]["saved_by"]["hedge"], 2);
    EXPECT_EQ(s["requests"]["lost_by"]["budget"], 1);
    EXPECT_EQ(s["workers"], 2);
    EXPECT_TRUE(s["version"].is_string());
    EXPECT_GE(s["uptime_s"].get<double>(), 0);

    ASSERT_EQ(s["backends"].size(), 2U);
    const json& b = s["backends"][1];
    EXPECT_EQ(b["name"], "spare");
    EXPECT_EQ(b["url"], spare.url());
    EXPECT_EQ(b["status"], "healthy");
    EXPECT_EQ(b["healthy"], true);
    EXPECT_EQ(b["cause"], "first_probe");
    EXPECT_EQ(b["since"].get<std::string>().size(), 24U);
    EXPECT_EQ(b["last_probe"]["outcome"], "ok");
    EXPECT_GT(b["last_probe"]["latency_ms"].get<double>(), 0);
    EXPECT_EQ(b["last_probe"]["at"].get<std::string>().size(), 24U);
    EXPECT_EQ(b["requests_in_flight"], 3);

    const json& p = s["pools"][0];
    EXPECT_EQ(p["name"], "web");
    EXPECT_EQ(p["active"], "primary");
    EXPECT_EQ(p["candidates"][0]["backend"], "primary");
    EXPECT_EQ(p["candidates"][0]["tier"], "serving");
    EXPECT_EQ(p["candidates"][1]["tier"], "fallback");
}

TEST_F(AdminTest, a_failover_is_measured_and_reported_everywhere)
{
    primary.stop();
    monitor.report({{.backend = 0, .kind = EvidenceKind::refused, .count = 4, .last = Clock::now()}});
    ASSERT_TRUE(wait_active("spare"));
    ASSERT_TRUE(eventually([&] { return status()["backends"][0]["status"] == "down"; }));
    const json s = status();
    EXPECT_EQ(s["primary_healthy"], false);
    EXPECT_EQ(s["failovers"], 1);
    EXPECT_EQ(s["last_failover"]["from"], "primary");
    EXPECT_EQ(s["last_failover"]["to"], "spare");
    EXPECT_EQ(s["last_failover"]["pool"], "web");
    EXPECT_GE(s["last_failover"]["detection_ms"].get<double>(), 0);
    EXPECT_GE(s["last_failover"]["failover_ms"].get<double>(), s["last_failover"]["detection_ms"].get<double>());

    const Answer events = [&] {
        RawClient client(door.port());
        EXPECT_TRUE(client.send(test::format_request("GET", "/events")));
        std::string text;
        while (text.find("event: failover\n") == std::string::npos) {
            const std::string more = client.read_some(64 * 1024);
            if (more.empty()) break;
            text += more;
        }
        EXPECT_NE(text.find("event: failover\n"), std::string::npos) << text;
        EXPECT_NE(text.find("'primary' is down"), std::string::npos) << text;
        return get("/metrics");
    }();
    const std::string& metrics = events.message.body;
    EXPECT_NE(metrics.find("hotspare_failovers_total{pool=\"web\"} 1\n"), std::string::npos);
    EXPECT_NE(metrics.find("hotspare_backend_status{backend=\"primary\",status=\"down\"} 1\n"), std::string::npos);
    EXPECT_NE(metrics.find("hotspare_pool_active{pool=\"web\",backend=\"spare\"} 1\n"), std::string::npos);
    EXPECT_NE(metrics.find("hotspare_backend_transitions_total{backend=\"primary\",to=\"down\"} 1\n"),
              std::string::npos);
}

TEST_F(AdminTest, one_path_may_be_a_page_and_the_root_of_another)
{
    EXPECT_EQ(get("/twice").json()["service"], "balancer");
    EXPECT_TRUE(get("/twice/more").json().contains("backends"));
    EXPECT_EQ(post("/twice").status(), 405);
    EXPECT_EQ(post("/admin").status(), 405);
    EXPECT_EQ(get("/admin/").status(), 404);
}

TEST_F(AdminTest, health_is_503_only_when_nothing_can_answer)
{
    EXPECT_EQ(get("/health").status(), 200);
    EXPECT_EQ(get("/health").json()["status"], "healthy");
    primary.stop();
    ASSERT_TRUE(wait_active("spare"));
    EXPECT_EQ(get("/health").status(), 200);
    spare.stop();
    ASSERT_TRUE(eventually([&] { return get("/health").status() == 503; }));
    const Answer unhealthy = get("/health");
    EXPECT_EQ(unhealthy.json()["status"], "unhealthy");
    EXPECT_EQ(unhealthy.message.header("Retry-After"), "1");
    EXPECT_EQ(get("/proxy/health").status(), 503);
    spare.start();
    EXPECT_TRUE(eventually([&] { return get("/health").status() == 200; }));
}

TEST_F(AdminTest, health_is_503_when_every_backend_answers_with_a_failure)
{
    for (test::Origin* origin : {&primary, &spare})
        origin->probe_script([](const test::Message&) { return test::Reply::text("failing", 503); });
    ASSERT_TRUE(eventually([&] { return get("/health").status() == 503; }));
    EXPECT_EQ(get("/health").json()["error"], "every backend answers with a failure");
    EXPECT_EQ(status()["can_answer"], true) << "they are still asked: they know best";
    for (test::Origin* origin : {&primary, &spare}) origin->probe_script({});
    EXPECT_TRUE(eventually([&] { return get("/health").status() == 200; }));
}

TEST_F(AdminTest, status_says_when_a_better_backend_returns)
{
    EXPECT_TRUE(status()["pools"][0]["failback_at"].is_null());
    primary.stop();
    ASSERT_TRUE(wait_active("spare"));
    EXPECT_TRUE(status()["pools"][0]["failback_at"].is_null()) << "the time is unknown";
    primary.start();
    ASSERT_TRUE(eventually([&] { return !status()["pools"][0]["failback_at"].is_null(); }));
    ASSERT_TRUE(wait_active("primary"));
    EXPECT_TRUE(status()["pools"][0]["failback_at"].is_null());
}

TEST_F(AdminTest, proxy_health_names_the_active_backend)
{
    const json body = get("/proxy/health").json();
    EXPECT_EQ(body, (json{{"active", "primary"}, {"url", primary.url()}, {"status", "healthy"}}));
}

TEST_F(AdminTest, metrics_add_the_workers_up)
{
    first.pools[0].requests.add(7);
    second.pools[0].requests.add(5);
    first.pools[0].responses[2].add(11);
    first.pools[0].latency.observe(milliseconds(3));
    second.pools[0].latency.observe(milliseconds(4));
    first.pools[0].saved[static_cast<std::size_t>(Saved::retry)].add(3);
    second.backends[1].responses[5].add(2);
    second.loop_lag_us.set(1500);
    second.unrouted_requests.add(4);

    const Answer answer = get("/metrics");
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.message.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    const std::string& text = answer.message.body;
    for (const auto* line : {
             "hotspare_requests_total{pool=\"web\"} 12\n",
             "hotspare_responses_total{pool=\"web\",code=\"2xx\"} 11\n",
             "hotspare_request_duration_seconds_count{pool=\"web\"} 2\n",
             "hotspare_requests_saved_total{pool=\"web\",reason=\"retry\"} 3\n",
             "hotspare_requests_lost_total{pool=\"web\",reason=\"truncated\"} 0\n",
             "hotspare_backend_responses_total{backend=\"spare\",code=\"5xx\"} 2\n",
             "hotspare_event_loop_lag_seconds{thread=\"worker-1\"} 0.0015\n",
             "hotspare_pool_can_answer{pool=\"web\"} 1\n",
             "hotspare_pool_fail_open{pool=\"web\"} 0\n",
             "hotspare_pool_backends{pool=\"web\",usable=\"yes\"} 2\n",
             "hotspare_pool_backends{pool=\"web\",usable=\"no\"} 0\n",
             "hotspare_pool_member{pool=\"web\",backend=\"spare\"} 1\n",
             "hotspare_unrouted_requests_total{worker=\"1\"} 4\n",
         })
        EXPECT_NE(text.find(line), std::string::npos) << line;
    for (const auto* name :
         {"hotspare_probes_total{backend=\"primary\",outcome=\"ok\"}", "hotspare_requests_parked",
          "hotspare_backend_connections_reused_total", "hotspare_event_loop_lag_seconds{thread=\"monitor\"}",
          "hotspare_failover_seconds_total", "process_resident_memory_bytes"})
        EXPECT_NE(text.find(name), std::string::npos) << name;
}

TEST_F(AdminTest, head_is_get_without_a_body_and_other_methods_are_405)
{
    const Answer head = test::request(door.port(), "HEAD", "/status");
    EXPECT_EQ(head.status(), 200);
    const Answer put = test::request(door.port(), "PUT", "/status");
    EXPECT_EQ(put.status(), 405);
    EXPECT_EQ(put.message.header("Allow"), "OPTIONS, GET, HEAD");
    EXPECT_EQ(get("/admin/failover").status(), 405);
    EXPECT_EQ(get("/admin/backends").status(), 404);
}

// ------------------------------------------------------------------------------------------------------------ operator

TEST_F(AdminTest, an_operator_drains_and_enables)
{
    const Answer drained = post("/admin/backends/primary/drain");
    EXPECT_EQ(drained.status(), 200);
    EXPECT_EQ(drained.json()["status"], "draining");
    EXPECT_EQ(status()["active"], "spare");
    EXPECT_EQ(status()["primary_healthy"], false);
    EXPECT_EQ(status()["last_failover"]["cause"], "operator");
    const auto counted = [&](const std::string& line) {
        return eventually([&] { return get("/metrics").message.body.find(line) != std::string::npos; });
    };
    EXPECT_TRUE(counted("hotspare_planned_failovers_total{pool=\"web\"} 1\n"));
    EXPECT_TRUE(counted("hotspare_failovers_total{pool=\"web\"} 0\n"));
    EXPECT_EQ(post("/admin/backends/primary/maintenance").json()["status"], "maintenance");
    EXPECT_EQ(post("/admin/backends/primary/enable").json()["status"], "healthy");
    EXPECT_TRUE(wait_active("primary"));
    const Answer unknown = post("/admin/backends/tertiary/drain");
    EXPECT_EQ(unknown.status(), 404);
    EXPECT_EQ(unknown.json()["error"], "there is no backend 'tertiary', expected one of primary, spare");
}

TEST_F(AdminTest, an_operator_announces_maintenance)
{
    const json announced{{"until", "2200-01-01T04:00:00.000Z"}, {"message", "Moving <b>disks</b>."}};
    const Answer one = post("/admin/backends/primary/maintenance",
                            R"({"until":"2200-01-01T04:00:00Z","message":"Moving <b>disks</b>."})");
    EXPECT_EQ(one.status(), 200);
    EXPECT_EQ(one.json()["status"], "maintenance");
    EXPECT_EQ(one.json()["maintenance"], announced);
    EXPECT_EQ(status()["pools"][0]["maintenance"], nullptr) << "the spare serves";
    EXPECT_EQ(post("/admin/backends/spare/maintenance").json()["maintenance"],
              (json{{"until", nullptr}, {"message", nullptr}}));
    EXPECT_EQ(status()["pools"][0]["maintenance"], announced);
    EXPECT_EQ(post("/admin/backends/primary/enable").json()["maintenance"], nullptr);
    EXPECT_EQ(status()["pools"][0]["maintenance"], nullptr);
}

TEST_F(AdminTest, an_operator_puts_a_whole_pool_into_maintenance)
{
    const auto version = status()["routing_version"].get<std::uint64_t>();
    const Answer closed = post("/admin/pools/web/maintenance", R"({"message":"Moving."})");
    EXPECT_EQ(closed.status(), 200);
    EXPECT_EQ(closed.json()["name"], "web");
    EXPECT_EQ(closed.json()["maintenance"], (json{{"until", nullptr}, {"message", "Moving."}}));
    const json now = status();
    EXPECT_EQ(now["routing_version"], version + 1) << "in one step";
    for (const json& backend : now["backends"]) EXPECT_EQ(backend["status"], "maintenance");
    const Answer opened = post("/admin/pools/web/enable");
    EXPECT_EQ(opened.status(), 200);
    EXPECT_EQ(opened.json()["active"], "primary");
    EXPECT_EQ(opened.json()["maintenance"], nullptr);
    for (const char* word : {"maintenance", "enable"}) {
        const Answer unknown = post(std::string("/admin/pools/api/") + word);
        EXPECT_EQ(unknown.status(), 404);
        EXPECT_EQ(unknown.json()["error"], "there is no pool 'api', expected one of web");
    }
}

TEST_F(AdminTest, an_announcement_that_makes_no_sense_changes_nothing)
{
    const std::string much(501, 'x');
    const std::vector<std::tuple<std::string, int, std::string>> refused{
        {R"({"until":"tomorrow"})", 422, "until"},
        {R"({"until":"2200-01-01T04:00:00"})", 422, "until"},
        {R"({"until":"2200-02-30T04:00:00Z"})", 422, "until"},
        {R"({"until":"2001-01-01T04:00:00Z"})", 422, "until"},
        {R"({"until":4102444800})", 422, "until"},
        {R"({"until":null})", 422, "until"},
        {R"({"message":["a"]})", 422, "message"},
        {R"({"message":"a\nb"})", 422, "message"},
        {R"({"message":"a\u2028b"})", 422, "message"},
        {R"({"message":")" + much + R"("})", 422, "message"},
        {R"({"until":"2200-01-01T04:00:00Z","mesage":"a"})", 422, "mesage"},
        {R"([])", 422, ""},
        {R"("2200-01-01T04:00:00Z")", 422, ""},
        {R"({"message":"a","message":"b"})", 400, ""},
        {R"({"message":"a")", 400, ""},
        {"{\"message\":\"\xff\"}", 400, ""},
        {" ", 400, ""}};
    for (const auto& [body, code, field] : refused)
        for (const char* path : {"/admin/backends/primary/maintenance", "/admin/pools/web/maintenance"}) {
            const Answer answer = post(path, body);
            EXPECT_EQ(answer.status(), code) << body;
            EXPECT_EQ(answer.message.header("Content-Type"), "application/problem+json");
            EXPECT_EQ(answer.json().value("field", ""), field) << answer.message.body;
        }
    EXPECT_EQ(status()["active"], "primary");
    const json after = status();
    for (const json& backend : after["backends"]) EXPECT_EQ(backend["status"], "healthy");
    for (const std::string& body :
         {R"({"message":")" + much.substr(1) + R"("})", std::string("{}"), std::string(R"({"message":""})"),
          std::string(R"({"until":"2200-01-01T04:00:00.5+00:00"})")})
        EXPECT_EQ(post("/admin/pools/web/maintenance", body).status(), 200) << body;
}

TEST_F(AdminTest, an_operator_fails_over_and_back)
{
    const Answer moved = post("/admin/failover", R"({"to":"spare"})");
    EXPECT_EQ(moved.status(), 200);
    EXPECT_EQ(moved.json()["active"], "spare");
    EXPECT_EQ(moved.json()["pools"][0]["preferred"], "spare");
    EXPECT_EQ(status()["active"], "spare");
    EXPECT_EQ(post("/admin/failover", R"({"to":null})").json()["active"], "primary");
    EXPECT_EQ(status()["pools"][0]["preferred"], nullptr);
}

TEST_F(AdminTest, a_failover_request_that_makes_no_sense_is_explained)
{
    for (const auto* body : {R"({"to":"nobody"})", R"({"to":7})", R"({})", R"([])", R"({"target":"spare"})"}) {
        const Answer answer = post("/admin/failover", body);
        EXPECT_EQ(answer.status(), 422) << body;
        EXPECT_EQ(answer.json()["field"], "to") << body;
        EXPECT_NE(answer.json()["error"].get<std::string>().find("primary, spare"), std::string::npos) << body;
    }
    EXPECT_EQ(post("/admin/failover", "{\"to\":").status(), 400);
    EXPECT_EQ(post("/admin/failover").status(), 400);

    spare.stop();
    ASSERT_TRUE(eventually([&] { return status()["spare_healthy"] == false; }));
    const Answer refused = post("/admin/failover", R"({"to":"spare"})");
    EXPECT_EQ(refused.status(), 409);
    EXPECT_NE(refused.json()["error"].get<std::string>().find("'spare' is down"), std::string::npos);
    EXPECT_EQ(status()["active"], "primary");
}

TEST_F(AdminTest, a_request_body_may_come_in_pieces)
{
    const std::string body = R"({"padding":")" + std::string(4000, 'x') + R"(","to":"spare"})";
    RawClient client(door.port());
    ASSERT_TRUE(client.send_sliced(test::format_request("POST", "/admin/failover", {}, body)));
    EXPECT_EQ(client.read_response().status(), 200);
    EXPECT_EQ(status()["active"], "spare");
}

TEST_F(AdminTest, the_operator_must_sit_at_this_machine)
{
    for (const auto& [name, value] :
         {std::pair("X-Forwarded-For", "203.0.113.9"), std::pair("Forwarded", "for=203.0.113.9"),
          std::pair("Via", "1.1 edge"), std::pair("Origin", "http://evil.example"),
          // Not the same origin, however it ends.
          std::pair("Origin", "http://evil.example//localhost"), std::pair("Origin", "https://localhost"),
          std::pair("Origin", "http://localhost:81"), std::pair("Content-Type", "text/plain")}) {
        const Answer answer = test::request(door.port(), "POST", "/admin/backends/primary/drain", {{name, value}});
        EXPECT_EQ(answer.status(), 403) << name;
        EXPECT_EQ(test::request(door.port(), "POST", "/admin/%62ackends/primary/drain", {{name, value}}).status(), 403);
    }
    EXPECT_EQ(status()["active"], "primary");
    // A page of our own may: `request` names the host "localhost". So may one that the configuration names.
    for (const auto* origin : {"http://localhost", "https://console.example:8443"})
        EXPECT_EQ(test::request(door.port(), "POST", "/admin/backends/primary/drain", {{"Origin", origin}}).status(),
                  200)
            << origin;
}

TEST_F(AdminTest, the_operator_must_name_this_machine)
{
    const auto drain_as = [&](const std::string& host) {
        RawClient client(door.port());
        EXPECT_TRUE(client.send("POST /admin/backends/spare/drain HTTP/1.1\r\nHost: " + host + "\r\nOrigin: http://" +
                                host + "\r\nContent-Length: 0\r\n\r\n"));
        return client.read_response();
    };
    // What a page sends whose own name was made to resolve to 127.0.0.1.
    for (const char* host : {"evil.example", "evil.example:5000", "localhost.evil.example", "127.0.0.1.evil.example",
                             "192.0.2.1", "[2001:db8::1]:5000"}) {
        const Answer answer = drain_as(host);
        EXPECT_EQ(answer.status(), 403) << host;
        EXPECT_EQ(answer.message.header("Content-Type"), "application/problem+json") << host;
        EXPECT_NE(answer.json().value("detail", "").find(std::string("Host '") + host + "' is not a name"),
                  std::string::npos)
            << answer.message.body;
    }
    EXPECT_EQ(status()["spare_healthy"], true);
    for (const char* host :
         {"localhost", "LocalHost:5000", "127.0.0.1:5000", "127.8.9.10", "[::1]:5000", "balancer.internal:80"})
        EXPECT_EQ(drain_as(host).status(), 200) << host;
}

TEST_F(AdminTest, a_peer_that_is_not_on_loopback_may_look_but_not_touch)
{
    const auto ask = [&](const std::string& method, const std::string& path) {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0); // its peer has no loopback address
        admin.adopt({.descriptor = ends[0],
                     .bytes = test::format_request(method, path),
                     .builtin = path == "/status" ? Builtin::status : Builtin::admin});
        const test::Fd ours(ends[1]);
        std::string text;
        char piece[4096];
        while (test::wait_readable(ours, Clock::now() + test::patience)) {
            const auto n = ::recv(ours.get(), piece, sizeof piece, 0);
            if (n <= 0) break;
            text.append(piece, static_cast<std::size_t>(n));
        }
        return text.substr(0, 12);
    };
    EXPECT_EQ(ask("POST", "/admin/backends/primary/drain"), "HTTP/1.1 403");
    EXPECT_EQ(ask("GET", "/status"), "HTTP/1.1 200");
    EXPECT_EQ(status()["active"], "primary");
}

TEST_F(AdminTest, the_operator_finds_every_request_listed)
{
    const json listed = get("/admin").json();
    EXPECT_EQ(listed["backends"], (json{"primary", "spare"}));
    EXPECT_EQ(listed["pools"], json{"web"});
    ASSERT_EQ(listed["requests"].size(), 9U);
    for (const json& row : listed["requests"]) {
        std::string path = row["path"];
        if (const auto name = path.find("{name}"); name != path.npos) path.replace(name, 6, "spare");
        if (const auto pool = path.find("{pool}"); pool != path.npos) path.replace(pool, 6, "web");
        json body = row["body"];
        if (body.contains("to")) body["to"] = "primary";
        if (body.contains("until")) body["until"] = "2200-01-01T00:00:00Z";
        if (body.contains("routes")) body["routes"][0]["pool"] = "web";
        if (body.contains("backends")) body = {{"backends", get(path).json()["backends"]}};
        const std::string text = body.is_null() ? "" : body.dump();
        EXPECT_EQ(test::request(door.port(), row["method"].get<std::string>(), path, {}, text).status(), 200) << path;
    }
    EXPECT_EQ(test::request(door.port(), "GET", "/admin", {{"Via", "1.1 edge"}}).status(), 403);
}

// ------------------------------------------------------------------------------------------------ pages and heartbeats

/// Keeps the monitor's thread busy.
class BusyMonitor {
public:
    explicit BusyMonitor(Monitor& monitor)
    {
        asio::post(monitor.context(), [this] {
            begun_.set_value();
            over_.get_future().wait();
        });
        begun_.get_future().wait();
    }
    ~BusyMonitor() { over_.set_value(); }

private:
    std::promise<void> begun_, over_;
};

TEST_F(AdminTest, pages_do_not_need_the_monitors_thread)
{
    const BusyMonitor busy(monitor);
    for (const auto* path : {"/health", "/status", "/metrics", "/proxy/health", "/admin"})
        EXPECT_EQ(get(path).status(), 200) << path;
    EXPECT_EQ(status()["active"], "primary");
    RawClient events(door.port());
    ASSERT_TRUE(events.send(test::format_request("GET", "/events")));
    EXPECT_NE(events.read_some(64 * 1024).find("200 OK"), std::string::npos);
}

TEST_F(AdminTest, an_operators_request_is_not_said_to_be_done_before_it_is)
{
    {
        const BusyMonitor busy(monitor);
        for (const Answer& answer :
             {post("/admin/backends/primary/drain"), post("/admin/failover", R"({"to":"spare"})")}) {
            EXPECT_EQ(answer.status(), 503);
            EXPECT_EQ(answer.message.header("Retry-After"), "1");
        }
    }
    EXPECT_TRUE(wait_active("spare")) << "late, but not forgotten";
}

TEST_F(AdminTest, a_page_takes_no_body_and_does_not_wait_for_one)
{
    const auto ask = [&](const std::string& head) {
        RawClient client(door.port());
        EXPECT_TRUE(client.send(head + "\r\nHost: localhost\r\n\r\n"));
        return client.read_response(milliseconds(900)).status();
    };
    for (const auto* path : {"/health", "/status", "/metrics", "/events", "/logs"}) {
        EXPECT_EQ(ask(std::string("GET ") + path + " HTTP/1.1\r\nContent-Length: 5"), 413) << path;
        EXPECT_EQ(ask(std::string("GET ") + path + " HTTP/1.1\r\nTransfer-Encoding: chunked"), 413) << path;
    }
    EXPECT_EQ(ask("POST /status HTTP/1.1\r\nContent-Length: 5"), 405);
    EXPECT_EQ(ask("POST /admin/failover HTTP/1.1\r\nContent-Length: 100000"), 413);
    RawClient slow(door.port());
    ASSERT_TRUE(slow.send("POST /admin/failover HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{"));
    EXPECT_EQ(slow.read_response(seconds(5)).status(), 408);
}

TEST_F(AdminTest, too_many_requests_at_once_are_turned_away)
{
    std::vector<RawClient> waiting;
    for (int i = 0; i < 100; ++i) {
        waiting.emplace_back(door.port());
        ASSERT_TRUE(
            waiting.back().send("POST /admin/failover HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{"));
    }
    const Answer refused = waiting.back().read_response();
    EXPECT_EQ(refused.status(), 503);
    EXPECT_EQ(refused.message.header("Retry-After"), "1");
    EXPECT_EQ(refused.message.header("Content-Type"), "application/problem+json");
    EXPECT_TRUE(waiting.back().closed_by_peer());
    // Each request may be turned away until enough of the waiting ones have timed out.
    std::string metrics;
    EXPECT_TRUE(eventually([&] {
        const Answer answer = get("/metrics");
        metrics = answer.message.body;
        return answer.status() == 200;
    })) << "a second later they have gone";
    const std::string counter = "\nhotspare_page_connections_refused_total ";
    const auto at = metrics.find(counter);
    ASSERT_NE(at, metrics.npos);
    EXPECT_GE(std::stoul(metrics.substr(at + counter.size())), 36U);
}

TEST_F(AdminTest, open_streams_take_no_place_of_other_requests)
{
    std::vector<RawClient> streams;
    for (int i = 0; i < 100; ++i) {
        streams.emplace_back(door.port());
        ASSERT_TRUE(streams.back().send(test::format_request("GET", "/events")));
        ASSERT_NE(streams.back().read_some(64 * 1024).find("200 OK"), std::string::npos) << i;
    }
    EXPECT_EQ(get("/status").status(), 200);
    EXPECT_NE(get("/metrics").message.body.find("hotspare_page_connections{kind=\"stream\"} 100\n"), std::string::npos);
}

TEST_F(AdminTest, one_address_cannot_take_every_stream)
{
    std::vector<test::Fd> streams;
    const auto status_of_next = [&] {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0); // its peer has no loopback address
        streams.emplace_back(ends[1]);
        admin.adopt(
            {.descriptor = ends[0], .bytes = test::format_request("GET", "/events"), .builtin = Builtin::events});
        char head[12] = {};
        EXPECT_TRUE(test::wait_readable(streams.back(), Clock::now() + test::patience));
        EXPECT_EQ(::recv(ends[1], head, sizeof head, 0), 12);
        return std::string(head, sizeof head);
    };
    for (std::size_t i = 0; i < http::StreamLimits{}.per_address; ++i) ASSERT_EQ(status_of_next(), "HTTP/1.1 200") << i;
    EXPECT_EQ(status_of_next(), "HTTP/1.1 429");
    RawClient local(door.port());
    ASSERT_TRUE(local.send(test::format_request("GET", "/events")));
    EXPECT_NE(local.read_some(64 * 1024).find("200 OK"), std::string::npos);
    streams.clear();
    EXPECT_TRUE(eventually([&] { return status_of_next() == "HTTP/1.1 200"; })) << "who leaves gives the place back";
}

// ---------------------------------------------------------------------------------------------------------- web pages

TEST_F(AdminTest, pages_are_not_for_other_sites)
{
    const auto ask = [&](const std::string& path, const std::string& fields) {
        RawClient client(door.port());
        EXPECT_TRUE(client.send("GET " + path + " HTTP/1.1\r\n" + fields + "Accept-Encoding: gzip\r\n\r\n"));
        return client.read_response().status();
    };
    for (const auto* path : {"/status", "/metrics", "/events", "/logs"}) {
        // A name that may have been made to resolve to this machine.
        EXPECT_EQ(ask(path, "Host: evil.example\r\n"), 403) << path;
        EXPECT_EQ(ask(path, "Host: localhost.evil.example:5000\r\n"), 403) << path;
    }
    for (const auto* path : {"/status", "/metrics"})
        for (const auto* host : {"localhost:5000", "192.0.2.1:5000", "[2001:db8::1]", "balancer.internal"})
            EXPECT_EQ(ask(path, std::string("Host: ") + host + "\r\n"), 200) << path << host;
    EXPECT_EQ(ask("/health", "Host: any.example\r\n"), 200) << "a load balancer in front asks with its own";

    const std::string upgrade = "Host: localhost:5000\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (const auto& [origin, status] :
         {std::pair("http://evil.example", 403), std::pair("http://evil.example//localhost:5000", 403),
          std::pair("http://xlocalhost:5000", 403), std::pair("http://localhost:5000", 101),
          std::pair("https://console.example:8443", 101)})
        EXPECT_EQ(ask("/logs", upgrade + "Origin: " + origin + "\r\n"), status) << origin;
    EXPECT_EQ(ask("/logs", upgrade), 101) << "a client that is no browser";
    RawClient events(door.port());
    ASSERT_TRUE(events.send("GET /events HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n"));
    EXPECT_EQ(events.read_response().status(), 403);
}

class WithoutOperatorsTest : public AdminTest {
protected:
    WithoutOperatorsTest() { config.admin = false; }
};

TEST_F(WithoutOperatorsTest, operators_requests_are_refused_with_the_setting_that_enables_them)
{
    for (const auto& [method, path] : {std::pair("POST", "/admin/failover"), std::pair("GET", "/admin"),
                                       std::pair("POST", "/admin/backends/primary/drain")}) {
        const Answer answer = test::request(door.port(), method, path, {}, R"({"to":"spare"})");
        EXPECT_EQ(answer.status(), 403) << path;
        EXPECT_EQ(answer.message.header("Content-Type"), "application/problem+json");
        EXPECT_NE(answer.json().value("detail", "").find("`admin: true`"), std::string::npos) << answer.message.body;
    }
    EXPECT_EQ(status()["active"], "primary");
    EXPECT_EQ(status()["primary_healthy"], true);
}

// ------------------------------------------------------------------------------------------------------------- streams

/// Reads an event stream until `text` has come.
class EventReader {
public:
    EventReader(std::uint16_t port, const std::vector<test::Header>& headers = {}, const std::string& query = {})
        : client_(port)
    {
        EXPECT_TRUE(client_.send(test::format_request("GET", "/events" + query, headers)));
    }
    bool wait_for(const std::string& text)
    {
        while (seen_.find(text) == std::string::npos) {
            const std::string more = client_.read_some(64 * 1024);
            if (more.empty()) return false;
            seen_ += more;
        }
        return true;
    }
    const std::string& seen() const { return seen_; }
    std::string last_id() const
    {
        const auto at = seen_.rfind("id: ");
        return at == std::string::npos ? "" : seen_.substr(at + 4, seen_.find('\n', at) - at - 4);
    }
    bool closed() { return client_.closed_by_peer(); }

private:
    RawClient client_;
    std::string seen_;
};

TEST_F(AdminTest, events_are_streamed_as_they_happen)
{
    EventReader reader(door.port());
    ASSERT_TRUE(reader.wait_for("event: transition\n")) << "a new reader gets the latest ones";
    EXPECT_NE(reader.seen().find("Content-Type: text/event-stream"), std::string::npos) << reader.seen();
    post("/admin/failover", R"({"to":"spare"})");
    ASSERT_TRUE(reader.wait_for("event: failover\n"));
    ASSERT_TRUE(reader.wait_for("\"to\":\"spare\""));
}

TEST_F(AdminTest, a_reader_that_reconnects_gets_what_it_missed_and_nothing_twice)
{
    std::string last;
    {
        EventReader reader(door.port());
        post("/admin/backends/spare/drain");
        ASSERT_TRUE(reader.wait_for("\"to\":\"draining\""));
        last = reader.last_id();
    }
    post("/admin/backends/spare/maintenance");
    post("/admin/backends/spare/enable");
    EventReader again(door.port(), {{"Last-Event-ID", last}});
    ASSERT_TRUE(again.wait_for("\"from\":\"maintenance\""));
    EXPECT_NE(again.seen().find("\"to\":\"maintenance\""), std::string::npos);
    EXPECT_EQ(again.seen().find("\"to\":\"draining\""), std::string::npos);

    EventReader typed(door.port(), {}, "?last_event_id=" + last);
    ASSERT_TRUE(typed.wait_for("\"from\":\"maintenance\""));
    EXPECT_EQ(typed.seen().find("\"to\":\"draining\""), std::string::npos);
}

TEST_F(AdminTest, a_reader_that_never_reads_is_dropped_and_does_not_harm_others)
{
    RawClient lazy(door.port(), 1024);
    ASSERT_TRUE(lazy.send(test::format_request("GET", "/events")));
    EventReader reader(door.port());
    ASSERT_TRUE(reader.wait_for("event: transition\n"));
    // More than the kernel's buffers and the backlog of one stream together can hold.
    // Writing 40,000 lines of log would take a minute under a sanitizer.
    const auto level = log::level();
    log::set_level(log::Level::warn);
    std::promise<void> done;
    asio::post(monitor.context(), [&] {
        for (int i = 0; i < 20000; ++i) {
            monitor.operate({1}, OperatorWord::drain);
            monitor.operate({1}, OperatorWord::enable);
        }
        done.set_value();
    });
    done.get_future().wait();
    log::set_level(level);
    EXPECT_EQ(get("/status").status(), 200);
    EXPECT_TRUE(eventually([&] {
        return get("/metrics").message.body.find("hotspare_page_connections{kind=\"stream\"} 0\n") != std::string::npos;
    })) << "neither of the two reads any more";
}

TEST_F(AdminTest, logs_are_the_same_events_as_text_over_websocket)
{
    for (const auto* path : {"/logs", "/log"}) {
        test::WebSocketClient socket(door.port(), "127.0.0.1", path);
        EXPECT_NE(socket.read().find("was unknown (first probe: 200 OK"), std::string::npos);
        post("/admin/failover", R"({"to":"spare"})");
        std::string line;
        do line = socket.read();
        while (line.find("failover of pool 'web' from 'primary' to 'spare'") == std::string::npos);
        post("/admin/failover", R"({"to":null})");
        ASSERT_TRUE(wait_active("primary"));
    }
    EXPECT_EQ(get("/logs").status(), 426);
}

TEST_F(AdminTest, streams_end_when_the_balancer_stops)
{
    EventReader reader(door.port());
    ASSERT_TRUE(reader.wait_for("event: transition\n"));
    admin.stop();
    EXPECT_TRUE(eventually([&] { return reader.closed(); }));
}

class RandomAdminTest : public AdminTest {
protected:
    RandomAdminTest() : AdminTest(Policy::random) {}
};

TEST_F(RandomAdminTest, under_other_policies_the_active_backend_is_the_first_that_serves)
{
    EXPECT_EQ(status()["active"], "primary");
    EXPECT_EQ(status()["pools"][0]["active"], nullptr);
    EXPECT_EQ(status()["pools"][0]["candidates"][1]["tier"], "serving");
    primary.stop();
    EXPECT_TRUE(wait_active("spare"));
    EXPECT_EQ(post("/admin/failover", R"({"to":"spare"})").status(), 409);
    EXPECT_TRUE(eventually([&] {
        return get("/metrics").message.body.find("hotspare_pool_backends{pool=\"web\",usable=\"yes\"} 1\n") !=
               std::string::npos;
    })) << "no spare is left, which this policy has no active backend to tell";
}

/// With a listener for operators apart from the clients' port, where /admin is not taken.
class OperatorsPortTest : public AdminTest {
protected:
    explicit OperatorsPortTest(std::string token = {})
    {
        config.admin = false;
        config.admin_listen.host = "127.0.0.1";
        config.admin_token = std::move(token);
        admin.listen();
        const std::string address = admin.operators_address();
        own_port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    }

    std::uint16_t own_port = 0;
};

TEST_F(OperatorsPortTest, operates_there_and_not_on_the_clients_port)
{
    EXPECT_EQ(post("/admin/backends/primary/drain").status(), 403);
    EXPECT_EQ(test::post(own_port, "/admin/backends/primary/drain", "").status(), 200);
    EXPECT_TRUE(wait_active("spare"));
    EXPECT_EQ(test::get(own_port, "/status").json()["active"], "spare");
    EXPECT_EQ(test::get(own_port, "/health").status(), 200);
    EXPECT_EQ(test::get(own_port, "/data").status(), 404) << "nothing is proxied there";
}

TEST_F(OperatorsPortTest, is_closed_to_web_pages)
{
    test::RawClient page(own_port);
    page.send("POST /admin/backends/primary/drain HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n"
              "Content-Length: 0\r\n\r\n");
    EXPECT_EQ(page.read_response().status(), 403);
    EXPECT_EQ(status()["active"], "primary");
}

class OperatorsTokenTest : public OperatorsPortTest {
protected:
    OperatorsTokenTest() : OperatorsPortTest("0123456789abcdef") {}

    int drain_with(const std::string& fields)
    {
        test::RawClient client(own_port);
        client.send("POST /admin/backends/primary/drain HTTP/1.1\r\nHost: localhost\r\n" + fields +
                    "Content-Length: 0\r\n\r\n");
        const auto answer = client.read_response();
        EXPECT_EQ(answer.message.header("WWW-Authenticate").has_value(), answer.status() == 401);
        return answer.status();
    }
};

TEST_F(OperatorsTokenTest, operators_need_the_token)
{
    EXPECT_EQ(drain_with(""), 401);
    EXPECT_EQ(drain_with("Authorization: Bearer 0123456789abcdeF\r\n"), 401);
    EXPECT_EQ(drain_with("Authorization: Bearer 0123456789abcdef0\r\n"), 401);
    EXPECT_EQ(drain_with("Authorization: Basic 0123456789abcdef\r\n"), 401);
    EXPECT_EQ(drain_with("Authorization: Bearer \r\n"), 401);
    EXPECT_EQ(test::get(own_port, "/status").status(), 200) << "only operating needs it";
    EXPECT_EQ(status()["active"], "primary");
    EXPECT_EQ(drain_with("Authorization: bearer 0123456789abcdef\r\n"), 200);
    EXPECT_TRUE(wait_active("spare"));
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
