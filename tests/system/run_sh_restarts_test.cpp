// What of a system that run.sh has started is started again when it ends, and what is not.
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/run_sh.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <map>
#include <regex>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

namespace fs = std::filesystem;

TEST_F(RunSh, UpStartsAgainWhatIsDownAndTouchesNothingElse)
{
    ASSERT_EQ(sh({"up"}).code, 0);
    const pid_t balancer = recorded("failover", "balancer.pid");
    const pid_t primary = recorded("failover", "primary.pid");
    ::kill(recorded("failover", "spare.pid"), SIGTERM); // ends with 0, which counts as its own decision
    ASSERT_TRUE(eventually([&] { return recorded("failover", "spare.pid") == 0; }));
    EXPECT_EQ(sh({"stop", "primary"}).code, 0);
    const auto status = sh({"status"});
    EXPECT_NE(status.out.find("down: exited with 0 after"), std::string::npos) << status.out;
    EXPECT_NE(status.out.find("down: stopped; ./run.sh up starts it again"), std::string::npos) << status.out;

    const auto up = sh({"up"});
    EXPECT_EQ(up.code, 0) << up.err;
    EXPECT_NE(up.out.find("starting again: primary spare"), std::string::npos) << up.out;
    EXPECT_EQ(get(port(5001), "/health").status(), 200);
    EXPECT_EQ(get(port(5002), "/health").status(), 200);
    EXPECT_EQ(recorded("failover", "balancer.pid"), balancer);
    EXPECT_NE(recorded("failover", "primary.pid"), primary);
    EXPECT_NE(sh({"up"}).out.find("already runs"), std::string::npos);
}

TEST_F(RunSh, AKilledSupervisorHarmsNoDaemonAndTheNextAdoptsThem)
{
    ASSERT_EQ(sh({"up"}).code, 0);
    std::map<std::string, pid_t> pids;
    for (const auto* name : {"primary", "spare", "balancer"})
        pids[name] = recorded("failover", name + std::string(".pid"));
    for (const std::string command : {"status", "up"}) {
        const pid_t supervisor = recorded("failover", "supervisor.pid");
        ::kill(supervisor, SIGKILL);
        ASSERT_TRUE(eventually([&] { return !alive(supervisor); }));
        for (const auto& [name, pid] : pids) EXPECT_TRUE(alive(pid)) << name;
        EXPECT_EQ(get(port(5000), "/data").status(), 200);

        const auto next = sh({command});
        EXPECT_EQ(next.code, 0) << next.err;
        EXPECT_NE(next.out.find("another has adopted its daemons"), std::string::npos) << next.out;
        for (const auto& [name, pid] : pids) {
            EXPECT_TRUE(std::regex_search(next.out, std::regex(name + " +pid " + std::to_string(pid) + " ")))
                << next.out;
            EXPECT_EQ(recorded("failover", name + ".pid"), pid);
        }
        EXPECT_NE(recorded("failover", "supervisor.pid"), supervisor);
    }
    // What was adopted is kept running, and clients wait meanwhile as before.
    ::kill(pids["balancer"], SIGKILL);
    EXPECT_EQ(get(port(5000), "/data").status(), 200);
    EXPECT_NE(recorded("failover", "balancer.pid"), pids["balancer"]);
    EXPECT_EQ(sh({"stop"}).code, 0);
    EXPECT_EQ(left_behind(), std::vector<std::string>());
}

TEST_F(RunSh, RestartGivesADaemonANewProcess)
{
    ASSERT_EQ(sh({"up"}).code, 0);
    for (const std::string name : {"balancer", "spare"}) {
        const pid_t before = recorded("failover", name + ".pid");
        const auto done = sh({"restart", name});
        EXPECT_EQ(done.code, 0) << done.err;
        EXPECT_NE(done.out.find("restarted " + name), std::string::npos) << done.out;
        EXPECT_NE(recorded("failover", name + ".pid"), before);
        EXPECT_EQ(get(port(5000), "/data").status(), 200);
    }
    const auto unknown = sh({"restart", "third"});
    EXPECT_EQ(unknown.code, 2);
    EXPECT_NE(unknown.err.find("no daemon 'third' runs"), std::string::npos) << unknown.err;
    EXPECT_EQ(sh({"restart"}).code, 2);
    EXPECT_EQ(sh({"stop"}).code, 0);
    EXPECT_EQ(left_behind(), std::vector<std::string>());
}

