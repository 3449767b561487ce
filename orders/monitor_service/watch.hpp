// The watch over one service: when to probe it, and what its status is. The health detector (common/resilience) weighs
// the probes; this adds what it does not see: a probe that is still under way after `slow` speaks for `degraded` at
// once, and so the next one is sent beside it. A service that takes 3 s to answer is named after about one, although
// the probe waits longer before it calls it down.
//
//     healthy    answers 2xx within `slow`              degraded   answers 2xx later, or good and bad in turn, or
//     unhealthy  answers something else                            says itself that it is
//     unknown    not known yet                          down       no answer: refused, reset, timed out; or says
//                                                                  itself that it is
//
// Two probes in a row make a status worse or better, so a single lost one is forgiven. From `down` or `unhealthy` to
// `degraded` takes two whole answers: while nothing is answered, slow and silent look the same. The first good probe
// ends `unknown`; others do when they go on for an `interval`, as services that are started together with their monitor
// have not all begun to listen, or found each other, when it first asks.
//
// PURE: the caller brings the time, which must not go backwards, and sends the probes. One thread; owned by the
// service.
#pragma once

#include "common/clock.hpp"
#include "common/resilience/health.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hotspare::orders::monitor {

using resilience::Health;
using resilience::ProbeOutcome;

struct WatchSettings {
    Duration interval = seconds(2);
    Duration fast_interval = milliseconds(500); ///< while the status is in doubt
    Duration slow = milliseconds(500);
};

/// A probe that has ended.
struct Probe {
    TimePoint started;
    Duration latency{};
    ProbeOutcome outcome = ProbeOutcome::ok;
    bool impaired = false;  ///< the outcome is ok, and the service said that it is degraded
    bool says_down = false; ///< the outcome is failing, as the service said that it is down: what it is for, it refuses
    std::string detail;     ///< what was wrong; empty when nothing was
};

struct Change {
    Health from = Health::unknown;
    Health to = Health::unknown;
    std::string cause;          ///< for people: "connection refused"
    TimePoint first_evidence{}; ///< `now` less this is the detection time of a worse status
};

class Watch {
public:
    /// The first probe is due at `now`.
    Watch(const WatchSettings& settings, TimePoint now);

    struct Step {
        bool probe = false; ///< send one; it has started `now`
        std::optional<Change> change;
    };
    /// Must be called at wake_at(), and may be at any time.
    Step tick(TimePoint now);

    std::optional<Change> finished(const Probe& probe, TimePoint now);
    /// It ended for a reason of ours, which says nothing about the service.
    void not_made(TimePoint started) noexcept;
    /// We have not run for a while: what was under way, and what is in doubt, means nothing.
    void clock_jumped() noexcept;

    TimePoint wake_at() const noexcept;

    Health health() const noexcept { return detector_.health(); }
    /// Why it is what it is; empty while it is unknown.
    const std::string& cause() const noexcept { return cause_; }
    /// What was wrong with the last probe; empty if nothing was.
    const std::string& last_error() const noexcept { return last_error_; }
    /// How long the latest answer took, or how long it has been waited for if that is longer than `slow`; none when the
    /// last probe got no answer.
    std::optional<Duration> response_time(TimePoint now) const noexcept;

private:
    struct UnderWay {
        TimePoint started;
        bool overdue = false; ///< it has been looked at when it was longer under way than `slow`
        bool weighed = false; ///< and counts as slow
    };
    /// More than these never wait for one service.
    static constexpr std::size_t most_under_way = 16;

    TimePoint next_probe() const noexcept;
    bool may_be_starting(TimePoint started, TimePoint now) noexcept;
    std::optional<Change> weigh(const resilience::ProbeResult& result, std::string detail, TimePoint now);

    WatchSettings settings_;
    resilience::HealthDetector detector_;
    std::vector<UnderWay> under_way_; ///< the oldest first
    TimePoint first_probe_;
    std::optional<TimePoint> first_doubt_;      ///< start of the first probe that was not good, while unknown
    std::optional<TimePoint> last_probe_;       ///< start
    TimePoint last_weighed_ = TimePoint::min(); ///< start of the newest probe that has ended
    std::optional<Duration> last_latency_;
    std::string last_error_;
    std::string complaint_; ///< the latest thing that was not as it should be
    std::string cause_;
};

/// The status of all of them together: the same word if all have it; else `unhealthy` if something does not work (at
/// least one is unhealthy or down), else `degraded` if one is, else `unknown`. None at all are `unknown`.
Health overall(std::span<const Health> all) noexcept;

} // namespace hotspare::orders::monitor
