// The balancer while its configuration changes: the file is read again, operators' requests replace the backends of a
// pool, and requests, downloads and tunnels go on meanwhile.
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
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using Json = nlohmann::json;

/// Lines of a file with these backends, in this order, in one pool.
std::string file_of(const std::vector<const Origin*>& origins, const std::string& more = {})
{
    std::string yaml = "admin: true\nbackends:\n";
    for (const Origin* origin : origins)
        yaml += fmt::format("  - {{name: {}, url: '{}'}}\n", origin->name(), origin->url());
    return yaml + more;
}

/// A balancer over `primary` and `spare` whose file can be written again; `third` listens and is in no file yet.
class ReloadTest : public testing::Test {
protected:
    void SetUp() override
    {
        for (const char* name : {"primary", "spare"})
            ASSERT_TRUE(balancer_.wait_for(name, "healthy")) << balancer_.status();
    }

    std::string write(const std::string& yaml) const
    {
        std::ofstream(path_) << yaml;
        return path_;
    }
    std::uint16_t port() const { return balancer_.port(); }
    Answer reload() const { return post(port(), "/admin/reload"); }
    Answer reload(const std::string& yaml) const
    {
        write(yaml);
        return reload();
    }
    Answer put(const Json& members, const std::vector<Header>& headers = {}, const std::string& pool = "default") const
    {
        return request(port(), "PUT", "/admin/pools/" + pool + "/backends", headers,
                       Json{{"backends", members}}.dump());
    }
    static Json member(const Origin& origin) { return {{"name", origin.name()}, {"url", origin.url()}}; }
    std::string served_by() const { return get(port(), "/x").message.header("X-Served-By").value_or(""); }
    bool all_served_by(const std::string& name) const
    {
        return eventually([&] {
            for (int i = 0; i < 10; ++i)
                if (served_by() != name) return false;
            return true;
        });
    }
    std::vector<std::string> backends() const
    {
        std::vector<std::string> names;
        const Json status = balancer_.status();
        for (const Json& backend : status["backends"]) names.push_back(backend["name"]);
        return names;
    }

    Origin primary_{"primary"}, spare_{"spare"}, third_{"third"};
    TempDir directory_;
    std::string path_ = (directory_.path() / "balancer.yaml").string();
    Balancer balancer_ = Balancer::from_file(write(file_of({&primary_, &spare_})));
};

TEST_F(ReloadTest, AHangupReadsTheFileAgain)
{
    write(file_of({&third_, &primary_}));
    balancer_.process().signal(SIGHUP);
    ASSERT_TRUE(balancer_.wait_for("third", "healthy")) << balancer_.status();
    EXPECT_TRUE(all_served_by("third"));
    EXPECT_EQ(backends(), (std::vector<std::string>{"third", "primary"}));
    EXPECT_EQ(balancer_.status()["generation"], 2);
    EXPECT_TRUE(eventually([&] {
        const std::string log = balancer_.process().err();
        return log.find("configuration changed: backend 'third' added") != std::string::npos &&
               log.find("configuration reloaded: generation 2 is in force") != std::string::npos;
    }));
}

TEST_F(ReloadTest, AnOperatorIsToldWhatChanged)
{
    const Answer answer =
        reload(file_of({&primary_, &third_}, "timeouts: {request: 5s}\nworkers: 7\nforwarded: true\n"));
    ASSERT_EQ(answer.status(), 200) << answer.message.body;
    EXPECT_EQ(answer.json()["generation"], 2);
    EXPECT_EQ(answer.json()["changed"], (Json{fmt::format("backend 'third' added ({})", third_.url()),
                                              "backend 'spare' removed", "pool 'default' has primary, third",
                                              "routes changed: 7 now", "timeouts changed", "Forwarded is set"}));
    // --workers of the command line is stronger than the file: it did not change.
    EXPECT_EQ(answer.json()["needs_restart"], Json::array());
    const Answer again = reload();
    EXPECT_EQ(again.json()["changed"], Json::array());
    EXPECT_EQ(again.json()["generation"], 2);
    const Answer fixed =
        reload(file_of({&primary_, &third_}, "timeouts: {request: 5s}\nforwarded: true\nlog_traffic: true\n"));
    EXPECT_EQ(fixed.json()["needs_restart"], Json{"log_traffic"});
}

