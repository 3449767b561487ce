// The monitor with its maintenance windows in PostgreSQL: rows and windows agree, whichever client writes them and
// whichever process crashes.
#include "tests/support/eventually.hpp"
#include "tests/support/faulty_disk.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/postgres_server.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/running_system.hpp"
#include "tests/support/temp_dir.hpp"

#include "common/time.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using std::chrono::hours;

/// Argon2id of "secure123".
constexpr auto demo_hash =
    "$argon2id$v=19$m=65536,t=2,p=1$1aGlBwkPgawmR7IhslwyYQ$JZ4rBAwpMGvQX/birrUV6kBRJTxM8p0QEXsbhlZPzf0";
const Header credentials{"Authorization", "Basic YWRtaW46c2VjdXJlMTIz"};

std::string from_now(Duration time)
{
    return format_rfc3339(std::chrono::system_clock::now() +
                          std::chrono::duration_cast<std::chrono::system_clock::duration>(time));
}

nlohmann::json window(Duration start, Duration length = hours(1))
{
    return {{"start_time", from_now(start)}, {"end_time", from_now(start + length)}, {"message", "Disks."}};
}

class MonitorStore : public testing::Test {
protected:
    void start()
    {
        std::ofstream(config()) << "users: [{name: admin, password_hash: '" << demo_hash << "'}]\n"
                                << "targets: [{name: api, tcp: '127.0.0.1:9', interval: 24h}, "
                                   "{name: lb, balancer: 'http://127.0.0.1:9', operate: true, interval: 24h}]\n";
        process_.reset();
        Process::Options options;
        options.environment = {{"HOTSPARE_STORE", store_}};
        if (disk_)
            for (const auto& variable : disk_->environment()) options.environment.push_back(variable);
        process_ = std::make_unique<Process>(
            binary("monitor"),
            std::vector<std::string>{"--config", config(), "--port", std::to_string(port_), "--data",
                                     (dir_.path() / "monitor.sqlite").string(), "--log-format", "json"},
            options);
        port_ = process_->wait_ready();
    }

    nlohmann::json json(const std::string& target) const { return get(port_, target).json(); }
    Answer act(std::string_view method, std::string_view target, const nlohmann::json& body = {},
               std::vector<Header> headers = {credentials}) const
    {
        headers.push_back({"Content-Type", "application/json"});
        return request(port_, method, target, headers, body.is_null() ? "" : body.dump());
    }
    std::size_t upcoming() const { return json("/maintenance")["upcoming"].size(); }
    bool up() const
    {
        return get(port_, "/metrics").message.body.find("\nhotspare_monitor_store_up 1\n") != std::string::npos;
    }
    void kill_monitor()
    {
        process_->signal(SIGKILL);
        EXPECT_EQ(process_->wait_exit(), 128 + SIGKILL);
    }
    /// As a dashboard adds one.
    void insert(const std::string& start, const std::string& end, const std::string& message = "Disks.")
    {
        server_.run(fmt::format("INSERT INTO system_maintenance (start_time, end_time, message) VALUES ({}, {}, '{}')",
                                start, end, message));
    }

    /// Of the audit log, newest first: action, user and detail.
    std::vector<std::string> audit() const
    {
        std::vector<std::string> lines;
        const auto document = act("GET", "/audit").json();
        for (const auto& entry : document["entries"])
            lines.push_back(fmt::format("{} by {}: {}", entry["action"].get<std::string>(),
                                        entry["user"].get<std::string>(), entry["detail"].get<std::string>()));
        return lines;
    }

    std::string config() const { return (dir_.path() / "monitor.yaml").string(); }

    PostgresServer server_;
    std::string store_ = server_.url();
    TempDir dir_;
    std::uint16_t port_ = 0;
    std::unique_ptr<FaultyDisk> disk_; ///< of the history; of the next start()
    std::unique_ptr<Process> process_;
};

/// The history can be made to fail while PostgreSQL works.
class MonitorStoreOnAFaultyDisk : public MonitorStore {
protected:
    void SetUp() override
    {
        if (!FaultyDisk::available()) GTEST_SKIP() << "a sanitizer has the functions that fail";
        disk_ = std::make_unique<FaultyDisk>(dir_.path() / "monitor.sqlite");
    }
};

