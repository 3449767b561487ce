#include "monitor/history/retention.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using std::chrono::days;

constexpr Instant november{std::chrono::sys_days(std::chrono::year(2026) / 11 / 1)};
constexpr Instant december{std::chrono::sys_days(std::chrono::year(2026) / 12 / 1)};

std::vector<Rollup> of(const DueRollups& due, Unit unit)
{
    std::vector<Rollup> result;
    for (const auto& one : due.rollups)
        if (one.unit == unit) result.push_back(one.rollup);
    return result;
}

/// All that is due, over as many calls as it takes.
std::vector<UnitRollup> all_due(const Record& record, RolledUntil& rolled, Instant settled, Instant now)
{
    std::vector<UnitRollup> result;
    for (bool more = true; more;) {
        const auto due = due_rollups(record, rolled, settled, {}, now);
        result.insert(result.end(), due.rollups.begin(), due.rollups.end());
        rolled = due.until;
        more = due.more;
    }
    return result;
}

TEST(Retention, KeepsWhatTheDocumentSays)
{
    const auto kept = cutoffs({}, december + 30s);
    EXPECT_EQ(kept.samples, december - days(2));
    EXPECT_EQ(kept.units[0], december - days(7));
    EXPECT_EQ(kept.units[1], december - days(90));
    EXPECT_EQ(kept.units[2], december - days(1826));
    EXPECT_EQ(kept.units[3], Instant::min()) << "months are kept";
}

TEST(Settled, ReachesUpToTheLatestSampleUnlessARowIsOpen)
{
    IncidentTracker tracker({});
    EXPECT_EQ(settled_until(tracker.memory()), Instant::min());
    Instant at = november;
    const auto behind = [&](State state) {
        at += 10s;
        tracker.observe({at, state});
        return at - settled_until(tracker.memory());
    };
    EXPECT_EQ(behind(State::up), 0s);
    EXPECT_EQ(behind(State::degraded), 0s);
    EXPECT_EQ(behind(State::down), 0s) << "an outage may begin here";
    EXPECT_EQ(behind(State::unknown), 10s) << "and is still not confirmed";
    EXPECT_EQ(behind(State::down), 20s);
    EXPECT_EQ(behind(State::down), 0s) << "confirmed";
    EXPECT_EQ(behind(State::up), 0s) << "it may end here";
    EXPECT_EQ(behind(State::unknown), 10s);
    EXPECT_EQ(behind(State::up), 0s);
    EXPECT_EQ(behind(State::unknown), 0s);
}

TEST(DueRollups, AreThoseThatAreOver)
{
    const Record record{.watched_since = november + 20s, .changes = {{november + 20s, State::up}}};
    const auto rolled = RolledUntil::at(record.watched_since);
    EXPECT_TRUE(due_rollups(record, rolled, november + 59s, {}, december).rollups.empty());
    const auto due = due_rollups(record, rolled, november + 1h + 90s, {}, december);
    EXPECT_EQ(of(due, Unit::minute).size(), 0U) << "long past what is kept";
    EXPECT_EQ(of(due, Unit::hour).size(), 1U);
    const auto in_time = due_rollups(record, rolled, november + 1h + 90s, {}, november + 1h + 90s);
    const auto minutes = of(in_time, Unit::minute);
    ASSERT_EQ(minutes.size(), 61U);
    EXPECT_EQ(minutes.front().begin, november);
    EXPECT_EQ(minutes.front().tally.up, 40s);
    EXPECT_EQ(minutes.back().tally.up, 60s);
    EXPECT_EQ(of(in_time, Unit::hour).size(), 1U);
    EXPECT_TRUE(of(in_time, Unit::day).empty());
    EXPECT_EQ(in_time.until.of(Unit::minute), november + 1h + 1min);
    EXPECT_EQ(in_time.until.of(Unit::hour), november + 1h);
    EXPECT_EQ(in_time.until.of(Unit::day), november);
    EXPECT_TRUE(due_rollups(record, in_time.until, november + 1h + 90s, {}, december).rollups.empty()) << "only once";
}

TEST(DueRollups, OfAMonthWaitForAnOutageThatIsNotConfirmed)
{
    IncidentTracker tracker({});
    Record record{.watched_since = november};
    monitor::record(tracker.observe({november, State::up}), record);
    // As if minutes, hours and days had been made all the time.
    RolledUntil rolled = RolledUntil::at(november);
    all_due(record, rolled, december - 1min, december - 1min);
    const auto month = [&](Instant at, State state) {
        monitor::record(tracker.observe({at, state}), record);
        const auto due = due_rollups(record, rolled, settled_until(tracker.memory()), {}, at);
        return of(due, Unit::month);
    };
    EXPECT_TRUE(month(december - 10s, State::down).empty());
    EXPECT_TRUE(month(december, State::down).empty()) << "over, but the row began in it";
    const auto due = month(december + 10s, State::down);
    ASSERT_EQ(due.size(), 1U);
    EXPECT_EQ(due[0].begin, november);
    EXPECT_EQ(due[0].tally.down, 10s);
    EXPECT_EQ(due[0].tally.total(), days(30));
}