TEST_F(RunSh, ClientsWaitWhileTheBalancerIsStartedAgain)
{
    ASSERT_EQ(sh({"up"}).code, 0);
    for (int i = 0; i < 3; ++i) {
        const pid_t balancer = recorded("failover", "balancer.pid");
        ::kill(balancer, SIGKILL);
        ASSERT_TRUE(eventually([&] { return !alive(balancer); }));
        EXPECT_EQ(get(port(5000), "/data").status(), 200) << i;
    }
    // A server that is down refuses at once: waiting is for what no other can answer.
    EXPECT_EQ(sh({"stop", "primary"}).code, 0);
    EXPECT_TRUE(nothing_listens({5001}));
    EXPECT_EQ(sh({"stop", "balancer"}).code, 0);
    EXPECT_TRUE(nothing_listens({5000})) << "a balancer that is stopped on purpose keeps no client waiting";
}

TEST_F(RunSh, ACrashedDaemonIsStartedAgain)
{
    ASSERT_EQ(sh({"up"}).code, 0);
    const pid_t first = recorded("failover", "primary.pid");
    post(port(5001), "/fail?mode=crash");
    EXPECT_TRUE(eventually([&] {
        const pid_t now = recorded("failover", "primary.pid");
        return now != 0 && now != first && get(port(5001), "/health").status() == 200;
    }));
    EXPECT_NE(sh({"status"}).out.find("restarts 1"), std::string::npos);
    EXPECT_NE(sh({"status"}).out.find("last exit: exited with 1 after "), std::string::npos);
    EXPECT_NE(sh({"logs", "primary"}).out.find("exited with 1 "), std::string::npos);
}

TEST_F(RunSh, ADaemonThatRefusesItsConfigurationIsReportedNotRestarted)
{
    replace_program("balancer", "echo 'line 3: no such key'; exit 2");
    const auto up = sh({"up"});
    EXPECT_EQ(up.code, 1);
    EXPECT_NE(up.err.find("balancer exited with 2"), std::string::npos) << up.err;
    EXPECT_NE(up.err.find("line 3: no such key"), std::string::npos) << "its own words: " << up.err;
    EXPECT_TRUE(nothing_listens({5001, 5002})) << "what had started is stopped again";
}

TEST_F(RunSh, OrdersOnEnginesOutliveTheEngine)
{
    const auto place = [&](const std::string& id) {
        return post(port(8080), "/create_order", R"({"order_id":")" + id + R"(","product":"x","quantity":1})").status();
    };
    const auto status_of = [&](const std::string& id, unsigned service) {
        const auto answer = get(port(service), "/orders/" + id);
        return answer.status() == 200 ? answer.json().value("status", "") : std::to_string(answer.status());
    };
    const std::vector<std::string> command{"up", "orders", "--engine", "postgres+redis"};
    const auto up = sh(command, seconds(120));
    ASSERT_EQ(up.code, 0) << up.out << up.err;
    EXPECT_EQ(place("first"), 200) << "it is up when orders can be placed";
    for (const unsigned service : {5001U, 5011U})
        EXPECT_TRUE(eventually([&] { return status_of("first", service) == "Validated"; })) << service;
    for (const char* worker : {"/work", "/workers/1/work", "/workers/2/work"})
        EXPECT_EQ(get(port(8080), worker).status(), 200) << worker;
    EXPECT_TRUE(std::regex_search(
        sh({"status"}).out, std::regex("postgres +pid [0-9]+ +ports " + std::to_string(port(5432)) + " +restarts 0")));

    // By the other two signals they exit with 0, as if they had been meant to stop.
    const std::vector<std::pair<std::string, int>> ends{
        {"postgres.pid", SIGKILL}, {"postgres.pid", SIGINT}, {"redis.pid", SIGTERM}};
    for (const auto& [engine, signal] : ends) {
        // Until it works, a background process ignores SIGINT.
        ASSERT_TRUE(eventually([&, end = signal] { return place("before-" + std::to_string(end)) == 200; }));
        const pid_t ended = recorded("orders-scaled", engine);
        ::kill(ended, signal);
        EXPECT_TRUE(eventually([&, name = engine] {
            const pid_t now = recorded("orders-scaled", name);
            return now != 0 && now != ended;
        })) << engine
            << " is not started again after signal " << signal;
    }
    EXPECT_TRUE(eventually([&] { return place("second") == 200; }));
    EXPECT_TRUE(eventually([&] { return status_of("second", 8080) == "Validated"; }));
    EXPECT_EQ(status_of("first", 8080), "Validated");

    EXPECT_EQ(sh({"stop"}).code, 0);
    EXPECT_EQ(left_behind(), std::vector<std::string>());
    EXPECT_FALSE(fs::exists(instance("orders-scaled") / "postgres" / "postmaster.pid")) << "it was not ended in order";
    EXPECT_TRUE(nothing_listens({5001, 5011, 5432, 6379, 8080}));

    EXPECT_EQ(sh(command, seconds(120)).code, 0);
    EXPECT_EQ(status_of("first", 8080), "Validated");
}

} // namespace TEST_FILE
} // namespace hotspare::test
