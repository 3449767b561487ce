// How large a history becomes, and that what is kept of it is right: simulated months, by an injected clock.
#include "monitor/history/history.hpp"

#include "tests/support/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using std::chrono::days;

constexpr Instant november{std::chrono::sys_days(std::chrono::year(2026) / 11 / 1)};
constexpr Instant december{std::chrono::sys_days(std::chrono::year(2026) / 12 / 1)};

/// A daemon without checks: what they would find is drawn by chance.
class Daemon {
public:
    Daemon(std::size_t targets, Instant start)
        : history_((dir_.path() / "history.sqlite").string(), [] { FAIL() << "the history broke"; },
                   {.synchronous = storage::Synchronous::normal}),
          now(start)
    {
        std::vector<std::string> names;
        for (std::size_t i = 0; i < targets; ++i) names.push_back(fmt::format("target-{}", i));
        for (const auto& target : run(history_.watch(std::move(names), start)).value()) {
            watched_.push_back({.target = target, .rolled = target.rolled});
            watched_.back().record.watched_since = start;
        }
    }

    template <class T> T run(asio::awaitable<T> call)
    {
        context_.restart();
        auto done = asio::co_spawn(context_, std::move(call), asio::use_future);
        context_.run();
        return done.get();
    }

    /// All checks until then; stores them by the hour.
    void check_until(Instant end, milliseconds interval)
    {
        for (Instant stored = now; now < end; now += interval) {
            for (auto& one : watched_) check(one);
            if (now + interval - stored < 1h) continue;
            stored = now + interval;
            keep();
        }
        keep();
    }
    /// As if all checks until then had found what the next one finds.
    void skip_until(Instant end) { now = end; }
    /// As a daemon does when it has not run until then.
    void stop_until(Instant end)
    {
        for (auto& one : watched_) observe(one, State::unknown);
        now = end;
    }

    std::map<std::string, std::uint64_t> rows()
    {
        const auto sizes = run(history_.sizes()).value();
        return {sizes.rows.begin(), sizes.rows.end()};
    }
    std::uint64_t bytes() { return run(history_.sizes()).value().file_bytes; }
    std::vector<StoredRollup> rollups(std::size_t target, Unit unit, const Span& period)
    {
        return run(history_.rollups(watched_.at(target).target.id, unit, period)).value();
    }

