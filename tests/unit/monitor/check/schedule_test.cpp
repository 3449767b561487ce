#include "monitor/check/schedule.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;

constexpr TimePoint start{Duration(1h)};

/// A shell whose timer is as late as the test wants, and whose checks take as long as it wants.
class Shell {
public:
    Shell(std::vector<Schedule::Entry> entries, ScheduleSettings settings = {})
        : entries_(std::move(entries)), schedule(entries_, settings, clocks)
    {
    }

    /// Runs what is due until then; what began, with when.
    void run_until(TimePoint until)
    {
        for (;;) {
            const auto end = ends_.empty() ? TimePoint::max() : ends_.begin()->first;
            const auto next = std::min(schedule.wake_at(), end);
            if (next > until) break;
            clocks.now = std::max(clocks.now, next + lateness());
            turn();
        }
        clocks.now = std::max(clocks.now, until);
    }

    /// Stands still, then takes its turn.
    std::optional<Schedule::Jump> stand_still(Duration time)
    {
        clocks.now += time;
        return turn();
    }

    std::optional<Schedule::Jump> turn()
    {
        auto jump = schedule.look(clocks);
        while (!ends_.empty() && ends_.begin()->first <= clocks.now) {
            const auto target = ends_.begin()->second;
            ends_.erase(ends_.begin());
            running_.erase(target);
            (schedule.ended(target) ? counted : uncounted) += 1;
        }
        for (const auto target : schedule.tick(clocks.now)) {
            EXPECT_TRUE(running_.emplace(target, true).second) << "two of one target at a time";
            begun[target].push_back(clocks.now);
            ends_.emplace(clocks.now + duration(target), target);
        }
        EXPECT_EQ(schedule.under_way(), running_.size());
        return jump;
    }

    /// Points of the grids that have passed.
    std::uint64_t due() const
    {
        std::uint64_t total = 0;
        for (const auto& entry : entries_)
            if (const auto time = clocks.now - start - entry.offset; time >= 0ns)
                total += static_cast<std::uint64_t>(time / entry.interval) + 1;
        return total;
    }

    std::function<Duration()> lateness = [] { return Duration::zero(); };
    std::function<Duration(std::size_t)> duration = [](std::size_t) { return 10ms; };
    std::map<std::size_t, std::vector<TimePoint>> begun;
    int counted = 0, uncounted = 0;

private:
    std::vector<Schedule::Entry> entries_;
    std::multimap<TimePoint, std::size_t> ends_;
    std::map<std::size_t, bool> running_;

public:
    ClockReading clocks{.now = start};
    Schedule schedule;
};

TEST(Schedule, ChecksEachTargetOnItsGridWithoutDrift)
{
    Shell shell({{10s, 0s}, {10s, 3s}, {1s, 500ms}});
    shell.lateness = [] { return 7ms; };
    shell.run_until(start + 1h - 1ms);
    ASSERT_EQ(shell.begun[0].size(), 360U);
    for (int i = 0; i < 360; ++i) {
        const auto at = static_cast<std::size_t>(i);
        EXPECT_EQ(shell.begun[0][at], start + i * 10s + 7ms);
        EXPECT_EQ(shell.begun[1].at(at), start + i * 10s + 3s + 7ms);
    }
    EXPECT_EQ(shell.begun[2].size(), 3600U);
    EXPECT_EQ(shell.schedule.skipped(), 0U);
    EXPECT_EQ(shell.schedule.lag(), 7ms);
}

TEST(Schedule, SpreadsTargetsOverTheIntervalByTheirNames)
{
    constexpr int targets = 1000;
    constexpr int parts = 20;
    std::vector<int> in_part(parts);
    for (int i = 0; i < targets; ++i) {
        const auto offset = offset_of("shop-" + std::to_string(i), 10s);
        ASSERT_GE(offset, 0s);
        ASSERT_LT(offset, 10s);
        ++in_part[static_cast<std::size_t>(offset * parts / 10s)];
    }
    for (const int count : in_part) {
        EXPECT_GT(count, 20) << "of 50";
        EXPECT_LT(count, 90) << "of 50";
    }
    EXPECT_EQ(offset_of("shop-1", 10s), offset_of("shop-1", 10s));
    EXPECT_NE(offset_of("shop-1", 10s), offset_of("shop-2", 10s));
    EXPECT_EQ(offset_of("shop-1", 0s), 0s);
}

