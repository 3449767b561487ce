// The monitor as a process: what its readers and operators see, what survives its death, and what people are told.
#include "tests/support/eventually.hpp"
#include "tests/support/faulty_disk.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/running_system.hpp"
#include "tests/support/smtp_sink.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/temp_dir.hpp"

#include "common/time.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sqlite3.h>

#include <csignal>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using std::chrono::hours;
using std::chrono::minutes;

/// Argon2id of "secure123".
constexpr auto demo_hash =
    "$argon2id$v=19$m=65536,t=2,p=1$1aGlBwkPgawmR7IhslwyYQ$JZ4rBAwpMGvQX/birrUV6kBRJTxM8p0QEXsbhlZPzf0";
/// admin:secure123, and a wrong password.
const Header credentials{"Authorization", "Basic YWRtaW46c2VjdXJlMTIz"};
const Header wrong_credentials{"Authorization", "Basic YWRtaW46d3Jvbmc="};

/// RFC 3339 in UTC, so long from now.
std::string from_now(Duration time)
{
    return format_rfc3339(std::chrono::system_clock::now() +
                          std::chrono::duration_cast<std::chrono::system_clock::duration>(time));
}

class Monitor {
public:
    enum class Disk : std::uint8_t { sound, faulty, loses_power };

    using Environment = std::vector<std::pair<std::string, std::string>>;

    /// `yaml` follows the users.
    explicit Monitor(const std::string& yaml, bool with_user = true, Disk disk = Disk::sound,
                     Environment environment = {})
        : environment_(std::move(environment))
    {
        if (disk != Disk::sound) disk_ = std::make_unique<FaultyDisk>(data());
        if (disk == Disk::loses_power) disk_->expect_loss_of_power();
        std::ofstream file(config());
        if (with_user) file << "users: [{name: admin, password_hash: '" << demo_hash << "'}]\n";
        file << yaml;
        file.close();
        start();
    }

    void start()
    {
        process_.reset();
        Process::Options options;
        options.environment = environment_;
        if (disk_)
            for (const auto& variable : disk_->environment()) options.environment.push_back(variable);
        process_ =
            std::make_unique<Process>(binary("monitor"),
                                      std::vector<std::string>{"--config", config(), "--port", std::to_string(port_),
                                                               "--data", data(), "--log-format", "json"},
                                      options);
        port_ = process_->wait_ready();
    }

    std::uint16_t port() const { return port_; }
    Process& process() { return *process_; }
    FaultyDisk& disk() { return *disk_; }
    std::string data() const { return (dir_.path() / "monitor.sqlite").string(); }

    nlohmann::json json(const std::string& target) const { return get(port_, target).json(); }
    std::string state(const std::string& target) const
    {
        const auto document = json("/targets");
        for (const auto& one : document["targets"])
            if (one["name"] == target) return one["state"];
        return "none";
    }
    Answer act(std::string_view method, std::string_view target, const nlohmann::json& body = {},
               std::vector<Header> headers = {credentials}) const
    {
        headers.push_back({"Content-Type", "application/json"});
        return request(port_, method, target, headers, body.is_null() ? "" : body.dump());
    }

private:
    std::string config() const { return (dir_.path() / "monitor.yaml").string(); }

    TempDir dir_;
    Environment environment_;
    std::unique_ptr<FaultyDisk> disk_; ///< of the history
    std::uint16_t port_ = 0;
    std::unique_ptr<Process> process_;
};

/// A stopped origin refuses: the timeout is for a machine that is busy with other things.
std::string target_of(const Origin& origin, const std::string& more = "")
{
    return fmt::format("targets: [{{name: api, url: '{}/health', interval: 100ms, timeout: 2s{}}}]\n", origin.url(),
                       more);
}

nlohmann::json window(Duration start, Duration length = hours(1))
{
    return {{"start_time", from_now(start)}, {"end_time", from_now(start + length)}, {"message", "Disks."}};
}

TEST(Monitor, RecordsAnOutageFromItsFirstFailedCheckOnAndItsEnd)
{
    Origin origin("api");
    Monitor monitor(target_of(origin));
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    const auto stopped_at = std::chrono::system_clock::now();
    origin.stop();
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "down"; }));
    origin.start();
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    const auto incidents = monitor.json("/incidents")["incidents"];
    ASSERT_EQ(incidents.size(), 1U);
    EXPECT_EQ(incidents[0]["cause"], "Connection refused") << incidents;
    const auto since = parse_rfc3339(incidents[0]["start_time"].get<std::string>());
    ASSERT_TRUE(since);
    EXPECT_LT(*since - stopped_at, milliseconds(300)) << "backdated: the first of three checks, of which one is made "
                                                         "each 100 ms";
    const auto uptime = monitor.json("/uptime?target=api");
    EXPECT_LT(uptime["raw"].get<double>(), 1.);
    EXPECT_EQ(uptime["incidents"], 1);
}

