// The balancer's process is replaced by another while it serves: requests, downloads and tunnels go on, what was known
// is known, and a new process that cannot serve changes nothing.
#include "common/process/identity.hpp"
#include "common/process/process.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/load.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/temp_dir.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <list>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using Json = nlohmann::json;

class UpgradeTest : public testing::Test {
protected:
    void SetUp() override
    {
        for (const char* name : {"primary", "spare"})
            ASSERT_TRUE(balancer_.wait_for(name, "healthy")) << balancer_.status();
    }
    /// The processes that have taken the first one's place are not its children any more.
    ~UpgradeTest() override
    {
        for (const process::Process& process : successors_) process.signal(SIGKILL);
        for (const process::Process& process : successors_) EXPECT_TRUE(process.ended(patience));
    }

    std::string file_of(const std::vector<const Origin*>& origins, const std::string& more = {}) const
    {
        std::string yaml = "admin: true\nadmin_listen: unix:" + socket_path() + "\nbackends:\n";
        for (const Origin* origin : origins)
            yaml += fmt::format("  - {{name: {}, url: '{}'}}\n", origin->name(), origin->url());
        return yaml + more;
    }
    std::string write(const std::string& yaml) const
    {
        std::ofstream(path_) << yaml;
        return path_;
    }
    std::string socket_path() const { return (directory_.path() / "admin.sock").string(); }
    std::uint16_t port() const { return balancer_.port(); }

    /// The new process; nothing if the upgrade failed.
    process::Process* upgrade()
    {
        const Answer answer = post(port(), "/admin/upgrade");
        EXPECT_EQ(answer.status(), 200) << answer.message.body;
        if (answer.status() != 200) return nullptr;
        return know(answer.json()["pid"].get<pid_t>());
    }
    process::Process* know(pid_t pid)
    {
        const auto identity = process::identity_of(pid);
        auto process = identity ? process::Process::open(*identity) : result<process::Process>(errc::not_found);
        EXPECT_TRUE(process) << process.error().message();
        return process ? &successors_.emplace_back(std::move(*process)) : nullptr;
    }
    /// Over the operators' socket.
    Json ask_operators(const std::string& method, const std::string& path) const
    {
        const auto done = run("/usr/bin/curl", {"-s", "-X", method, "--unix-socket", socket_path(), "http://x" + path});
        return Json::parse(done.out, nullptr, false);
    }
    void echo_everything()
    {
        Reply echo;
        echo.status = 101;
        echo.body.clear();
        echo.echo = true;
        echo.headers = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}};
        for (Origin* const origin : {&primary_, &spare_}) // a slow one is passed over
            origin->script(
                [echo](const Message& request) { return request.header("Upgrade") ? echo : Reply::text("no tunnel"); });
    }
    RawClient tunnel() const
    {
        RawClient client(port());
        client.send(format_request("GET", "/x", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}));
        const Answer answer = client.read_response();
        EXPECT_EQ(answer.status(), 101) << answer.message.head << answer.message.body;
        return client;
    }

    Origin primary_{"primary"}, spare_{"spare"}, third_{"third"};
    TempDir directory_;
    std::string path_ = (directory_.path() / "balancer.yaml").string();
    std::list<process::Process> successors_;
    Balancer balancer_ = Balancer::from_file(write(file_of({&primary_, &spare_})));
};

TEST_F(UpgradeTest, NoRequestFailsHoweverOftenTheProcessIsReplaced)
{
    std::vector<Action> actions;
    for (int i = 0; i < 12; ++i) actions.push_back({milliseconds(200 * i), [this] { ASSERT_TRUE(upgrade()); }});
    LoadPlan plan;
    plan.port = port();
    plan.target = "/x";
    plan.rate = 300;
    const LoadResult result = run_load(plan, actions);
    EXPECT_EQ(result.failed(), 0U) << result.summary();
    EXPECT_EQ(primary_.most_executed().second, 1);
    EXPECT_EQ(balancer_.process().wait_exit(), 0) << "the first process has ended with its last request";
}

