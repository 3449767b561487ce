// The supervisor by itself: order, restarts and their end, what it tells, what survives it, and which sockets the
// daemons get. (Through run.sh, as a user meets it: run_sh_*test.cpp.)
#include "common/process/identity.hpp"
#include "common/process/listen_sockets.hpp"
#include "common/process/spawn.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hotspare::test {
namespace TEST_FILE {

namespace fs = std::filesystem;

class SupervisorTest : public ::testing::Test {
protected:
    ~SupervisorTest() override
    {
        if (supervisor_ && supervisor_->running()) {
            ask("POST", "/stop");
            supervisor_->wait_exit();
        }
        for (const auto& name : {"a", "b", "balancer"}) // of one that was killed
            if (const auto record = process::read_record(run() / (name + std::string(".pid"))))
                if (const auto left = process::Process::open(*record)) left->signal(SIGKILL);
    }

    fs::path run() const { return dir_.path() / "run"; }

    /// A program that runs `script`, which may use "$run".
    void program(const std::string& name, const std::string& script) const
    {
        const auto folder = dir_.path() / "programs" / name;
        fs::create_directories(folder);
        std::ofstream(folder / name) << "#!/bin/sh\nrun=" << run().string() << "\n" << script << "\n";
        fs::permissions(folder / name, fs::perms::owner_all);
    }

    void start(const std::string& yaml)
    {
        fs::create_directories(run());
        const auto file = dir_.write("some.system.yaml", yaml);
        supervisor_ = std::make_unique<Process>(
            binary("supervisor"),
            std::vector<std::string>{"--config", file, "--directory", run().string(), "--programs",
                                     (dir_.path() / "programs").string(), "--config-folder", source_file("config")});
        ASSERT_TRUE(supervisor_->wait_line("answers requests on")) << supervisor_->description();
    }

    struct Answer {
        std::string status, body;
    };
    Answer ask(const std::string& method, const std::string& path, milliseconds bound = seconds(60)) const
    {
        Process::Options options;
        options.directory = run().string();
        const auto done = test::run("/usr/bin/curl",
                                    {"-s", "-X", method, "-w", "\n%{http_code}", "--unix-socket", "supervisor.sock",
                                     "http://supervisor" + path},
                                    options, bound);
        const auto end = done.out.rfind('\n');
        if (end == std::string::npos) return {};
        return {done.out.substr(end + 1), done.out.substr(0, end)};
    }
    nlohmann::json daemon(const std::string& name) const
    {
        const auto status = nlohmann::json::parse(ask("GET", "/status").body, nullptr, false);
        if (!status.is_object()) return {};
        for (const auto& daemon : status["daemons"])
            if (daemon["name"] == name) return daemon;
        return {};
    }
    std::string state(const std::string& name) const { return daemon(name).value("state", ""); }