TEST_F(MonitorStore, WritesWhatOperatorsAnnounceBeforeItAnswers)
{
    start();
    const auto plan = window(hours(72));
    const Answer created = act("POST", "/maintenance", plan);
    ASSERT_EQ(created.status(), 201) << created.message.body;
    const auto row = [&](const std::string& columns) {
        return server_.run("SELECT " + columns + " FROM system_maintenance");
    };
    EXPECT_EQ(row("hotspare_window, message, state, version, components, impact, emergency"),
              "1|Disks.|scheduled|0|{}|minor|f");
    EXPECT_EQ(row(fmt::format("start_time = '{}', end_time = '{}'", plan["start_time"].get<std::string>(),
                              plan["end_time"].get<std::string>())),
              "t|t");

    const std::string seen = created.message.header("ETag").value_or("");
    const Answer changed = act("PATCH", "/maintenance/1", {{"message", "More disks."}, {"components", {"api"}}},
                               {credentials, {"If-Match", seen}});
    ASSERT_EQ(changed.status(), 200) << changed.message.body;
    EXPECT_EQ(row("message, components, version"), "More disks.|{api}|1");
    EXPECT_EQ(act("DELETE", "/maintenance/1").status(), 200);
    EXPECT_EQ(row("state, version"), "cancelled|2");
}

TEST_F(MonitorStore, OverwritesNothingThatOthersHaveWrittenMeanwhile)
{
    start();
    const Answer created = act("POST", "/maintenance", window(hours(72)));
    ASSERT_EQ(created.status(), 201) << created.message.body;
    const std::string seen = created.message.header("ETag").value_or("");
    ASSERT_EQ(server_.run("UPDATE system_maintenance SET message = 'By others.' RETURNING hotspare_window"), "1");
    // The monitor reads the table every five seconds: it has most likely not seen that yet.
    const Answer changed =
        act("PATCH", "/maintenance/1", {{"message", "By the operator."}}, {credentials, {"If-Match", seen}});
    EXPECT_EQ(changed.status(), 412) << changed.message.body;
    EXPECT_EQ(server_.run("SELECT message FROM system_maintenance"), "By others.");
    ASSERT_TRUE(eventually([&] { return json("/maintenance/1")["message"] == "By others."; }));
    for (const std::string& line : audit()) EXPECT_EQ(line.find("By the operator."), std::string::npos) << line;
    EXPECT_EQ(act("PATCH", "/maintenance/1", {{"message", "By the operator."}}).status(), 200);
    EXPECT_EQ(server_.run("SELECT message FROM system_maintenance"), "By the operator.");

    // Nor is a row that they deleted written again.
    ASSERT_EQ(act("POST", "/maintenance", window(hours(80))).status(), 201);
    server_.run("DELETE FROM system_maintenance WHERE hotspare_window = 2");
    ASSERT_TRUE(eventually([&] { return json("/maintenance/2")["state"] == "cancelled"; }));
    EXPECT_EQ(server_.run("SELECT count(*) FROM system_maintenance"), "1");
}

TEST_F(MonitorStore, ShowsWhatOthersWrite)
{
    start();
    insert("now() + interval '72 hours'", "now() + interval '74 hours'", "From the dashboard.");
    ASSERT_TRUE(eventually([&] { return upcoming() == 1; }));
    const auto shown = json("/maintenance")["upcoming"][0];
    EXPECT_EQ(shown["message"], "From the dashboard.") << shown;
    EXPECT_EQ(shown["emergency"], false);

    // Announced in time and starting now: the answer that the clients of the table know.
    server_.run("INSERT INTO system_maintenance (start_time, end_time, message, created_at) "
                "VALUES (now(), now() + interval '1 hour', 'Now.', now() - interval '50 hours')");
    ASSERT_TRUE(eventually([&] { return json("/maintenance")["active"] == true; }));
    const auto active = json("/maintenance");
    EXPECT_EQ(active["message"], "Scheduled maintenance in progress") << active;
    EXPECT_EQ(active["details"], "Now.");
    ASSERT_TRUE(eventually(
        [&] { return server_.run("SELECT state FROM system_maintenance WHERE message = 'Now.'") == "in_progress"; }));

    server_.run("UPDATE system_maintenance SET message = 'Changed.', end_time = end_time + interval '1 hour' "
                "WHERE message = 'From the dashboard.'");
    ASSERT_TRUE(eventually([&] { return json("/maintenance")["upcoming"][0]["message"] == "Changed."; }));
    server_.run("DELETE FROM system_maintenance");
    ASSERT_TRUE(eventually([&] { return json("/maintenance")["active"] == false && upcoming() == 0; }));
    EXPECT_EQ(json("/maintenance/1")["state"], "cancelled");
    EXPECT_EQ(json("/maintenance/2")["state"], "cancelled");
    const auto audit = act("GET", "/audit").json()["entries"];
    ASSERT_EQ(audit.size(), 5U) << audit;
    EXPECT_EQ(audit[0]["user"], "system_maintenance");
}