TEST(Monitor, TakesASingleLostCheckForNothing)
{
    Origin origin("api");
    std::atomic<int> to_fail = 0;
    origin.probe_script([&](const Message&) { return Reply::text("", to_fail.fetch_sub(1) > 0 ? 500 : 200); });
    Monitor monitor(target_of(origin));
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    to_fail = 2;
    ASSERT_TRUE(eventually([&] {
        const auto samples = monitor.json("/history?target=api")["samples"];
        return std::count_if(samples.begin(), samples.end(), [](const auto& s) { return s["state"] == "down"; }) == 2 &&
               samples[0]["state"] == "up";
    }));
    EXPECT_EQ(monitor.state("api"), "up");
    EXPECT_TRUE(monitor.json("/incidents")["incidents"].empty());
}

TEST(Monitor, AcceptsMaintenanceThatIsAnnouncedInTime)
{
    Monitor monitor("targets: []\n");
    EXPECT_EQ(monitor.json("/maintenance"), (nlohmann::json{{"active", false}, {"upcoming", nlohmann::json::array()}}));
    const Answer late = monitor.act("POST", "/maintenance", window(hours(48) - minutes(1)));
    EXPECT_EQ(late.status(), 422);
    EXPECT_EQ(late.json().value("field", ""), "start_time") << late.message.body;
    const Answer in_time = monitor.act("POST", "/maintenance", window(hours(48) + minutes(1)));
    ASSERT_EQ(in_time.status(), 201) << in_time.message.body;
    EXPECT_EQ(in_time.message.header("Location"), "/maintenance/1");
    EXPECT_EQ(in_time.json()["id"], 1);
    EXPECT_EQ(monitor.json("/maintenance")["upcoming"].size(), 1U);

    // An emergency begins at once, at a time that is over when it arrives.
    auto emergency = window(seconds(-1), seconds(600));
    emergency["emergency"] = true;
    ASSERT_EQ(monitor.act("POST", "/maintenance", emergency).status(), 201);
    EXPECT_TRUE(eventually([&] { return monitor.json("/maintenance")["active"] == true; }));
    EXPECT_EQ(monitor.json("/maintenance")["id"], 2);
}

TEST(Monitor, DoesNotCountAnnouncedMaintenanceAgainstTheSla)
{
    Origin origin("api");
    Monitor monitor(target_of(origin) + "notice: 1s\n");
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    // The first login takes as long as a hash of the password, the next ones do not.
    ASSERT_EQ(monitor.act("GET", "/audit").status(), 200);
    ASSERT_EQ(monitor.act("POST", "/maintenance", window(milliseconds(2000), seconds(600))).status(), 201);
    ASSERT_TRUE(eventually([&] { return monitor.json("/maintenance")["active"] == true; }));
    origin.stop();
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "down"; }));
    ASSERT_TRUE(
        eventually([&] { return monitor.json("/uptime?target=api")["milliseconds"]["maintenance"]["down"] > 300; }));
    const auto uptime = monitor.json("/uptime?target=api");
    EXPECT_EQ(uptime["sla"], 1.) << uptime;
    EXPECT_LT(uptime["raw"].get<double>(), 1.) << uptime;
    EXPECT_EQ(uptime["incidents"], 0) << uptime;
    EXPECT_EQ(monitor.json("/status")["overall"], "maintenance");

    // A window that is cancelled ends now: from here on it counts.
    ASSERT_EQ(monitor.act("DELETE", "/maintenance/1").status(), 200);
    EXPECT_TRUE(eventually([&] { return monitor.json("/uptime?target=api")["sla"].get<double>() < 1.; }));
}

TEST(Monitor, ChangesAndCancelsAWindowOnlyForWhoHasSeenIt)
{
    Monitor monitor("targets: []\n");
    ASSERT_EQ(monitor.act("POST", "/maintenance", window(hours(72))).status(), 201);
    const std::string seen = get(monitor.port(), "/maintenance/1").message.header("ETag").value_or("");
    const Answer changed =
        monitor.act("PATCH", "/maintenance/1", {{"message", "More disks."}}, {credentials, {"If-Match", seen}});
    EXPECT_EQ(changed.status(), 200) << changed.message.body;
    EXPECT_EQ(changed.json()["message"], "More disks.");
    EXPECT_EQ(changed.json()["version"], 1);
    const Answer stale = monitor.act("DELETE", "/maintenance/1", {}, {credentials, {"If-Match", seen}});
    EXPECT_EQ(stale.status(), 412) << stale.message.body;
    EXPECT_EQ(monitor.act("DELETE", "/maintenance/1").json()["state"], "cancelled");
    EXPECT_EQ(monitor.act("DELETE", "/maintenance/1").status(), 409);
    EXPECT_EQ(monitor.act("DELETE", "/maintenance/7").status(), 404);
    EXPECT_TRUE(monitor.json("/maintenance")["upcoming"].empty());
}

