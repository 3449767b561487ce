// The systems that are shipped as files in config/: each is started from its own files, as run.sh starts it but on
// other ports, and answers the commands that README.md and docs/ give for it.
#include "tests/support/load.hpp"
#include "tests/support/order_clients.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/running_system.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <map>
#include <string>

namespace hotspare::test {
namespace TEST_FILE {

std::string served_by(std::uint16_t port, const std::string& target)
{
    return get(port, target).message.header("X-Served-By").value_or("none");
}

TEST(Systems, EveryFileIsValid)
{
    std::size_t checked = 0;
    for (const auto& entry : std::filesystem::directory_iterator(source_file("config"))) {
        if (entry.path().extension() != ".yaml") continue;
        const bool is_system = entry.path().string().ends_with(".system.yaml");
        std::vector<std::string> arguments{"--config", entry.path().string(), "--check-config"};
        if (is_system) // what only an instance has
            arguments.insert(arguments.end(), {"--directory", "x", "--programs", "x", "--config-folder", "x"});
        const std::string name = entry.path().stem().string();
        const bool is_monitor = name == "availability" || name.ends_with("-monitor");
        const Finished done = run(binary(is_system ? "supervisor" : is_monitor ? "monitor" : "balancer"), arguments);
        EXPECT_EQ(done.code, 0) << entry.path() << done.err;
        ++checked;
    }
    EXPECT_GE(checked, 4U);
}

TEST(Systems, Failover)
{
    RunningSystem system("failover");
    const auto port = system.port(5000);
    EXPECT_EQ(get(port, "/data").json()["service"], "primary");
    EXPECT_EQ(get(port, "/api/data").status(), 200);
    EXPECT_EQ(get(port, "/health").status(), 200);
    EXPECT_TRUE(eventually([&] { return get(port, "/status").json().value("primary_healthy", false); }));
    EXPECT_NE(get(port, "/metrics").message.body.find("# TYPE"), std::string::npos);
    EXPECT_EQ(post(system.port(5001), "/fail").status(), 200);
    EXPECT_EQ(get(port, "/data").json()["service"], "spare");
    EXPECT_EQ(post(system.port(5001), "/recover").status(), 200);
    EXPECT_TRUE(eventually([&] { return get(port, "/data").json()["service"] == "primary"; }));
}

TEST(Systems, ReverseProxy)
{
    RunningSystem system("reverse-proxy");
    const auto port = system.port(8021);
    nlohmann::json health;
    EXPECT_TRUE(eventually([&] { return (health = get(port, "/proxy/health").json())["active"] == "primary"; }))
        << health;
    EXPECT_EQ(health["url"], "http://127.0.0.1:" + std::to_string(system.port(3001)));
    EXPECT_FALSE(health.value("status", "").empty());
    EXPECT_EQ(served_by(port, "/proxy/data"), "primary");
    EXPECT_TRUE(get(port, "/proxy/data").json().contains("data"));
    EXPECT_EQ(get(port, "/api/data").status(), 200);
    EXPECT_EQ(get(port, "/health").json().value("status", ""), "healthy");
    for (const std::string path : {"/logs", "/log"}) {
        const Answer log = request(port, "GET", path,
                                   {{"Connection", "Upgrade"},
                                    {"Upgrade", "websocket"},
                                    {"Sec-WebSocket-Version", "13"},
                                    {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}});
        EXPECT_EQ(log.status(), 101) << path << log.message.body;
    }

    RawClient log(port);
    log.send(format_request("GET", "/log",
                            {{"Connection", "Upgrade"},
                             {"Upgrade", "websocket"},
                             {"Sec-WebSocket-Version", "13"},
                             {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}}));
    EXPECT_EQ(log.read_response().status(), 101);
    std::string lines;
    const auto logs = [&](const std::string& line) {
        return eventually([&] {
            lines += log.read_some(65536, milliseconds(50));
            return lines.find(line) != lines.npos;
        });
    };
    const auto url = [&](unsigned number) { return "http://127.0.0.1:" + std::to_string(system.port(number)); };
    EXPECT_EQ(get(port, "/proxy/data?a=1").status(), 200);
    EXPECT_TRUE(logs("Proxying request: GET /proxy/data?a=1 -> " + url(3001))) << lines;

    // The active one dies for real; its supervisor (run.sh) would start it again.
    EXPECT_EQ(post(port, "/proxy/fail").status(), 200);
    EXPECT_EQ(system.process("primary").wait_exit(), 1);
    EXPECT_EQ(served_by(port, "/proxy/data"), "secondary");
    EXPECT_TRUE(logs("Switching active target to: " + url(3002))) << lines;
    EXPECT_TRUE(eventually([&] { return get(port, "/proxy/health").json()["active"] == "secondary"; }));
    system.start("primary");
    EXPECT_EQ(post(port, "/proxy/recover").status(), 200);
    EXPECT_TRUE(eventually([&] { return served_by(port, "/proxy/data") == "primary"; }));
}

TEST(Systems, LoadBalancer)
{
    RunningSystem system("load-balancer");
    const auto port = system.port(8080);
    const auto share = [&] {
        std::map<std::string, int> counts;
        for (int i = 0; i < 60; ++i) ++counts[served_by(port, "/data")];
        return counts;
    };
    // Equal chances: with 60 requests each instance gets fewer than 10 once in ten million runs.
    EXPECT_TRUE(eventually([&] {
        const auto counts = share();
        return counts.size() == 2 && counts.begin()->second >= 10 && counts.rbegin()->second >= 10;
    }));
    EXPECT_EQ(get(port, "/health").status(), 200);
    system.process("instance-a").signal(SIGKILL);
    system.process("instance-a").wait_exit();
    for (int i = 0; i < 60; ++i) EXPECT_EQ(served_by(port, "/data"), "instance-b");
    EXPECT_EQ(get(port, "/health").status(), 200);
    system.start("instance-a");
    EXPECT_TRUE(eventually([&] { return share().size() == 2; }));
}

TEST(Systems, LoadBalancerShowsWhatItsMonitorSays)
{
    RunningSystem system("load-balancer");
    const auto port = system.port(8080);
    EXPECT_EQ(get(port, "/maintenance").json()["active"], false);
    EXPECT_EQ(get(port, "/status-page").message.header("X-Served-By"), "monitor");
    const auto states = [&] {
        std::map<std::string, std::string> result;
        const auto document = get(system.port(8002), "/targets").json();
        for (const auto& target : document["targets"]) result[target["name"]] = target["state"];
        return result;
    };
    const std::map<std::string, std::string> all_up{
        {"balancer", "up"}, {"balancer/instance-a", "up"}, {"balancer/instance-b", "up"}, {"balancer/monitor", "up"}};
    EXPECT_TRUE(eventually([&] { return states() == all_up; }));
    system.process("instance-a").signal(SIGKILL);
    EXPECT_TRUE(eventually([&] { return states()["balancer/instance-a"] == "down"; }));
    EXPECT_EQ(states()["balancer/instance-b"], "up");
    EXPECT_EQ(get(port, "/uptime").json()["targets"].size(), 4U);
}

TEST(Systems, Versions)
{
    RunningSystem system("versions");
    const auto port = system.port(8010);
    const auto active = [&] { return get(port, "/status").json().value("active", ""); };
    EXPECT_EQ(get(port, "/").json()["version"], "v1");
    EXPECT_TRUE(eventually([&] { return get(port, "/status").json().value("v3_healthy", false); }));

    EXPECT_EQ(post(system.port(8001), "/simulate/corruption").status(), 200);
    const Answer broken = get(system.port(8001), "/");
    EXPECT_EQ(broken.status(), 500);
    EXPECT_EQ(broken.json()["detail"], "DATA_ERR") << broken.message.body;
    ASSERT_TRUE(eventually([&] { return active() == "v2"; })) << get(port, "/status").message.body;
    EXPECT_EQ(get(port, "/").json()["version"], "v2");

    ASSERT_TRUE(eventually([&] {
        return get(port, "/status").message.body.find("quarantined_until") != std::string::npos;
    })) << get(port, "/status").message.body;

    // v1 works again but is quarantined: a version that failed is not tried again in turn.
    EXPECT_EQ(post(system.port(8001), "/simulate/reset").status(), 200);
    EXPECT_EQ(get(system.port(8001), "/").status(), 200);
    EXPECT_FALSE(eventually([&] { return active() != "v2"; }, milliseconds(2500)));

    EXPECT_EQ(post(system.port(8002), "/simulate/cpu/10").status(), 200);
    EXPECT_NE(get(system.port(8002), "/").json().value("load", ""), "%0");
    EXPECT_EQ(post(system.port(8002), "/simulate/reset").status(), 200);
}

TEST(Systems, VersionsHaveADashboardWhoseActionsMoveThePoolOn)
{
    RunningSystem system("versions");
    const auto balancer = system.port(8010);
    const auto monitor = system.port(8000);
    const Header login{"Authorization", "Basic YWRtaW46c2VjdXJlMTIz"}; // admin:secure123
    const auto active = [&] { return get(balancer, "/status").json().value("active", ""); };
    const auto act = [&](std::string_view path) { return request(monitor, "POST", path, {login}).status(); };

    for (const char* path : {"/", "/status-page", "/audit", "/uptime", "/events"})
        EXPECT_EQ(get(monitor, path).status(), 401) << path;
    EXPECT_EQ(get(monitor, "/health").status(), 200);
    EXPECT_EQ(request(monitor, "GET", "/chaos/cpu", {login}).status(), 405);
    EXPECT_EQ(request(monitor, "POST", "/crash", {login, {"Origin", "http://evil.example"}}).status(), 403);
    for (const char* path : {"/status-page", "/status", "/uptime", "/audit", "/"}) {
        EXPECT_EQ(request(monitor, "GET", path, {login, {"Origin", "http://evil.example"}}).status(), 403) << path;
        EXPECT_EQ(request(monitor, "GET", path, {login}).status(), 200) << path;
    }
    EXPECT_EQ(active(), "v1");

    EXPECT_EQ(act("/chaos/corruption"), 200);
    EXPECT_TRUE(eventually([&] { return active() == "v2"; })) << get(balancer, "/status").message.body;
    EXPECT_EQ(act("/chaos/cpu"), 200);
    EXPECT_TRUE(eventually([&] { return active() == "v3"; })) << get(balancer, "/status").message.body;
    EXPECT_EQ(act("/chaos/reset"), 200);
    EXPECT_EQ(act("/crash"), 200);
    EXPECT_EQ(system.process("v3").wait_exit(), 1);

    // A browser is sent back to the page, which tells what became of it.
    const Answer browser = request(monitor, "POST", "/chaos/reset", {login, {"Accept", "text/html"}});
    EXPECT_EQ(browser.status(), 303);
    EXPECT_EQ(browser.message.header("Location"), "/");
    const std::string page = request(monitor, "GET", "/", {login}).message.body;
    for (const char* text : {"v1", "v2", "v3", "chaos/corruption", "chaos.cpu", "failover"})
        EXPECT_NE(page.find(text), std::string::npos) << text;

    const auto entries = request(monitor, "GET", "/audit?action=chaos.corruption", {login}).json()["entries"];
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0]["user"], "admin");
    EXPECT_EQ(entries[0]["target"], "v1");
    EXPECT_NE(entries[0]["detail"].get<std::string>().find("/simulate/corruption"), std::string::npos);
}

