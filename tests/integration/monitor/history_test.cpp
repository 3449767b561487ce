// The history over a real file: what is acknowledged is there, whatever happens to the process; what is damaged is
// found.
#include "monitor/history/history.hpp"

#include "monitor/history/schema.hpp"
#include "tests/support/full_disk.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using std::chrono::days;

constexpr Instant november{std::chrono::sys_days(std::chrono::year(2026) / 11 / 1)};
constexpr Instant december{std::chrono::sys_days(std::chrono::year(2026) / 12 / 1)};

/// A history with an event loop that runs until the call is done.
class Desk {
public:
    explicit Desk(const std::string& path, HistoryOptions options = {})
        : history_(std::make_unique<History>(
              path, [] { FAIL() << "the history broke"; }, options))
    {
    }

    template <class T> T run(asio::awaitable<T> call)
    {
        context_.restart();
        auto done = asio::co_spawn(context_, std::move(call), asio::use_future);
        context_.run();
        return done.get();
    }

    Target watch(const std::string& name, Instant now = november)
    {
        std::vector<std::string> names{name};
        return run(history_->watch(std::move(names), now)).value().at(0);
    }
    result<void> append(std::vector<StoredSample> samples, Instant now = november)
    {
        return run(history_->append_samples(std::move(samples), now));
    }
    result<Committed> commit(Batch batch) { return run(history_->commit(std::move(batch))); }
    void act(const std::string& user, const std::string& action, const std::string& target = "", Instant at = november)
    {
        Batch batch;
        batch.audit.push_back({.at = at, .user = user, .address = "192.0.2.1", .action = action, .target = target});
        ASSERT_TRUE(commit(std::move(batch)));
    }
    Page<StoredSample> samples(TargetId target, std::optional<Instant> before, std::size_t most)
    {
        return run(history_->samples({.target = target, .from = {}, .before = before, .most = most})).value();
    }
    std::vector<std::uint64_t> audit(AuditQuery query)
    {
        std::vector<std::uint64_t> numbers;
        for (const auto& row : run(history_->audit(std::move(query))).value().rows) numbers.push_back(row.entry.number);
        return numbers;
    }
    std::uint64_t rows(const std::string& table)
    {
        for (const auto& [name, count] : run(history_->sizes()).value().rows)
            if (name == table) return count;
        ADD_FAILURE() << table;
        return 0;
    }

    History& operator*() { return *history_; }
    History* operator->() { return history_.get(); }

private:
    asio::io_context context_;
    std::unique_ptr<History> history_;
};

/// A target with its tracker and record, as a daemon has them.
struct Watched {
    Target target;
    IncidentTracker tracker{{}};
    Record record{};
    RolledUntil rolled{};

    Watched(Desk& desk, const std::string& name, Instant since)
        : target(desk.watch(name, since)), record{.watched_since = target.watched_since}, rolled(target.rolled)
    {
    }