TEST(Schedule, NeverChecksATargetTwiceAtATime)
{
    Shell shell({{1s, 0s}});
    shell.duration = [](std::size_t) { return 2500ms; };
    shell.run_until(start + 9s);
    EXPECT_EQ(shell.begun[0], (std::vector<TimePoint>{start, start + 3s, start + 6s, start + 9s}));
    EXPECT_EQ(shell.schedule.skipped(), 6U);
}

TEST(Schedule, LetsChecksWaitForTheirTurn)
{
    Shell shell({{10s, 0s}, {10s, 0s}, {10s, 0s}}, {.at_once = 1});
    shell.duration = [](std::size_t) { return 4s; };
    shell.run_until(start + 9s);
    EXPECT_EQ(shell.begun[0], std::vector<TimePoint>{start});
    EXPECT_EQ(shell.begun[1], std::vector<TimePoint>{start + 4s});
    EXPECT_EQ(shell.begun[2], std::vector<TimePoint>{start + 8s});
    EXPECT_EQ(shell.schedule.longest_lag(), 8s);

    Shell crowded({{1s, 0s}, {1s, 0s}}, {.at_once = 1});
    crowded.duration = [](std::size_t target) { return target == 0 ? Duration(5s) : Duration(10ms); };
    crowded.run_until(start + 6s);
    ASSERT_EQ(crowded.begun[1].size(), 1U) << "five were due meanwhile";
    EXPECT_EQ(crowded.begun[1].front(), start + 5s);
    EXPECT_EQ(crowded.schedule.longest_lag(), 1s) << "behind the last one that was due";
}

TEST(Schedule, MakesUpForNothingAfterItStoodStill)
{
    Shell shell({{10s, 1s}, {10s, 2s}, {10s, 9s}});
    shell.duration = [](std::size_t) { return 3s; };
    shell.run_until(start + 2500ms);
    ASSERT_EQ(shell.schedule.under_way(), 2U);
    const auto jump = shell.stand_still(1min);
    ASSERT_TRUE(jump);
    EXPECT_GE(jump->length, 1min - 1s);
    EXPECT_LE(jump->since, start + 2500ms);
    EXPECT_EQ(shell.uncounted, 2) << "what was under way";
    EXPECT_EQ(shell.counted, 0);
    for (const auto& [target, times] : shell.begun) EXPECT_LE(times.size(), 1U) << "no burst";
    shell.run_until(start + 72s);
    EXPECT_EQ(shell.begun[2], std::vector<TimePoint>{start + 69s}) << "on its grid";
    EXPECT_EQ(shell.begun[0].back(), start + 71s);
    shell.run_until(start + 80s);
    EXPECT_GE(shell.counted, 3) << "what began later counts";
    EXPECT_EQ(shell.schedule.begun() + shell.schedule.skipped(), shell.due());
}

TEST(Schedule, NoticesAStallInWhichNothingWasDue)
{
    Shell shell({{1h, 0s}});
    shell.duration = [](std::size_t) { return 2s; };
    shell.run_until(start + 100ms);
    EXPECT_TRUE(shell.stand_still(3s));
    EXPECT_EQ(shell.uncounted, 1) << "its answer may have waited for us";
}

TEST(Schedule, CountsAStallAsLag)
{
    Shell shell({{1s, 0s}});
    shell.run_until(start + 5500ms);
    EXPECT_LT(shell.schedule.longest_lag(), 1s);
    EXPECT_TRUE(shell.stand_still(7s));
    EXPECT_GE(shell.schedule.longest_lag(), 6s) << "a check was due after half a second";
    EXPECT_LE(shell.schedule.longest_lag(), 7s);
}

TEST(Schedule, NoticesThatTheMachineWasSuspendedOrTheClockWasSet)
{
    Shell shell({{10s, 0s}});
    shell.duration = [](std::size_t) { return 1s; };
    shell.run_until(start + 100ms);
    // The steady clock stood still meanwhile, and the wall clock did not.
    shell.clocks.slept += 8h;
    shell.clocks.wall_offset += 8h;
    const auto jump = shell.turn();
    ASSERT_TRUE(jump);
    EXPECT_EQ(jump->length, 8h);
    EXPECT_EQ(jump->wall_then, WallTime::duration::zero());
    EXPECT_FALSE(shell.turn()) << "told once";
    shell.run_until(start + 5s);
    EXPECT_EQ(shell.uncounted, 1);

    shell.run_until(start + 15s);
    EXPECT_EQ(shell.counted, 1);
    shell.clocks.wall_offset -= 1h;
    const auto back = shell.turn();
    ASSERT_TRUE(back);
    EXPECT_EQ(back->length, 0s);
    shell.clocks.wall_offset += 100ms;
    EXPECT_FALSE(shell.turn()) << "only adjusted";
    shell.clocks.wall_offset += 2h;
    EXPECT_EQ(shell.turn().value().length, 2h);
}