TEST(Monitor, CarriesOutOneOfSeveralChangesOfTheSameVersion)
{
    Monitor monitor("targets: []\n");
    ASSERT_EQ(monitor.act("POST", "/maintenance", window(hours(72))).status(), 201);
    const std::string seen = get(monitor.port(), "/maintenance/1").message.header("ETag").value_or("");
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 8; ++i) clients.push_back(std::make_unique<RawClient>(monitor.port()));
    // None of them waits for another: while the first change is stored, the others have the version that it had.
    for (std::size_t i = 0; i < clients.size(); ++i)
        clients[i]->send(format_request("PATCH", "/maintenance/1",
                                        {credentials, {"If-Match", seen}, {"Content-Type", "application/json"}},
                                        nlohmann::json{{"message", fmt::format("Disk {}.", i)}}.dump()));
    std::vector<std::string> carried_out;
    for (const auto& client : clients) {
        const Answer answer = client->read_response();
        if (answer.status() == 200)
            carried_out.push_back(answer.json()["message"]);
        else
            EXPECT_EQ(answer.status(), 412) << answer.message.body;
    }
    ASSERT_EQ(carried_out.size(), 1U) << "the others would have been lost";
    EXPECT_EQ(monitor.json("/maintenance/1")["message"], carried_out[0]);
    EXPECT_EQ(monitor.act("GET", "/audit?action=window.change").json()["entries"].size(), 1U);
}

TEST(Monitor, RefusesBadInputByTheNameOfTheFieldAndStoresNothing)
{
    Origin origin("api");
    Monitor monitor(target_of(origin));
    struct Case {
        const char* field;
        nlohmann::json change;
    };
    for (const auto& [field, change] : std::vector<Case>{
             {"start_time", {{"start_time", "2027-01-01T10:00:00"}}},
             {"start_time", {{"start_time", "2027-01-01T24:61:00Z"}}},
             {"start_time", {{"start_time", "1900-01-01T10:00:00Z"}}},
             {"end_time", {{"end_time", from_now(hours(60))}}},
             {"end_time", {{"end_time", 5}}},
             {"rrule", {{"rrule", "FREQ=MINUTELY"}}},
             {"rrule", {{"rrule", "FREQ=HOURLY;BYMINUTE=0,1,2,3"}}},
             {"components", {{"components", {"nothing"}}}},
             {"message", {{"message", std::string(20'000, 'x')}}},
             {"impact", {{"impact", "huge"}}},
             {"colour", {{"colour", "red"}}},
         }) {
        auto plan = window(hours(72));
        plan.update(change);
        const Answer answer = monitor.act("POST", "/maintenance", plan);
        EXPECT_EQ(answer.status(), 422) << change << answer.message.body;
        EXPECT_EQ(answer.json().value("field", ""), field) << answer.message.body;
        EXPECT_NE(answer.json().value("error", "").find(field), std::string::npos) << answer.message.body;
    }
    auto huge = window(hours(72));
    huge["message"] = std::string(1024 * 1024, 'x');
    EXPECT_EQ(monitor.act("POST", "/maintenance", huge).status(), 413);
    EXPECT_EQ(request(monitor.port(), "POST", "/maintenance", {credentials, {"Content-Type", "application/json"}}, "{")
                  .status(),
              400);
    EXPECT_EQ(request(monitor.port(), "POST", "/maintenance", {credentials, {"Content-Type", "application/xml"}}, "{}")
                  .status(),
              415);
    for (const auto& [type, status] :
         std::vector<std::pair<std::string, int>>{{"Application/JSON", 422},
                                                  {"application/json ; charset=utf-8", 422},
                                                  {"application/jsonx", 415},
                                                  {"", 415}})
        EXPECT_EQ(request(monitor.port(), "POST", "/maintenance", {credentials, {"Content-Type", type}}, "{}").status(),
                  status)
            << type;
    EXPECT_EQ(get(monitor.port(), "/uptime?target=nothing").status(), 404);
    EXPECT_EQ(get(monitor.port(), "/uptime?month=2199-01").status(), 422);
    EXPECT_EQ(get(monitor.port(), "/uptime?mouth=2026-01").status(), 422);
    EXPECT_EQ(get(monitor.port(), "/badge/nothing.svg").status(), 404);
    EXPECT_EQ(get(monitor.port(), "/push/0123456789abcdef").status(), 404);
    EXPECT_TRUE(monitor.json("/maintenance")["upcoming"].empty());
    const auto audit = monitor.act("GET", "/audit").json();
    EXPECT_TRUE(audit["entries"].empty()) << audit;
}

TEST(Monitor, LetsInWhoHasThePasswordAndWritesDownWhoHasNot)
{
    Monitor monitor("targets: []\n");
    const Answer none = monitor.act("POST", "/maintenance", window(hours(72)), {});
    EXPECT_EQ(none.status(), 401);
    EXPECT_NE(none.message.header("WWW-Authenticate").value_or("").find("Basic"), std::string::npos);
    EXPECT_EQ(monitor.act("GET", "/audit", {}, {wrong_credentials}).status(), 401);
    const Answer foreign =
        monitor.act("POST", "/maintenance", window(hours(72)), {credentials, {"Origin", "http://evil.example"}});
    EXPECT_EQ(foreign.status(), 403) << "a browser would attach what it knows";
    EXPECT_EQ(get(monitor.port(), "/maintenance").json()["upcoming"].size(), 0U);
    nlohmann::json entries;
    EXPECT_TRUE(eventually([&] { return !(entries = monitor.act("GET", "/audit").json()["entries"]).empty(); }));
    EXPECT_EQ(entries[0]["action"], "login.failed");
    EXPECT_EQ(entries[0]["user"], "admin");
    EXPECT_EQ(entries[0]["address"], "127.0.0.1");
    EXPECT_EQ(monitor.process().err().find("secure123"), std::string::npos);
    EXPECT_NE(monitor.process().err().find("has the password of the demonstration"), std::string::npos);
}

TEST(Monitor, ShowsNoSecretOfItsConfiguration)
{
    Origin origin("api"); // that knows nothing of what it is asked for
    origin.probe_script([](const Message&) { return Reply::text("", 500); });
    origin.script([](const Message&) { return Reply::text("", 500); });
    Monitor monitor(fmt::format(R"(
targets:
  - {{name: api, url: '{0}/health?key=s3cret', headers: [{{name: Authorization, value: Bearer s3cret}}], interval: 100ms}}
  - {{name: lb, balancer: '{0}/status?key=s3cret', operate: true, interval: 100ms}}
  - {{name: job, push: s3cret-s3cret-s3cret}}
channels: [{{name: hook, webhook: {{url: '{0}/s3cret'}}}}]
gather: 50ms
dashboard: lb
)",
                                origin.url()));
    ASSERT_EQ(monitor.act("GET", "/audit").status(), 200); // the first login takes longer
    auto plan = window(milliseconds(500), seconds(600));
    plan["emergency"] = true;
    plan["close_pools"] = true;
    ASSERT_EQ(monitor.act("POST", "/maintenance", plan).status(), 201);
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "down" && monitor.state("lb") == "down"; }));
    ASSERT_TRUE(monitor.process().wait_line("pools of 'lb'")) << "it could not be asked";
    ASSERT_TRUE(monitor.process().wait_line("notification to channel hook failed"));
    const auto shows = [&](const Answer& answer) { return answer.message.body.find("s3cret") != std::string::npos; };
    for (const char* path : {"/", "/targets", "/status", "/health_status", "/status-page", "/incidents", "/metrics",
                             "/history?target=lb", "/audit", "/api/v2/summary.json", "/events/nothing"})
        EXPECT_FALSE(shows(monitor.act("GET", path))) << path;
    EXPECT_FALSE(shows(monitor.act("POST", "/crash")));
    const Answer wrong = monitor.act("PUT", "/push/s3cret-s3cret-s3cret");
    EXPECT_EQ(wrong.status(), 405);
    EXPECT_FALSE(shows(wrong)) << wrong.message.body;
    EXPECT_EQ(monitor.process().err().find("s3cret"), std::string::npos) << monitor.process().err();
}

