// The document that the failover system makes true, step by step, and how the programs of the suite start: quickly, and
// not at all with a configuration that is wrong.
#include "tests/support/fleet.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <pwd.h>
#include <unistd.h>

namespace hotspare::test {
namespace TEST_FILE {

double ms(Clock::duration d)
{
    return std::chrono::duration<double, std::milli>(d).count();
}

class Seed : public testing::Test {
protected:
    Answer curl(const std::string& method, std::uint16_t port, const std::string& target)
    {
        return request(port, method, target, {{"User-Agent", "curl/7.88.1"}, {"Accept", "*/*"}});
    }
    std::string service() { return curl("GET", balancer_.port(), "/data").json().value("service", "none"); }

    TempDir dir_;
    Backend primary_{"primary", (dir_.path() / "data.db").string()};
    Backend spare_{"spare", (dir_.path() / "data.db").string()};
    Balancer balancer_{{{"primary", primary_.port()}, {"spare", spare_.port()}}, {"--admin"}};
};

TEST_F(Seed, TheSixStepsOfTheDemonstration)
{
    // 1. Verify primary is serving traffic
    const Answer data = curl("GET", balancer_.port(), "/data");
    EXPECT_EQ(data.status(), 200);
    EXPECT_EQ(data.json()["service"], "primary");
    EXPECT_EQ(data.json()["role"], "primary");
    EXPECT_EQ(data.json()["status"], "ok");
    EXPECT_EQ(data.message.header("X-Served-By"), "primary");

    // 2. Check load-balancer state
    ASSERT_TRUE(balancer_.wait_for("primary", "healthy"));
    ASSERT_TRUE(balancer_.wait_for("spare", "healthy"));
    const auto status = curl("GET", balancer_.port(), "/status");
    EXPECT_NE(status.message.body.find(R"("primary_healthy":true)"), std::string::npos) << status.message.body;
    EXPECT_EQ(status.json()["spare_healthy"], true);
    EXPECT_EQ(status.json()["active"], "primary");

    // 3. Inject failure into Primary
    EXPECT_EQ(curl("POST", primary_.port(), "/fail").status(), 200);

    // 4. Traffic is now routed to Spare, at once
    EXPECT_EQ(service(), "spare");
    ASSERT_TRUE(balancer_.wait_active("spare"));
    EXPECT_EQ(balancer_.status()["primary_healthy"], false);

    // 5. Recover Primary
    EXPECT_EQ(curl("POST", primary_.port(), "/recover").status(), 200);

    // 6. Traffic routes back to Primary automatically
    EXPECT_TRUE(eventually([&] { return service() == "primary"; }));
    const auto after = balancer_.status();
    EXPECT_EQ(after["primary_healthy"], true);
    EXPECT_GE(after.value("failovers", 0), 1) << after;
    EXPECT_TRUE(after.contains("last_failover") && after["last_failover"].contains("detection_ms")) << after;
}

TEST_F(Seed, TheMonitorAloneNoticesWithinThreeSeconds)
{
    ASSERT_TRUE(balancer_.wait_for("primary", "healthy"));
    ASSERT_TRUE(balancer_.wait_for("spare", "healthy"));
    const auto failed_at = Clock::now();
    EXPECT_EQ(curl("POST", primary_.port(), "/fail").status(), 200);
    ASSERT_TRUE(balancer_.wait_active("spare")); // only /status is asked: no request meets the primary
    const auto took = Clock::now() - failed_at;
    std::printf("[ MEASURED ] failover by the monitor alone: %.0f ms (target: < 3000 ms)\n", ms(took));
    EXPECT_LT(took, seconds(3));
    EXPECT_EQ(service(), "spare");
}

TEST_F(Seed, TheMonitorAloneNoticesAHang)
{
    ASSERT_TRUE(balancer_.wait_for("primary", "healthy"));
    ASSERT_TRUE(balancer_.wait_for("spare", "healthy"));
    const auto failed_at = Clock::now();
    primary_.stop();
    ASSERT_TRUE(balancer_.wait_active("spare"));
    const auto took = Clock::now() - failed_at;
    std::printf("[ MEASURED ] failover after a hang by the monitor alone: %.0f ms (target: < 3000 ms)\n", ms(took));
    EXPECT_LT(took, seconds(3));
}

TEST_F(Seed, WhatWasAcknowledgedSurvivesTheFailover)
{
    const std::uint16_t port = balancer_.port();
    for (int i = 0; i < 10; ++i) {
        const Answer put = request(port, "PUT", fmt::format("/data/key-{}", i), {{"Content-Type", "application/json"}},
                                   fmt::format(R"({{"n":{}}})", i));
        EXPECT_TRUE(put.status() == 200 || put.status() == 201 || put.status() == 204)
            << put.status() << put.message.body;
        EXPECT_EQ(put.message.header("X-Served-By"), "primary");
    }
    primary_.crash();
    for (int i = 0; i < 10; ++i) {
        const Answer read = get(port, fmt::format("/data/key-{}", i));
        EXPECT_EQ(read.status(), 200) << read.message.body;
        EXPECT_NE(read.message.body.find(fmt::format("\"n\":{}", i)), std::string::npos) << read.message.body;
        EXPECT_EQ(read.message.header("X-Served-By"), "spare");
    }
}

TEST_F(Seed, TheOperatorsWordIsObeyed)
{
    ASSERT_TRUE(balancer_.wait_for("primary", "healthy"));
    ASSERT_TRUE(balancer_.wait_for("spare", "healthy"));
    const std::uint16_t port = balancer_.port();
    EXPECT_EQ(post(port, "/admin/backends/primary/drain").status(), 200);
    EXPECT_TRUE(balancer_.wait_for("primary", "draining"));
    EXPECT_EQ(service(), "spare");
    EXPECT_EQ(post(port, "/admin/backends/primary/maintenance").status(), 200);
    EXPECT_TRUE(balancer_.wait_for("primary", "maintenance"));
    EXPECT_EQ(service(), "spare");
    EXPECT_EQ(post(port, "/admin/backends/primary/enable").status(), 200);
    EXPECT_TRUE(balancer_.wait_active("primary"));
    EXPECT_EQ(post(port, "/admin/failover", R"({"to":"spare"})").status(), 200);
    EXPECT_TRUE(balancer_.wait_active("spare"));
    EXPECT_EQ(service(), "spare");
    // What was planned is no failure.
    EXPECT_TRUE(balancer_.process().wait_line("failover of pool 'default' from 'primary' to 'spare'"));
    EXPECT_EQ(balancer_.process().err().find(R"("level":"warning")"), std::string::npos) << balancer_.process().err();
    for (const auto* server : {"primary", "spare"})
        EXPECT_EQ(post(port, std::string("/admin/backends/") + server + "/drain").status(), 200);
    EXPECT_TRUE(balancer_.process().wait_line("outage of pool 'default'"));
    EXPECT_EQ(balancer_.process().err().find(R"("level":"error")"), std::string::npos) << balancer_.process().err();
}

TEST_F(Seed, StatusHoldsWhatItIsSaidToHold)
{
    ASSERT_TRUE(balancer_.wait_for("primary", "healthy"));
    EXPECT_EQ(service(), "primary");
    const auto status = balancer_.status();
    ASSERT_EQ(status["backends"].size(), 2U) << status;
    for (const auto& backend : status["backends"]) {
        for (const char* field : {"name", "url", "status", "healthy", "since", "cause", "last_probe"})
            EXPECT_TRUE(backend.contains(field)) << field << " in " << backend;
        for (const char* field : {"at", "latency_ms", "outcome"})
            EXPECT_TRUE(backend["last_probe"].contains(field)) << field << " in " << backend;
    }
    for (const char* field : {"total", "saved", "lost"})
        EXPECT_TRUE(status["requests"].contains(field)) << field << " in " << status;
    EXPECT_TRUE(status.contains("failovers") && status.contains("last_failover")) << status;
}

TEST(SeedStart, TakesLessThanATenthOfASecond)
{
    std::vector<double> times;
    for (int i = 0; i < 5; ++i) {
        Balancer balancer({{"primary", 1}, {"spare", 2}});
        times.push_back(ms(balancer.process().time_to_ready()));
    }
    std::sort(times.begin(), times.end());
    std::printf("[ MEASURED ] start of the balancer: %.1f ms, median of 5 (target: < 100 ms)\n", times[2]);
    EXPECT_LT(times.front(), 1000);
}

TEST(SeedStart, SignalsEndEveryProgramCleanly)
{
    TempDir dir;
    for (const int signal : {SIGTERM, SIGINT}) {
        Backend primary("primary", (dir.path() / "data.db").string());
        Backend spare("spare", (dir.path() / "data.db").string());
        Balancer balancer({{"primary", primary.port()}, {"spare", spare.port()}});
        for (Process* p : {&balancer.process(), &spare.process(), &primary.process()}) {
            p->signal(signal);
            EXPECT_EQ(p->wait_exit(), 0) << p->description();
        }
    }
}

TEST(SeedStart, HangupAndUserSignalsEndNoProgram)
{
    TempDir dir;
    Backend primary("primary", (dir.path() / "data.db").string());
    Balancer balancer({{"primary", primary.port()}});
    for (const int signal : {SIGHUP, SIGUSR1, SIGHUP}) {
        balancer.process().signal(signal);
        primary.process().signal(signal);
    }
    EXPECT_TRUE(eventually([&] {
        return balancer.process().err().find("reload failed, nothing has changed") != std::string::npos &&
               primary.process().err().find("SIGHUP is ignored") != std::string::npos &&
               primary.process().err().find("SIGUSR1 is ignored") != std::string::npos;
    }));
    EXPECT_EQ(test::request(balancer.port(), "GET", "/data").status(), 200);
    for (Process* p : {&balancer.process(), &primary.process()}) {
        p->signal(SIGTERM);
        EXPECT_EQ(p->wait_exit(), 0) << p->description();
    }
}

TEST(SeedStart, ADaemonOfRootGivesUpItsRights)
{
    TempDir dir;
    if (::geteuid() != 0) {
        const auto refused = run(binary("primary"), {"--port", "0", "--user", "root"});
        EXPECT_EQ(refused.code, 2) << refused.err;
        return;
    }
    std::filesystem::permissions(dir.path(), std::filesystem::perms::all);
    Process primary(binary("primary"),
                    {"--port", "0", "--user", "nobody", "--data", (dir.path() / "data.db").string()});
    const auto port = primary.wait_ready();
    EXPECT_EQ(test::request(port, "GET", "/data").status(), 200);
    std::ifstream file("/proc/" + std::to_string(primary.pid()) + "/status");
    const std::string status(std::istreambuf_iterator<char>(file), {});
    const auto uid = std::to_string(::getpwnam("nobody")->pw_uid);
    EXPECT_NE(status.find("Uid:\t" + uid + "\t" + uid + "\t" + uid), std::string::npos) << status;
    EXPECT_NE(status.find("CapEff:\t0000000000000400"), std::string::npos) << "CAP_NET_BIND_SERVICE alone\n" << status;
    EXPECT_EQ(status.find("Groups:\t0"), std::string::npos) << status;

    // Without --user it stays root's, and may do no more than others.
    Process of_root(binary("primary"), {"--port", "0", "--data", (dir.path() / "of_root.db").string()});
    EXPECT_EQ(test::request(of_root.wait_ready(), "GET", "/data").status(), 200);
    std::ifstream its_file("/proc/" + std::to_string(of_root.pid()) + "/status");
    const std::string its_status(std::istreambuf_iterator<char>(its_file), {});
    EXPECT_NE(its_status.find("Uid:\t0\t0\t0"), std::string::npos) << its_status;
    for (const std::string set : {"CapPrm", "CapEff", "CapBnd"})
        EXPECT_NE(its_status.find(set + ":\t0000000000000400"), std::string::npos) << set << "\n" << its_status;
    EXPECT_NE(its_status.find("NoNewPrivs:\t1"), std::string::npos) << its_status;

    const auto unknown = run(binary("primary"), {"--port", "0", "--user", "no-such-user"});
    EXPECT_EQ(unknown.code, 2);
    EXPECT_EQ(unknown.err, "--user: no user 'no-such-user', expected one of this machine\n");
}

// --- Wrong configurations --------------------------------------------------------------------------------------------

/// Exit code 2 and one line that names the place and the mistake.
void expect_usage_error(const std::string& what, const Finished& done, const std::vector<std::string>& mentions)
{
    SCOPED_TRACE(what);
    EXPECT_EQ(done.code, 2) << done.err;
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    EXPECT_EQ(done.out, "");
    for (const auto& mention : mentions)
        EXPECT_NE(done.err.find(mention), std::string::npos) << mention << " in " << done.err;
}

TEST(BadConfiguration, InAFileIsRefusedWithItsPlace)
{
    const std::string backends = "backends:\n"
                                 "  - {name: a, url: \"http://127.0.0.1:1\"}\n"
                                 "  - {name: b, url: \"http://127.0.0.1:2\"}\n";
    struct Case {
        std::string what, yaml, place; ///< place: line:column
        std::vector<std::string> mentions;
    };
    const std::vector<Case> cases{
        {"unknown key", "lisen: 127.0.0.1:0\n" + backends, "1:1", {"lisen", "listen"}},
        {"unknown nested key", backends + "timeouts:\n  requst: 1s\n", "5:3", {"requst", "request"}},
        {"wrong type", backends + "workers: many\n", "4:10", {"many"}},
        {"a list for a scalar", backends + "workers: [1]\n", "4:10", {}},
        {"a scalar for a list", "backends: a\n", "1:11", {}},
        {"unknown unit", backends + "timeouts: {request: 5x}\n", "4:21", {"5x"}},
        {"no unit", backends + "timeouts: {request: 5}\n", "4:21", {"5"}},
        {"negative duration", backends + "timeouts: {request: -5s}\n", "4:21", {"-5s"}},
        {"unknown size unit", backends + "limits: {header: 5Kb}\n", "4:18", {"5Kb"}},
        {"a number out of range", backends + "timeouts: {request: 25h}\n", "4:21", {"25h"}},
        {"duplicate backend", backends + "  - {name: a, url: \"http://127.0.0.1:3\"}\n", "4:12", {"duplicate", "'a'"}},
        {"duplicate key", backends + "workers: 1\nworkers: 2\n", "5:1", {"workers"}},
        {"duplicate pool",
         backends + "pools:\n  - {name: p, backends: [a]}\n  - {name: p, backends: [b]}\n",
         "6:12",
         {"duplicate", "'p'"}},
        {"unknown backend", backends + "pools:\n  - {name: p, backends: [a, c]}\n", "5:29", {"'c'"}},
        {"unknown pool", backends + "routes:\n  - {prefix: /, pool: nowhere}\n", "5:23", {"'nowhere'"}},
        {"unknown policy", backends + "pools:\n  - {name: p, policy: best}\n", "5:23", {"best", "failover"}},
        {"a URL with a path", "backends:\n  - {name: a, url: \"http://127.0.0.1:1/x\"}\n", "2:20", {}},
        {"another scheme", "backends:\n  - {name: a, url: \"https://127.0.0.1:1\"}\n", "2:20", {"http"}},
        {"no backends", "workers: 1\n", "", {"backend"}},
        {"not YAML", "listen: [\n", "", {}},
    };
    TempDir dir;
    for (const auto& [what, yaml, place, mentions] : cases) {
        const std::string file = dir.write("balancer.yaml", yaml);
        std::vector<std::string> all = mentions;
        all.push_back(place.empty() ? file : file + ":" + place);
        expect_usage_error(what, run(binary("balancer"), {"--config", file, "--listen", "127.0.0.1:0"}), all);
    }
    expect_usage_error("a file that does not exist", run(binary("balancer"), {"--config", dir.path() / "none.yaml"}),
                       {"none.yaml"});
}

TEST(BadConfiguration, InAFlagIsRefusedWithItsName)
{
    const std::vector<std::string> backend{"--backend", "a=http://127.0.0.1:1"};
    struct Case {
        std::vector<std::string> flags;
        std::vector<std::string> mentions;
    };
    const std::vector<Case> cases{
        {{"--no-such-flag"}, {"--no-such-flag"}},
        {{"--workers"}, {"--workers"}},
        {{"--workers", "many"}, {"--workers", "many"}},
        {{"--workers", "-1"}, {"--workers", "-1"}},
        {{"--timeouts-request", "5"}, {"--timeouts-request", "5"}},
        {{"--timeouts-request", "5 parsecs"}, {"--timeouts-request", "parsecs"}},
        {{"--limits-header", "5KB"}, {"--limits-header", "5KB"}},
        {{"--listen", "127.0.0.1"}, {"--listen", "127.0.0.1"}},
        {{"--listen", "127.0.0.1:99999"}, {"--listen", "99999"}},
        {{"--listen", "nowhere.invalid:0"}, {"--listen", "nowhere.invalid"}},
        {{"--policy", "best"}, {"--policy", "best"}},
        {{"--backend", "a"}, {"--backend", "a"}},
        {{"--backend", "b=ftp://127.0.0.1:1"}, {"--backend", "ftp"}},
        {{"--backend", "a=http://127.0.0.1:2"}, {"--backend", "duplicate", "'a'"}},
        {{"stray"}, {"stray"}},
    };
    for (const auto& [flags, mentions] : cases) {
        std::vector<std::string> all = backend;
        all.insert(all.end(), flags.begin(), flags.end());
        expect_usage_error(fmt::format("{}", fmt::join(flags, " ")), run(binary("balancer"), all), mentions);
    }
    expect_usage_error("no backend at all", run(binary("balancer"), {}), {"backend"});
    for (const std::string program : {"primary", "spare"}) {
        expect_usage_error(program + " --port", run(binary(program), {"--port", "many"}), {"--port", "many"});
        expect_usage_error(program + " --fail-mode", run(binary(program), {"--fail-mode", "odd"}),
                           {"--fail-mode", "odd"});
        expect_usage_error(program + " --nothing", run(binary(program), {"--nothing"}), {"--nothing"});
    }
}

TEST(BadConfiguration, InTheEnvironmentIsRefusedWithItsName)
{
    Process::Options options;
    options.environment = {{"HOTSPARE_WORKERS", "many"}};
    expect_usage_error("workers", run(binary("balancer"), {"--backend", "a=http://127.0.0.1:1"}, options),
                       {"HOTSPARE_WORKERS", "many"});
}

TEST(BadConfiguration, ABusyPortIsNamed)
{
    const Fd taken = listen_loopback(0);
    const std::string port = std::to_string(local_port(taken));
    expect_usage_error("balancer",
                       run(binary("balancer"), {"--listen", "127.0.0.1:" + port, "--backend", "a=http://127.0.0.1:1"}),
                       {"--listen", port});
    TempDir dir;
    const std::string file = dir.write("balancer.yaml", "workers: 1\nlisten: 127.0.0.1:" + port +
                                                            "\nbackends: [{name: a, url: \"http://127.0.0.1:1\"}]\n");
    expect_usage_error("balancer with a file", run(binary("balancer"), {"--config", file}), {file + ":2:9", port});
    for (const std::string program : {"primary", "spare"})
        expect_usage_error(program, run(binary(program), {"--port", port, "--data", (dir.path() / "data.db").string()}),
                           {"--port", port});
}

TEST(GoodConfiguration, IsCheckedWithoutStarting)
{
    TempDir dir;
    const std::string file = dir.write("balancer.yaml", "backends: [{name: a, url: \"http://127.0.0.1:1\"}]\n");
    const Finished checked = run(binary("balancer"), {"--config", file, "--check-config"});
    EXPECT_EQ(checked.code, 0);
    EXPECT_NE(checked.out.find("the configuration is valid"), std::string::npos) << checked.out;
    const Finished printed = run(binary("balancer"), {"--config", file, "--print-config"});
    EXPECT_EQ(printed.code, 0);
    const std::string copy = dir.write("copy.yaml", printed.out);
    const Finished again = run(binary("balancer"), {"--config", copy, "--print-config"});
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(again.out, printed.out);
    for (const std::string program : {"primary", "spare", "balancer"}) {
        const Finished help = run(binary(program), {"--help"});
        EXPECT_EQ(help.code, 0);
        EXPECT_NE(help.out.find("--port"), std::string::npos) << help.out;
    }
}

TEST(GoodConfiguration, FlagsOverrideTheEnvironmentThatOverridesTheFile)
{
    TempDir dir;
    const std::string file =
        dir.write("balancer.yaml", "workers: 1\nbackends: [{name: a, url: \"http://127.0.0.1:1\"}]\n");
    Process::Options options;
    const auto workers = [&](const std::vector<std::string>& more) {
        std::vector<std::string> flags{"--config", file, "--print-config"};
        flags.insert(flags.end(), more.begin(), more.end());
        const std::string out = run(binary("balancer"), flags, options).out;
        const auto at = out.find("workers: ");
        return at == std::string::npos ? out : out.substr(at + 9, 1);
    };
    EXPECT_EQ(workers({}), "1");
    options.environment = {{"HOTSPARE_WORKERS", "2"}};
    EXPECT_EQ(workers({}), "2");
    EXPECT_EQ(workers({"--workers", "3"}), "3");
}

} // namespace TEST_FILE
} // namespace hotspare::test
