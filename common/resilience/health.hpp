// Is this service alive? Weighs two kinds of evidence into one verdict: probes (active) and what live requests met
// (passive). It decides nothing about routing and sends nothing: its owner probes, counts requests and asks.
//
// The rules, in the order of their force:
//  1. The first probe decides for a service that nothing is known of.
//  2. `fall` observations in a row that are worse than the verdict make it worse, as good as the best of them; `rise`
//     in a row that are better make it better, as bad as the worst of them.
//     Observations are probes; live failures since
//     the last good probe count as one more towards `fall`, so that a refused request and the probe that confirms it
//     suffice.
//  3. Only a probe that started after the last failure counts as good. A connection that broke after a request was sent
//     is a weaker failure than a refused one, because the request may be the cause: it does not count if a good probe
//     started at most `good_now` before it, also one that is still under way then, or any time after it.
//  4. While probes are good, requests speak against the service only by comparison: those that failed here and
//     succeeded elsewhere. When most requests end like this the service is degraded, never worse. Two exceptions, for
//     what cannot be compared: several lost races in a row that no good probe has answered since, and failures that
//     could not be tried elsewhere while for `uncompared_for` no request succeeded.
//  5. A doubt that does not resolve (good and bad probes in turn) ends as `degraded`.
//  6. A service that flaps must show more: `rise` doubles with every flap that is still remembered.
//
// PURE: the caller brings the time, which must not go backwards. One thread; owned by the watcher of the service.
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
    /// Failed requests of which each success makes up for two: so many make the service degraded. A service that fails
    /// a third of its requests practically never gets there, one that fails nearly all is there after this number.
    unsigned degrade_after = 20;
    Duration good_now = milliseconds(100); ///< from the start of a good probe; see rule 3
    Duration flap_memory = seconds(60);    ///< one flap is forgotten for each such period without another
};

struct ProbeResult {
    TimePoint started;
    Duration latency{};
    ProbeOutcome outcome = ProbeOutcome::ok;
    bool impaired = false; ///< answered as it should, with the word that it is degraded
};

/// What live requests met, summed up since the last report. Each `last_…` is only meaningful if its count is not zero.
struct LiveTraffic {
    std::uint32_t successes = 0; ///< of requests that were sent here first
    TimePoint last_success{};
    std::uint32_t refused = 0; ///< no connection: refused, no route
    TimePoint last_refused{};
    std::uint32_t broken = 0; ///< no answer to a request that was sent: reset, closed, silent, not HTTP
    TimePoint last_broken{};
    std::uint32_t diverted = 0; ///< failed here, in whatever way, and then succeeded elsewhere
    TimePoint last_diverted{};
    std::uint32_t outpaced = 0; ///< another server, asked later, answered first
    TimePoint last_outpaced{};
    std::uint32_t uncompared = 0; ///< failed here and could not be sent elsewhere
    TimePoint last_uncompared{};
};

/// Why a verdict changed.
enum class Cause : std::uint8_t {
    first_probe,
    probes,       ///< `fall` or `rise` probes in a row
    confirmed,    ///< live failures, confirmed by probes
    traffic,      ///< most live requests failed here and succeeded elsewhere
    races,        ///< lost races in a row
    uncompared,   ///< live requests failed in a row and could not be sent elsewhere
    intermittent, ///< a doubt that did not resolve
    outlier,      ///< live answers much slower than those of its peers
};
std::string_view to_string(Cause) noexcept;

struct HealthChange {
    Health from = Health::unknown;
    Health to = Health::unknown;
    Cause cause = Cause::first_probe;
    /// When the trouble that led to a worse verdict was first met: `now` less this is the detection time.
    TimePoint first_evidence{};
    unsigned probes = 0;        ///< that spoke for the change
    std::uint32_t requests = 0; ///< live failures that spoke for it
    std::uint32_t outpaced = 0; ///< lost races that spoke for it
    std::uint32_t answered = 0; ///< live successes that spoke against it
};

/// What a detector has concluded, for another that goes on in its place. The doubts and streaks of a moment are not
/// part of it.
struct Verdict {
    Health health = Health::unknown;
    TimePoint since{};
    TimePoint good_probe_started{}; ///< these three decide whether the last word was a failure
    TimePoint last_failure{};
    TimePoint last_break{};
    bool recovered = false; ///< it got better since the last flap: the next time that it gets worse is a flap
    unsigned flaps = 0;
    TimePoint last_flap{};

    bool operator==(const Verdict&) const = default;
};

class HealthDetector {
public:
    explicit HealthDetector(const HealthSettings& settings) : settings_(settings) {}
    /// Other settings from now on; the verdict and what it rests on stay.
    void set(const HealthSettings& settings) noexcept { settings_ = settings; }

    std::optional<HealthChange> probed(const ProbeResult& probe, TimePoint now);
    std::optional<HealthChange> observed(const LiveTraffic& traffic, TimePoint now);
    /// Live answers were compared with those of its peers, over one period.
    std::optional<HealthChange> compared(bool much_slower, TimePoint now);

    /// Forgets doubts and streaks, not the verdict: the evidence that they rest on may be ours, not the service's.
    void forget_doubt() noexcept;
    /// Forgets flaps: an operator states that the service is healthy.
    void forgive() noexcept { flaps_ = 0; }