TEST(Monitor, HasNoChangesWithoutUsers)
{
    Monitor monitor("targets: []\n", false);
    EXPECT_EQ(monitor.act("POST", "/maintenance", window(hours(72))).status(), 403);
    EXPECT_EQ(get(monitor.port(), "/status-page").status(), 200);
}

TEST(Monitor, LosesNothingThatItAcknowledgedWhenItIsKilled)
{
    Monitor monitor("targets: []\n");
    std::size_t acknowledged = 0;
    for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < 5; ++i) {
            const auto start = hours(72 + 2 * (round * 8 + i));
            if (monitor.act("POST", "/maintenance", window(start)).status() == 201) ++acknowledged;
        }
        // One more is under way when the process dies; whether it was stored, only its answer would tell.
        RawClient client(monitor.port());
        const std::string body = window(hours(72 + 2 * (round * 8 + 6))).dump();
        client.send(format_request("POST", "/maintenance", {credentials, {"Content-Type", "application/json"}}, body));
        monitor.process().signal(SIGKILL);
        EXPECT_EQ(monitor.process().wait_exit(), 128 + SIGKILL);
        monitor.start();
        const auto upcoming = monitor.json("/maintenance")["upcoming"].size();
        EXPECT_GE(upcoming, acknowledged);
        EXPECT_LE(upcoming, acknowledged + static_cast<std::size_t>(round) + 1);
        const auto verification = monitor.act("GET", "/audit/verification").json();
        EXPECT_EQ(verification["whole"], true) << verification;
        EXPECT_EQ(verification["entries"], upcoming) << "a line for each window";
    }
    EXPECT_EQ(acknowledged, 20U);
}

TEST(Monitor, LosesNothingThatItAcknowledgedWhenPowerFails)
{
    if (!FaultyDisk::available()) GTEST_SKIP() << "a sanitizer has the functions that fail";
    Monitor monitor("targets: []\n", true, Monitor::Disk::loses_power);
    std::size_t acknowledged = 0;
    for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 3; ++i) {
            ASSERT_EQ(monitor.act("POST", "/maintenance", window(hours(72 + 2 * (round * 4 + i)))).status(), 201);
            ++acknowledged;
        }
        // Nothing is between the last answer and the end: what was not synced before it is lost, in part or whole.
        monitor.process().signal(SIGKILL);
        EXPECT_EQ(monitor.process().wait_exit(), 128 + SIGKILL);
        monitor.disk().lose_power(static_cast<std::uint64_t>(round) + 1);
        monitor.start();
        EXPECT_EQ(monitor.json("/maintenance")["upcoming"].size(), acknowledged);
        const auto verification = monitor.act("GET", "/audit/verification").json();
        EXPECT_EQ(verification["whole"], true) << verification;
        EXPECT_EQ(verification["entries"], acknowledged) << "a line for each window";
    }
}

