// PURE: the clock that jobs wait by. When an order is due again, when a lease ends and how long a round has lasted are
// told by this clock, which never goes back: it runs with the wall clock, and when that is set back it goes on from
// where it was. So nothing waits for as long as the wall clock was wrong. What people read (created_at, a timeline) is
// the wall clock's.
//
// A store keeps state() with its orders, so that a clock that was set back while no service ran is noticed as well.
//
// Thread: one. Owner: the store.
#pragma once

#include "common/clock.hpp"

#include <algorithm>

namespace hotspare::orders {

/// Only a tag: its time points come from JobClock.
struct JobTicks {
    using duration = milliseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<JobTicks>;
    static constexpr bool is_steady = true;
};
using JobTime = JobTicks::time_point;

/// One moment by both clocks.
struct Now {
    WallTime wall{};
    JobTime job{};
};

class JobClock {
public:
    struct State {
        milliseconds ahead{}; ///< of the wall clock
        JobTime latest{};     ///< that was told
        bool operator==(const State&) const = default;
    };

    JobClock() = default;
    explicit JobClock(State state) : state_(state) {}

    Now at(WallTime wall)
    {
        const JobTime by_wall(std::chrono::floor<milliseconds>(wall.time_since_epoch()));
        state_.ahead = std::max(state_.ahead, state_.latest - by_wall);
        state_.latest = by_wall + state_.ahead;
        return {wall, state_.latest};
    }

    const State& state() const noexcept { return state_; }

private:
    State state_;
};

} // namespace hotspare::orders
