#include "tests/unit/balancer/serve/scripted_clock.hpp"

#include <time.h>

#include <algorithm>

namespace {

thread_local const hotspare::balancer::ScriptedClock* scripted = nullptr;

} // namespace

// In place of the library's: Clock is used everywhere without indirection, which only a test would need. Outside a
// ScriptedClock this is what the library does.
std::chrono::steady_clock::time_point std::chrono::steady_clock::now() noexcept
{
    if (scripted != nullptr) return scripted->now();
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return time_point(seconds(t.tv_sec) + nanoseconds(t.tv_nsec));
}

namespace hotspare::balancer {

ScriptedClock::ScriptedClock()
{
    scripted = this;
}

ScriptedClock::~ScriptedClock()
{
    scripted = nullptr;
}

void ScriptedClock::set(TimePoint now) noexcept
{
    now_ = std::max(now_, now);
}

} // namespace hotspare::balancer
