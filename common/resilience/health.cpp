#include "common/resilience/health.hpp"

#include <algorithm>
#include <utility>

namespace hotspare::resilience {
namespace {

/// Lost races may be chance; so many in a row without one success are not.
constexpr unsigned outpaced_suspicion = 3;

/// `rise` is doubled so often at most: 2 becomes 32, which takes about three seconds of good probes.
constexpr unsigned max_doublings = 4;

constexpr std::size_t index(Health level) noexcept
{
    return static_cast<std::size_t>(level);
}

} // namespace

std::string_view to_string(Health health) noexcept
{
    switch (health) {
    case Health::unknown: return "unknown";
    case Health::down: return "down";
    case Health::unhealthy: return "unhealthy";
    case Health::degraded: return "degraded";
    case Health::healthy: return "healthy";
    }
    return "invalid";
}

std::string_view to_string(ProbeOutcome outcome) noexcept
{
    switch (outcome) {
    case ProbeOutcome::ok: return "ok";
    case ProbeOutcome::failing: return "failing";
    case ProbeOutcome::malformed: return "malformed";
    case ProbeOutcome::refused: return "refused";
    case ProbeOutcome::reset: return "reset";
    case ProbeOutcome::timed_out: return "timed_out";
    }
    return "invalid";
}

std::string_view to_string(Cause cause) noexcept
{
    switch (cause) {
    case Cause::first_probe: return "first_probe";
    case Cause::probes: return "probes";
    case Cause::confirmed: return "traffic_and_probes";
    case Cause::traffic: return "traffic";
    case Cause::intermittent: return "intermittent";
    case Cause::outlier: return "outlier";
    }
    return "invalid";
}

std::optional<HealthChange> HealthDetector::probed(const ProbeResult& probe, TimePoint now)
{
    const Health level = level_of(probe);
    const bool good = level >= Health::degraded;
    if (good && probe.started <= last_failure_) return std::nullopt; // rule 3

    if (good) {
        good_probe_started_ = probe.started;
        failing_run_ += std::exchange(unexamined_run_, 0);
        if (suspicion_.last < probe.started) suspicion_ = {};
    } else {
        last_failure_ = std::max(last_failure_, now);
    }
    for (std::size_t l = index(Health::down); l < levels; ++l) {
        below_[l] = index(level) <= l ? below_[l] + 1 : 0;
        above_[l] = index(level) >= l ? above_[l] + 1 : 0;
    }
    if (level < health_ || !good) {
        doubt(probe.started);
        ++doubt_probes_;
        const bool well = health_ >= Health::degraded || health_ == Health::unknown;
        if (well && below_[index(Health::unhealthy)] == 1) trouble_since_ = now;
    } else {
        doubted_ = false;
        doubt_requests_ = 0;
        doubt_outpaced_ = 0;
    }

    if (health_ == Health::unknown) return change(level, Cause::first_probe, now);

    for (std::size_t l = index(Health::down); l < index(health_); ++l) {
        const unsigned live = live_failures_at(static_cast<Health>(l));
        if (below_[l] == 0 || below_[l] + live < settings_.fall) continue;
        return change(static_cast<Health>(l), live > 0 ? Cause::confirmed : Cause::probes, now);
    }
    if (health_ == Health::healthy && doubt_probes_ >= 2 * settings_.fall)
        return change(Health::degraded, Cause::intermittent, now);

    for (std::size_t l = index(Health::healthy); l > index(health_); --l)
        if (above_[l] >= rise(now)) return change(static_cast<Health>(l), Cause::probes, now);

    if (above_[index(health_)] >= settings_.rise) doubt_probes_ = 0;
    return std::nullopt;
}

std::optional<HealthChange> HealthDetector::observed(const LiveTraffic& traffic, TimePoint now)
{
    const unsigned failures = traffic.failing + traffic.broken;
    const TimePoint last_failure = std::max(traffic.failing > 0 ? traffic.last_failing : TimePoint::min(),
                                            traffic.broken > 0 ? traffic.last_broken : TimePoint::min());

    // A report says what happened last of each kind, not the order within: when both kinds are in it, at most the last
    // failure is known to follow the last success.
    if (traffic.successes > 0) {
        last_success_ = std::max(last_success_, traffic.last_success);
        failing_run_ = 0;
        unexamined_run_ = failures > 0 && last_failure > traffic.last_success ? 1 : 0;
        outpaced_run_ = traffic.outpaced > 0 && traffic.last_outpaced > traffic.last_success ? 1 : 0;
        if (!suspicion_.hard && suspicion_.last < traffic.last_success) suspicion_ = {};
    } else {
        (failing_run_ > 0 ? failing_run_ : unexamined_run_) += failures;
        outpaced_run_ += traffic.outpaced;
    }

    const auto suspect = [this](Health level, bool hard, TimePoint last) {
        if (last <= good_probe_started_) return; // a later probe has answered that
        suspicion_.level = std::min(suspicion_.level, level);
        suspicion_.hard |= hard;
        suspicion_.last = std::max(suspicion_.last, last);
        doubt(last);
    };
    if (traffic.broken > 0) {
        last_broken_ = std::max(last_broken_, traffic.last_broken);
        last_failure_ = std::max(last_failure_, traffic.last_broken);
        suspect(Health::down, true, traffic.last_broken);
        if (traffic.last_broken > good_probe_started_) break_rise(Health::down);
    }
    if (traffic.failing > 0 && traffic.last_failing > last_success_)
        suspect(Health::unhealthy, false, traffic.last_failing);
    if (outpaced_run_ >= outpaced_suspicion && traffic.outpaced > 0)
        suspect(Health::down, false, traffic.last_outpaced);
    if (doubted_) {
        doubt_requests_ += failures;
        doubt_outpaced_ += traffic.outpaced;
    }
    if (health_ == Health::unknown) return std::nullopt;

    // The probe came first, the live failure confirms it.
    for (std::size_t l = index(Health::down); l < index(health_); ++l)
        if (below_[l] > 0 && live_failures_at(static_cast<Health>(l)) > 0 && below_[l] + 1 >= settings_.fall)
            return change(static_cast<Health>(l), Cause::confirmed, now);

    const Health cap = failing_run_ >= settings_.unhealthy_after                 ? Health::unhealthy
                       : failing_run_ + outpaced_run_ >= settings_.degrade_after ? Health::degraded
                                                                                 : Health::healthy;
    if (cap < Health::healthy) {
        if (failures > 0) last_failure_ = std::max(last_failure_, last_failure);
        break_rise(cap);
    }
    if (cap < health_) return change(cap, Cause::traffic, now);
    return std::nullopt;
}

std::optional<HealthChange> HealthDetector::compared(bool much_slower, TimePoint now)
{
    slower_periods_ = much_slower ? slower_periods_ + 1 : 0;
    if (slower_periods_ < settings_.fall || health_ != Health::healthy) return std::nullopt;
    doubt(now);
    break_rise(Health::degraded);
    return change(Health::degraded, Cause::outlier, now);
}

void HealthDetector::forget_doubt() noexcept
{
    below_ = {};
    above_ = {};
    suspicion_ = {};
    doubted_ = false;
    doubt_probes_ = 0;
    doubt_requests_ = 0;
    doubt_outpaced_ = 0;
    failing_run_ = 0;
    unexamined_run_ = 0;
    outpaced_run_ = 0;
    slower_periods_ = 0;
}

bool HealthDetector::in_doubt() const noexcept
{
    if (health_ == Health::unknown || suspicion_.level < Health::healthy) return true;
    if (health_ > Health::down && below_[index(health_) - 1] > 0) return true;
    if (health_ < Health::healthy) return above_[index(health_) + 1] > 0;
    return doubt_probes_ > 0;
}

unsigned HealthDetector::flaps(TimePoint now) const noexcept
{
    const auto forgotten = std::max<Duration::rep>((now - last_flap_) / settings_.flap_memory, 0);
    return forgotten >= flaps_ ? 0 : flaps_ - static_cast<unsigned>(forgotten);
}

unsigned HealthDetector::rise(TimePoint now) const noexcept
{
    const unsigned repeated = std::max(flaps(now), 1U) - 1;
    return settings_.rise << std::min(repeated, max_doublings);
}

Health HealthDetector::level_of(const ProbeResult& probe) const noexcept
{
    switch (probe.outcome) {
    case ProbeOutcome::ok: return probe.latency > settings_.slow || probe.impaired ? Health::degraded : Health::healthy;
    case ProbeOutcome::failing:
    case ProbeOutcome::malformed: return Health::unhealthy;
    case ProbeOutcome::refused:
    case ProbeOutcome::reset:
    case ProbeOutcome::timed_out: break;
    }
    return Health::down;
}

unsigned HealthDetector::live_failures_at(Health level) const noexcept
{
    return suspicion_.level <= level ? 1 : 0;
}

/// Something speaks against the verdict, met at `first`.
void HealthDetector::doubt(TimePoint first) noexcept
{
    if (doubted_) return;
    doubted_ = true;
    doubt_since_ = first;
    doubt_requests_ = 0;
    doubt_outpaced_ = 0;
}

/// A failure at `level`: what is better must be shown anew.
void HealthDetector::break_rise(Health level) noexcept
{
    for (std::size_t l = index(level) + 1; l < levels; ++l) above_[l] = 0;
}

HealthChange HealthDetector::change(Health to, Cause cause, TimePoint now) noexcept
{
    HealthChange result{.from = health_, .to = to, .cause = cause, .first_evidence = now};
    if (to < health_ || to <= Health::unhealthy) {
        result.first_evidence = doubted_ ? doubt_since_ : now;
        result.probes = cause == Cause::intermittent ? doubt_probes_ : below_[index(to)];
        result.requests = doubt_requests_;
        result.outpaced = doubt_outpaced_;
    } else {
        result.probes = above_[index(to)];
    }

    if (health_ != Health::unknown && to < health_ && recovered_) {
        flaps_ = flaps(now) + 1;
        last_flap_ = now;
        recovered_ = false;
    }
    if (cause == Cause::traffic && to <= Health::unhealthy) trouble_since_ = now;
    if (to > health_) {
        recovered_ = health_ != Health::unknown || to >= Health::degraded;
        failing_run_ = 0;
        unexamined_run_ = 0;
        outpaced_run_ = 0;
        slower_periods_ = 0;
        if (to == Health::healthy) doubt_probes_ = 0;
    }
    health_ = to;
    since_ = now;
    return result;
}

} // namespace hotspare::resilience