    std::string text(const fs::path& file) const
    {
        std::ifstream in(file);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    TempDir dir_;
    std::unique_ptr<Process> supervisor_;
};

/// A script that writes down when it begins and when it is asked to end.
std::string forever(const std::string& name)
{
    return "trap 'echo end-" + name + " >>\"$run/order\"; exit 0' TERM; echo begin-" + name +
           " >>\"$run/order\"; while :; do sleep 0.02; done";
}

TEST_F(SupervisorTest, StartsInTheOrderOfTheNeedsAndEndsInReverse)
{
    program("a", forever("a"));
    program("b", forever("b"));
    start("daemons:\n  - {name: a, program: a}\n  - {name: b, program: b, after: [a]}\n");
    EXPECT_EQ(ask("GET", "/missing").body, "a b\n");
    EXPECT_EQ(ask("POST", "/start").status, "200");
    ASSERT_TRUE(eventually([&] { return text(run() / "order").find("begin-b") != std::string::npos; }));
    EXPECT_EQ(state("a"), "running");
    EXPECT_EQ(ask("GET", "/missing").body, "");
    EXPECT_EQ(ask("POST", "/stop").status, "200");
    EXPECT_EQ(supervisor_->wait_exit(), 0);
    const auto order = text(run() / "order");
    EXPECT_LT(order.find("end-b"), order.find("end-a")) << order;
    EXPECT_FALSE(fs::exists(run() / "supervisor.sock"));
    EXPECT_FALSE(fs::exists(run() / "a.pid"));
}

TEST_F(SupervisorTest, GivesUpWhatFailsAgainAndAgainAndSaysSo)
{
    program("a", "echo once >>\"$run/starts\"; exit 7");
    start("restart: {first_pause: 1ms, longest_pause: 1ms, limit: 3}\ndaemons:\n  - {name: a, program: a, ready: "
          "'tcp://127.0.0.1:1'}\n");
    const auto answer = ask("POST", "/start");
    EXPECT_EQ(answer.status, "503");
    EXPECT_NE(answer.body.find("a exited with 7"), std::string::npos) << answer.body;
    ASSERT_TRUE(eventually([&] { return state("a") == "given_up"; }));
    EXPECT_EQ(text(run() / "starts"), "once\nonce\nonce\nonce\n");
    EXPECT_EQ(daemon("a")["restarts"], 3);
    EXPECT_EQ(daemon("a")["last_exit"]["cause"], "exited with 7");
    EXPECT_NE(ask("GET", "/status?format=text").body.find("down: given up after 3 restarts: exited with 7"),
              std::string::npos);
    EXPECT_TRUE(supervisor_->wait_line("\"level\":\"critical\""));
    EXPECT_NE(text(run() / "a.log").find("a is given up: more than 3 restarts in 5m"), std::string::npos);
    // An operator may try again.
    program("a", forever("a"));
    fs::remove(run() / "order");
    EXPECT_EQ(ask("POST", "/daemons/nosuch/stop").status, "404");
    Process again("/usr/bin/curl", {"-s", "-X", "POST", "--unix-socket", (run() / "supervisor.sock").string(),
                                    "http://supervisor/start"});
    EXPECT_TRUE(eventually([&] { return state("a") == "starting"; }));
    again.signal(SIGTERM);
}

TEST_F(SupervisorTest, ADaemonMayStayAwayForLongerBeforeItIsRestarted)
{
    program("a", forever("a"));
    program("b", forever("b"));
    start("daemons:\n  - {name: a, program: a, restart_after: 1h}\n  - {name: b, program: b}\n");
    ASSERT_EQ(ask("POST", "/start").status, "200");
    for (const char* name : {"a", "b"}) ::kill(daemon(name)["pid"].get<pid_t>(), SIGKILL);
    EXPECT_TRUE(eventually([&] { return daemon("b")["restarts"] == 1 && state("b") == "running"; }));
    EXPECT_EQ(state("a"), "restarting");
}

TEST_F(SupervisorTest, ADaemonThatIgnoresItsStopSignalIsKilled)
{
    program("a", "trap '' TERM; echo deaf; while :; do sleep 0.02; done");
    start("daemons:\n  - {name: a, program: a, stop_within: 100ms}\n");
    EXPECT_EQ(ask("POST", "/start").status, "200");
    ASSERT_TRUE(eventually([&] { return text(run() / "a.log") == "deaf\n"; }));
    supervisor_->signal(SIGTERM);
    EXPECT_EQ(supervisor_->wait_exit(), 0);
    EXPECT_NE(supervisor_->err().find("it is killed"), std::string::npos);
    EXPECT_FALSE(fs::exists(run() / "a.pid"));
}

TEST_F(SupervisorTest, TheNextOneAdoptsWhatRunsAndStartsWhatHasEndedMeanwhile)
{
    program("a", forever("a"));
    program("b", forever("b"));
    const std::string yaml = "daemons:\n  - {name: a, program: a}\n  - {name: b, program: b}\n";
    start(yaml);
    EXPECT_EQ(ask("POST", "/start").status, "200");
    const auto a = daemon("a")["pid"];
    const auto b = process::read_record(run() / "b.pid");
    ASSERT_TRUE(b);
    // A second one does not take the folder of the first.
    const auto second =
        test::run(binary("supervisor"), {"--config", (dir_.path() / "some.system.yaml").string(), "--directory",
                                         run().string(), "--programs", "x", "--config-folder", "x"});
    EXPECT_EQ(second.code, 1);
    EXPECT_NE(second.err.find("another supervisor runs in"), std::string::npos) << second.err;

    supervisor_->signal(SIGKILL);
    supervisor_->wait_exit();
    ::kill(b->pid, SIGKILL);
    ASSERT_TRUE(eventually([&] { return !process::identity_of(b->pid); }));
    start(yaml);
    EXPECT_EQ(daemon("a")["pid"], a);
    EXPECT_EQ(daemon("a")["adopted"], true);
    EXPECT_TRUE(eventually([&] { return state("b") == "running"; }));
    EXPECT_EQ(ask("POST", "/stop").status, "200");
    EXPECT_EQ(supervisor_->wait_exit(), 0);
    EXPECT_FALSE(process::identity_of(a.get<pid_t>()));
}

TEST_F(SupervisorTest, ADaemonsOutputIsBoundedAndOutlivesTheSupervisor)
{
    program("a", "i=0; while :; do i=$((i+1)); echo line-$i-of-a-daemon-that-talks-too-much; done");
    start("log_limit: 64KiB\ndaemons:\n  - {name: a, program: a}\n");
    EXPECT_EQ(ask("POST", "/start").status, "200");
    EXPECT_TRUE(eventually([&] { return fs::exists(run() / "a.log.1"); }));
    const auto record = process::read_record(run() / "a.pid");
    ASSERT_TRUE(record);
    supervisor_->signal(SIGKILL);
    supervisor_->wait_exit();
    const auto size = fs::file_size(run() / "a.log");
    EXPECT_TRUE(eventually([&] { return fs::file_size(run() / "a.log") > size; })) << "it goes on writing";
    EXPECT_TRUE(process::identity_of(record->pid));
}

TEST_F(SupervisorTest, OnlyItsOwnUserIsAnswered)
{
    if (::geteuid() != 0) GTEST_SKIP() << "only root can ask as another user";
    program("a", forever("a"));
    start("daemons:\n  - {name: a, program: a}\n");
    const auto mode = fs::status(run() / "supervisor.sock").permissions();
    EXPECT_EQ(mode & (fs::perms::group_all | fs::perms::others_all), fs::perms::none);
    // As if the permissions had been lifted.
    for (auto folder = run(); folder != folder.root_path() && folder != "/tmp"; folder = folder.parent_path())
        fs::permissions(folder, fs::perms::others_exec, fs::perm_options::add);
    fs::permissions(run() / "supervisor.sock", fs::perms::all);
    const auto other =
        test::run("/usr/bin/setpriv", {"--reuid", "65534", "--clear-groups", "/usr/bin/curl", "-s", "--unix-socket",
                                       (run() / "supervisor.sock").string(), "http://supervisor/status"});
    EXPECT_NE(other.code, 0);
    EXPECT_EQ(other.out, "");
    EXPECT_EQ(ask("GET", "/status").status, "200");
}

// --- Sockets that are handed down ------------------------------------------------------------------------------------

class HandedDown : public ::testing::TestWithParam<std::size_t> {};

/// As many as workers, fewer, and more.
TEST_P(HandedDown, TheBalancerServesEverySocketAndNothingWaitsForEver)
{
    auto sockets = process::open_listeners({"127.0.0.1", 0}, GetParam());
    ASSERT_TRUE(sockets);
    const auto port = process::bound_to(sockets->front().get()).port;
    TempDir dir;
    process::Command command{.program = binary("balancer"),
                             .arguments = {"--listen", "127.0.0.1:" + std::to_string(port), "--workers", "2",
                                           "--backend", "x=http://127.0.0.1:1"}};
    const hotspare::Fd log(::open((dir.path() / "log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    command.out = command.err = log.get();
    command.ends_with_us = true;
    for (const auto& socket : *sockets) command.sockets.push_back({"listen", socket.get()});
    for (int round = 0; round < 2; ++round) {
        auto balancer = process::spawn(command);
        ASSERT_TRUE(balancer);
        for (int i = 0; i < 40; ++i) ASSERT_NE(get(port, "/status").status(), 0) << i;
        balancer->signal(round == 0 ? SIGKILL : SIGTERM);
        ASSERT_TRUE(balancer->ended(patience));
        balancer->reap();
    }
    // Nothing serves them now, and what connects waits.
    RawClient waiting(port);
    waiting.send("GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    auto next = process::spawn(command);
    ASSERT_TRUE(next);
    EXPECT_EQ(waiting.read_response().status(), 200);
    next->signal(SIGKILL);
    ASSERT_TRUE(next->ended(patience));
    next->reap();
}

INSTANTIATE_TEST_SUITE_P(Sockets, HandedDown, ::testing::Values(1, 2, 3));

TEST(HandedDownToABackend, ItMayRefuseConnectionsAndTakeThemAgain)
{
    // Not port 0: a port that the kernel chose is free again when its socket stops listening.
    const auto port = process::free_port();
    auto sockets = process::open_listeners({"127.0.0.1", port}, 1);
    ASSERT_TRUE(sockets);
    TempDir dir;
    const hotspare::Fd log(::open((dir.path() / "log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const auto control = process::free_port();
    process::Command command{.program = binary("primary"),
                             .arguments = {"--port", std::to_string(port), "--control-port", std::to_string(control),
                                           "--data", (dir.path() / "data.sqlite").string()},
                             .out = log.get(),
                             .err = log.get()};
    command.sockets = {{"whatever-systemd-calls-it", sockets->front().get()}}; // taken by its address
    command.ends_with_us = true;
    auto primary = process::spawn(command);
    ASSERT_TRUE(primary);
    EXPECT_EQ(get(port, "/data").status(), 200);
    EXPECT_EQ(post(port, "/fail?mode=refuse").status(), 200);
    EXPECT_TRUE(eventually([&] { return get(port, "/data").status() == 0; }));
    EXPECT_EQ(post(control, "/recover").status(), 200);
    EXPECT_TRUE(eventually([&] { return get(port, "/data").status() == 200; }));
    primary->signal(SIGKILL);
    ASSERT_TRUE(primary->ended(patience));
    primary->reap();
}

TEST(HandedDownToABackend, WhatIsAddressedToAnotherProcessIsIgnored)
{
    Process::Options options;
    options.environment = {{"LISTEN_FDS", "1"}, {"LISTEN_PID", "1"}, {"LISTEN_FDNAMES", "port"}};
    TempDir dir;
    Process primary("/bin/sh",
                    {"-c", "LISTEN_FDS=1 LISTEN_PID=1 LISTEN_FDNAMES=port exec " + binary("primary") +
                               " --port 0 --control-port 0 --data " + (dir.path() / "d.sqlite").string()},
                    options);
    EXPECT_EQ(get(primary.wait_ready(), "/health").status(), 200);
}

TEST_F(SupervisorTest, ABalancerIsReplacedWhileItServesAndTheReplacedProcessIsNotForgotten)
{
    Reply echo;
    echo.status = 101;
    echo.body.clear();
    echo.echo = true;
    echo.headers = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}};
    Origin origin("origin",
                  [echo](const Message& request) { return request.header("Upgrade") ? echo : Reply::text("origin"); });
    const std::uint16_t port = process::free_port();
    fs::create_directories(dir_.path() / "programs/balancer");
    fs::create_symlink(binary("balancer"), dir_.path() / "programs/balancer/balancer");
    const std::string yaml = "daemons:\n"
                             "  - name: balancer\n"
                             "    program: balancer\n"
                             "    arguments: --workers 2 --config " +
                             dir_.write("balancer.yaml", "timeouts: {drain: 300ms}\nbackends: [{name: origin, url: '" +
                                                             origin.url() + "'}]\n") +
                             "\n    listen: 127.0.0.1:" + std::to_string(port) +
                             "\n    ready: tcp://127.0.0.1:" + std::to_string(port) + "\n";
    start(yaml);
    ASSERT_EQ(ask("POST", "/start").status, "200");
    const int first = daemon("balancer")["pid"];
    RawClient tunnel(port);
    tunnel.send(format_request("GET", "/x", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}));
    ASSERT_EQ(tunnel.read_response().status(), 101);

    const auto done = ask("POST", "/daemons/balancer/restart");
    ASSERT_EQ(done.status, "200") << done.body;
    const nlohmann::json replaced = daemon("balancer");
    EXPECT_NE(replaced["pid"], first);
    EXPECT_EQ(replaced["restarts"], 0);
    EXPECT_EQ(replaced["replaced"], nlohmann::json{first}) << "it has a tunnel";
    EXPECT_EQ(get(port, "/y").status(), 200);

    // Another supervisor learns of both, and starts neither again.
    supervisor_->signal(SIGKILL);
    ASSERT_TRUE(supervisor_->wait_exit());
    start(yaml);
    EXPECT_EQ(daemon("balancer")["pid"], replaced["pid"]);
    EXPECT_EQ(daemon("balancer")["replaced"], nlohmann::json{first});
    tunnel.send("b");
    EXPECT_EQ(tunnel.read_some(1), "b");

    ASSERT_EQ(ask("POST", "/daemons/balancer/restart").status, "200") << "the one that another supervisor started";
    EXPECT_EQ(get(port, "/y").status(), 200);
    tunnel.finish_sending();
    EXPECT_TRUE(eventually([&] { return daemon("balancer")["replaced"].empty(); }));

    RawClient last(port);
    last.send(format_request("GET", "/x", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}));
    ASSERT_EQ(last.read_response().status(), 101);
    ASSERT_EQ(ask("POST", "/daemons/balancer/restart").status, "200");
    const int old = daemon("balancer")["replaced"][0];
    EXPECT_EQ(ask("POST", "/stop").status, "200");
    EXPECT_EQ(supervisor_->wait_exit(), 0) << supervisor_->description();
    const auto left = process::stat_of(old);
    EXPECT_TRUE(!left || left->state == 'Z') << "the replaced process is ended as well";
    EXPECT_FALSE(fs::exists(run() / ("balancer." + std::to_string(old) + ".pid")));
}

TEST_F(SupervisorTest, ABalancerThatCannotBeReplacedGoesOnAndTheReasonIsTold)
{
    Origin origin;
    const std::uint16_t port = process::free_port();
    fs::create_directories(dir_.path() / "programs/balancer");
    fs::create_symlink(binary("balancer"), dir_.path() / "programs/balancer/balancer");
    const auto config = dir_.write("balancer.yaml", "backends: [{name: origin, url: '" + origin.url() + "'}]\n");
    start("daemons:\n"
          "  - name: balancer\n"
          "    program: balancer\n"
          "    arguments: --config " +
          config + "\n    listen: 127.0.0.1:" + std::to_string(port) +
          "\n    ready: tcp://127.0.0.1:" + std::to_string(port) + "\n");
    ASSERT_EQ(ask("POST", "/start").status, "200");
    const nlohmann::json before = daemon("balancer")["pid"];
    std::ofstream(config) << "colour: red\n";
    const auto refused = ask("POST", "/daemons/balancer/restart");
    EXPECT_EQ(refused.status, "503");
    EXPECT_NE(refused.body.find("unknown key 'colour'"), std::string::npos) << refused.body;
    EXPECT_EQ(daemon("balancer")["pid"], before);
    EXPECT_EQ(state("balancer"), "running");
    EXPECT_EQ(get(port, "/y").status(), 200);
    EXPECT_EQ(ask("POST", "/start").status, "200") << "nothing is wrong with what runs";
}

TEST_F(SupervisorTest, RestartsADaemonThatCannotReplaceItself)
{
    program("a", forever("a"));
    start("daemons:\n  - {name: a, program: a}\n");
    ASSERT_EQ(ask("POST", "/start").status, "200");
    const nlohmann::json before = daemon("a")["pid"];
    EXPECT_EQ(ask("POST", "/daemons/a/restart").status, "200");
    EXPECT_NE(daemon("a")["pid"], before);
    EXPECT_EQ(state("a"), "running");
    EXPECT_EQ(text(run() / "order"), "begin-a\nend-a\nbegin-a\n");
    EXPECT_EQ(ask("POST", "/daemons/b/restart").status, "404");
}

} // namespace TEST_FILE
} // namespace hotspare::test