TEST(DueRollups, LeaveOutMinutesAndHoursOfWhichNothingIsKnown)
{
    Record record{
        .watched_since = november, .changes = {{november, State::up}}, .gaps = {{november + 12h, november + days(3)}}};
    RolledUntil rolled = RolledUntil::at(november);
    const auto due = all_due(record, rolled, november + days(3) + 1h, november + days(3) + 1h);
    const auto count = [&](Unit unit) {
        return std::count_if(due.begin(), due.end(), [&](const UnitRollup& r) { return r.unit == unit; });
    };
    EXPECT_EQ(count(Unit::minute), 12 * 60 + 60);
    EXPECT_EQ(count(Unit::hour), 13);
    EXPECT_EQ(count(Unit::day), 3) << "a day is there also if nothing is known of it";
}

TEST(DueRollups, AreBoundedInOneCallAndComeInOrder)
{
    const Record record{.watched_since = november, .changes = {{november, State::up}}};
    RolledUntil rolled = RolledUntil::at(november);
    const Instant now = november + days(5) + 30s;
    const auto first = due_rollups(record, rolled, now, {}, now);
    EXPECT_TRUE(first.more);
    EXPECT_EQ(of(first, Unit::minute).size(), 1440U);
    EXPECT_EQ(of(first, Unit::hour).size(), 24U) << "no hour before its minutes";
    EXPECT_EQ(of(first, Unit::day).size(), 1U);
    const auto due = all_due(record, rolled, now, now);
    EXPECT_EQ(due.size(), 5U * (1440 + 24 + 1));
    EXPECT_EQ(rolled.of(Unit::minute), november + days(5));
}

/// A monitor that was stopped for a year.
TEST(DueRollups, MakeNothingThatWouldBeDeletedAtOnce)
{
    const Record record{.watched_since = november, .changes = {{november, State::up}}};
    RolledUntil rolled = RolledUntil::at(november);
    const Instant now = november + days(365);
    const auto due = all_due(record, rolled, now, now);
    std::array<std::size_t, 4> counts{};
    for (const auto& one : due) ++counts.at(static_cast<std::size_t>(one.unit));
    EXPECT_EQ(counts, (std::array<std::size_t, 4>{7 * 1440, 90 * 24, 365, 12}));
    EXPECT_EQ(rolled, RolledUntil::at(now));
}

TEST(DueRollups, AddUpToTheMonthWhateverHappenedAndWheneverTheyAreMade)
{
    test::check_property(15, [] {
        IncidentTracker tracker({});
        Record record{.watched_since = november + milliseconds(*rc::gen::inRange(0, 100'000'000))};
        const auto windows = *rc::gen::inRange(0, 3);
        for (int i = 0; i < windows; ++i) {
            const Instant begin = november + std::chrono::minutes(*rc::gen::inRange(0, 40'000));
            record.announced.push_back({begin, begin + 1h});
        }
        RolledUntil rolled = RolledUntil::at(record.watched_since);
        std::vector<UnitRollup> made;
        auto day = RolledUntil::at(record.watched_since).of(Unit::day);
        Instant at = record.watched_since;
        while (at < december + days(1)) {
            const auto state = *rc::gen::weightedElement<State>(
                {{6, State::up}, {2, State::down}, {1, State::degraded}, {1, State::unknown}});
            for (int repeats = *rc::gen::inRange(1, 5); repeats > 0; --repeats) {
                monitor::record(tracker.observe({at, state}), record);
                at += std::chrono::minutes(*rc::gen::inRange(20, 600));
            }
            if (at - day < days(1)) continue;
            const auto now = tracker.memory().latest.value();
            const auto due = all_due(record, rolled, settled_until(tracker.memory()), now);
            made.insert(made.end(), due.begin(), due.end());
            day = at;
        }
        const auto now = tracker.memory().latest.value();
        const auto due = all_due(record, rolled, settled_until(tracker.memory()), now);
        made.insert(made.end(), due.begin(), due.end());
        Tally days_of_month, month;
        for (const auto& [unit, rollup] : made) {
            if (rollup.begin < november || rollup.begin >= december) continue;
            if (unit == Unit::day) days_of_month += rollup.tally;
            if (unit == Unit::month) month += rollup.tally;
            // Final means: as it is computed from all that is known in the end.
            RC_ASSERT(rollup.tally == tally(record, unit_around(rollup.begin, unit), now));
        }
        if (rolled.of(Unit::month) >= december) {
            RC_ASSERT(days_of_month == month);
            RC_ASSERT(month == tally(record, {november, december}, now));
        }
    });
}

TEST(Trim, KeepsTheStateThatHeldAndWhatHasNotEnded)
{
    Record record{.watched_since = november,
                  .changes = {{november, State::up}, {november + 1h, State::degraded}, {november + 2h, State::up}},
                  .outages = {{november, november + 30min}, {november + 80min, november + 100min}},
                  .gaps = {{november + 10min, november + 20min}, {november + 80min, forever}},
                  .announced = {{november, november + 90min}}};
    const Tally before = tally(record, {november + 90min, november + 3h}, december);
    trim(record, november + 90min);
    EXPECT_EQ(tally(record, {november + 90min, november + 3h}, december), before);
    EXPECT_EQ(record.changes.size(), 2U);
    EXPECT_EQ(record.outages.size(), 1U);
    EXPECT_EQ(record.gaps.size(), 1U);
    EXPECT_TRUE(record.announced.empty());
    trim(record, november);
    EXPECT_EQ(record.changes.size(), 2U);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