TEST(Schedule, ChecksMoreOftenWhileTheStateIsInDoubt)
{
    Shell shell({{10s, 3s, 1s}, {10s, 3s}});
    shell.run_until(start + 2500ms);
    EXPECT_EQ(shell.begun[0], (std::vector<TimePoint>{start, start + 1s, start + 2s})) << "from the start on";
    EXPECT_TRUE(shell.begun[1].empty()) << "it has no other interval";
    shell.schedule.doubt(0, false, shell.clocks.now);
    shell.schedule.doubt(1, false, shell.clocks.now);
    shell.run_until(start + 25s);
    EXPECT_EQ(shell.begun[0].size(), 6U);
    EXPECT_EQ(shell.begun[0].back(), start + 23s) << "on the grid that it has in common with all starts";
    EXPECT_EQ(shell.begun[1].back(), start + 23s);
    shell.schedule.doubt(0, true, shell.clocks.now);
    shell.schedule.doubt(0, true, shell.clocks.now);
    shell.run_until(start + 28500ms);
    EXPECT_EQ(shell.begun[0].size(), 9U);
    EXPECT_EQ(shell.begun[0].back(), start + 28s);
    shell.schedule.doubt(0, false, shell.clocks.now);
    shell.run_until(start + 33s);
    EXPECT_EQ(shell.begun[0].back(), start + 33s);
    EXPECT_EQ(shell.begun[0].size(), 10U);
    EXPECT_EQ(shell.schedule.skipped(), 0U);
}

TEST(Schedule, RepeatsACheckThatTookLongSoonAfterItsEnd)
{
    Shell shell({{2s, 0s, 500ms}});
    shell.schedule.doubt(0, false, shell.clocks.now);
    shell.duration = [](std::size_t) { return 3200ms; };
    shell.run_until(start + 5s); // one from 2 s to 5.2 s
    shell.schedule.doubt(0, true, shell.clocks.now);
    shell.run_until(start + 6s);
    EXPECT_EQ(shell.begun[0], (std::vector<TimePoint>{start + 2s, start + 5500ms}));
}

TEST(Schedule, HoldsItsPromisesInAnySequence)
{
    test::check_property(500, [] {
        std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
        const auto any = [&](int from, int to) { return std::uniform_int_distribution(from, to)(random); };
        std::vector<Schedule::Entry> entries;
        for (int i = any(1, 20); i > 0; --i) {
            const Duration interval = milliseconds(any(1, 30) * 100);
            entries.push_back({interval, offset_of("t" + std::to_string(i), interval)});
        }
        const auto at_once = static_cast<std::size_t>(any(1, 25));
        Shell shell(entries, {.at_once = at_once});
        shell.lateness = [&] { return milliseconds(any(0, 9) == 0 ? any(0, 400) : 0); };
        shell.duration = [&](std::size_t) { return milliseconds(any(0, 9) == 0 ? any(0, 4000) : any(0, 50)); };
        for (int step = 0; step < 10; ++step) {
            shell.run_until(shell.clocks.now + milliseconds(any(0, 5000)));
            const auto before = shell.schedule.begun();
            switch (any(0, 4)) {
            case 0: {
                const Duration stall = milliseconds(any(1100, 20'000));
                const bool under_way = shell.schedule.under_way() > 0;
                const bool jumped = shell.stand_still(stall).has_value();
                if (under_way) RC_ASSERT(jumped);
                if (jumped) RC_ASSERT(shell.schedule.begun() == before); // nothing is made up for
                break;
            }
            case 1:
                shell.clocks.slept += 1min;
                shell.clocks.wall_offset += 1min;
                RC_ASSERT(shell.turn().has_value());
                break;
            default: break;
            }
            RC_ASSERT(shell.schedule.under_way() <= at_once);
            // Each point of the grids leads to one check or is skipped, but for those that still wait.
            shell.turn();
            const auto settled = shell.schedule.begun() + shell.schedule.skipped();
            RC_ASSERT(settled <= shell.due());
            RC_ASSERT(settled + (at_once < entries.size() ? entries.size() : 0) >= shell.due());
        }
        for (const auto& [target, times] : shell.begun)
            for (std::size_t i = 1; i < times.size(); ++i) RC_ASSERT(times[i] > times[i - 1]);
    });
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
