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

} // namespace hotspare