TEST_F(ReloadTest, AFileThatIsWrongChangesNothing)
{
    const auto before = balancer_.status()["backends"].size();
    const Answer answer =
        reload(file_of({&third_}, "  - {name: 'two words', url: 'http://127.0.0.1:1'}\ntimeuots: {}\n"));
    EXPECT_EQ(answer.status(), 422);
    EXPECT_NE(answer.json()["error"].get<std::string>().find(path_ + ":4:12"), std::string::npos)
        << answer.message.body;
    EXPECT_NE(answer.json()["error"].get<std::string>().find(path_ + ":5:1"), std::string::npos) << answer.message.body;
    EXPECT_EQ(balancer_.status()["backends"].size(), before);
    EXPECT_EQ(balancer_.status()["generation"], 1);
    EXPECT_EQ(balancer_.status()["reload"]["done"], false);
    EXPECT_EQ(balancer_.metric("hotspare_last_reload_successful"), 0);
    EXPECT_EQ(balancer_.metric("hotspare_reloads_total{result=\"failed\"}"), 1);
    EXPECT_EQ(reload(file_of({&primary_, &spare_})).status(), 200);
    EXPECT_EQ(balancer_.status()["reload"]["done"], true);
    EXPECT_TRUE(eventually([&] { return balancer_.metric("hotspare_last_reload_successful") == 1; }));
}

TEST_F(ReloadTest, AFileThatIsGoneChangesNothing)
{
    std::filesystem::remove(path_);
    const Answer answer = reload();
    EXPECT_EQ(answer.status(), 422);
    EXPECT_NE(answer.json()["error"].get<std::string>().find("cannot be read"), std::string::npos);
    EXPECT_EQ(get(port(), "/x").status(), 200);
}

TEST(Reload, WithoutAFileThereIsNothingToReadAgain)
{
    Origin origin;
    Balancer balancer({{"origin", origin.port()}}, {"--admin"});
    const Answer answer = post(balancer.port(), "/admin/reload");
    EXPECT_EQ(answer.status(), 422);
    EXPECT_NE(answer.json()["error"].get<std::string>().find("--config FILE"), std::string::npos);
}

TEST_F(ReloadTest, ADownloadFromARemovedBackendIsCompletedAndItsConnectionClosed)
{
    constexpr std::uint64_t size = 32 << 20;
    Reply large;
    large.pattern = size;
    primary_.script([&](const Message&) { return large; });
    RawClient client(port());
    client.send(format_request("GET", "/large"));
    ASSERT_FALSE(client.read_some(1000).empty());
    ASSERT_EQ(reload(file_of({&spare_})).status(), 200);
    EXPECT_TRUE(all_served_by("spare"));
    std::uint64_t received = 1000;
    while (received < size) {
        const auto piece = client.read_some(1 << 20);
        ASSERT_FALSE(piece.empty()) << received;
        received += piece.size();
    }
    EXPECT_EQ(backends(), (std::vector<std::string>{"spare"}));
}

/// Through the balancer to a backend that sends everything back.
RawClient tunnel(std::uint16_t port)
{
    RawClient client(port);
    client.send(format_request("GET", "/x", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}));
    EXPECT_EQ(client.read_response().status(), 101);
    return client;
}

TEST_F(ReloadTest, TunnelsToBackendsThatStayGoOnAndOthersEndInAWhile)
{
    Reply echo;
    echo.status = 101;
    echo.body.clear();
    echo.echo = true;
    echo.headers = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}};
    for (Origin* origin : {&primary_, &spare_}) origin->script([&](const Message&) { return echo; });
    RawClient to_primary = tunnel(port());
    ASSERT_EQ(post(port(), "/admin/failover", R"({"to":"spare"})").status(), 200);
    ASSERT_TRUE(balancer_.wait_active("spare"));
    RawClient to_spare = tunnel(port());

    ASSERT_EQ(reload(file_of({&spare_, &third_}, "timeouts: {tunnel_drain: 200ms}\n")).status(), 200);
    to_primary.send("a");
    EXPECT_EQ(to_primary.read_some(1), "a");
    EXPECT_TRUE(to_primary.closed_by_peer());
    for (int i = 0; i < 3; ++i) {
        to_spare.send("b");
        EXPECT_EQ(to_spare.read_some(1), "b");
    }
}

TEST_F(ReloadTest, NoRequestFailsHoweverOftenTheConfigurationChanges)
{
    const std::vector<std::string> files{file_of({&primary_, &spare_}), file_of({&third_, &primary_}),
                                         file_of({&spare_, &third_}), file_of({&third_, &spare_, &primary_})};
    std::vector<Action> actions;
    for (int i = 0; i < 60; ++i)
        actions.push_back({milliseconds(30 * i), [&, i] {
                               EXPECT_EQ(reload(files[static_cast<std::size_t>(i) % files.size()]).status(), 200);
                           }});
    LoadPlan plan;
    plan.port = port();
    plan.target = "/x";
    plan.rate = 300;
    const LoadResult result = run_load(plan, actions);
    EXPECT_EQ(result.failed(), 0U) << result.summary();
    for (const Origin* origin : {&primary_, &spare_, &third_}) EXPECT_EQ(origin->most_executed().second <= 1, true);
    EXPECT_GE(balancer_.status()["generation"], 50);
}

