// The clock of one thread under a test's control. Sessions read the clock when one of their streams is ready; where the
// test decides when that is, it must also decide what time it is.
//
// Thread: the one that made it; every other one keeps the real clock. One at a time. Owner: the test's world.
#pragma once

#include "common/clock.hpp"

namespace hotspare::balancer {

class ScriptedClock {
public:
    ScriptedClock();
    ~ScriptedClock();
    ScriptedClock(const ScriptedClock&) = delete;
    ScriptedClock& operator=(const ScriptedClock&) = delete;

    TimePoint now() const noexcept { return now_; }
    /// Time never goes back.
    void set(TimePoint now) noexcept;

private:
    TimePoint now_ = TimePoint{} + std::chrono::hours(1);
};

} // namespace hotspare::balancer
