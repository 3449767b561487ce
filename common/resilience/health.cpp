#include "common/resilience/health.hpp"

#include <algorithm>
#include <utility>

namespace hotspare::resilience {
namespace {

/// Lost races may be chance; so many in a row without one success are worth a probe ...
constexpr unsigned races_suspicion = 3;
/// ... and so many that no good probe has answered are a verdict.
constexpr unsigned races_verdict = 5;

/// So many requests in a row that got no answer take back that live requests are answered.
constexpr unsigned broken_refutation = 3;

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
    case Cause::traffic:
    case Cause::races:
    case Cause::uncompared: return "traffic";
    case Cause::intermittent: return "intermittent";
    case Cause::outlier: return "outlier";
    }
    return "invalid";
}

std::optional<HealthChange> HealthDetector::probed(const ProbeResult& probe, TimePoint now)
{
    const Health level = level_of(probe);
    const bool good = level >= Health::degraded;
    if (probe.outcome == ProbeOutcome::refused) last_refusal_ = std::max(last_refusal_, now);
    if (good && probe.started <= last_failure_) return std::nullopt; // rule 3

    if (good) {
        good_probe_started_ = probe.started;
        if (suspicion_.since < probe.started) suspicion_ = {};
        if (races_since_ < probe.started) races_ = 0;
    } else {
        last_failure_ = std::max(last_failure_, now);
    }
    for (std::size_t l = index(Health::down); l < levels; ++l) {
        below_[l] = index(level) <= l ? below_[l] + 1 : 0;
        above_[l] = index(level) >= l ? above_[l] + 1 : 0;
        if (below_[l] == 1) {
            below_started_[l] = probe.started;
            below_met_[l] = now;
        }
    }
    if ((level < health_ || !good) && bad_probes_++ == 0) bad_since_ = probe.started;

    if (health_ == Health::unknown) return change(level, Cause::first_probe, now);

    for (std::size_t l = index(Health::down); l < index(health_); ++l) {
        const unsigned live = live_failures_at(static_cast<Health>(l));
        if (below_[l] == 0 || below_[l] + live < settings_.fall) continue;
        return change(static_cast<Health>(l), live > 0 ? Cause::confirmed : Cause::probes, now);
    }
    if (health_ == Health::healthy && bad_probes_ >= 2 * settings_.fall)
        return change(Health::degraded, Cause::intermittent, now);

    for (std::size_t l = index(Health::healthy); l > index(health_); --l)
        if (above_[l] >= rise(now)) return change(static_cast<Health>(l), Cause::probes, now);

    if (above_[index(health_)] >= settings_.rise) bad_probes_ = 0;
    return std::nullopt;
}