TEST_F(UpgradeTest, ASignalDoesTheSame)
{
    balancer_.process().signal(SIGUSR2);
    EXPECT_EQ(balancer_.process().wait_exit(), 0) << balancer_.process().description();
    EXPECT_EQ(get(port(), "/x").status(), 200);
    know(balancer_.status()["pid"].get<pid_t>());
}

TEST_F(UpgradeTest, TunnelsAndDownloadsOfTheOldProcessGoOnUntilTheyEnd)
{
    echo_everything();
    RawClient client = tunnel();
    ASSERT_TRUE(upgrade());
    EXPECT_EQ(get(port(), "/x").status(), 200);
    for (int i = 0; i < 3; ++i) {
        client.send("b");
        ASSERT_EQ(client.read_some(1), "b");
        ASSERT_TRUE(upgrade());
    }
    EXPECT_TRUE(balancer_.process().running()) << "it has a tunnel";
    client.finish_sending();
    EXPECT_TRUE(client.closed_by_peer());
    EXPECT_EQ(balancer_.process().wait_exit(), 0);
}

TEST_F(UpgradeTest, AReplacedProcessEndsSoonerWhenItIsToldTo)
{
    echo_everything();
    write(file_of({&primary_, &spare_}, "timeouts: {drain: 200ms}\n"));
    process::Process* const second = upgrade(); // whose drain is short
    ASSERT_TRUE(second);
    RawClient client = tunnel();
    ASSERT_TRUE(upgrade());
    client.send("b");
    ASSERT_EQ(client.read_some(1), "b");
    second->signal(SIGTERM);
    EXPECT_TRUE(second->ended(patience));
    EXPECT_EQ(get(port(), "/x").status(), 200);
}

TEST_F(UpgradeTest, TheNewProcessKnowsWhatTheOldOneKnew)
{
    ASSERT_EQ(post(port(), "/admin/backends/spare/maintenance", R"({"message":"new disks"})").status(), 200);
    primary_.probe_script([](const Message&) { return Reply::text("no", 503); });
    ASSERT_TRUE(balancer_.wait_for("primary", "unhealthy")) << balancer_.status();
    const Json before = balancer_.status();
    ASSERT_TRUE(upgrade());
    const Json after = balancer_.status();
    EXPECT_NE(after["pid"], before["pid"]);
    for (const std::size_t b : {0U, 1U})
        for (const char* key : {"name", "status", "since", "cause", "evidence", "flaps"})
            EXPECT_EQ(after["backends"][b][key], before["backends"][b][key]) << b << ' ' << key;
    EXPECT_EQ(after["backends"][1]["maintenance"]["message"], "new disks");
    EXPECT_EQ(after["generation"], before["generation"].get<int>() + 1);
}

TEST_F(UpgradeTest, MembersThatWereSetByRequestStayUnlessTheFileSaysSomethingElse)
{
    const Json members = {{"backends", {{{"name", third_.name()}, {"url", third_.url()}, {"weight", 7}}}}};
    ASSERT_EQ(request(port(), "PUT", "/admin/pools/default/backends", {}, members.dump()).status(), 200);
    ASSERT_TRUE(upgrade());
    EXPECT_EQ(get(port(), "/admin/pools/default/backends").json()["source"], "request");
    EXPECT_EQ(get(port(), "/admin/pools/default/backends").json()["backends"][0]["weight"], 7);
    EXPECT_EQ(get(port(), "/x").message.header("X-Served-By"), "third");

    write(file_of({&spare_}));
    ASSERT_TRUE(upgrade());
    EXPECT_EQ(get(port(), "/admin/pools/default/backends").json()["source"], "configuration");
    EXPECT_EQ(get(port(), "/x").message.header("X-Served-By"), "spare");
}

