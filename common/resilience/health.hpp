// Is this service alive? Weighs two kinds of evidence into one verdict: probes (active) and what live traffic met
// (passive). It decides nothing about routing and sends nothing: its owner probes, counts traffic and asks.
//
// The rules, in the order of their force:
//  1. The first probe decides for a service that nothing is known of.
//  2. `fall` observations in a row that are worse than the verdict make it worse, as good as the best of them; `rise`
//  in a
//     row that are better make it better, as bad as the worst of them. Observations are probes; live failures since the
//     last good probe count as one more towards `fall`, so that a refused request and the probe that confirms it
//     suffice.
//  3. Only a probe that started after the last failure counts as good.
//  4. Live requests that fail in a row with no success between make the verdict worse although probes are good.
//  5. A doubt that does not resolve (good and bad probes in turn) ends as `degraded`.
//  6. A service that flaps must show more: `rise` doubles with every flap that is still remembered.
//
// PURE: the caller brings the time, which must not go backwards. One thread; owned by whoever watches the service.
#pragma once

#include "common/clock.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hotspare::resilience {

/// From worst to best, so that verdicts compare.
enum class Health : std::uint8_t {
    unknown,   ///< never probed
    down,      ///< no answer
    unhealthy, ///< answers, but not as it should
    degraded,  ///< answers as it should, but too slowly or not reliably
    healthy,   ///< answers as it should, in time
};
std::string_view to_string(Health) noexcept;

/// How a probe ended.
enum class ProbeOutcome : std::uint8_t {
    ok,
    failing,   ///< an answer with the wrong status or body
    malformed, ///< an answer that is not HTTP
    refused,   ///< no connection: refused, no route
    reset,     ///< closed before the answer was complete
    timed_out, ///< silent past the deadline
};
std::string_view to_string(ProbeOutcome) noexcept;

struct HealthSettings {
    unsigned fall = 2; ///< at least 1
    unsigned rise = 2; ///< at least 1
    Duration slow = milliseconds(300);
    unsigned degrade_after = 5;         ///< live failures in a row
    unsigned unhealthy_after = 10;      ///< live failures in a row
    Duration flap_memory = seconds(60); ///< one flap is forgotten for each such period without another
};

struct ProbeResult {
    TimePoint started;
    Duration latency{};
    ProbeOutcome outcome = ProbeOutcome::ok;
    bool impaired = false; ///< answered as it should, with the word that it is degraded
};

/// What live requests met, summed up since the last report. Each `last_…` is only meaningful if its count is not zero.
struct LiveTraffic {
    std::uint32_t successes = 0;
    TimePoint last_success{};
    std::uint32_t failing = 0; ///< answered with a failing status, or not HTTP
    TimePoint last_failing{};
    std::uint32_t broken = 0; ///< no answer: refused, reset, timed out
    TimePoint last_broken{};
    std::uint32_t outpaced = 0; ///< another server, asked later, answered first
    TimePoint last_outpaced{};
};

/// Why a verdict changed.
enum class Cause : std::uint8_t {
    first_probe,
    probes,       ///< `fall` or `rise` probes in a row
    confirmed,    ///< live failures, confirmed by probes
    traffic,      ///< live failures in a row
    intermittent, ///< a doubt that did not resolve
    outlier,      ///< live answers much slower than those of its peers
};
std::string_view to_string(Cause) noexcept;

struct HealthChange {
    Health from = Health::unknown;
    Health to = Health::unknown;
    Cause cause = Cause::first_probe;
    TimePoint first_evidence{}; ///< when the trouble that led to a worse verdict was first met: `now` less this is the
                                ///< detection time
    unsigned probes = 0;        ///< that spoke for the change
    std::uint32_t requests = 0; ///< live failures that spoke for it
    std::uint32_t outpaced = 0; ///< lost races that spoke for it
};

class HealthDetector {
public:
    explicit HealthDetector(const HealthSettings& settings) : settings_(settings) {}

