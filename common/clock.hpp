// The suite's notion of time: one monotonic clock for every decision and deadline, one wall clock for what people read.
// Pure code never reads a clock: it takes `now` as an argument, so a test can run a simulated day in a second.
#pragma once

#include <chrono>

namespace hotspare {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

using WallTime = std::chrono::system_clock::time_point;

/// For people and for JSON: to the microsecond.
constexpr double to_ms(Duration d) noexcept
{
    return static_cast<double>(std::chrono::round<microseconds>(d).count()) / 1000;
}

/// The same in seconds, to the millisecond.
constexpr double to_s(Duration d) noexcept
{
    return static_cast<double>(std::chrono::round<milliseconds>(d).count()) / 1000;
}

} // namespace hotspare