TEST_F(ReloadTest, AnOperatorReplacesTheBackendsOfAPool)
{
    const Answer shown = get(port(), "/admin/pools/default/backends");
    ASSERT_EQ(shown.status(), 200) << shown.message.body;
    EXPECT_EQ(shown.json()["source"], "configuration");
    EXPECT_EQ(shown.json()["backends"][0],
              (Json{{"name", "primary"}, {"url", primary_.url()}, {"weight", 1}, {"max_connections", 0}}));
    const std::string tag = shown.message.header("ETag").value_or("");
    EXPECT_EQ(tag, "\"1\"");

    const Answer done = put(Json::array({member(third_), member(spare_)}), {{"If-Match", tag}});
    ASSERT_EQ(done.status(), 200) << done.message.body;
    EXPECT_EQ(done.message.header("ETag"), "\"2\"");
    ASSERT_TRUE(balancer_.wait_for("third", "healthy"));
    EXPECT_TRUE(all_served_by("third"));
    EXPECT_EQ(backends(), (std::vector<std::string>{"third", "spare"}));
    EXPECT_EQ(get(port(), "/admin/pools/default/backends").json()["source"], "request");
    EXPECT_EQ(balancer_.status()["pools"][0]["members_by"], "request");

    const Answer late = put(Json::array({member(primary_)}), {{"If-Match", tag}});
    EXPECT_EQ(late.status(), 412) << late.message.body;
    EXPECT_EQ(put(Json::array({member(primary_), {{"name", "x"}, {"url", "ftp://x"}}})).status(), 422);
    EXPECT_EQ(put(Json::array({member(primary_)}), {}, "nothing").status(), 404);
    EXPECT_TRUE(all_served_by("third")) << "a request that is refused changes nothing";
}

TEST_F(ReloadTest, WhatAnOperatorSetOutlivesAFileThatSaysTheSame)
{
    ASSERT_EQ(put(Json::array({member(third_)})).status(), 200);
    ASSERT_TRUE(balancer_.wait_for("third", "healthy"));
    const Answer same = reload(file_of({&primary_, &spare_}, "timeouts: {request: 5s}\n"));
    EXPECT_EQ(same.json()["replaced"], Json::array());
    EXPECT_EQ(backends(), (std::vector<std::string>{"third"}));
    const Answer other = reload(file_of({&primary_}));
    EXPECT_EQ(other.json()["replaced"], Json{"default"});
    EXPECT_EQ(backends(), (std::vector<std::string>{"primary"}));
    EXPECT_TRUE(all_served_by("primary"));
}

TEST_F(ReloadTest, AnOperatorReplacesTheDynamicRoutes)
{
    const std::string routes = "routes:\n  - {prefix: /}\n  - {prefix: /old, redirect: /new, dynamic: true}\n"
                               "pools:\n  - {name: first, backends: [primary]}\n"
                               "  - {name: second, backends: [spare]}\n";
    ASSERT_EQ(reload(file_of({&primary_, &spare_}, routes)).status(), 200);
    const auto put_routes = [&](const Json& list, const std::vector<Header>& headers = {}) {
        return request(port(), "PUT", "/admin/routes", headers, Json{{"routes", list}}.dump());
    };
    EXPECT_TRUE(eventually([&] { return get(port(), "/old/x").status() == 308; }));

    const Answer shown = get(port(), "/admin/routes");
    ASSERT_EQ(shown.status(), 200) << shown.message.body;
    EXPECT_EQ(shown.json()["source"], "configuration");
    const std::string tag = shown.message.header("ETag").value_or("");
    const Answer done = put_routes({{{"prefix", "/x"}, {"pool", "second"}}}, {{"If-Match", tag}});
    ASSERT_EQ(done.status(), 200) << done.message.body;
    EXPECT_EQ(done.json()["changed"], Json{"routes changed: 8 now"});
    EXPECT_TRUE(eventually([&] { return served_by() == "spare" && get(port(), "/old/x").status() == 200; }));
    EXPECT_EQ(balancer_.status()["dynamic_routes"], (Json{{{"prefix", "/x"}, {"pool", "second"}}}));
    EXPECT_EQ(balancer_.status()["dynamic_routes_by"], "request");

    EXPECT_EQ(put_routes(Json::array(), {{"If-Match", tag}}).status(), 412);
    EXPECT_EQ(put_routes({{{"prefix", "/x"}, {"pool", "third"}}}).json()["field"], "routes[0].pool");
    const Answer conflict = put_routes({{{"prefix", "/y"}}, {{"prefix", "/admin"}}});
    EXPECT_EQ(conflict.status(), 409);
    EXPECT_NE(conflict.json()["error"].get<std::string>().find("routes[1] is for the same requests as the route for "
                                                               "'/admin', which is not dynamic"),
              std::string::npos)
        << conflict.message.body;
    EXPECT_EQ(get(port(), "/admin/routes").json()["routes"].size(), 8U) << "what is refused changes nothing";

    const Answer same = reload(file_of({&primary_, &spare_}, routes + "timeouts: {request: 5s}\n"));
    EXPECT_EQ(same.json()["routes_replaced"], false) << same.message.body;
    EXPECT_EQ(served_by(), "spare");
    const Answer other = reload(file_of({&primary_, &spare_}, routes + "  - {name: third, backends: [spare]}\n"));
    EXPECT_EQ(other.json()["routes_replaced"], false) << "the routes are the same";
    const Answer replaced =
        reload(file_of({&primary_, &spare_}, "routes:\n  - {prefix: /}\n  - {prefix: /old, dynamic: true}\n"));
    EXPECT_EQ(replaced.json()["routes_replaced"], true) << replaced.message.body;
    EXPECT_TRUE(eventually([&] { return served_by() == "primary"; }));
}