TEST_F(MonitorStore, TakesLateNoticeForAnEmergencyAndLeavesNonsenseAlone)
{
    start();
    insert("now()", "now() + interval '1 hour'", "At once.");
    insert("now() + interval '72 hours'", "now() + interval '71 hours'", "Backwards.");
    insert("now() + interval '72 hours'", "'infinity'", "For ever.");
    ASSERT_TRUE(eventually([&] { return json("/maintenance")["active"] == true; }));
    EXPECT_EQ(json("/maintenance/1")["emergency"], true);
    ASSERT_TRUE(process_->wait_line("row 2 of system_maintenance is ignored: end_time must be after start_time"))
        << process_->err();
    ASSERT_TRUE(process_->wait_line("row 3 of system_maintenance is ignored: end_time is not a finite time"));
    EXPECT_EQ(upcoming(), 0U);
    EXPECT_EQ(server_.run("SELECT count(*) FROM system_maintenance WHERE hotspare_window IS NULL"), "2");
}

TEST_F(MonitorStore, UsesATableThatIsThereAsTheSeedDescribesIt)
{
    server_.run(
        "CREATE TABLE system_maintenance (start_time timestamp NOT NULL, end_time timestamp NOT NULL, message text "
        "NOT NULL, components text, owner text NOT NULL DEFAULT 'ops'); "
        "SET TimeZone = 'America/Bogota'; "
        "INSERT INTO system_maintenance (start_time, end_time, message, components) "
        "VALUES (now() AT TIME ZONE 'UTC' + interval '72 hours', now() AT TIME ZONE 'UTC' + interval '73 hours', "
        "'Old.', 'api')");
    start();
    ASSERT_TRUE(eventually([&] { return upcoming() == 1; }));
    const auto shown = json("/maintenance")["upcoming"][0];
    EXPECT_EQ(shown["components"], nlohmann::json{"api"});
    const auto starts = parse_rfc3339(shown["start_time"].get<std::string>());
    ASSERT_TRUE(starts);
    EXPECT_LT(std::chrono::abs(*starts - (std::chrono::system_clock::now() + hours(72))), seconds(60))
        << "a time without a zone is in UTC";
    ASSERT_EQ(act("POST", "/maintenance", window(hours(80))).status(), 201);
    EXPECT_EQ(server_.run("SELECT components, owner FROM system_maintenance ORDER BY hotspare_window DESC LIMIT 1"),
              "{}|ops");
}

TEST_F(MonitorStore, RefusesAnnouncementsWhilePostgresIsAwayAndGoesOnWithTheRest)
{
    start();
    ASSERT_EQ(act("POST", "/maintenance", window(hours(72))).status(), 201);
    EXPECT_TRUE(up());
    server_.stop();
    const Answer refused = act("POST", "/maintenance", window(hours(80)));
    EXPECT_EQ(refused.status(), 503);
    EXPECT_NE(refused.json().value("detail", "").find("PostgreSQL"), std::string::npos) << refused.message.body;
    EXPECT_EQ(act("DELETE", "/maintenance/1").status(), 503);
    EXPECT_FALSE(up());
    EXPECT_EQ(upcoming(), 1U) << "what is known stays";
    EXPECT_EQ(get(port_, "/health").status(), 200);
    ASSERT_TRUE(process_->wait_line("is unavailable: "));
    // A monitor that starts meanwhile knows what it knew.
    kill_monitor();
    start();
    EXPECT_EQ(upcoming(), 1U);
    EXPECT_EQ(act("POST", "/maintenance", window(hours(80))).status(), 503);

    server_.start();
    ASSERT_TRUE(eventually([&] { return up(); }));
    ASSERT_TRUE(process_->wait_line("is available"));
    EXPECT_EQ(act("POST", "/maintenance", window(hours(80))).status(), 201);
    EXPECT_EQ(server_.run("SELECT count(*) FROM system_maintenance"), "2");
}