std::optional<HealthChange> HealthDetector::observed(const LiveTraffic& traffic, TimePoint now)
{
    // A report says what happened last of each kind, not the order within: what is in it beside a success is only known
    // to follow it if its last one does.
    const TimePoint success = traffic.successes > 0 ? traffic.last_success : TimePoint::min();
    const auto in_a_row = [success](std::uint32_t& run, TimePoint& since, std::uint32_t count, TimePoint last) {
        if (success != TimePoint::min()) {
            run = 0;
            count = count > 0 && last > success ? 1 : 0;
        }
        if (run == 0) since = last;
        run += count;
    };
    TimePoint broken_since{};
    in_a_row(races_, races_since_, traffic.outpaced, traffic.last_outpaced);
    in_a_row(broken_run_, broken_since, traffic.broken, traffic.last_broken);
    const bool answers = std::max(last_success_, success) + uncompared_for > now;
    if (answers)
        uncompared_ = 0;
    else
        in_a_row(uncompared_, uncompared_since_, traffic.uncompared, traffic.last_uncompared);
    if (traffic.successes > 0) {
        last_success_ = std::max(last_success_, traffic.last_success);
        if (!suspicion_.hard && suspicion_.last < traffic.last_success) suspicion_ = {};
    }
    compare(traffic, now);

    if (traffic.refused > 0) {
        last_failure_ = std::max(last_failure_, traffic.last_refused);
        last_refusal_ = std::max(last_refusal_, traffic.last_refused);
        suspect(Health::down, traffic.last_refused, traffic.refused, 0);
        if (traffic.last_refused > good_probe_started_) break_rise(Health::down);
    }
    if (traffic.broken > 0) {
        suspect(Health::down, traffic.last_broken, traffic.broken, 0);
        last_break_ = std::max(last_break_, traffic.last_broken);
    }
    if (traffic.refused + traffic.broken > 0) suspicion_.hard = suspicion_.level == Health::down;
    // What was diverted is refused or broken as well, and told already, unless it got an answer that failed.
    if (traffic.diverted > 0 && traffic.last_diverted > last_success_ && !suspicion_.hard)
        suspect(Health::unhealthy, traffic.last_diverted, traffic.diverted, 0);
    if (traffic.uncompared > 0 && traffic.last_uncompared > last_success_ && !suspicion_.hard)
        suspect(Health::unhealthy, traffic.last_uncompared, traffic.uncompared, 0);
    if (races_ >= races_suspicion && traffic.outpaced > 0)
        suspect(Health::down, traffic.last_outpaced, 0, suspicion_.outpaced == 0 ? races_ : traffic.outpaced);
    if (health_ == Health::unknown) return std::nullopt;

    // The probe came first, the live failure confirms it.
    for (std::size_t l = index(Health::down); l < index(health_); ++l)
        if (below_[l] > 0 && live_failures_at(static_cast<Health>(l)) > 0 && below_[l] + 1 >= settings_.fall)
            return change(static_cast<Health>(l), Cause::confirmed, now);

    const auto degraded_by = [this, now, &traffic]() -> std::optional<Cause> {
        if (traffic.diverted + traffic.outpaced > 0 && score_ >= score_limit()) return Cause::traffic;
        if (traffic.outpaced > 0 && races_ >= races_verdict) return Cause::races;
        if (traffic.uncompared > 0 && uncompared_ >= settings_.degrade_after) return Cause::uncompared;
        return std::nullopt;
    }();
    if (!degraded_by) return std::nullopt;
    break_rise(Health::degraded);
    if (health_ == Health::healthy) return change(Health::degraded, *degraded_by, now);
    return std::nullopt;
}

/// What requests met here against what the same requests met elsewhere.
void HealthDetector::compare(const LiveTraffic& traffic, TimePoint now) noexcept
{
    const std::uint32_t lost = traffic.diverted + traffic.outpaced;
    if (lost + traffic.successes == 0) return;
    score_ = score_at(now);
    compared_at_ = now;
    if (score_ == 0) {
        score_requests_ = score_outpaced_ = score_answered_ = 0;
        score_since_ = std::min(traffic.diverted > 0 ? traffic.last_diverted : TimePoint::max(),
                                traffic.outpaced > 0 ? traffic.last_outpaced : TimePoint::max());
    }
    score_requests_ += traffic.diverted;
    score_outpaced_ += traffic.outpaced;
    score_answered_ += traffic.successes;
    score_ = std::clamp<std::int64_t>(score_ + lost - 2 * std::int64_t{traffic.successes}, 0, score_limit());
    if (score_ == score_limit() && lost > 0) rejected_until_ = now + rejected_for;
}

/// Live failures speak for `level` until a probe that starts after the first of them is good.
void HealthDetector::suspect(Health level, TimePoint last, std::uint32_t requests, std::uint32_t outpaced) noexcept
{
    if (last <= good_probe_started_) return; // that probe has answered them
    if (suspicion_.level == Health::healthy) suspicion_.since = last;
    suspicion_.level = std::min(suspicion_.level, level);
    suspicion_.last = std::max(suspicion_.last, last);
    suspicion_.requests += requests;
    suspicion_.outpaced += outpaced;
}

