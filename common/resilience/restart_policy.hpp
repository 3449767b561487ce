// A process has ended: is it started again, and when? The pause before a restart doubles with every failure in a row up
// to a bound, and chance takes a part of it away, so that processes which failed together do not start together. A run
// that lasted long enough starts the pauses over. More restarts in a window than the limit allows end it: the process
// is given up until an operator starts it (Erlang's restart intensity, systemd's StartLimitBurst=).
//
// It starts nothing and waits for nothing; the supervisor does, and reports what happened.
//
// PURE: time is an argument, chance a seed. One thread; owned by who runs the process.
#pragma once

#include "common/clock.hpp"

#include <cstdint>
#include <deque>
#include <string_view>

namespace hotspare::resilience {

struct RestartSettings {
    Duration first_pause = milliseconds(200); ///< from 1 ms
    Duration longest_pause = seconds(10);     ///< not below first_pause, at most a day
    double jitter = 0.2;                      ///< the share of a pause that chance may take away, 0 to 1
    Duration healthy_after = seconds(30);     ///< a run this long makes the next pause the first one again
    unsigned limit = 20;                      ///< restarts in a window; 0 = no limit
    Duration window = std::chrono::minutes(5);
    bool always = false; ///< also after a successful end: a server that is not asked to stop here has no reason to end
};

/// How a process ended, as far as a restart is concerned.
enum class Ending : std::uint8_t {
    success, ///< it was asked to, or had nothing left to do
    refused, ///< it cannot work as it is configured: another start would end in the same way
    failure, ///< everything else: an error, a signal, no start at all
};

class RestartPolicy {
public:
    enum class Phase : std::uint8_t {
        down,     ///< not started yet, stopped on purpose, or ended in a way that no restart follows
        running,  ///< started() was reported last
        waiting,  ///< is to be started at restart_at()
        given_up, ///< too many restarts; start() begins anew
    };

    /// Throws std::invalid_argument that names the setting if one is out of its range.
    RestartPolicy(const RestartSettings& settings, std::uint64_t seed);

    /// An operator wants it to run: what failed before is forgotten. The caller starts the process and reports it.
    void start() noexcept;

    /// A process was started, or one that runs was adopted. `now` must not be earlier than in the last call.
    void started(TimePoint now) noexcept;

    /// It has ended, or could not be started. The new phase is one of waiting, down and given_up.
    Phase ended(Ending ending, TimePoint now);

    /// It is stopped on purpose: no restart follows, not even a waiting one.
    void stop() noexcept { phase_ = Phase::down; }

    Phase phase() const noexcept { return phase_; }
    /// Only meaningful while waiting.
    TimePoint restart_at() const noexcept { return restart_at_; }
    /// Failures in a row, none of them after a healthy run.
    unsigned failures() const noexcept { return failures_; }

    /// The pause before the restart that follows so many failures in a row, without its jitter.
    Duration pause_after(unsigned failures) const noexcept;

private:
    double draw() noexcept;

    RestartSettings settings_;
    std::uint64_t random_;
    Phase phase_ = Phase::down;
    TimePoint started_at_{};
    TimePoint restart_at_{};
    unsigned failures_ = 0;
    std::deque<TimePoint> recent_; ///< when the restarts of the last window were decided
};

std::string_view to_string(RestartPolicy::Phase phase) noexcept;

} // namespace hotspare::resilience