TEST(Monitor, WritesDownWhatOperatorsSayOfAnIncident)
{
    Origin origin("api");
    Monitor monitor(target_of(origin));
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    const nlohmann::json update{{"status", "identified"}, {"message", "A disk is full."}};
    EXPECT_EQ(monitor.act("POST", "/incidents?target=nothing", update).status(), 404);
    EXPECT_NE(monitor.act("POST", "/incidents?target=api", update).status(), 201) << "it has no incident";
    EXPECT_TRUE(monitor.act("GET", "/audit").json()["entries"].empty());
    origin.stop();
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "down"; }));
    EXPECT_EQ(get(monitor.port(), "/status").message.body.find("A disk is full."), std::string::npos);
    const Answer posted = monitor.act("POST", "/incidents?target=api", update);
    ASSERT_EQ(posted.status(), 201) << posted.message.body;
    EXPECT_NE(get(monitor.port(), "/status").message.body.find("A disk is full."), std::string::npos)
        << "at once, not with the next rendering";
    monitor.process().signal(SIGKILL);
    monitor.process().wait_exit();
    monitor.start();
    EXPECT_NE(get(monitor.port(), "/incidents").message.body.find("A disk is full."), std::string::npos)
        << "it was acknowledged";
    const auto entries = monitor.act("GET", "/audit").json()["entries"];
    ASSERT_EQ(entries.size(), 1U) << entries;
    EXPECT_EQ(entries[0]["action"], "incident.update");
    EXPECT_EQ(entries[0]["user"], "admin");
    EXPECT_EQ(entries[0]["target"], "api");
    EXPECT_EQ(entries[0]["detail"], "identified: A disk is full.");
}

TEST(Monitor, RefusesCommandsAndLosesNoOutageWhileItsDiskIsFull)
{
    if (!FaultyDisk::available()) GTEST_SKIP() << "a sanitizer has the functions that fail";
    Origin origin("api");
    Monitor monitor(target_of(origin), true, Monitor::Disk::faulty);
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    monitor.disk().set_full(true);
    const Answer refused = monitor.act("POST", "/maintenance", window(hours(72)));
    EXPECT_EQ(refused.status(), 503) << refused.message.body;
    EXPECT_NE(refused.json().value("detail", "").find("nothing was changed"), std::string::npos);
    EXPECT_TRUE(monitor.json("/maintenance")["upcoming"].empty());
    origin.stop();
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "down"; })) << "checks go on";
    ASSERT_TRUE(monitor.process().wait_line("the history cannot be written to"));
    EXPECT_EQ(monitor.act("POST", "/maintenance", window(hours(72))).status(), 503);
    const Answer update =
        monitor.act("POST", "/incidents?target=api", {{"status", "identified"}, {"message", "Told."}});
    EXPECT_EQ(update.status(), 503) << update.message.body;
    EXPECT_NE(update.json().value("detail", "").find("nothing was changed"), std::string::npos);
    EXPECT_TRUE(monitor.json("/incidents")["incidents"].empty()) << "it is not stored yet";

    monitor.disk().set_full(false);
    ASSERT_TRUE(eventually([&] { return monitor.json("/incidents")["incidents"].size() == 1; }));
    EXPECT_EQ(get(monitor.port(), "/incidents").message.body.find("Told."), std::string::npos);
    EXPECT_EQ(get(monitor.port(), "/status").message.body.find("Told."), std::string::npos);
    EXPECT_EQ(monitor.act("POST", "/maintenance", window(hours(72))).status(), 201);
    monitor.process().signal(SIGKILL);
    monitor.process().wait_exit();
    monitor.start();
    EXPECT_FALSE(monitor.json("/incidents")["incidents"].empty());
    EXPECT_EQ(monitor.json("/maintenance")["upcoming"].size(), 1U);
    const auto verification = monitor.act("GET", "/audit/verification").json();
    EXPECT_EQ(verification["entries"], 1) << "of the one that was accepted: " << verification;
}

