// Waiting for something that another thread or process does: a condition, polled, with a bound that is generous enough
// never to fail on a loaded machine. Tests wait for what they need; they never sleep and hope.
#pragma once

#include <chrono>
#include <thread>

namespace hotspare::test {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// How long a test waits for something that is expected to happen at once. Sanitizers and a busy machine are slow.
inline constexpr milliseconds patience = seconds(20);

/// Calls `condition` every `step` until it is true. False if that did not happen within `bound`.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition, milliseconds bound = patience, milliseconds step = milliseconds(2))
{
    const auto deadline = Clock::now() + bound;
    while (!condition()) {
        if (Clock::now() >= deadline) return false;
        std::this_thread::sleep_for(step);
    }
    return true;
}

/// Makes this thread stand still, as a suspended machine or a stalled disk would. A fault to inject, not a way to wait.
inline void stand_still(milliseconds duration)
{
    std::this_thread::sleep_for(duration);
}

} // namespace hotspare::test