TEST(Systems, VersionsMoveOnFromAnOverloadedOne)
{
    RunningSystem system("versions");
    const auto port = system.port(8010);
    EXPECT_EQ(get(port, "/").json()["version"], "v1");
    ASSERT_TRUE(eventually([&] { return get(port, "/status").json().value("v2_healthy", false); }));

    EXPECT_EQ(post(system.port(8001), "/simulate/cpu/100").status(), 200);
    EXPECT_TRUE(eventually([&] { return get(port, "/status").json().value("active", "") == "v2"; }))
        << get(port, "/status").message.body;
    const auto asked = Clock::now();
    EXPECT_EQ(get(port, "/").json()["version"], "v2");
    EXPECT_LT(Clock::now() - asked, seconds(2));
    EXPECT_EQ(get(system.port(8001), "/data").status(), 200) << "it is late, not stuck";
}

TEST(Systems, OrdersScaledAsksEveryLocalUserForAPassword)
{
    RunningSystem system("orders-scaled", {});
    ASSERT_TRUE(eventually([&] { return get(system.port(8080), "/queue").status() == 200; }));
    RawClient redis(system.port(6379));
    redis.send("PING\r\n");
    EXPECT_TRUE(redis.read_some(64).starts_with("-NOAUTH"));
    // A start-up message is answered with AuthenticationSASL, 10 (PostgreSQL documentation, "Message Formats").
    RawClient postgres(system.port(5432));
    const std::string parameters("user\0hotspare\0database\0orders\0\0", 31);
    postgres.send(std::string("\0\0\0\x27\0\3\0\0", 8) + parameters);
    EXPECT_EQ(postgres.read_some(9), std::string("R\0\0\0\x17\0\0\0\x0a", 9));
}