TEST(Monitor, ClosesNoPoolThatItCannotRememberToOpen)
{
    if (!FaultyDisk::available()) GTEST_SKIP() << "a sanitizer has the functions that fail";
    Origin origin("primary");
    Balancer balancer({{"primary", origin.port()}}, {"--admin"});
    ASSERT_TRUE(balancer.wait_for("primary", "healthy"));
    Monitor monitor(
        fmt::format("targets: [{{name: balancer, balancer: 'http://127.0.0.1:{}', operate: true}}]\n", balancer.port()),
        true, Monitor::Disk::faulty);
    ASSERT_EQ(monitor.act("GET", "/audit").status(), 200); // the first login takes longer
    auto plan = window(milliseconds(1500), minutes(10));
    plan.update({{"emergency", true}, {"close_pools", true}});
    ASSERT_EQ(monitor.act("POST", "/maintenance", plan).status(), 201);
    monitor.disk().set_full(true);
    ASSERT_TRUE(monitor.process().wait_line("pools of 'balancer': nothing was changed"))
        << monitor.process().description();
    const auto status = [&] { return get(balancer.port(), "/x").status(); };
    EXPECT_FALSE(eventually([&] { return status() != 200; }, milliseconds(1500)))
        << "if it were killed now, the pool would stay closed for ever";
    monitor.disk().set_full(false);
    EXPECT_TRUE(eventually([&] { return status() == 503; }));

    // What is to be opened is opened on a full disk, too.
    ASSERT_EQ(monitor.act("DELETE", "/maintenance/1").status(), 200);
    monitor.disk().set_full(true);
    EXPECT_TRUE(eventually([&] { return status() == 200; }));
}

TEST(Monitor, WritesDownNoOrderThatTheBalancerDidNotTake)
{
    Origin origin("primary");
    const auto balancer = Balancer::configured("backends: [{name: primary, url: \"" + origin.url() +
                                               "\"}]\nadmin: true\nadmin_token: 0123456789abcdef\n");
    ASSERT_TRUE(balancer.wait_for("primary", "healthy"));
    Monitor monitor(fmt::format("targets: [{{name: balancer, balancer: 'http://127.0.0.1:{}', operate: true}}]\n",
                                balancer.port()));
    auto plan = window(seconds(0), minutes(10));
    plan.update({{"emergency", true}, {"close_pools", true}});
    ASSERT_EQ(monitor.act("POST", "/maintenance", plan).status(), 201);
    const auto line = monitor.process().wait_line("cannot close pool 'default'");
    ASSERT_TRUE(line) << monitor.process().description();
    EXPECT_NE(line->find("answered 401"), std::string::npos) << *line;
    EXPECT_NE(get(monitor.port(), "/metrics").message.body.find("hotspare_monitor_pools_pending 1\n"),
              std::string::npos);
    EXPECT_TRUE(monitor.act("GET", "/audit?action=pool.close").json()["entries"].empty());
    EXPECT_EQ(get(balancer.port(), "/x").status(), 200);
}

TEST(Monitor, FindsAnAuditLogThatWasChanged)
{
    Monitor monitor("targets: []\n");
    for (int i = 0; i < 3; ++i) ASSERT_EQ(monitor.act("POST", "/maintenance", window(hours(72 + 2 * i))).status(), 201);
    monitor.process().signal(SIGTERM);
    ASSERT_EQ(monitor.process().wait_exit(), 0);
    const Finished whole = run(binary("monitor"), {"--verify-audit", monitor.data()});
    EXPECT_EQ(whole.code, 0) << whole.err;
    EXPECT_NE(whole.out.find("3 entries"), std::string::npos) << whole.out;

    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(monitor.data().c_str(), &database), SQLITE_OK);
    char* error = nullptr;
    sqlite3_exec(database, "SELECT name FROM sqlite_master WHERE type = 'trigger'", nullptr, nullptr, &error);
    const auto tamper = [&](const char* sql) { return sqlite3_exec(database, sql, nullptr, nullptr, nullptr); };
    EXPECT_NE(tamper("UPDATE audit SET user = 'eve' WHERE number = 2"), SQLITE_OK) << "a trigger rejects the UPDATE";
    ASSERT_EQ(tamper("PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE type = 'trigger'; "
                     "PRAGMA writable_schema = RESET"),
              SQLITE_OK);
    ASSERT_EQ(tamper("UPDATE audit SET user = 'eve' WHERE number = 2"), SQLITE_OK);
    sqlite3_close(database);
    const Finished changed = run(binary("monitor"), {"--verify-audit", monitor.data()});
    EXPECT_EQ(changed.code, 1);
    EXPECT_NE(changed.out.find("entry 2"), std::string::npos) << changed.out << changed.err;
}

TEST(Monitor, ShowsTheTimeInWhichItDidNotRunAsUnknown)
{
    Origin origin("api");
    Monitor monitor(target_of(origin));
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    ASSERT_TRUE(eventually([&] { return monitor.json("/uptime?target=api")["milliseconds"]["up"] > 1100; }))
        << monitor.json("/uptime?target=api");
    const std::int64_t unknown_before = monitor.json("/uptime?target=api")["milliseconds"]["unknown"];
    monitor.process().signal(SIGKILL);
    monitor.process().wait_exit();
    const TimePoint died = Clock::now();
    ASSERT_TRUE(eventually([&] { return Clock::now() - died > seconds(1); })) << "it stays away for a while";
    monitor.start();
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    const auto uptime = monitor.json("/uptime?target=api");
    EXPECT_GT(uptime["milliseconds"]["unknown"].get<std::int64_t>(), unknown_before + 1000) << uptime;
    EXPECT_EQ(uptime["raw"], 1.) << "unknown time counts neither way";
    EXPECT_TRUE(monitor.json("/incidents")["incidents"].empty());
}