TEST_F(ReloadTest, ADrainCanBeWaitedFor)
{
    std::promise<void> release;
    const auto released = release.get_future().share();
    std::promise<void> begun;
    primary_.script([&, released](const Message&) {
        begun.set_value();
        released.wait();
        return Reply::text("at last");
    });
    std::thread slow([&] { EXPECT_EQ(post(port(), "/slow").status(), 200); });
    begun.get_future().wait();
    const Answer impatient = post(port(), "/admin/backends/primary/drain?wait=50ms");
    EXPECT_EQ(impatient.status(), 504) << impatient.message.body;
    EXPECT_EQ(impatient.json()["error"], "'primary' is draining, and 1 of its requests have not ended within 50ms");
    EXPECT_EQ(served_by(), "spare");
    Answer patient;
    std::thread waits([&] { patient = post(port(), "/admin/backends/primary/drain?wait=20s"); });
    release.set_value();
    waits.join();
    slow.join();
    ASSERT_EQ(patient.status(), 200) << patient.message.body;
    EXPECT_EQ(patient.json()["requests_in_flight"], 0);
    EXPECT_EQ(patient.json()["status"], "draining");
    for (const char* wrong : {"soon", "-1s", "11h", ""})
        EXPECT_EQ(post(port(), std::string("/admin/backends/primary/drain?wait=") + wrong).status(), 422) << wrong;
}

TEST_F(ReloadTest, ARequestKeepsTheNameOfItsBackendHoweverMuchChangesMeanwhile)
{
    const std::string log = (directory_.path() / "access.jsonl").string();
    const std::string more = "access_log: " + log + "\n";
    const std::string path = (directory_.path() / "logging.yaml").string();
    const auto read = [&](const std::vector<const Origin*>& origins) {
        std::ofstream(path) << file_of(origins, more);
        return path;
    };
    Balancer balancer = Balancer::from_file(read({&primary_, &spare_}));
    ASSERT_TRUE(balancer.wait_for("primary", "healthy") && balancer.wait_for("spare", "healthy"));
    std::promise<void> release, begun;
    primary_.script([&, released = release.get_future().share()](const Message&) {
        begun.set_value();
        released.wait();
        return Reply::text("at last");
    });
    std::thread slow([&] { EXPECT_EQ(post(balancer.port(), "/slow").status(), 200); });
    begun.get_future().wait();
    // The second change comes when the workers have answered the first: what takes a slot must not get that of primary.
    read({&spare_});
    ASSERT_EQ(post(balancer.port(), "/admin/reload").status(), 200);
    for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(get(balancer.port(), "/x").message.header("X-Served-By"), "spare");
        read(i % 2 == 0 ? std::vector<const Origin*>{&spare_, &third_} : std::vector<const Origin*>{&spare_});
        ASSERT_EQ(post(balancer.port(), "/admin/reload").status(), 200);
    }
    release.set_value();
    slow.join();
    EXPECT_TRUE(eventually([&] {
        std::ifstream lines(log);
        for (std::string line; std::getline(lines, line);) {
            const Json record = Json::parse(line, nullptr, false);
            if (record.is_object() && record["target"] == "/slow") return record["served_by"] == "primary";
        }
        return false;
    }));
}

TEST_F(ReloadTest, APoolWithoutBackendsAnswersUntilItHasSome)
{
    ASSERT_EQ(put(Json::array()).status(), 200);
    EXPECT_TRUE(eventually([&] { return get(port(), "/health").status() == 503; }));
    ASSERT_EQ(put(Json::array({member(spare_)})).status(), 200);
    EXPECT_TRUE(all_served_by("spare"));
    EXPECT_TRUE(eventually([&] { return get(port(), "/health").status() == 200; }));
}

} // namespace TEST_FILE
} // namespace hotspare::test
