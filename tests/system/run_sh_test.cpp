// run.sh as a user meets it: what it starts, what it says, what it refuses, and that it leaves nothing behind. What it
// restarts and what an interruption leaves are run_sh_restarts_test.cpp's and run_sh_interruptions_test.cpp's.
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/run_sh.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <unistd.h>

namespace hotspare::test {
namespace TEST_FILE {

namespace fs = std::filesystem;

TEST_F(RunSh, BadUsageIsRefusedWithCode2)
{
    const auto unknown = sh({"dance"});
    EXPECT_EQ(unknown.code, 2);
    EXPECT_NE(unknown.err.find("unknown command: dance"), std::string::npos) << unknown.err;
    EXPECT_NE(unknown.err.find("usage:"), std::string::npos);

    const auto system = sh({"up", "nosuch"});
    EXPECT_EQ(system.code, 2);
    EXPECT_NE(system.err.find("failover"), std::string::npos) << "the known ones are named: " << system.err;

    const auto target = sh({"fuzz", "nosuch"});
    EXPECT_EQ(target.code, 2);
    EXPECT_NE(target.err.find("request"), std::string::npos) << "the known ones are named: " << target.err;
    EXPECT_EQ(sh({"fuzz", "request", "--seconds", "many"}).code, 2);
    EXPECT_EQ(sh({"fuzz", "request", "--seed", "0"}).code, 2);

    EXPECT_EQ(run(source_file("run.sh"), {"up", "--port-offset", "many"}, options()).code, 2);
    EXPECT_EQ(run(source_file("run.sh"), {"up", "--port-offset"}, options()).code, 2);

    const std::vector<std::vector<std::string>> surplus{{"status", "extra"}, {"status", "--bogus"}, {"help", "extra"},
                                                        {"up", "--bogus"},   {"stop", "--bogus"},   {"demo", "extra"},
                                                        {"logs", "a", "b"},  {"build", "extra"}};
    for (const auto& arguments : surplus) {
        const auto refused = sh(arguments);
        EXPECT_EQ(refused.code, 2) << arguments.front();
        EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
    }
    const auto engine = sh({"up", "orders", "--engine", "abacus"});
    EXPECT_EQ(engine.code, 2);
    EXPECT_NE(engine.err.find("sqlite postgres+redis"), std::string::npos)
        << "the known ones are named: " << engine.err;
    EXPECT_EQ(sh({"up", "failover", "--engine", "sqlite"}).code, 2) << "only orders have a choice";
    EXPECT_EQ(run(source_file("run.sh"), {"up", "orders", "--engine"}, options()).code, 2);

    EXPECT_EQ(sh({""}).code, 2) << "no command at all is `up`, an empty one is a mistake";
    for (const std::vector<std::string>& arguments : {std::vector<std::string>{"help"},
                                                      {"-h"},
                                                      {"up", "--help"},
                                                      {"logs", "-h"},
                                                      {"test", "--help"},
                                                      {"fuzz", "-h"},
                                                      {"prove", "-h"}}) {
        const auto help = run(source_file("run.sh"), arguments, options());
        EXPECT_EQ(help.code, 0) << arguments.front();
        EXPECT_EQ(help.out.rfind("usage: ./run.sh [COMMAND]", 0), 0U) << help.out;
    }
}

TEST_F(RunSh, UpServesStatusTellsStopLeavesNothing)
{
    const auto up = sh({"up"});
    ASSERT_EQ(up.code, 0) << up.out << up.err;
    EXPECT_NE(up.out.find("curl localhost:" + std::to_string(port(5000)) + "/data"), std::string::npos) << up.out;
    for (std::size_t begin = 0; begin < up.out.size(); begin = up.out.find('\n', begin) + 1)
        EXPECT_LE(up.out.find('\n', begin) - begin, 80U) << up.out;
    // A hedged request may be answered by the spare, on a machine that is busy with other tests.
    EXPECT_TRUE(test::eventually([&] { return get(port(5000), "/data").json().value("service", "") == "primary"; }));

    const auto again = sh({"up"});
    EXPECT_EQ(again.code, 0);
    EXPECT_NE(again.out.find("already runs"), std::string::npos) << again.out;

    const auto status = sh({"status"});
    for (const auto* name : {"primary", "spare", "balancer"})
        EXPECT_TRUE(std::regex_search(status.out, std::regex(std::string(name) + " +pid [0-9]+"))) << status.out;
    EXPECT_EQ(sh({"logs", "balancer"}).code, 0);
    const auto unknown = sh({"logs", "nosuch"});
    EXPECT_EQ(unknown.code, 2);
    EXPECT_NE(unknown.err.find("balancer primary spare"), std::string::npos) << unknown.err;

    std::vector<pid_t> pids;
    for (const auto* name : {"primary.pid", "spare.pid", "balancer.pid", "supervisor.pid"})
        pids.push_back(recorded("failover", name));
    for (const pid_t pid : pids) EXPECT_TRUE(alive(pid)) << pid;
    EXPECT_EQ(sh({"stop"}).code, 0);
    for (const pid_t pid : pids) EXPECT_FALSE(alive(pid)) << pid;
    EXPECT_TRUE(nothing_listens({5000, 5001, 5002}));
    EXPECT_NE(sh({"status"}).out.find("nothing runs"), std::string::npos);
    EXPECT_NE(sh({"logs", "primary"}).out.find("stopped"), std::string::npos) << "the last words can still be read";
}

TEST_F(RunSh, AReaderThatLeavesUndoesNothing)
{
    const auto through = [&](const std::string& pipe) {
        const auto line = source_file("run.sh") + " up --port-offset " + std::to_string(offset_) + pipe;
        return run("/bin/bash", {"-c", "set -o pipefail; " + line}, options());
    };
    const auto head = through(" | head -n 1");
    EXPECT_EQ(head.code, 0);
    EXPECT_EQ(head.out, "failover is up:\n");
    EXPECT_EQ(head.err, "");
    EXPECT_EQ(get(port(5000), "/data").status(), 200) << "what it started stays";
    EXPECT_EQ(sh({"stop"}).code, 0);

    for (const std::string pipe : {" >/dev/full", " >&-", " | true"}) {
        const auto up = through(pipe);
        EXPECT_EQ(up.code, 0) << pipe;
        EXPECT_EQ(up.err, "") << pipe;
        EXPECT_EQ(get(port(5000), "/data").status(), 200) << pipe;
        EXPECT_EQ(sh({"stop"}).code, 0);
    }
}

TEST_F(RunSh, TheRunFolderMayHaveASpaceAndBeRelative)
{
    auto spaced = options();
    spaced.environment = {{"HOTSPARE_RUN_DIR", "a run folder"}, {"HOTSPARE_BUILD_DIR", build_}};
    spaced.directory = directory_.path().string();
    const auto spaced_sh = [&](std::vector<std::string> arguments) {
        return run(source_file("run.sh"), with_offset(std::move(arguments)), spaced, seconds(60));
    };
    const auto up = spaced_sh({"up"});
    ASSERT_EQ(up.code, 0) << up.err;
    EXPECT_EQ(get(port(5000), "/data").status(), 200);
    EXPECT_TRUE(
        fs::exists(directory_.path() / "a run folder" / ("failover+" + std::to_string(offset_)) / "data.sqlite"));
    const auto status = spaced_sh({"status"});
    EXPECT_EQ(std::count(status.out.begin(), status.out.end(), '\n'), 4) << status.out;
    EXPECT_EQ(spaced_sh({"stop"}).out, "stopped failover+" + std::to_string(offset_) + "\n");
    EXPECT_TRUE(nothing_listens({5000, 5001, 5002}));
}

TEST_F(RunSh, StopTakesTheNamesThatStatusPrints)
{
    ASSERT_EQ(sh({"up"}).code, 0);
    const auto instance_name = "failover+" + std::to_string(offset_);
    const auto plain = [&](const std::vector<std::string>& arguments) {
        return run(source_file("run.sh"), arguments, options());
    };
    const auto other = plain({"stop", "versions"});
    EXPECT_EQ(other.code, 0) << "what has ended already is no mistake";
    EXPECT_EQ(other.out, "nothing runs as versions; what runs: " + instance_name + "\n");
    const auto unknown = plain({"stop", "nosuch"});
    EXPECT_EQ(unknown.code, 2);
    EXPECT_NE(unknown.err.find("what runs: " + instance_name), std::string::npos) << unknown.err;

    EXPECT_EQ(plain({"stop", "spare"}).out, "stopped spare of " + instance_name + "\n");
    EXPECT_TRUE(nothing_listens({5002}));
    EXPECT_EQ(get(port(5000), "/data").status(), 200) << "the others stay";
    EXPECT_EQ(plain({"stop", instance_name}).out, "stopped " + instance_name + "\n");
    EXPECT_TRUE(nothing_listens({5000, 5001, 5002}));
}

TEST_F(RunSh, AFolderThatCannotBeUsedIsNamedWithTheWayOut)
{
    std::ofstream(directory_.path() / "file") << "x";
    auto elsewhere = options();
    elsewhere.environment[0].second = (directory_.path() / "file" / "run").string();
    const auto unwritable = run(source_file("run.sh"), with_offset({"up"}), elsewhere);
    EXPECT_EQ(unwritable.code, 1);
    EXPECT_NE(unwritable.err.find("cannot write to " + elsewhere.environment[0].second), std::string::npos);
    EXPECT_NE(unwritable.err.find("HOTSPARE_RUN_DIR"), std::string::npos) << unwritable.err;
    EXPECT_EQ(std::count(unwritable.err.begin(), unwritable.err.end(), '\n'), 1) << unwritable.err;

    const auto foreign = directory_.path() / "foreign";
    fs::create_directory(foreign);
    if (::chown(foreign.c_str(), 65534, 65534) != 0) GTEST_SKIP() << "only root can give a folder away";
    elsewhere.environment[0].second = foreign.string();
    const auto refused = run(source_file("run.sh"), with_offset({"up"}), elsewhere);
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.err.find("belongs to "), std::string::npos) << refused.err;
    EXPECT_TRUE(fs::is_empty(foreign));
}

TEST_F(RunSh, WhatRunsIsForItsOwnerAloneAndInheritsNothing)
{
    const auto line = "umask 022; exec 7>" + (directory_.path() / "callers").string() + "; " + source_file("run.sh") +
                      " up --port-offset " + std::to_string(offset_);
    const auto up = run("/bin/bash", {"-c", line}, options());
    ASSERT_EQ(up.code, 0) << up.err;
    for (const auto& file : fs::recursive_directory_iterator(instance("failover")))
        EXPECT_EQ(file.status().permissions() & (fs::perms::group_all | fs::perms::others_all), fs::perms::none)
            << file.path();
    EXPECT_EQ(fs::status(instance("failover")).permissions() & fs::perms::others_all, fs::perms::none);
    for (const auto* record : {"primary.pid", "balancer.pid", "supervisor.pid"}) {
        const auto folder = fs::path("/proc") / std::to_string(recorded("failover", record)) / "fd";
        for (const auto& descriptor : fs::directory_iterator(folder)) {
            std::error_code error;
            EXPECT_NE(fs::read_symlink(descriptor.path(), error).filename(), "callers") << record;
        }
    }
}

TEST_F(RunSh, TheHelpOfTheBenchmarkNeedsNoBuild)
{
    if (!fs::exists("/usr/bin/python3")) GTEST_SKIP() << "the benchmark's language is not installed";
    auto would_build = options();
    would_build.environment.pop_back(); // HOTSPARE_BUILD_DIR
    const auto help = run(source_file("run.sh"), {"bench", "--help"}, would_build);
    EXPECT_EQ(help.code, 0) << help.err;
    EXPECT_EQ(help.out.rfind("usage: run.sh bench", 0), 0U) << help.out;
}

TEST_F(RunSh, EverySystemStarts)
{
    const std::vector<std::pair<std::string, unsigned>> systems{
        {"failover", 5000}, {"reverse-proxy", 8021}, {"load-balancer", 8080}, {"versions", 8010}};
    for (const auto& [system, base] : systems) {
        const auto up = sh({"up", system});
        ASSERT_EQ(up.code, 0) << system << up.out << up.err;
        EXPECT_EQ(get(port(base), "/health").status(), 200) << system;
        EXPECT_EQ(sh({"stop", system}).code, 0) << system;
        EXPECT_TRUE(nothing_listens({base})) << system;
    }
}

TEST_F(RunSh, ABusyPortIsNamedWithItsOwnerBeforeAnythingStarts)
{
    const auto listener = listen_loopback(port(5002));
    const auto up = sh({"up"});
    EXPECT_EQ(up.code, 2);
    EXPECT_NE(up.err.find("port " + std::to_string(port(5002))), std::string::npos) << up.err;
    EXPECT_NE(up.err.find("system_tests (pid " + std::to_string(::getpid()) + ")"), std::string::npos) << up.err;
    EXPECT_TRUE(nothing_listens({5000, 5001}));
}

TEST_F(RunSh, APortThatHotspareItselfHoldsIsNamedWithTheWayToFreeIt)
{
    ASSERT_EQ(sh({"up"}).code, 0);
    // 100 further, the service ports are the control ports of the first.
    const auto beside = run(source_file("run.sh"), {"up", "--port-offset", std::to_string(offset_ + 100)}, options());
    EXPECT_EQ(beside.code, 2);
    const std::string stop = "run.sh: ./run.sh stop failover --port-offset " + std::to_string(offset_) + " ends";
    EXPECT_NE(beside.err.find(stop), std::string::npos) << beside.err;
}

TEST_F(RunSh, StoppingTheLastDaemonEndsTheSupervisor)
{
    ASSERT_EQ(sh({"up"}).code, 0);
    for (const auto* name : {"balancer", "primary", "spare"}) EXPECT_EQ(sh({"stop", name}).code, 0) << name;
    EXPECT_TRUE(eventually([&] { return left_behind().empty(); }));
    EXPECT_NE(sh({"status"}).out.find("nothing runs"), std::string::npos);
}

TEST_F(RunSh, StopEndsADaemonThatHangsAlsoWhenTheSupervisorWasKilled)
{
    ASSERT_EQ(sh({"up"}).code, 0);
    const pid_t primary = recorded("failover", "primary.pid");
    const pid_t spare = recorded("failover", "spare.pid");
    ::kill(primary, SIGSTOP);
    ::kill(recorded("failover", "supervisor.pid"), SIGKILL);
    EXPECT_EQ(sh({"stop"}).code, 0);
    EXPECT_FALSE(alive(primary));
    EXPECT_FALSE(alive(spare));
}

TEST_F(RunSh, AProcessIdThatWasReusedIsNotTouched)
{
    Process bystander("/bin/sleep", {"1000"});
    fs::create_directories(instance("failover"));
    std::ofstream(instance("failover") / "primary.pid") << bystander.pid() << " 1\n"; // not when the bystander started
    const auto stop = sh({"stop"});
    EXPECT_NE(stop.out.find("nothing runs"), std::string::npos) << stop.out;
    EXPECT_TRUE(bystander.running());
}

TEST_F(RunSh, TheDemoLosesNothing)
{
    const auto demo = sh({"demo"}, seconds(100));
    EXPECT_EQ(demo.code, 0) << demo.out << demo.err;
    for (const auto* word : {"FAULT", "DETECTED", "FAILOVER", "RECOVERY", "FAILBACK"})
        EXPECT_NE(demo.out.find(word), std::string::npos) << word << " is missing in\n" << demo.out;
    EXPECT_NE(demo.out.find("failed 0"), std::string::npos) << demo.out;
    EXPECT_NE(demo.out.find("PASS"), std::string::npos) << demo.out;
    EXPECT_NE(sh({"status"}).out.find("nothing runs"), std::string::npos);
}

TEST_F(RunSh, ExperimentPassesEverythingOn)
{
    const auto list = run(source_file("run.sh"), {"experiment", "list"}, options());
    EXPECT_EQ(list.code, 0) << list.err;
    EXPECT_NE(list.out.find("crash-primary"), std::string::npos) << list.out;
    EXPECT_EQ(run(source_file("run.sh"), {"experiment", "run", "nosuch"}, options()).code, 2);
    const auto help = run(source_file("run.sh"), {"bakeoff", "--help"}, options());
    EXPECT_EQ(help.code, 0) << help.err;
    EXPECT_NE(help.out.find("--balancers"), std::string::npos) << help.out;
}

} // namespace TEST_FILE
} // namespace hotspare::test
