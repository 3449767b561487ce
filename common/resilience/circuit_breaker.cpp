#include "common/resilience/circuit_breaker.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace hotspare::resilience {
namespace {

const BreakerSettings& checked(const BreakerSettings& s)
{
    const auto require = [](bool holds, const char* what) {
        if (!holds) throw std::invalid_argument(std::string("circuit breaker: ") + what);
    };
    const auto share = [](double rate) { return rate > 0 && rate <= 1; }; // false for NaN
    if (s.window == WindowKind::count) {
        require(s.window_calls >= 1 && s.window_calls <= 100'000, "window_calls must be from 1 to 100000");
        require(s.minimum_calls <= s.window_calls, "minimum_calls must not be above window_calls");
    } else {
        require(s.window_slots >= 1 && s.window_slots <= 1'000, "window_slots must be from 1 to 1000");
        require(s.window_time / s.window_slots >= milliseconds(1), "window_time must be at least 1 ms per slot");
        require(s.window_time <= std::chrono::hours(24), "window_time must be at most 24 h");
    }
    require(s.minimum_calls >= 1, "minimum_calls must be at least 1");
    require(share(s.failure_rate), "failure_rate must be above 0 and at most 1");
    require(s.slow_call > Duration::zero(), "slow_call must be above 0");
    require(share(s.slow_call_rate), "slow_call_rate must be above 0 and at most 1");
    require(s.half_open_permits >= 1 && s.half_open_permits <= 1'000, "half_open_permits must be from 1 to 1000");
    require(s.open_time >= milliseconds(1), "open_time must be at least 1 ms");
    require(s.open_time_multiplier >= 1 && s.open_time_multiplier <= 100, "open_time_multiplier must be from 1 to 100");
    require(s.max_open_time >= s.open_time, "max_open_time must not be below open_time");
    require(s.max_open_time <= std::chrono::hours(24), "max_open_time must be at most 24 h");
    require(s.jitter >= 0 && s.jitter < 1, "jitter must be from 0 to below 1");
    require(s.permit_lifetime >= milliseconds(1), "permit_lifetime must be at least 1 ms");
    require(s.permit_lifetime <= std::chrono::hours(24), "permit_lifetime must be at most 24 h");
    return s;
}

} // namespace

std::string_view to_string(BreakerState state) noexcept
{
    switch (state) {
    case BreakerState::closed: return "closed";
    case BreakerState::open: return "open";
    case BreakerState::half_open: return "half_open";
    case BreakerState::forced_open: return "forced_open";
    case BreakerState::disabled: return "disabled";
    }
    return "invalid";
}

std::string_view to_string(WindowKind kind) noexcept
{
    switch (kind) {
    case WindowKind::count: return "count";
    case WindowKind::time: return "time";
    }
    return "invalid";
}

std::string_view to_string(CallOutcome outcome) noexcept
{
    switch (outcome) {
    case CallOutcome::success: return "success";
    case CallOutcome::failure: return "failure";
    case CallOutcome::ignored: return "ignored";
    }
    return "invalid";
}

std::string_view to_string(BreakerCause cause) noexcept
{
    switch (cause) {
    case BreakerCause::failure_rate: return "failure_rate";
    case BreakerCause::slow_call_rate: return "slow_call_rate";
    case BreakerCause::failures_in_a_row: return "failures_in_a_row";
    case BreakerCause::open_time_over: return "open_time_over";
    case BreakerCause::probes_failed: return "probes_failed";
    case BreakerCause::probes_slow: return "probes_slow";
    case BreakerCause::probes_good: return "probes_good";
    case BreakerCause::by_operator: return "operator";
    }
    return "invalid";
}

OutcomeWindow::OutcomeWindow(WindowKind kind, unsigned calls, Duration time, unsigned slots)
    : slot_width_(kind == WindowKind::time ? time / slots : Duration::zero()),
      slots_(kind == WindowKind::time ? slots : calls)
{
}

void OutcomeWindow::add(bool failed, bool slow, TimePoint now) noexcept
{
    if (slot_width_ == Duration::zero())
        next_slot();
    else
        advance(now);
    const auto count = [&](CallTally& tally) {
        ++tally.calls;
        tally.failures += failed ? 1 : 0;
        tally.slow += slow ? 1 : 0;
    };
    count(slots_[slot_]);
    count(total_);
}

const CallTally& OutcomeWindow::tally(TimePoint now) noexcept
{
    if (slot_width_ != Duration::zero()) advance(now);
    return total_;
}

void OutcomeWindow::clear() noexcept
{
    std::ranges::fill(slots_, CallTally{});
    total_ = {};
}

void OutcomeWindow::advance(TimePoint now) noexcept
{
    const Duration::rep number = now.time_since_epoch() / slot_width_;
    // The clock went back: the current slot is the one of this moment from here on, else the window would forget
    // nothing until the clock is where it was.
    const Duration::rep passed = std::max<Duration::rep>(number - slot_number_, 0);
    slot_number_ = number;
    for (auto i = std::min<Duration::rep>(passed, static_cast<Duration::rep>(slots_.size())); i > 0; --i) next_slot();
}

void OutcomeWindow::next_slot() noexcept
{
    slot_ = (slot_ + 1) % slots_.size();
    CallTally& oldest = slots_[slot_];
    total_.calls -= oldest.calls;
    total_.failures -= oldest.failures;
    total_.slow -= oldest.slow;
    oldest = {};
}

CircuitBreaker::CircuitBreaker(const BreakerSettings& settings, std::uint64_t seed, TimePoint now)
    : settings_(checked(settings)), random_(seed), since_(now),
      window_(settings.window, settings.window_calls, settings.window_time, settings.window_slots),
      longest_open_(settings.open_time)
{
    in_flight_.reserve(settings.half_open_permits);
}

Admission CircuitBreaker::acquire(TimePoint now)
{
    Admission out;
    if (state_ == BreakerState::open) {
        // The clock went back: what is left is never more than what was drawn.
        retry_at_ = std::min(retry_at_, now + open_for_);
        if (now >= retry_at_) out.transition = change(BreakerState::half_open, BreakerCause::open_time_over, now);
    }

    switch (state_) {
    case BreakerState::closed:
    case BreakerState::disabled: out.permit = Permit(generation_, 0); break;
    case BreakerState::half_open:
        expire_probes(now);
        if (probes_.calls + in_flight_.size() < settings_.half_open_permits) {
            in_flight_.push_back({++last_probe_, now});
            out.permit = Permit(generation_, last_probe_);
        } else {
            // The verdict is due any moment; at the latest a probe expires.
            out.retry_at = now + settings_.open_time;
            for (const Probe& probe : in_flight_)
                out.retry_at = std::min(out.retry_at, probe.permitted + settings_.permit_lifetime);
        }
        break;
    case BreakerState::open: out.retry_at = retry_at_; break;
    case BreakerState::forced_open: out.retry_at = now + settings_.max_open_time; break;
    }
    ++(out ? counters_.permitted : counters_.refused);
    return out;
}

std::optional<BreakerTransition> CircuitBreaker::report(Permit permit, CallOutcome outcome, Duration took,
                                                        TimePoint now)
{
    // A permit of this generation was given in this very state: neither `open` nor `forced_open` gives any.
    bool known = permit.generation_ == generation_;
    if (known && state_ == BreakerState::half_open) {
        expire_probes(now);
        known = std::erase_if(in_flight_, [&](const Probe& p) { return p.number == permit.probe_; }) > 0;
    }
    if (!known) {
        ++counters_.late;
        return std::nullopt;
    }
    if (outcome == CallOutcome::ignored) {
        ++counters_.ignored;
        return std::nullopt;
    }

    const bool failed = outcome == CallOutcome::failure;
    const bool slow = took > settings_.slow_call;
    ++(failed ? counters_.failures : counters_.successes);
    if (slow) ++counters_.slow;

    switch (state_) {
    case BreakerState::closed:
        window_.add(failed, slow, now);
        failures_in_a_row_ = failed ? failures_in_a_row_ + 1 : 0;
        return judge_calls(now);
    case BreakerState::half_open:
        ++probes_.calls;
        probes_.failures += failed ? 1 : 0;
        probes_.slow += slow ? 1 : 0;
        return judge_probes(now);
    case BreakerState::open:
    case BreakerState::forced_open:
    case BreakerState::disabled: break;
    }
    return std::nullopt;
}

std::optional<BreakerTransition> CircuitBreaker::judge_calls(TimePoint now)
{
    const CallTally& seen = window_.tally(now);
    if (seen.calls >= settings_.minimum_calls) {
        if (seen.failure_rate() >= settings_.failure_rate)
            return change(BreakerState::open, BreakerCause::failure_rate, now);
        if (seen.slow_call_rate() >= settings_.slow_call_rate)
            return change(BreakerState::open, BreakerCause::slow_call_rate, now);
    }
    if (settings_.failures_in_a_row > 0 && failures_in_a_row_ >= settings_.failures_in_a_row)
        return change(BreakerState::open, BreakerCause::failures_in_a_row, now);
    return std::nullopt;
}

std::optional<BreakerTransition> CircuitBreaker::judge_probes(TimePoint now)
{
    // The best that the whole lot can still reach, if all that is missing turns out well.
    const CallTally best{settings_.half_open_permits, probes_.failures, probes_.slow};
    if (best.failure_rate() >= settings_.failure_rate)
        return change(BreakerState::open, BreakerCause::probes_failed, now);
    if (best.slow_call_rate() >= settings_.slow_call_rate)
        return change(BreakerState::open, BreakerCause::probes_slow, now);
    if (probes_.calls >= settings_.half_open_permits)
        return change(BreakerState::closed, BreakerCause::probes_good, now);
    return std::nullopt;
}

std::optional<BreakerTransition> CircuitBreaker::force_open(TimePoint now)
{
    if (state_ == BreakerState::forced_open) return std::nullopt;
    return change(BreakerState::forced_open, BreakerCause::by_operator, now);
}

std::optional<BreakerTransition> CircuitBreaker::disable(TimePoint now)
{
    if (state_ == BreakerState::disabled) return std::nullopt;
    return change(BreakerState::disabled, BreakerCause::by_operator, now);
}

std::optional<BreakerTransition> CircuitBreaker::reset(TimePoint now)
{
    if (state_ != BreakerState::closed) return change(BreakerState::closed, BreakerCause::by_operator, now);
    window_.clear();
    failures_in_a_row_ = 0;
    return std::nullopt;
}

bool BreakerSnapshot::in_trouble(TimePoint now) const noexcept
{
    switch (state) {
    case BreakerState::closed:
    case BreakerState::disabled: return false;
    case BreakerState::open: return retry_at && now < *retry_at;
    case BreakerState::half_open: return probes.failures > 0 || (probes_in_flight > 0 && probes.calls == 0);
    case BreakerState::forced_open: break;
    }
    return true;
}

BreakerSnapshot CircuitBreaker::snapshot(TimePoint now)
{
    BreakerSnapshot out{
        .state = state_, .since = since_, .failures_in_a_row = failures_in_a_row_, .reopenings = reopenings_};
    out.window = state_ == BreakerState::closed ? window_.tally(now) : window_.total();
    if (state_ == BreakerState::open) out.retry_at = retry_at_;
    if (state_ == BreakerState::half_open) {
        expire_probes(now);
        out.probes = probes_;
        out.probes_in_flight = static_cast<unsigned>(in_flight_.size());
    }
    out.counters = counters_;
    return out;
}

BreakerTransition CircuitBreaker::change(BreakerState to, BreakerCause cause, TimePoint now)
{
    BreakerTransition out{.from = state_, .to = to, .at = now, .cause = cause};
    if (state_ == BreakerState::closed) {
        out.tally = window_.tally(now);
        out.failures_in_a_row = failures_in_a_row_;
    } else if (state_ == BreakerState::half_open) {
        out.tally = probes_;
    }

    if (to == BreakerState::open) {
        if (state_ == BreakerState::half_open) {
            ++reopenings_;
            const double grown = static_cast<double>(longest_open_.count()) * settings_.open_time_multiplier;
            longest_open_ = grown < static_cast<double>(settings_.max_open_time.count())
                                ? Duration(static_cast<Duration::rep>(grown))
                                : settings_.max_open_time;
        }
        open_for_ = draw_open_time();
        retry_at_ = now + open_for_;
        out.open_for = open_for_;
        ++counters_.opened;
    } else if (to == BreakerState::closed) {
        window_.clear();
        failures_in_a_row_ = 0;
        reopenings_ = 0;
        longest_open_ = settings_.open_time;
    }
    out.reopenings = reopenings_;

    probes_ = {};
    in_flight_.clear();
    ++generation_;
    state_ = to;
    since_ = now;
    return out;
}

void CircuitBreaker::expire_probes(TimePoint now) noexcept
{
    for (Probe& probe : in_flight_) probe.permitted = std::min(probe.permitted, now); // the clock went back
    counters_.expired += std::erase_if(
        in_flight_, [&](const Probe& probe) { return now - probe.permitted >= settings_.permit_lifetime; });
}

/// Shorter by chance, never longer: max_open_time holds.
Duration CircuitBreaker::draw_open_time() noexcept
{
    const double draw = static_cast<double>(random_() >> 11) * 0x1p-53; // [0, 1), the same with every library
    return Duration(
        static_cast<Duration::rep>(static_cast<double>(longest_open_.count()) * (1 - settings_.jitter * draw)));
}

} // namespace hotspare::resilience