TEST(Monitor, IsDownForItselfWhileItDoesNotRun)
{
    // The walk of the customer's document: ask, stop the server, ask again, start it, look at the uptime.
    RunningSystem system("availability");
    const auto port = system.port(8000);
    const nlohmann::json health = get(port, "/health").json();
    EXPECT_EQ(health["status"], "ok");
    EXPECT_EQ(health["message"], "Service online");
    EXPECT_TRUE(eventually([&] { return get(port, "/uptime").json()["milliseconds"]["up"] > 1500; }));
    system.process("monitor").signal(SIGINT);
    EXPECT_EQ(system.process("monitor").wait_exit(), 0);
    EXPECT_EQ(get(port, "/health").status(), 0) << "it no longer responds";
    system.start("monitor");
    EXPECT_TRUE(eventually([&] { return get(port, "/uptime").json()["incidents"] == 1; }))
        << get(port, "/uptime").message.body;
    EXPECT_TRUE(eventually([&] { return get(port, "/targets").json()["targets"][0]["state"] == "up"; }));
    const auto uptime = get(port, "/uptime").json();
    EXPECT_GT(uptime["milliseconds"]["down"], 0) << uptime;
    EXPECT_LT(uptime["raw"].get<double>(), 1.) << uptime;
}

TEST(Monitor, TellsAMailServerAndAWebhookThatFailsAtFirst)
{
    Origin origin("api");
    Origin receiver("receiver");
    std::atomic<int> calls = 0;
    receiver.script([&](const Message&) { return Reply::text("", calls.fetch_add(1) < 2 ? 500 : 200); });
    SmtpSink mails;
    Monitor monitor(target_of(origin) + fmt::format("gather: 50ms\n"
                                                    "channels:\n"
                                                    "  - {{name: hook, webhook: {{url: '{}/hook'}}}}\n"
                                                    "  - name: mail\n"
                                                    "    mail: {{host: 127.0.0.1, port: {}, security: none, "
                                                    "from: m@example.com, to: [ops@example.com]}}\n",
                                                    receiver.url(), mails.port()));
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    origin.stop();
    ASSERT_TRUE(eventually([&] { return mails.mails().size() == 1; }));
    EXPECT_NE(mails.mails()[0].data.find("api"), std::string::npos);
    // The webhook was refused twice, and is tried again after five and ten seconds, less up to half of it.
    ASSERT_TRUE(eventually([&] { return calls == 3; }, seconds(30)));
    origin.start();
    ASSERT_TRUE(eventually([&] { return mails.mails().size() == 2; }));
    EXPECT_NE(mails.mails()[1].data.find("api"), std::string::npos);
    ASSERT_TRUE(eventually([&] { return calls == 4; }));
    std::vector<std::string> kinds;
    for (const Message& call : receiver.requests()) kinds.push_back(nlohmann::json::parse(call.body)["event"]);
    EXPECT_EQ(kinds, (std::vector<std::string>{"outage", "outage", "outage", "recovery"}));
}

TEST(Monitor, TakesTheMailAccountFromTheEnvironmentAndShowsNoPassword)
{
    Origin origin("api");
    SmtpSink mails;
    Monitor monitor(target_of(origin) +
                        fmt::format("gather: 50ms\nchannels: [{{name: mail, needs_variable: MAIL_USER, mail: {{host: "
                                    "127.0.0.1, port: {}, security: none}}}}]\n",
                                    mails.port()),
                    true, Monitor::Disk::sound,
                    {{"MAIL_USER", "me@shop.example"},
                     {"MAIL_PASS", "hunter-two"},
                     {"MAIL_RECEIVER", "a@shop.example, b@shop.example"}});
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    origin.stop();
    ASSERT_TRUE(eventually([&] { return mails.mails().size() == 1; }));
    const auto mail = mails.mails()[0];
    EXPECT_NE(mail.from.find("me@shop.example"), std::string::npos);
    EXPECT_EQ(mail.to.size(), 2U);
    const auto commands = mails.commands();
    EXPECT_TRUE(std::any_of(commands.begin(), commands.end(), [](const auto& line) {
        return line.find("AG1lQHNob3AuZXhhbXBsZQBodW50ZXItdHdv") != std::string::npos; // me@shop.example, hunter-two
    })) << fmt::format("{}", fmt::join(commands, "; "));
    EXPECT_EQ(monitor.process().err().find("hunter-two"), std::string::npos);
    EXPECT_EQ(mail.data.find("hunter-two"), std::string::npos);
}