    /// What a check leaves; steps only if there are some.
    void check(Instant at, State state, Batch& batch, std::vector<StoredSample>& plain)
    {
        const auto rows = std::pair(tracker.memory().down_row, tracker.memory().good_row);
        const Step step = tracker.observe({at, state, state == State::down ? "refused" : ""});
        StoredSample sample{target.id, at, state, microseconds(1'500), state == State::down ? "refused" : ""};
        if (step.empty() && rows == std::pair(tracker.memory().down_row, tracker.memory().good_row)) {
            plain.push_back(std::move(sample));
            return;
        }
        monitor::record(step, record);
        batch.samples.push_back(std::move(sample));
        batch.steps.push_back({target.id, step, tracker.memory()});
    }

    bool roll(Instant now, Batch& batch)
    {
        auto due = due_rollups(record, rolled, settled_until(tracker.memory()), {}, now);
        rolled = due.until;
        const bool more = due.more;
        if (!due.rollups.empty()) batch.rollups.push_back({target.id, std::move(due)});
        return more;
    }
};

class HistoryTest : public testing::Test {
protected:
    std::string path() const { return (dir_.path() / "history.sqlite").string(); }

    /// To the file behind the back of a history, which must be closed.
    void tamper(const std::string& sql) const
    {
        auto database = storage::Database::open(path(), 1s).value();
        ASSERT_TRUE(database.execute(sql)) << sql;
    }
    /// The files as a process leaves them that is killed now: nothing is closed, nothing is checkpointed.
    std::string as_if_killed(const std::string& name) const
    {
        const auto copy = (dir_.path() / name).string();
        for (const char* suffix : {"", "-wal"})
            std::filesystem::copy_file(path() + suffix, copy + suffix,
                                       std::filesystem::copy_options::overwrite_existing);
        return copy;
    }
    /// A copy of the file of a history that is closed.
    std::string as_if_closed() const
    {
        const auto copy = (dir_.path() / "original.sqlite").string();
        std::filesystem::copy_file(path(), copy, std::filesystem::copy_options::overwrite_existing);
        return copy;
    }
    std::string refusal() const
    {
        try {
            Desk desk(path());
            desk->restore();
        } catch (const std::exception& error) {
            return error.what();
        }
        return "accepted";
    }

    test::TempDir dir_;
};

TEST_F(HistoryTest, IsEmptyAtFirst)
{
    Desk desk(path());
    const auto restored = desk->restore();
    EXPECT_TRUE(restored.targets.empty());
    EXPECT_EQ(restored.maintenance, MaintenanceMemory{});
    EXPECT_EQ(restored.notification, NotificationMemory{});
    EXPECT_FALSE(restored.last_alive);
    EXPECT_EQ(restored.audit, AuditHead{});
    EXPECT_TRUE(desk.samples(1, std::nullopt, 10).rows.empty());
    EXPECT_TRUE(desk.run(desk->rollups(1, Unit::minute, {november, december})).value().empty());
    EXPECT_EQ(desk.run(desk->expire(december)).value(), Expired::all);
    EXPECT_FALSE(desk.run(desk->verify_audit()).value().breach);
}

TEST_F(HistoryTest, KnowsATargetAgainByItsName)
{
    {
        Desk desk(path());
        EXPECT_EQ(desk.watch("a").id, 1);
        EXPECT_EQ(desk.watch("b", november + 90s).watched_since, november + 90s);
        EXPECT_EQ(desk.watch("a", december).watched_since, november);
    }
    Desk desk(path());
    const auto b = desk.watch("b", december);
    EXPECT_EQ(b.id, 2);
    EXPECT_EQ(b.watched_since, november + 90s);
    EXPECT_EQ(b.rolled, RolledUntil::at(november + 90s));
    EXPECT_EQ(desk->restore().targets.size(), 2U);
}

TEST_F(HistoryTest, PagesThroughTheSamplesOfATarget)
{
    Desk desk(path());
    const auto a = desk.watch("a").id, b = desk.watch("b").id;
    std::vector<StoredSample> samples;
    for (int i = 0; i < 50; ++i) {
        samples.push_back({a, november + i * 25s, State::up, microseconds(i), ""});
        samples.push_back({b, november + i * 25s, State::down, std::nullopt, "refused"});
    }
    ASSERT_TRUE(desk.append(samples));
    ASSERT_TRUE(desk.append(samples)) << "a repetition";
    EXPECT_EQ(desk.rows("samples"), 100U);
    std::vector<StoredSample> read;
    std::optional<Instant> before;
    for (bool more = true; more;) {
        auto page = desk.samples(a, before, 7);
        ASSERT_FALSE(page.rows.empty());
        more = page.more;
        before = page.rows.back().at;
        read.insert(read.end(), page.rows.begin(), page.rows.end());
    }
    ASSERT_EQ(read.size(), 50U);
    for (int i = 0; i < 50; ++i)
        EXPECT_EQ(read[static_cast<std::size_t>(i)],
                  (StoredSample{a, november + (49 - i) * 25s, State::up, microseconds(49 - i), ""}));
    const auto period =
        desk.run(desk->samples({.target = a, .from = november + 50s, .before = november + 125s, .most = 50})).value();
    ASSERT_EQ(period.rows.size(), 3U);
    EXPECT_EQ(period.rows[0].at, november + 100s);
    EXPECT_EQ(period.rows[2].at, november + 50s);
    EXPECT_FALSE(period.more);
    EXPECT_TRUE(desk.run(desk->samples({.target = a, .from = november + 50s, .before = {}, .most = 3})).value().more);
    EXPECT_FALSE(
        desk.run(desk->samples({.target = a, .from = november + 1175s, .before = {}, .most = 3})).value().more);
    // A clock that was wrong for a moment.
    ASSERT_TRUE(desk.append({{b, december + days(30'000), State::up, {}, ""}}));
    EXPECT_EQ(desk.samples(a, std::nullopt, 1).rows.at(0), read.at(0));
    EXPECT_EQ(desk.samples(b, december, 1).rows.at(0).cause, "refused");
    EXPECT_FALSE(desk.samples(b, december, 1).rows.at(0).latency);
    EXPECT_EQ(desk.append({{a, november, State::up, {}, ""}, {99, november, State::up, {}, ""}}).error(),
              errc::not_found);
    EXPECT_EQ(desk.rows("samples"), 101U);
}

TEST_F(HistoryTest, ForgetsATargetAndNeverUsesItsIdAgain)
{
    std::optional<Watched> a;
    {
        Desk desk(path());
        desk.watch("kept");
        a.emplace(desk, "lb/v1", november);
        Batch batch;
        std::vector<StoredSample> plain;
        Instant at = november;
        for (const State state :
             {State::up, State::down, State::down, State::down, State::up, State::up, State::unknown})
            a->check(at += 10s, state, batch, plain);
        const UnitRollup month{Unit::month, {.begin = november, .tally = {.up = 1h}}};
        batch.rollups.push_back({a->target.id, {.rollups = {month}, .until = RolledUntil::at(december)}});
        ASSERT_TRUE(desk.commit(std::move(batch)));
        EXPECT_EQ(desk.rows("months"), 1U);
        std::vector<std::string> names{"lb/v1", "nothing"};
        ASSERT_TRUE(desk.run(desk->forget(std::move(names))));
        for (const char* table : {"changes", "outages", "gaps", "incidents", "months"})
            EXPECT_EQ(desk.rows(table), 0U) << table;
        EXPECT_EQ(desk.rows("targets"), 1U);
        EXPECT_EQ(desk.commit({.steps = {{a->target.id, {}, {}}}}).error(), errc::not_found);
    }
    Desk desk(path());
    ASSERT_EQ(desk->restore().targets.size(), 1U);
    const Target again = desk.watch("lb/v1", december);
    EXPECT_EQ(again.id, a->target.id + 1) << "samples of the old one are still there";
    EXPECT_EQ(again.watched_since, december);
    EXPECT_TRUE(desk.samples(again.id, std::nullopt, 10).rows.empty());
}

TEST_F(HistoryTest, RestoresWhatTheDaemonKnew)
{
    std::optional<Watched> a;
    Maintenance maintenance({});
    Notification notification({.channels = {{.name = "mail"}}}, 1);
    Instant at = november;
    {
        Desk desk(path());
        a.emplace(desk, "a", november);
        for (const State state : {State::up, State::up, State::down, State::down, State::down, State::up, State::up,
                                  State::unknown, State::degraded, State::down, State::up, State::up}) {
            Batch batch;
            std::vector<StoredSample> plain;
            a->check(at += 10s, state, batch, plain);
            ASSERT_TRUE(desk.commit(std::move(batch)));
            ASSERT_TRUE(desk.append(plain, at));
        }
        ASSERT_TRUE(maintenance.create({.message = "Disks.", .start = at + 49h, .end = at + 50h}, at));
        notification.went_down({"a", 1, november, "refused", 0s}, at);
        Batch batch;
        batch.maintenance = maintenance.memory();
        batch.notification = notification.memory();
        batch.audit.push_back({.at = at, .user = "ada", .action = "window.create"});
        EXPECT_EQ(desk.commit(std::move(batch)).value().audit.number, 1U);
    }
    Desk desk(path());
    const auto restored = desk->restore();
    ASSERT_EQ(restored.targets.size(), 1U);
    EXPECT_EQ(restored.targets[0].memory, a->tracker.memory());
    EXPECT_EQ(restored.targets[0].record.changes, a->record.changes);
    EXPECT_EQ(restored.targets[0].record.outages, a->record.outages);
    EXPECT_EQ(restored.targets[0].record.gaps, a->record.gaps);
    EXPECT_EQ(restored.targets[0].record.watched_since, november);
    EXPECT_EQ(restored.maintenance, maintenance.memory());
    EXPECT_EQ(restored.notification, notification.memory());
    EXPECT_EQ(restored.last_alive, at);
    EXPECT_EQ(restored.audit.number, 1U);
    const auto page = desk.run(desk->incidents({.target = restored.targets[0].target.id})).value();
    ASSERT_EQ(page.rows.size(), 1U);
    EXPECT_EQ(page.rows[0].incident, *a->tracker.incident());
}

TEST_F(HistoryTest, StoresABatchAsAWholeOrNotAtAll)
{
    Desk desk(path());
    const auto a = desk.watch("a").id;
    Batch batch;
    batch.samples.push_back({a, november, State::up, {}, ""});
    batch.steps.push_back({99, {}, {}});
    batch.maintenance = MaintenanceMemory{.last_id = 5};
    batch.audit.push_back({.user = "ada"});
    EXPECT_EQ(desk.commit(batch).error(), errc::not_found);
    EXPECT_EQ(desk.rows("samples"), 0U);
    EXPECT_EQ(desk.rows("audit"), 0U);
    EXPECT_EQ(desk->restore().maintenance.last_id, 0U);
    {
        const test::FullDisk full(1);
        batch.steps.clear();
        EXPECT_FALSE(desk.commit(batch));
        EXPECT_FALSE(desk.append(batch.samples));
        EXPECT_EQ(desk->dropped_samples(), 1U);
    }
    EXPECT_EQ(desk.rows("samples"), 0U);
    ASSERT_TRUE(desk.commit(batch));
    EXPECT_EQ(desk.rows("samples"), 1U);
    EXPECT_EQ(desk->restore().maintenance.last_id, 5U);
    EXPECT_EQ(desk->restore().audit.number, 1U) << "the failed attempt took no number";
    EXPECT_FALSE(desk.run(desk->verify_audit()).value().breach);
}

TEST_F(HistoryTest, PagesThroughIncidentsNewestFirst)
{
    Desk desk(path());
    const auto a = desk.watch("a").id, b = desk.watch("b").id;
    for (std::uint64_t i = 1; i <= 5; ++i) {
        IncidentMemory memory{.incidents = i};
        memory.incident = Incident{.number = i, .outages = {{november + i * 1h, forever}}};
        ASSERT_TRUE(desk.commit({.steps = {{a, {}, memory}, {b, {}, memory}}}));
        memory.incident->outages[0].end = november + i * 1h + 5min;
        ASSERT_TRUE(desk.commit({.steps = {{a, {}, memory}}}));
    }
    EXPECT_EQ(desk.rows("incidents"), 10U);
    auto page = desk.run(desk->incidents({.target = a, .most = 3})).value();
    ASSERT_EQ(page.rows.size(), 3U);
    EXPECT_TRUE(page.more);
    EXPECT_EQ(page.rows[0].incident.number, 5U);
    EXPECT_FALSE(page.rows[0].incident.open());
    page = desk.run(desk->incidents({.target = a, .before = page.rows[2].id, .most = 3})).value();
    ASSERT_EQ(page.rows.size(), 2U);
    EXPECT_FALSE(page.more);
    EXPECT_EQ(page.rows[1].incident.number, 1U);
    EXPECT_EQ(desk.run(desk->incidents({.most = 100})).value().rows.size(), 10U);
}

TEST_F(HistoryTest, AnswersQuestionsAboutTheAuditLog)
{
    Desk desk(path());
    for (int i = 0; i < 4; ++i) {
        desk.act("ada", "window.create", "window 1", november + i * 1h);
        desk.act("bob", "login.failed", "", november + i * 1h);
    }
    EXPECT_EQ(desk.audit({.most = 3}), (std::vector<std::uint64_t>{8, 7, 6}));
    EXPECT_EQ(desk.audit({.before = 6, .most = 3}), (std::vector<std::uint64_t>{5, 4, 3}));
    EXPECT_EQ(desk.audit({.user = "ada"}), (std::vector<std::uint64_t>{7, 5, 3, 1}));
    EXPECT_EQ(desk.audit({.action = "login.failed", .most = 1}), (std::vector<std::uint64_t>{8}));
    EXPECT_EQ(desk.audit({.target = "window 1", .most = 1}), (std::vector<std::uint64_t>{7}));
    EXPECT_EQ(desk.audit({.from = november + 1h, .until = november + 2h}), (std::vector<std::uint64_t>{4, 3}));
    EXPECT_TRUE(desk.audit({.user = "ada' OR 1=1 --"}).empty());
    const auto page = desk.run(desk->audit({.before = 2})).value();
    ASSERT_EQ(page.rows.size(), 1U);
    EXPECT_EQ(page.rows[0].entry, (AuditEntry{.number = 1,
                                              .at = november,
                                              .user = "ada",
                                              .address = "192.0.2.1",
                                              .action = "window.create",
                                              .target = "window 1"}));
    EXPECT_FALSE(page.more);
    const auto finding = desk.run(desk->verify_audit()).value();
    EXPECT_FALSE(finding.breach);
    EXPECT_EQ(finding.head, desk->restore().audit);
}

TEST_F(HistoryTest, RefusesToChangeTheAuditLogAndFindsWhereItWasChangedAllTheSame)
{
    {
        Desk desk(path());
        for (int i = 0; i < 5; ++i) desk.act("ada", "window.create");
    }
    {
        auto database = storage::Database::open(path(), 1s).value();
        for (const char* sql : {"UPDATE audit SET user = 'eve' WHERE number = 3", "DELETE FROM audit WHERE number = 5",
                                "INSERT OR REPLACE INTO audit SELECT number, at, 'eve', address, action, target, "
                                "detail, hash FROM audit WHERE number = 3",
                                "INSERT INTO audit VALUES (9, 0, '', '', '', '', '', '')"})
            EXPECT_FALSE(database.execute(sql)) << sql;
    }
    EXPECT_FALSE(verify_audit(path()).breach);
    const auto original = as_if_closed();
    const auto breach = [&](const std::string& sql) {
        std::filesystem::copy_file(original, path(), std::filesystem::copy_options::overwrite_existing);
        tamper("DROP TRIGGER audit_update; DROP TRIGGER audit_delete; DROP TRIGGER audit_insert; " + sql);
        const auto finding = verify_audit(path());
        return finding.breach ? finding.breach->number : 0;
    };
    EXPECT_EQ(breach("UPDATE audit SET user = 'eve' WHERE number = 3"), 3U);
    EXPECT_EQ(breach("UPDATE audit SET at = at + 1 WHERE number = 5"), 5U);
    EXPECT_EQ(breach("DELETE FROM audit WHERE number = 2"), 2U);
    EXPECT_EQ(breach("DELETE FROM audit WHERE number = 5"), 5U) << "the tail";
    EXPECT_EQ(breach("DELETE FROM audit"), 1U);
    EXPECT_EQ(breach("UPDATE audit SET number = -1 WHERE number = 1"), 1U);
    EXPECT_EQ(breach("UPDATE audit SET user = CAST(X'616461ff' AS TEXT) WHERE number = 4"), 4U);
    EXPECT_EQ(breach("UPDATE state SET audit_number = 4"), 5U);
    EXPECT_EQ(breach("UPDATE state SET audit_hash = 'x'"), 5U);
}

TEST_F(HistoryTest, NamesTheRowThatIsDamagedAtTheStart)
{
    {
        Desk desk(path());
        Watched a(desk, "a", november);
        Batch batch;
        std::vector<StoredSample> plain;
        for (int i = 0; i < 5; ++i) a.check(november + i * 10s, i == 0 ? State::up : State::down, batch, plain);
        batch.maintenance = MaintenanceMemory{};
        batch.notification = NotificationMemory{};
        ASSERT_TRUE(desk.commit(std::move(batch)));
    }
    EXPECT_EQ(refusal(), "accepted");
    const auto original = as_if_closed();
    const auto because = [&](const std::string& sql) {
        std::filesystem::copy_file(original, path(), std::filesystem::copy_options::overwrite_existing);
        tamper(sql);
        return refusal();
    };
    const auto named = [&](const std::string& sql, const std::string& what) {
        const auto message = because(sql);
        EXPECT_NE(message.find(path()), message.npos) << message;
        EXPECT_NE(message.find(what), message.npos) << message;
    };
    named("UPDATE trackers SET memory = substr(memory, 2)", "row 1 of its table 'trackers' is damaged: no JSON");
    named("UPDATE trackers SET memory = json_set(memory, '$.incident.outages', json('[]'))",
          "'trackers' is damaged: incident.outages: expected at least one");
    named("UPDATE memories SET memory = '{}' WHERE name = 'maintenance'", "row maintenance of its table 'memories'");
    named("UPDATE memories SET memory = 'x' WHERE name = 'notification'", "row notification of its table 'memories'");
    named("UPDATE changes SET state = 7", "'changes' is damaged");
    named("UPDATE outages SET ended = begin - 1", "'outages' is damaged");
    named("UPDATE targets SET watched_since = -5", "'targets' is damaged");
    named("UPDATE samples SET state = 4", "'samples' is damaged");
    named("UPDATE state SET alive = -1", "'state' is damaged");
}

TEST_F(HistoryTest, AnswersNothingFromADamagedRowWhileItRuns)
{
    {
        Desk desk(path());
        const auto a = desk.watch("a").id;
        IncidentMemory memory{.incidents = 1};
        memory.incident = Incident{.number = 1, .outages = {{november, november + 1h}}};
        Record record{.watched_since = november, .changes = {{november, State::up}}};
        auto due = due_rollups(record, RolledUntil::at(november), november + 1h, {}, november + 1h);
        ASSERT_TRUE(desk.commit({.steps = {{a, {}, memory}}, .rollups = {{a, due}}}));
    }
    tamper("UPDATE incidents SET incident = '[]'; UPDATE minutes SET up = 60001 WHERE begin = (SELECT min(begin) FROM "
           "minutes)");
    Desk desk(path());
    EXPECT_EQ(desk.run(desk->incidents({})).error(), errc::storage);
    EXPECT_EQ(desk.run(desk->rollups(1, Unit::minute, {november, december})).error(), errc::storage);
    EXPECT_EQ(desk.run(desk->rollups(1, Unit::minute, {november + 1min, december})).value().size(), 59U);
    EXPECT_EQ(desk.run(desk->rollups(1, Unit::hour, {november, december})).value().size(), 1U);
}

TEST_F(HistoryTest, IsNotOpenedWhereItCannotBe)
{
    const auto fails = [&](const std::string& what) {
        const auto message = refusal();
        EXPECT_NE(message.find(what), message.npos) << message;
    };
    std::ofstream(path()) << "This is no database, but a text of some length, as somebody may have left it here.\n"
                          << std::string(5'000, 'x');
    fails("is not an SQLite database");
    std::filesystem::remove(path());
    {
        auto other = storage::Database::open(path(), 1s).value();
        ASSERT_TRUE(other.execute("CREATE TABLE recipes (name TEXT)"));
    }
    fails("its table 'recipes' belongs to another program");
    std::filesystem::remove(path());
    {
        Desk desk(path());
    }
    tamper("PRAGMA user_version = 2");
    fails("was written by another version of hotspare (format 2, this one knows format 1)");
    std::filesystem::remove(path());
    std::filesystem::create_directory(path());
    fails("it is not a regular file");
    std::filesystem::remove(path());
    Desk desk(path());
    fails("is in use by another process");
    EXPECT_THROW(Desk((dir_.path() / "no" / "such").string()), StartupError);
    EXPECT_THROW(verify_audit((dir_.path() / "none").string()), UsageError);
}

TEST_F(HistoryTest, DropsSamplesAndNeverCommandsWhenTheDiskDoesNotKeepUp)
{
    Desk desk(path(), {.most_waiting_samples = 10, .most_waiting_appends = 3});
    const auto a = desk.watch("a").id;
    const auto some = [&](int first, int count) {
        std::vector<StoredSample> samples;
        for (int i = 0; i < count; ++i) samples.push_back({a, november + (first + i) * 1s, State::up, {}, ""});
        return samples;
    };
    asio::io_context context;
    std::vector<std::future<result<void>>> appends;
    std::vector<std::future<result<Committed>>> commits;
    // All begin before the event loop hears of any end.
    for (int i = 0; i < 6; ++i) {
        appends.push_back(asio::co_spawn(context, desk->append_samples(some(i * 10, 5), november), asio::use_future));
        Batch batch;
        batch.audit.push_back({.user = "ada", .target = std::to_string(i)});
        commits.push_back(asio::co_spawn(context, desk->commit(std::move(batch)), asio::use_future));
    }
    context.run();
    std::size_t stored = 0;
    for (auto& append : appends) {
        const auto done = append.get();
        if (done)
            stored += 5;
        else
            EXPECT_EQ(done.error(), errc::unavailable);
    }
    for (auto& commit : commits) EXPECT_TRUE(commit.get());
    EXPECT_EQ(stored + desk->dropped_samples(), 30U);
    EXPECT_GE(stored, 10U);
    EXPECT_EQ(desk.rows("samples"), stored);
    EXPECT_EQ(desk.rows("audit"), 6U);
    EXPECT_TRUE(desk.append(some(100, 10))) << "as before";
}

/// Every state that a kill -9 may leave between two acknowledgements.
TEST_F(HistoryTest, HasEverythingThatWasAcknowledgedAfterAnAbruptEnd)
{
    Desk desk(path());
    const auto a = desk.watch("a").id;
    for (int i = 1; i <= 20; ++i) {
        Batch batch;
        batch.samples.push_back({a, november + i * 10s, State::up, {}, ""});
        batch.maintenance = MaintenanceMemory{.last_id = static_cast<std::uint64_t>(i)};
        batch.audit.push_back({.user = "ada", .target = std::to_string(i)});
        ASSERT_TRUE(desk.commit(std::move(batch)));
        Desk again(as_if_killed("copy.sqlite"));
        const auto restored = again->restore();
        EXPECT_EQ(restored.maintenance.last_id, static_cast<std::uint64_t>(i));
        EXPECT_EQ(restored.audit.number, static_cast<std::uint64_t>(i));
        EXPECT_EQ(restored.targets.at(0).memory.latest, november + i * 10s);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