TEST_F(MonitorStore, WritesTheWindowsOfAMonitorThatHadNoDatabase)
{
    store_.clear();
    start();
    ASSERT_EQ(act("POST", "/maintenance", window(hours(72))).status(), 201);
    process_->signal(SIGTERM);
    ASSERT_EQ(process_->wait_exit(), 0);
    store_ = server_.url();
    start();
    ASSERT_TRUE(eventually([&] { return server_.run("SELECT hotspare_window FROM system_maintenance") == "1"; }));
    // With another history, the table alone knows.
    process_->signal(SIGTERM);
    ASSERT_EQ(process_->wait_exit(), 0);
    std::filesystem::remove(dir_.path() / "monitor.sqlite");
    start();
    EXPECT_EQ(upcoming(), 1U);
    ASSERT_EQ(act("POST", "/maintenance", window(hours(80))).json()["id"], 2);
}

TEST_F(MonitorStore, LosesNothingThatItAcknowledgedWhenItIsKilled)
{
    start();
    std::size_t acknowledged = 0;
    for (int round = 0; round < 6; ++round) {
        for (int i = 0; i < 4; ++i)
            if (act("POST", "/maintenance", window(hours(72 + 2 * (round * 8 + i)))).status() == 201) ++acknowledged;
        // More are under way when the process dies, at another point each time.
        RawClient client(port_);
        const std::string body = window(hours(72 + 2 * (round * 8 + 5))).dump();
        client.send(format_request("POST", "/maintenance", {credentials, {"Content-Type", "application/json"}}, body));
        stand_still(milliseconds(30 * round));
        kill_monitor();
        start();
        const auto shown = json("/maintenance")["upcoming"];
        EXPECT_GE(shown.size(), acknowledged);
        EXPECT_LE(shown.size(), acknowledged + static_cast<std::size_t>(round) + 1);
        EXPECT_EQ(server_.run("SELECT count(*) FROM system_maintenance WHERE state = 'scheduled'"),
                  std::to_string(shown.size()))
            << "each window is a row and each row a window";
        EXPECT_EQ(act("GET", "/audit/verification").json()["whole"], true);
    }
    EXPECT_EQ(acknowledged, 24U);
}

TEST_F(MonitorStore, TakesUpFromTheTableWhatTheHistoryDoesNotHave)
{
    const auto history = dir_.path() / "monitor.sqlite";
    const auto copy = dir_.path() / "copy.sqlite";
    start();
    for (const int ahead : {72, 80, 90})
        ASSERT_EQ(act("POST", "/maintenance", window(hours(ahead), hours(3))).status(), 201);
    process_->signal(SIGTERM);
    ASSERT_EQ(process_->wait_exit(), 0);
    std::filesystem::copy_file(history, copy);
    start();
    // As if the process had died each time before its history was written.
    ASSERT_EQ(act("POST", "/maintenance", window(hours(100))).status(), 201);
    ASSERT_EQ(act("DELETE", "/maintenance/2").status(), 200);
    ASSERT_EQ(act("PATCH", "/maintenance/3", {{"message", "More disks."}}).status(), 200);
    kill_monitor();
    for (const char* rest : {"-wal", "-shm"}) std::filesystem::remove(history.string() + rest);
    std::filesystem::remove(history);
    std::filesystem::rename(copy, history);
    start();
    EXPECT_EQ(json("/maintenance/1")["state"], "scheduled");
    EXPECT_EQ(json("/maintenance/2")["state"], "cancelled");
    EXPECT_EQ(json("/maintenance/3")["message"], "More disks.");
    EXPECT_EQ(json("/maintenance/3")["version"], 1);
    EXPECT_EQ(json("/maintenance/4")["state"], "scheduled");
    EXPECT_EQ(act("POST", "/maintenance", window(hours(110))).json()["id"], 5);
}

