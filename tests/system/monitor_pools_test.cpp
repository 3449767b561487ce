// Maintenance windows that close a balancer's pools, in the system load-balancer as it is shipped: what clients are
// told meanwhile, that the pools are opened again after a crash of the monitor or the balancer, and that what an
// operator closed stays closed.
#include "tests/support/eventually.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/running_system.hpp"

#include "common/time.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>

#include <chrono>
#include <string>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using Json = nlohmann::json;

/// admin:secure123
const Header credentials{"Authorization", "Basic YWRtaW46c2VjdXJlMTIz"};

std::string from_now(Clock::duration time)
{
    return format_rfc3339(std::chrono::system_clock::now() +
                          std::chrono::duration_cast<std::chrono::system_clock::duration>(time));
}

class MonitorPools : public testing::Test {
protected:
    explicit MonitorPools(const RunningSystem::Flags& flags = {}) : system_("load-balancer", flags) {}

    void SetUp() override
    {
        ASSERT_TRUE(eventually([&] { return all_get(200); })) << status();
    }

    std::uint16_t balancer() const { return system_.port(8080); }
    std::uint16_t monitor() const { return system_.port(8002); }
    Json status() const { return get(balancer(), "/status").json(); }
    /// What the balancer announces for pool `default`; null: it is open.
    Json announced() const
    {
        const Json document = status();
        for (const Json& pool : document["pools"])
            if (pool["name"] == "default") return pool["maintenance"];
        return "no such pool";
    }
    Answer browse(const std::string& path = "/data") const
    {
        return request(balancer(), "GET", path, {{"Accept", "text/html"}});
    }
    /// All workers have heard of it.
    bool all_get(int expected) const
    {
        for (int i = 0; i < 20; ++i)
            if (browse().status() != expected) return false;
        return true;
    }
    bool becomes(int expected) const
    {
        return eventually([&] { return all_get(expected); });
    }

    Answer act(std::string_view method, const std::string& path, const Json& body = {}) const
    {
        return request(monitor(), method, path, {credentials, {"Content-Type", "application/json"}},
                       body.is_null() ? "" : body.dump());
    }
    /// A window that begins in a second; its id.
    std::string announce(seconds length, const std::string& message = "Disks.", bool emergency = true) const
    {
        const Answer answer = act("POST", "/maintenance",
                                  {{"start_time", from_now(seconds(1))},
                                   {"end_time", from_now(seconds(1) + length)},
                                   {"message", message},
                                   {"emergency", emergency},
                                   {"close_pools", true}});
        EXPECT_EQ(answer.status(), 201) << answer.message.body;
        EXPECT_EQ(answer.json()["close_pools"], true);
        return std::to_string(answer.json().value("id", 0));
    }
    /// Of the audit log, about what the monitor did to pool `default`.
    int lines(const std::string& action) const
    {
        const Json document = act("GET", "/audit?action=" + action).json();
        int count = 0;
        for (const Json& entry : document["entries"])
            if (entry["user"] == "monitor" && entry["target"] == "balancer/default") ++count;
        return count;
    }

    bool shows(const std::string& line) const
    {
        return eventually(
            [&] { return get(monitor(), "/metrics").message.body.find(line + '\n') != std::string::npos; });
    }

    RunningSystem system_;
};

/// Without the 48 hours between an announcement and its window.
class MonitorPoolsAnnounced : public MonitorPools {
protected:
    MonitorPoolsAnnounced() : MonitorPools({{"monitor", {"--notice", "0s"}}}) {}
};

class MonitorPoolsRefused : public MonitorPools {
protected:
    MonitorPoolsRefused() : MonitorPools({{"balancer", {"--admin=false"}}}) {}
};

TEST_F(MonitorPools, AWindowClosesThePoolWithAPageAndOpensItAgain)
{
    const std::string id = announce(seconds(8), "Moving <b>disks</b>.");
    ASSERT_TRUE(becomes(503));
    const Answer page = browse("/");
    EXPECT_EQ(page.status(), 503);
    EXPECT_EQ(page.message.header("Content-Type"), "text/html; charset=utf-8");
    const int after = std::stoi(page.message.header("Retry-After").value_or("-1"));
    EXPECT_GE(after, 1);
    EXPECT_LE(after, 9);
    EXPECT_NE(page.message.body.find("Moving &lt;b&gt;disks&lt;/b&gt;."), std::string::npos) << page.message.body;

    const Answer window = get(balancer(), "/maintenance");
    EXPECT_EQ(window.status(), 200) << "the announcement is not behind what it announces";
    EXPECT_EQ(window.json()["active"], true);
    EXPECT_EQ(get(balancer(), "/status-page").status(), 200);
    EXPECT_EQ(announced()["until"], act("GET", "/maintenance/" + id).json()["end_time"]);

    ASSERT_TRUE(becomes(200));
    EXPECT_EQ(announced(), nullptr);
    EXPECT_TRUE(eventually([&] { return lines("pool.open") == 1; }));
    EXPECT_EQ(lines("pool.close"), 1) << "once";
    EXPECT_TRUE(shows("hotspare_monitor_pools_pending 0"));
}