    Verdict verdict() const noexcept;
    /// Goes on from the verdict of another detector, with whatever settings. To be called before the first observation.
    void resume(const Verdict& verdict) noexcept;

    Health health() const noexcept { return health_; }
    TimePoint since() const noexcept { return since_; }

    /// The verdict may change soon: probe faster.
    bool in_doubt() const noexcept;
    /// The last word about it was a failure that no good probe has followed: a failed probe, a refused connection, or
    /// one that broke while no probe was good just then.
    bool last_failed() const noexcept
    {
        return last_failure_ > good_probe_started_ || last_break_ > good_probe_started_ + settings_.good_now;
    }
    /// Judged down or unhealthy, yet its latest probe was good.
    bool recovering() const noexcept
    {
        return (health_ == Health::down || health_ == Health::unhealthy) && streaks(above_, Health::degraded) > 0 &&
               !last_failed();
    }
    /// Judged down or unhealthy, yet live requests are answered: later than the failures of this verdict began, later
    /// than the last refused connection and unanswered requests, and not longer ago than answered_for.
    bool contradicted(TimePoint now) const noexcept;
    /// When contradicted() ends if nothing more is met.
    TimePoint contradicted_until() const noexcept { return last_success_ + answered_for; }
    /// Most of its live requests failed and succeeded elsewhere, and that is less than rejected_for ago.
    bool rejected(TimePoint now) const noexcept { return now < rejected_until_; }
    /// Start of the latest good probe.
    TimePoint good_probe_started() const noexcept { return good_probe_started_; }

    /// Times that it went from well to worse, those forgotten by `now` not counted.
    unsigned flaps(TimePoint now) const noexcept;
    /// Good probes in a row that a better verdict takes at present.
    unsigned rise(TimePoint now) const noexcept;

private:
    /// For so long a live success shows that requests are answered although probes fail.
    static constexpr Duration answered_for = seconds(30);
    /// Comparisons are forgotten when there has been none for so long.
    static constexpr Duration compared_for = seconds(10);
    static constexpr Duration rejected_for = seconds(60);
    static constexpr Duration uncompared_for = seconds(5);

    static constexpr std::size_t levels = static_cast<std::size_t>(Health::healthy) + 1;
    using Streaks = std::array<unsigned, levels>;

    static unsigned streaks(const Streaks& s, Health level) noexcept { return s[static_cast<std::size_t>(level)]; }
    Health level_of(const ProbeResult& probe) const noexcept;
    unsigned live_failures_at(Health level) const noexcept;
    std::int64_t score_limit() const noexcept { return settings_.degrade_after; }
    std::int64_t score_at(TimePoint now) const noexcept { return now > compared_at_ + compared_for ? 0 : score_; }
    void suspect(Health level, TimePoint last, std::uint32_t requests, std::uint32_t outpaced) noexcept;
    void compare(const LiveTraffic& traffic, TimePoint now) noexcept;
    void forget_requests() noexcept;
    void break_rise(Health level) noexcept;
    HealthChange change(Health to, Cause cause, TimePoint now) noexcept;

    /// Live failures since the last good probe, which count as one observation.
    struct Suspicion {
        Health level = Health::healthy; ///< healthy = none
        bool hard = false;              ///< unanswered: only a good probe clears it, a live success does not
        TimePoint since{};
        TimePoint last{};
        std::uint32_t requests = 0;
        std::uint32_t outpaced = 0;
    };

    HealthSettings settings_;
    Health health_ = Health::unknown;
    TimePoint since_{};

    Streaks below_{};                               ///< [L]: latest probes in a row at level L or worse
    Streaks above_{};                               ///< [L]: latest probes in a row at level L or better
    std::array<TimePoint, levels> below_started_{}; ///< [L]: start and ...
    std::array<TimePoint, levels> below_met_{};     ///< ... end of the first probe of below_[L]
    Suspicion suspicion_;
    TimePoint good_probe_started_{};
    TimePoint last_failure_{}; ///< failed probe or refused connection
    TimePoint last_break_{};   ///< a connection that broke after a request was sent

    unsigned bad_probes_ = 0; ///< since the last `rise` good ones in a row
    TimePoint bad_since_{};   ///< start of the first of them

    std::int64_t score_ = 0;  ///< failures that succeeded elsewhere, less two for each success; never negative
    TimePoint compared_at_{}; ///< the latest comparison
    TimePoint rejected_until_{};
    TimePoint score_since_{}; ///< the first failure of this score ...
    std::uint32_t score_requests_ = 0, score_outpaced_ = 0, score_answered_ = 0; ///< ... and what made it
    std::uint32_t races_ = 0; ///< lost in a row, with neither a success nor a good probe since the first
    TimePoint races_since_{};
    std::uint32_t uncompared_ = 0; ///< in a row
    TimePoint uncompared_since_{};
    std::uint32_t broken_run_ = 0; ///< requests unanswered in a row
    TimePoint last_success_{};
    TimePoint last_refusal_{}; ///< of a probe or a request
    unsigned slower_periods_ = 0;
    TimePoint slower_since_{};

    bool recovered_ = false; ///< the verdict got better since the last flap
    unsigned flaps_ = 0;
    TimePoint last_flap_{};
};

} // namespace hotspare::resilience