TEST_F(MonitorStore, AnswersWhilePostgresIsSilentAndFindsOutWhatItStored)
{
    start();
    ASSERT_EQ(act("POST", "/maintenance", window(hours(72))).status(), 201);
    std::vector<pid_t> silent;
    std::istringstream pids(server_.run("SELECT pid FROM pg_stat_activity WHERE application_name = 'hotspare'"));
    for (pid_t pid = 0; pids >> pid;) silent.push_back(pid);
    ASSERT_FALSE(silent.empty());
    for (const pid_t pid : silent) ASSERT_EQ(::kill(pid, SIGSTOP), 0);
    RawClient client(port_);
    const std::string body = window(hours(80)).dump();
    client.send(format_request("POST", "/maintenance", {credentials, {"Content-Type", "application/json"}}, body));
    const auto asked_at = Clock::now();
    EXPECT_EQ(get(port_, "/health").status(), 200);
    EXPECT_EQ(upcoming(), 1U);
    EXPECT_LT(Clock::now() - asked_at, milliseconds(1000)) << "the event loop does not wait for it";
    const Answer answer = client.read_response();
    EXPECT_EQ(answer.status(), 503) << answer.message.body;
    EXPECT_NE(answer.json().value("detail", "").find("the result is unknown"), std::string::npos)
        << "it may be stored, and is: " << answer.message.body;
    for (const pid_t pid : silent) ::kill(pid, SIGCONT);
    ASSERT_TRUE(eventually([&] { return up(); }));
    ASSERT_TRUE(eventually(
        [&] { return std::to_string(upcoming()) == server_.run("SELECT count(*) FROM system_maintenance"); }));
    EXPECT_EQ(act("POST", "/maintenance", window(hours(90))).status(), 201);
}

TEST_F(MonitorStore, KeepsWhetherAWindowClosesPools)
{
    // A table of a monitor that had no such column, with a window that closes pools.
    start();
    auto plan = window(hours(72));
    plan["close_pools"] = true;
    ASSERT_EQ(act("POST", "/maintenance", plan).status(), 201);
    ASSERT_EQ(act("POST", "/maintenance", window(hours(80))).status(), 201);
    const auto columns = [&] {
        return server_.run("SELECT string_agg(coalesce(close_pools::text, 'none'), ' ' ORDER BY hotspare_window) "
                           "FROM system_maintenance");
    };
    EXPECT_EQ(columns(), "true false");
    process_->signal(SIGTERM);
    ASSERT_EQ(process_->wait_exit(), 0);
    server_.run("ALTER TABLE system_maintenance DROP COLUMN close_pools, DROP COLUMN hotspare_user");
    start();
    EXPECT_EQ(json("/maintenance/1")["close_pools"], true) << "a row that says nothing changes nothing";
    ASSERT_TRUE(eventually([&] { return columns() == "true none"; })) << columns();

    // Without the history the row is all that is known of the window.
    process_->signal(SIGTERM);
    ASSERT_EQ(process_->wait_exit(), 0);
    std::filesystem::remove(dir_.path() / "monitor.sqlite");
    start();
    EXPECT_EQ(json("/maintenance/1")["close_pools"], true);
    EXPECT_EQ(json("/maintenance/2")["close_pools"], false);

    // Others write it, or leave it out.
    server_.run("UPDATE system_maintenance SET close_pools = false WHERE hotspare_window = 1");
    ASSERT_TRUE(eventually([&] { return json("/maintenance/1")["close_pools"] == false; }));
    insert("now() + interval '90 hours'", "now() + interval '91 hours'");
    ASSERT_TRUE(eventually([&] { return upcoming() == 3; }));
    EXPECT_EQ(json("/maintenance/3")["close_pools"], false);
}