    struct Watched {
        Target target{};
        RolledUntil rolled{};
        IncidentTracker tracker{{}};
        Record record{};
        State truth = State::up;
    };
    History& history() { return history_; }
    const Watched& watched(std::size_t i) const { return watched_.at(i); }

private:
    void check(Watched& one)
    {
        if (random_() % 500 == 0) one.truth = one.truth == State::up ? State::down : State::up;
        observe(one, random_() % 2'000 == 0 ? State::unknown : one.truth);
    }

    void observe(Watched& one, State state)
    {
        const char* cause = state == State::down ? "connection refused" : "";
        StoredSample sample{one.target.id, now, state, {}, cause};
        if (state == State::up) sample.latency = microseconds(800 + random_() % 40'000);
        const auto before = one.tracker.memory();
        const Step step = one.tracker.observe({now, state, cause});
        auto after = one.tracker.memory();
        after.latest = before.latest;
        samples_.push_back(std::move(sample));
        if (step.empty() && after == before) return;
        monitor::record(step, one.record);
        batch_.steps.push_back({one.target.id, step, one.tracker.memory()});
    }

    void keep()
    {
        ASSERT_TRUE(run(history_.append_samples(std::move(samples_), now)));
        samples_.clear();
        ASSERT_TRUE(run(history_.commit(std::move(batch_))));
        batch_ = {};
        for (auto& one : watched_)
            for (bool more = true; more;) {
                auto due = due_rollups(one.record, one.rolled, settled_until(one.tracker.memory()), {}, now);
                one.rolled = due.until;
                more = due.more;
                if (due.rollups.empty()) continue;
                Batch batch;
                batch.rollups.push_back({one.target.id, std::move(due)});
                ASSERT_TRUE(run(history_.commit(std::move(batch))));
            }
        while (run(history_.expire(now)).value() == Expired::in_part) {
        }
    }

    test::TempDir dir_;
    asio::io_context context_;
    History history_;
    std::vector<Watched> watched_;
    std::vector<StoredSample> samples_;
    Batch batch_;
    std::mt19937 random_{12};

public:
    Instant now;
};

TEST(HistoryMonth, KeepsWhatItShouldAndNoMore)
{
    constexpr std::size_t targets = 3;
    Daemon daemon(targets, november);
    daemon.check_until(november + days(8), 1min);
    const auto after_a_week = daemon.bytes();
    daemon.check_until(december + 2h, 1min);

    const auto rows = daemon.rows();
    EXPECT_EQ(rows.at("samples"), targets * (2 * 1440)) << "of two days";
    EXPECT_LE(rows.at("minutes"), targets * 7 * 1440U);
    EXPECT_GE(rows.at("minutes"), targets * 7 * 1400U);
    EXPECT_LE(rows.at("hours"), targets * 30 * 24 + targets * 2);
    EXPECT_GE(rows.at("hours"), targets * 30 * 24);
    EXPECT_EQ(rows.at("days"), targets * 30);
    EXPECT_EQ(rows.at("months"), targets);
    EXPECT_LT(daemon.bytes(), after_a_week * 13 / 10) << "only hours and what is recorded were added";

    for (std::size_t i = 0; i < targets; ++i) {
        const Record& record = daemon.watched(i).record;
        const Span period{november, december};
        const auto months = daemon.rollups(i, Unit::month, period);
        ASSERT_EQ(months.size(), 1U);
        EXPECT_EQ(months[0].rollup.tally, tally(record, period, daemon.now));
        EXPECT_GT(months[0].rollup.tally.down, 0s);
        Tally sum;
        std::int64_t answers = 0, incidents = 0;
        microseconds latency{}, most{};
        for (const auto& hour : daemon.rollups(i, Unit::hour, period)) {
            sum += hour.rollup.tally;
            answers += hour.latency.count;
            latency += hour.latency.sum;
            most = std::max(most, hour.latency.most);
            incidents += hour.incidents;
        }
        EXPECT_EQ(sum, months[0].rollup.tally);
        EXPECT_EQ(answers, months[0].latency.count);
        EXPECT_EQ(latency, months[0].latency.sum);
        EXPECT_EQ(most, months[0].latency.most);
        EXPECT_EQ(incidents, months[0].incidents);
        EXPECT_GT(incidents, 0);
        // Each minute that was up all of it had one answer.
        EXPECT_NEAR(static_cast<double>(answers), static_cast<double>(months[0].rollup.tally.up / 1min), 100);
    }
    // The record goes as far back as it is kept, and the state that held then is known.
    const auto restored = daemon.history().restore();
    for (std::size_t i = 0; i < targets; ++i) {
        EXPECT_EQ(restored.targets[i].memory, daemon.watched(i).tracker.memory());
        const Span period{december, daemon.now};
        EXPECT_EQ(tally(restored.targets[i].record, period, daemon.now),
                  tally(daemon.watched(i).record, period, daemon.now));
    }
}

TEST(HistoryMonth, IsFinalAlsoWhenAWindowIsAnnouncedForThePast)
{
    Daemon daemon(1, november);
    daemon.check_until(december + 1h, 10min);
    const auto before = daemon.rollups(0, Unit::month, {november, december}).at(0);
    Record record = daemon.watched(0).record;
    record.announced.push_back({november, december});
    // A month at a time, as the finer ones are gone.
    RolledUntil rolled = RolledUntil::at(november);
    for (bool more = true; more;) {
        auto due = due_rollups(record, rolled, december + 1h, {}, december + 1h);
        rolled = due.until;
        more = due.more;
        Batch batch;
        batch.rollups.push_back({daemon.watched(0).target.id, std::move(due)});
        ASSERT_TRUE(daemon.run(daemon.history().commit(std::move(batch))));
    }
    const auto after = daemon.rollups(0, Unit::month, {november, december}).at(0);
    EXPECT_EQ(after.rollup.tally, before.rollup.tally);
    EXPECT_EQ(after.rollup.tally.maintenance(), 0s);
}

TEST(HistoryMonth, IsMadeOnceALongStopIsOver)
{
    Daemon daemon(1, november);
    daemon.check_until(november + days(3), 10min);
    daemon.stop_until(december + days(20));
    daemon.check_until(december + days(20) + 1h, 10min);
    EXPECT_EQ(daemon.rollups(0, Unit::month, {november, december}).size(), 1U);
    EXPECT_EQ(daemon.rollups(0, Unit::day, {november, december}).size(), 30U);
    EXPECT_EQ(daemon.rows().at("samples"), 6U);
}

/// What docs/monitor.md says of a target that is checked every ten seconds.
TEST(HistoryYear, TakesTheRoomThatTheDocumentSays)
{
    constexpr std::size_t targets = 3;
    const Instant end = november + days(365);
    Daemon daemon(targets, november);
    daemon.check_until(november + 1h, 10min);
    daemon.skip_until(end - days(90));
    daemon.check_until(end - days(7), 2min);
    daemon.check_until(end + 20s, 10s);
    const auto rows = daemon.rows();
    for (const auto& [table, count] : rows) std::cout << table << ": " << count / targets << " rows a target\n";
    std::cout << daemon.bytes() / targets << " bytes a target\n";
    EXPECT_EQ(rows.at("samples"), targets * (2 * 8640U + 2));
    EXPECT_EQ(rows.at("days"), targets * 365U);
    EXPECT_EQ(rows.at("months"), targets * 12U);
    EXPECT_LT(daemon.bytes() / targets, 1'200'000U);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
