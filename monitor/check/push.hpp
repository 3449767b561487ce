// The watch over a target that reports by itself (a dead man's switch): it must call within `interval` + `grace` of its
// last call. A call may also say that the target is down.
//
// What is not known is not down: after the start, and after a whole interval in which no call could have reached the
// monitor, the target has all of `interval` + `grace` for its next call. A shorter one is added to what it has left.
//
// PURE: `now` is an argument. One thread. Owned by the checker.
#pragma once

#include "common/clock.hpp"
#include "monitor/decide/uptime.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace hotspare::monitor {

struct PushReport {
    bool up = true;
    std::string message{}; ///< of a report that says down, for people; may be empty
};

class PushWatch {
public:
    PushWatch(Duration interval, Duration grace, TimePoint now)
        : interval_(interval), allowed_(interval + grace), since_(now)
    {
    }

    void reported(PushReport report, TimePoint now);
    /// No report could reach the monitor for so long.
    void was_unreachable(Duration length, TimePoint now) noexcept;

    struct View {
        State state = State::unknown;
        std::string cause{}; ///< unless it is up
    };
    View look(TimePoint now) const;

private:
    Duration interval_;
    Duration allowed_;
    TimePoint since_;                    ///< the next report must come within `allowed_` of this
    std::optional<PushReport> latest_{}; ///< none since the start, or since it was unreachable too long
};

/// Takes as long wherever the two differ; only their length shows.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

} // namespace hotspare::monitor