TEST(Systems, OrdersScaled)
{
    // What was on its way to a process that dies is given to another one when its lease ends.
    RunningSystem system("orders-scaled",
                         {{"order_service_1", {"--lease", "2s"}}, {"order_service_2", {"--lease", "2s"}}});
    const auto gateway = system.port(8080);
    // The services are up before they have met their store.
    ASSERT_TRUE(eventually([&] { return get(gateway, "/queue").status() == 200; }));
    for (const std::string id : {"a", "b", "c", "d"})
        EXPECT_EQ(post(gateway, "/create_order", R"({"order_id":")" + id + R"(","product":"x","quantity":1})").status(),
                  200);
    const auto status_of = [&](unsigned service, const std::string& id) {
        const auto answer = get(system.port(service), "/orders/" + id);
        return answer.status() == 200 ? answer.json().value("status", "") : std::to_string(answer.status());
    };
    for (const unsigned service : {5001U, 5011U})
        for (const std::string id : {"a", "b", "c", "d"})
            EXPECT_TRUE(eventually([&] { return status_of(service, id) == "Validated"; })) << service << " " << id;

    // The clients' gateway leads to no work, and that of the workers takes it from no page.
    const auto settle = [&](std::uint16_t port, const std::vector<Header>& headers) {
        return request(port, "POST", "/jobs/settle", headers, R"({"results":[]})").status();
    };
    EXPECT_EQ(settle(gateway, {{"Content-Type", "application/json"}}), 404);
    EXPECT_EQ(settle(system.port(8180), {{"Content-Type", "application/json"}}), 200);
    EXPECT_EQ(settle(system.port(8180), {{"Content-Type", "text/plain"}}), 403);
    EXPECT_EQ(settle(system.port(8180), {{"Origin", "http://evil.example"}}), 403);
    EXPECT_EQ(get(system.port(8180), "/get_orders").status(), 404) << "and it leads to nothing else";

    // Either worker can be asked and held by itself.
    EXPECT_EQ(post(gateway, "/workers/2/pause").status(), 403);
    EXPECT_EQ(post(system.port(5012), "/pause").status(), 200);
    EXPECT_EQ(get(gateway, "/workers/1/work").json().value("paused", true), false);
    EXPECT_EQ(get(gateway, "/work").json().value("paused", true), false);
    EXPECT_EQ(get(gateway, "/workers/2/work").json().value("paused", false), true);

    EXPECT_TRUE(eventually([&] { return get(gateway, "/queue").json()["workers_paused"].size() == 1; }));
    EXPECT_EQ(post(system.port(5012), "/resume").status(), 200);

    // The end of one order service stops no other service, and loses no creation.
    // First it stands still, so that some are surely on their way when it dies.
    const auto signal = [&](int number) { return [&, number] { system.process("order_service_2").signal(number); }; };
    const auto result = run_load(unkeyed_creations(gateway),
                                 {{milliseconds(400), signal(SIGSTOP)}, {milliseconds(450), signal(SIGKILL)}});
    for (const auto& sample : result.samples) {
        const auto id = "load-" + std::to_string(sample.number);
        if (sample.status != 200) { // a disk on which the database stood still
            EXPECT_EQ(sample.status, 503) << result.summary();
            EXPECT_GE(sample.latency(), milliseconds(1400)) << result.summary();
            continue;
        }
        EXPECT_TRUE(eventually([&] { return status_of(8080, id) == "Validated"; })) << id;
    }
}

} // namespace TEST_FILE
} // namespace hotspare::test