    std::optional<HealthChange> probed(const ProbeResult& probe, TimePoint now);
    std::optional<HealthChange> observed(const LiveTraffic& traffic, TimePoint now);
    /// Live answers were compared with those of its peers, over one period.
    std::optional<HealthChange> compared(bool much_slower, TimePoint now);

    /// Forgets doubts and streaks, not the verdict: the evidence that they rest on may be ours, not the service's.
    void forget_doubt() noexcept;
    /// Forgets flaps: somebody who knows says that the service is well.
    void forgive() noexcept { flaps_ = 0; }

    Health health() const noexcept { return health_; }
    TimePoint since() const noexcept { return since_; }

    /// The verdict may change soon: probe faster.
    bool in_doubt() const noexcept;
    /// The last word about it was a failure: a failed probe or an unanswered request, and no good probe since.
    bool last_failed() const noexcept { return last_failure_ > good_probe_started_; }
    /// Judged down or unhealthy, yet its latest probe was good.
    bool recovering() const noexcept
    {
        return (health_ == Health::down || health_ == Health::unhealthy) && streaks(above_, Health::degraded) > 0 &&
               !last_failed();
    }
    /// Judged down or unhealthy, yet live requests have been answered since the trouble began.
    bool contradicted() const noexcept
    {
        return (health_ == Health::down || health_ == Health::unhealthy) && last_success_ > trouble_since_ &&
               last_success_ > last_broken_;
    }
    /// Start of the latest good probe.
    TimePoint good_probe_started() const noexcept { return good_probe_started_; }

    /// Times that it went from well to worse, those forgotten by `now` not counted.
    unsigned flaps(TimePoint now) const noexcept;
    /// Good probes in a row that a better verdict takes at present.
    unsigned rise(TimePoint now) const noexcept;

private:
    static constexpr std::size_t levels = static_cast<std::size_t>(Health::healthy) + 1;
    using Streaks = std::array<unsigned, levels>;

    static unsigned streaks(const Streaks& s, Health level) noexcept { return s[static_cast<std::size_t>(level)]; }
    Health level_of(const ProbeResult& probe) const noexcept;
    unsigned live_failures_at(Health level) const noexcept;
    void doubt(TimePoint first) noexcept;
    void break_rise(Health level) noexcept;
    HealthChange change(Health to, Cause cause, TimePoint now) noexcept;

    /// Live failures since the last good probe, which count as one observation.
    struct Suspicion {
        Health level = Health::healthy; ///< healthy = none
        bool hard = false;              ///< unanswered: only a good probe clears it, a live success does not
        TimePoint last{};
    };

    HealthSettings settings_;
    Health health_ = Health::unknown;
    TimePoint since_{};

    Streaks below_{}; ///< [L]: latest probes in a row at level L or worse
    Streaks above_{}; ///< [L]: latest probes in a row at level L or better
    Suspicion suspicion_;
    TimePoint good_probe_started_{};
    TimePoint last_failure_{};

    bool doubted_ = false;             ///< something spoke against the verdict since the last good probe
    TimePoint doubt_since_{};          ///< when that was first met
    TimePoint trouble_since_{};        ///< end of the first bad probe that led to a verdict of unhealthy or down
    unsigned doubt_probes_ = 0;        ///< bad probes since the last `rise` good ones in a row
    std::uint32_t doubt_requests_ = 0; ///< live failures since doubt_since_
    std::uint32_t doubt_outpaced_ = 0; ///< lost races since then

    unsigned failing_run_ = 0;    ///< live failures without a success between, that a good probe has not explained
    unsigned unexamined_run_ = 0; ///< those since: the next probe may explain them
    unsigned outpaced_run_ = 0;   ///< lost races without a success between
    TimePoint last_success_{};
    TimePoint last_broken_{};
    unsigned slower_periods_ = 0;

    bool recovered_ = false; ///< the verdict got better since the last flap
    unsigned flaps_ = 0;
    TimePoint last_flap_{};
};

} // namespace hotspare::resilience