TEST_F(UpgradeTest, RoutesThatWereSetByRequestStayUnlessTheFileSaysSomethingElse)
{
    const Json routes = {{"routes", {{{"prefix", "/old"}, {"redirect", "/new"}}}}};
    ASSERT_EQ(request(port(), "PUT", "/admin/routes", {}, routes.dump()).status(), 200);
    ASSERT_TRUE(upgrade());
    EXPECT_EQ(get(port(), "/old/x").message.header("Location"), "/new/x");
    EXPECT_EQ(get(port(), "/admin/routes").json()["source"], "request");

    write(file_of({&primary_, &spare_}, "routes: [{prefix: /}, {prefix: /older, redirect: /new, dynamic: true}]\n"));
    ASSERT_TRUE(upgrade());
    EXPECT_EQ(get(port(), "/older/x").message.header("Location"), "/new/x");
    EXPECT_EQ(get(port(), "/old/x").status(), 200) << "not that of the request";
    EXPECT_EQ(get(port(), "/admin/routes").json()["source"], "configuration");
}

TEST_F(UpgradeTest, TheOperatorsSocketIsTheNewProcesss)
{
    process::Process* const second = upgrade();
    ASSERT_TRUE(second);
    EXPECT_EQ(ask_operators("GET", "/status")["pid"], second->pid());
    const Json done = ask_operators("POST", "/admin/upgrade");
    ASSERT_TRUE(done.contains("pid")) << done;
    process::Process* const third = know(done["pid"].get<pid_t>());
    ASSERT_TRUE(third);
    EXPECT_TRUE(second->ended(patience));
    EXPECT_EQ(ask_operators("GET", "/status")["pid"], third->pid());
    third->signal(SIGTERM);
    EXPECT_TRUE(third->ended(patience));
    EXPECT_FALSE(std::filesystem::exists(socket_path())) << "the last one removes it";
}

TEST_F(UpgradeTest, ANewProcessThatCannotServeChangesNothing)
{
    const auto pid = balancer_.status()["pid"];
    write(file_of({&primary_}, "colour: red\n"));
    const Answer answer = post(port(), "/admin/upgrade");
    EXPECT_EQ(answer.status(), 500);
    const std::string error = answer.json()["error"];
    EXPECT_NE(error.find(path_ + ":5:1: unknown key 'colour'"), std::string::npos) << error;
    EXPECT_NE(error.find(fmt::format("process {} goes on", pid.get<int>())), std::string::npos) << error;
    EXPECT_EQ(balancer_.status()["pid"], pid);
    EXPECT_EQ(get(port(), "/x").message.header("X-Served-By"), "primary");

    write(file_of({&third_}));
    ASSERT_TRUE(upgrade()) << "the next one can be done";
    EXPECT_EQ(get(port(), "/x").message.header("X-Served-By"), "third");
}

TEST_F(UpgradeTest, AProcessThatWasReplacedIsNotReplacedAgain)
{
    echo_everything();
    RawClient client = tunnel();
    ASSERT_TRUE(upgrade());
    balancer_.process().signal(SIGUSR2);
    EXPECT_TRUE(balancer_.process().wait_line("another process serves already in place of this one"));
}

TEST_F(UpgradeTest, TheQueueOfNewConnectionsIsAsLongAsBefore)
{
    process::Process* const second = upgrade();
    ASSERT_TRUE(second);
    ASSERT_EQ(balancer_.process().wait_exit(), 0);
    second->signal(SIGSTOP);
    ASSERT_TRUE(eventually([&] { return second->stopped(); }));
    std::list<RawClient> clients;
    for (int i = 0; i < 40; ++i) {
        clients.emplace_back(port()); // throws if it is not taken
        clients.back().send(format_request("GET", "/x", {}));
    }
    second->signal(SIGCONT);
    for (RawClient& client : clients) EXPECT_EQ(client.read_response().status(), 200);
}

TEST(Upgrade, IsRefusedWhileWhatSupervisesDoesNotAnswer)
{
    const Origin origin;
    const TempDir directory;
    Process::Options options;
    options.environment = {{"NOTIFY_SOCKET", (directory.path() / "gone.sock").string()}};
    Balancer balancer({{"origin", origin.port()}}, {"--admin"}, options);
    const Answer answer = post(balancer.port(), "/admin/upgrade");
    EXPECT_EQ(answer.status(), 409);
    EXPECT_EQ(answer.json()["error"], "the supervisor does not answer at NOTIFY_SOCKET");
    EXPECT_EQ(get(balancer.port(), "/x").status(), 200);
}

} // namespace TEST_FILE
} // namespace hotspare::test