TEST_F(MonitorPools, ACancelledWindowOpensThePoolAtOnceAndAChangedOneIsAnnouncedAnew)
{
    const std::string id = announce(std::chrono::duration_cast<seconds>(std::chrono::minutes(10)));
    ASSERT_TRUE(becomes(503));
    const Answer changed = act("PATCH", "/maintenance/" + id, {{"message", "Nearly done."}});
    ASSERT_EQ(changed.status(), 200) << changed.message.body;
    EXPECT_TRUE(eventually([&] { return announced()["message"] == "Nearly done."; }));
    ASSERT_EQ(act("PATCH", "/maintenance/" + id, {{"close_pools", false}}).status(), 200);
    ASSERT_TRUE(becomes(200)) << "the window goes on without";
    ASSERT_EQ(act("PATCH", "/maintenance/" + id, {{"close_pools", true}}).status(), 200);
    ASSERT_TRUE(becomes(503));
    ASSERT_EQ(act("DELETE", "/maintenance/" + id).status(), 200);
    EXPECT_TRUE(becomes(200));
}

TEST_F(MonitorPools, AMonitorThatWasKilledInTheWindowOpensThePoolWhenItRunsAgain)
{
    announce(seconds(5));
    ASSERT_TRUE(becomes(503));
    const auto end = Clock::now() + seconds(6);
    system_.process("monitor").signal(SIGKILL);
    system_.process("monitor").wait_exit();
    EXPECT_EQ(browse().status(), 503);
    ASSERT_TRUE(eventually([&] { return Clock::now() > end; }));
    EXPECT_EQ(browse().status(), 503) << "the balancer does not end it by itself";
    system_.start("monitor");
    EXPECT_TRUE(becomes(200));
}

TEST_F(MonitorPools, ABalancerThatIsRestartedInTheWindowIsClosedAgain)
{
    const std::string id = announce(std::chrono::duration_cast<seconds>(std::chrono::minutes(10)));
    ASSERT_TRUE(becomes(503));
    ASSERT_TRUE(shows("hotspare_monitor_pools_pending 0"));
    system_.process("balancer").signal(SIGKILL);
    system_.process("balancer").wait_exit();
    system_.start("balancer");
    EXPECT_TRUE(eventually([&] { return announced()["message"] == "Disks."; }));
    EXPECT_TRUE(becomes(503));
    EXPECT_TRUE(eventually([&] { return lines("pool.close") == 2; }));
    ASSERT_EQ(act("DELETE", "/maintenance/" + id).status(), 200);
    EXPECT_TRUE(becomes(200));
}

TEST_F(MonitorPools, WhatAnOperatorClosedStaysClosed)
{
    ASSERT_EQ(post(balancer(), "/admin/pools/default/maintenance", R"({"message":"By hand."})").status(), 200);
    ASSERT_TRUE(becomes(503));
    const std::string id = announce(seconds(3));
    ASSERT_TRUE(eventually([&] { return act("GET", "/maintenance/" + id).json()["state"] == "completed"; }));
    // A second window, which begins and ends: by then the monitor has had its say about the end of the first.
    const std::string next = announce(seconds(3));
    ASSERT_TRUE(eventually([&] { return act("GET", "/maintenance/" + next).json()["state"] == "completed"; }));
    EXPECT_EQ(announced()["message"], "By hand.");
    EXPECT_TRUE(all_get(503));
    EXPECT_EQ(lines("pool.close"), 0);
    EXPECT_EQ(lines("pool.open"), 0);
    ASSERT_EQ(post(balancer(), "/admin/pools/default/enable").status(), 200);
    EXPECT_TRUE(becomes(200));
}

TEST_F(MonitorPoolsAnnounced, WhatIsClosedInAnAnnouncedWindowIsNoIncidentThatPeopleAreToldOf)
{
    const auto incidents = [&] { return get(monitor(), "/incidents?target=balancer").json()["incidents"]; };
    announce(seconds(14), "Disks.", false);
    // Three checks, one each 2 s, confirm that the balancer cannot answer; two that it can again.
    ASSERT_TRUE(eventually([&] { return incidents().size() == 1; }));
    EXPECT_EQ(incidents()[0]["cause"], "no backend can answer");
    ASSERT_TRUE(eventually([&] { return incidents()[0]["status"] == "resolved"; }));
    EXPECT_EQ(incidents()[0]["maintenance"], true) << incidents()[0];
    EXPECT_EQ(get(monitor(), "/status").json()["incidents"], Json::array());
    // The outage ends with the first good check, which may be made up to 2 s after the pool was opened.
    const Json uptime = get(monitor(), "/uptime?target=balancer").json();
    EXPECT_LT(uptime["raw"].get<double>(), uptime["sla"].get<double>()) << uptime;
}

TEST_F(MonitorPoolsRefused, TheLogSaysWhatToDoAndTheFigureIsShown)
{
    const std::string id = announce(std::chrono::duration_cast<seconds>(std::chrono::minutes(10)));
    const auto line = system_.process("monitor").wait_line("cannot close pool 'default'");
    ASSERT_TRUE(line);
    EXPECT_NE(line->find("admin: true"), std::string::npos) << *line;
    EXPECT_TRUE(shows("hotspare_monitor_pools_pending 1"));
    EXPECT_TRUE(all_get(200));
    ASSERT_EQ(act("DELETE", "/maintenance/" + id).status(), 200);
    EXPECT_TRUE(shows("hotspare_monitor_pools_pending 0"));
    EXPECT_EQ(lines("pool.close"), 0);
}

TEST_F(MonitorPools, ClosingPoolsIsAFlag)
{
    const Answer refused = act("POST", "/maintenance",
                               {{"start_time", from_now(seconds(1))},
                                {"end_time", from_now(seconds(9))},
                                {"message", "Disks."},
                                {"emergency", true},
                                {"close_pools", "yes"}});
    EXPECT_EQ(refused.status(), 422);
    EXPECT_EQ(refused.json()["field"], "close_pools");
}

} // namespace TEST_FILE
} // namespace hotspare::test