TEST_F(MonitorStoreOnAFaultyDisk, TellsWhoAskedForWhatTheHistoryCouldNotStore)
{
    start();
    ASSERT_EQ(act("POST", "/maintenance", window(hours(72))).status(), 201);
    ASSERT_EQ(act("POST", "/maintenance", window(hours(80))).status(), 201);
    // A change that changes nothing is stored after everything that waited: from here on nothing but commands fails.
    ASSERT_EQ(act("PATCH", "/maintenance/1", {{"message", "Disks."}}).status(), 200);
    ASSERT_EQ(audit().size(), 3U);
    disk_->set_full(true);
    const Answer created = act("POST", "/maintenance", window(hours(90)));
    EXPECT_EQ(created.status(), 503) << created.message.body;
    EXPECT_NE(created.json().value("detail", "").find("it is stored in PostgreSQL, and takes effect as soon as"),
              std::string::npos)
        << created.message.body;
    EXPECT_EQ(act("DELETE", "/maintenance/1").status(), 503);
    EXPECT_EQ(upcoming(), 2U) << "nothing takes effect that the audit log does not tell";
    EXPECT_EQ(server_.run("SELECT count(*) FROM system_maintenance WHERE state = 'scheduled'"), "2");
    ASSERT_TRUE(process_->wait_line("the history cannot be written to"));
    EXPECT_EQ(get(port_, "/metrics").message.body.find("\nhotspare_monitor_commits_failed_total 0\n"),
              std::string::npos);

    disk_->set_full(false);
    ASSERT_TRUE(eventually([&] { return json("/maintenance/1")["state"] == "cancelled" && upcoming() == 2; }));
    EXPECT_EQ(json("/maintenance/3")["state"], "scheduled");
    auto lines = audit();
    ASSERT_EQ(lines.size(), 5U) << "one for each: " << fmt::format("{}", fmt::join(lines, "; "));
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_NE(lines[i].find("by system_maintenance"), std::string::npos) << lines[i];
        EXPECT_NE(lines[i].find("asked for by admin, 127.0.0.1"), std::string::npos) << lines[i];
    }

    // The same if the process dies before the disk has room again.
    ASSERT_EQ(act("PATCH", "/maintenance/2", {{"message", "Disks."}}).status(), 200);
    disk_->set_full(true);
    EXPECT_EQ(act("PATCH", "/maintenance/2", {{"message", "More disks."}}).status(), 503);
    EXPECT_EQ(json("/maintenance/2")["message"], "Disks.");
    kill_monitor();
    disk_->set_full(false);
    start();
    EXPECT_EQ(json("/maintenance/2")["message"], "More disks.");
    lines = audit();
    ASSERT_EQ(lines.size(), 7U);
    EXPECT_NE(lines[0].find("window.restore by system_maintenance"), std::string::npos) << lines[0];
    EXPECT_NE(lines[0].find("More disks. (its row says: asked for by admin, 127.0.0.1)"), std::string::npos)
        << lines[0];
    EXPECT_EQ(act("GET", "/audit/verification").json()["whole"], true);
    // What is asked for and stored is told once, by its own line.
    EXPECT_EQ(act("DELETE", "/maintenance/2").status(), 200);
    EXPECT_EQ(audit()[0].substr(0, 24), "window.cancel by admin: ");
}

TEST_F(MonitorStoreOnAFaultyDisk, TakesUpWhatPostgresHasWhenTheHistoryBreaks)
{
    start();
    ASSERT_EQ(act("POST", "/maintenance", window(hours(72))).status(), 201);
    disk_->fail_syncs(1);
    EXPECT_NE(act("POST", "/maintenance", window(hours(80))).status(), 201);
    EXPECT_EQ(process_->wait_exit(), 1) << "what the file holds is unknown";
    start();
    EXPECT_EQ(std::to_string(upcoming()), server_.run("SELECT count(*) FROM system_maintenance"));
    EXPECT_EQ(audit().size(), upcoming()) << "a line for each window";
    EXPECT_EQ(act("GET", "/audit/verification").json()["whole"], true);
}

TEST_F(MonitorStore, ShowsNoPassword)
{
    store_.replace(store_.find("hotspare@"), 9, "hotspare:topsecret@");
    start();
    ASSERT_EQ(act("POST", "/maintenance", window(hours(72))).status(), 201);
    server_.stop();
    const Answer refused = act("POST", "/maintenance", window(hours(80)));
    EXPECT_EQ(refused.status(), 503);
    EXPECT_EQ(refused.message.body.find("topsecret"), std::string::npos);
    ASSERT_TRUE(process_->wait_line("is unavailable: "));
    EXPECT_EQ(process_->err().find("topsecret"), std::string::npos) << process_->err();
    const Finished printed = run(binary("monitor"), {"--store", store_, "--print-config"});
    EXPECT_EQ(printed.code, 0) << printed.err;
    EXPECT_NE(printed.out.find("store: \"postgres://***@"), std::string::npos) << printed.out;
    EXPECT_EQ(printed.out.find("topsecret"), std::string::npos) << printed.out;
    const Finished wrong = run(binary("monitor"), {"--store", "postgre://me:topsecret@localhost/x"});
    EXPECT_EQ(wrong.code, 2);
    EXPECT_EQ(wrong.err.find("topsecret"), std::string::npos) << wrong.err;
}

} // namespace TEST_FILE
} // namespace hotspare::test