std::optional<HealthChange> HealthDetector::compared(bool much_slower, TimePoint now)
{
    if (!much_slower)
        slower_periods_ = 0;
    else if (slower_periods_++ == 0)
        slower_since_ = now;
    if (slower_periods_ < settings_.fall || health_ != Health::healthy) return std::nullopt;
    break_rise(Health::degraded);
    return change(Health::degraded, Cause::outlier, now);
}

bool HealthDetector::contradicted(TimePoint now) const noexcept
{
    if (health_ != Health::down && health_ != Health::unhealthy) return false;
    return last_success_ > below_met_[index(health_)] && last_success_ > last_refusal_ &&
           broken_run_ < broken_refutation && now < contradicted_until();
}

Verdict HealthDetector::verdict() const noexcept
{
    return {.health = health_,
            .since = since_,
            .good_probe_started = good_probe_started_,
            .last_failure = last_failure_,
            .last_break = last_break_,
            .recovered = recovered_,
            .flaps = flaps_,
            .last_flap = last_flap_};
}

void HealthDetector::resume(const Verdict& verdict) noexcept
{
    health_ = verdict.health;
    since_ = verdict.since;
    good_probe_started_ = verdict.good_probe_started;
    last_failure_ = verdict.last_failure;
    last_break_ = verdict.last_break;
    recovered_ = verdict.recovered;
    flaps_ = verdict.flaps;
    last_flap_ = verdict.last_flap;
}

void HealthDetector::forget_doubt() noexcept
{
    below_ = {};
    above_ = {};
    suspicion_ = {};
    bad_probes_ = 0;
    slower_periods_ = 0;
    forget_requests();
}

/// What live requests met speaks no longer against the service.
void HealthDetector::forget_requests() noexcept
{
    score_ = 0;
    rejected_until_ = {};
    races_ = 0;
    uncompared_ = 0;
}

bool HealthDetector::in_doubt() const noexcept
{
    if (health_ == Health::unknown || suspicion_.level < Health::healthy) return true;
    if (health_ > Health::down && below_[index(health_) - 1] > 0) return true;
    if (health_ < Health::healthy) return above_[index(health_) + 1] > 0;
    return bad_probes_ > 0;
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

/// A failure at `level`: what is better must be shown anew.
void HealthDetector::break_rise(Health level) noexcept
{
    for (std::size_t l = index(level) + 1; l < levels; ++l) above_[l] = 0;
}

HealthChange HealthDetector::change(Health to, Cause cause, TimePoint now) noexcept
{
    HealthChange result{.from = health_, .to = to, .cause = cause, .first_evidence = now};
    switch (cause) {
    case Cause::traffic:
        result.first_evidence = score_since_;
        result.requests = score_requests_;
        result.outpaced = score_outpaced_;
        result.answered = score_answered_;
        break;
    case Cause::races:
        result.first_evidence = races_since_;
        result.outpaced = races_;
        break;
    case Cause::uncompared:
        result.first_evidence = uncompared_since_;
        result.requests = uncompared_;
        break;
    case Cause::intermittent:
        result.first_evidence = bad_since_;
        result.probes = bad_probes_;
        break;
    case Cause::outlier: result.first_evidence = slower_since_; break;
    case Cause::first_probe:
    case Cause::probes:
    case Cause::confirmed:
        if (to > health_ && health_ != Health::unknown) {
            result.probes = above_[index(to)];
            break;
        }
        result.probes = below_[index(to)];
        result.first_evidence = below_started_[index(to)];
        if (cause != Cause::confirmed) break;
        result.first_evidence = std::min(result.first_evidence, suspicion_.since);
        result.requests = suspicion_.requests;
        result.outpaced = suspicion_.outpaced;
        break;
    }

    if (health_ != Health::unknown && to < health_ && recovered_) {
        flaps_ = flaps(now) + 1;
        last_flap_ = now;
        recovered_ = false;
    }
    if (to > health_) {
        recovered_ = health_ != Health::unknown || to >= Health::degraded;
        slower_periods_ = 0;
        forget_requests();
        if (to == Health::healthy) bad_probes_ = 0;
    }
    health_ = to;
    since_ = now;
    return result;
}

} // namespace hotspare::resilience