TEST(Monitor, GivesOutItsPublicDocuments)
{
    Origin origin("api");
    Monitor monitor(target_of(origin));
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    for (const auto& [path, type] : std::vector<std::pair<std::string, std::string>>{
             {"/status-page", "text/html"},
             {"/banner.js", "text/javascript"},
             {"/feed.atom", "application/atom+xml"},
             {"/maintenance.ics", "text/calendar"},
             {"/badge/api.svg", "image/svg+xml"},
             {"/status", "application/json"},
             {"/api/v2/summary.json", "application/json"},
             {"/api/v2/status.json", "application/json"},
             {"/api/v2/incidents.json", "application/json"},
             {"/api/v2/scheduled-maintenances.json", "application/json"},
         }) {
        const Answer answer = get(monitor.port(), path);
        EXPECT_EQ(answer.status(), 200) << path;
        EXPECT_EQ(answer.message.header("Content-Type").value_or("").substr(0, type.size()), type) << path;
        const Answer again =
            request(monitor.port(), "GET", path, {{"If-None-Match", answer.message.header("ETag").value_or("")}});
        EXPECT_TRUE(again.status() == 304 || again.message.header("ETag") != answer.message.header("ETag")) << path;
    }
    EXPECT_EQ(get(monitor.port(), "/").message.header("Location"), "/status-page");
    EXPECT_EQ(monitor.json("/health")["message"], "Service online");
    EXPECT_NE(get(monitor.port(), "/metrics").message.body.find("hotspare_monitor_checks_total"), std::string::npos);
    const auto policy = get(monitor.port(), "/status-page").message.header("Content-Security-Policy").value_or("");
    EXPECT_NE(policy.find("default-src 'none'"), std::string::npos) << policy;
}

TEST(Monitor, SendsWhatHappensToTheReadersOfItsEvents)
{
    Origin origin("api");
    Monitor monitor(target_of(origin));
    ASSERT_TRUE(eventually([&] { return monitor.state("api") == "up"; }));
    EXPECT_EQ(request(monitor.port(), "GET", "/events", {{"Origin", "http://evil.example"}}).status(), 403)
        << "a page of another origin could hold it open";
    RawClient reader(monitor.port());
    reader.send(format_request("GET", "/events"));
    ASSERT_NE(reader.read_some(4096).find("200 OK"), std::string::npos);
    origin.stop();
    std::string seen;
    EXPECT_TRUE(eventually([&] {
        seen += reader.read_some(4096);
        return seen.find("event: incident_opened") != std::string::npos;
    })) << seen;
}

/// The status of a balancer with so many healthy backends.
std::string balancer_status(const std::string& prefix, int backends)
{
    nlohmann::json status{{"can_answer", true}, {"fail_open", false}, {"backends", nlohmann::json::array()}};
    for (int i = 0; i < backends; ++i)
        status["backends"].push_back({{"name", fmt::format("{}{}", prefix, i)}, {"status", "healthy"}});
    return status.dump();
}

TEST(Monitor, ForgetsBackendsThatItsBalancerNamesNoMoreWhenThereAreTooMany)
{
    Origin balancer("lb");
    balancer.script([](const Message&) { return Reply::json(balancer_status("first", 256)); });
    // The documents of so many targets are longer than what these tests read; those that are not public are short.
    Monitor monitor(
        fmt::format("public_pages: false\ntargets: [{{name: lb, balancer: '{}', interval: 500ms}}]\n", balancer.url()));
    const auto state = [&](const std::string& backend) -> std::string {
        const Answer answer = monitor.act("GET", "/history?limit=1&target=lb/" + backend);
        if (answer.status() == 404) return "none";
        const auto samples = answer.json().value("samples", nlohmann::json::array());
        return samples.empty() ? "" : samples[0].value("state", "");
    };
    const auto history_has = [&](int targets) {
        return get(monitor.port(), "/metrics")
                   .message.body.find(fmt::format("hotspare_monitor_history_rows{{table=\"targets\"}} {}\n",
                                                  targets)) != std::string::npos;
    };
    ASSERT_TRUE(eventually([&] { return state("first255") == "up"; }));
    EXPECT_TRUE(history_has(257));
    balancer.script([](const Message&) { return Reply::json(balancer_status("second", 256)); });
    ASSERT_TRUE(eventually([&] { return state("second255") == "up"; }));
    EXPECT_TRUE(history_has(513));
    EXPECT_EQ(state("first255"), "unknown") << "it may come back";
    balancer.script([](const Message&) { return Reply::json(balancer_status("third", 256)); });
    ASSERT_TRUE(eventually([&] { return state("third255") == "up"; }));
    EXPECT_TRUE(eventually([&] { return state("first255") == "none"; }));
    EXPECT_EQ(state("second255"), "unknown");
    EXPECT_TRUE(eventually([&] { return history_has(513); }));
    EXPECT_EQ(monitor.process().err().find("not stored"), std::string::npos);
    EXPECT_EQ(monitor.process().err().find("cannot be written to"), std::string::npos)
        << "nothing is stored of a target that the history has forgotten";
}

TEST(Monitor, MissesAPushThatDoesNotCome)
{
    Monitor monitor("targets: [{name: job, push: 0123456789abcdef, interval: 500ms, grace: 100ms}]\n");
    EXPECT_EQ(post(monitor.port(), "/push/0123456789abcdef").status(), 200);
    EXPECT_TRUE(eventually([&] { return monitor.state("job") == "up"; }));
    EXPECT_TRUE(eventually([&] { return monitor.state("job") == "down"; })) << "no call came within interval + grace";
    EXPECT_EQ(get(monitor.port(), "/push/0123456789abcdef?status=up").status(), 200);
    EXPECT_TRUE(eventually([&] { return monitor.state("job") == "up"; }));
}

} // namespace TEST_FILE
} // namespace hotspare::test
