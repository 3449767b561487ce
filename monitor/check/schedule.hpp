// When each target is checked. A target is due once per interval, on a grid of its own whose offset follows from its
// name, so that many targets spread over the interval and a restart keeps the order. It makes no checks: tick() says
// which begin now, and the shell says when one has ended.
//
//  - The grid does not drift: a late check does not move the next one.
//  - While the state of a target is in doubt, which the shell says, its grid is the finer one of its doubt interval. It
//    is in doubt from the start on.
//  - A target has at most one check under way. If that one still runs when the next is due, the next is skipped.
//  - At most `at_once` checks are under way; the others wait their turn in the order in which they were due. One that
//    waits longer than its interval is made once all the same.
//  - If the shell did not run for `tolerance`, the machine was suspended, or the wall clock was set, that is a jump:
//    what was due meanwhile is skipped, not made up for, and the checks that were under way do not count, as their
//    delay may be ours.
//
// PURE: time is an argument. One thread. Owned by the checker.
#pragma once

#include "common/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::monitor {

/// What the clocks of the machine show at one moment.
struct ClockReading {
    TimePoint now{};
    Duration slept{};                 ///< for how long the machine was suspended since it was booted
    WallTime::duration wall_offset{}; ///< wall clock less steady clock
};

/// Between 0 and `interval`, the same for the same name.
Duration offset_of(std::string_view name, Duration interval) noexcept;

struct ScheduleSettings {
    std::size_t at_once = 256; ///< at least 1
    Duration tolerance = milliseconds(500);
};

class Schedule {
public:
    struct Entry {
        Duration interval{};       ///< more than 0
        Duration offset{};         ///< of the grid, from the start
        Duration doubt_interval{}; ///< at most `interval`; zero: the interval
    };

    Schedule(const std::vector<Entry>& entries, const ScheduleSettings& settings, const ClockReading& start);

    /// A stretch in which nothing was observed.
    struct Jump {
        TimePoint since{};              ///< when the shell last ran
        WallTime::duration wall_then{}; ///< the offset of the wall clock then
        Duration length{};              ///< as the wall clock shows it; zero if that was only set back
    };
    /// Compares the clocks with those of the last look. To be called before anything else is done with the time, by
    /// whatever runs first: the timer or the end of a check.
    std::optional<Jump> look(const ClockReading& clocks);

    /// The checks that begin now. Must be called at wake_at(), and may be at any time, after look().
    std::vector<std::size_t> tick(TimePoint now);

    /// The check of the target has ended; call tick() afterwards. False: a jump happened meanwhile, it does not count.
    bool ended(std::size_t target);

    /// Whether the state of the target is in doubt: the next check is due on the finer grid then.
    void doubt(std::size_t target, bool in_doubt, TimePoint now);

    /// When tick() has something to do; in the past: now; TimePoint::max(): not before a check ends.
    TimePoint wake_at() const noexcept;

    /// By how much the check that began last was later than due.
    Duration lag() const noexcept { return lag_; }
    /// Also of checks that were due while the shell did not run, and were not made.
    Duration longest_lag() const noexcept { return longest_lag_; }
    std::uint64_t begun() const noexcept { return begun_; }
    /// Checks that were due and not made.
    std::uint64_t skipped() const noexcept { return skipped_; }
    std::size_t under_way() const noexcept { return under_way_; }

private:
    struct Target {
        Duration interval{};
        Duration doubt_interval{};
        Duration step{};    ///< one of the two
        TimePoint anchor{}; ///< a point of both grids
        TimePoint due{};    ///< the next one of its grid
        TimePoint waiting_since{};
        bool waiting = false;
        bool running = false;
        bool counts = true; ///< of the one that runs
    };
    using Due = std::pair<TimePoint, std::size_t>;

    void begin(std::size_t index, TimePoint due, TimePoint now, std::vector<std::size_t>& begun);
    std::uint64_t step_past(std::size_t index, TimePoint now);

    ScheduleSettings settings_;
    std::vector<Target> targets_;
    std::set<Due> due_; ///< one entry per target
    std::deque<std::size_t> waiting_;
    std::size_t under_way_ = 0;
    ClockReading last_;
    Duration lag_{};
    Duration longest_lag_{};
    std::uint64_t begun_ = 0;
    std::uint64_t skipped_ = 0;
};

} // namespace hotspare::monitor
