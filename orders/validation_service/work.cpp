#include "orders/validation_service/work.hpp"

#include "common/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::orders {
namespace {

using resilience::BreakerState;
using resilience::CallOutcome;

/// After a request to the order service failed.
constexpr Duration pause_after_failure = milliseconds(200);

/// Between two messages of a worker that only says that it is there.
constexpr Duration show_pause = seconds(1);

/// Before an order is tried again whose call could not even be sent.
constexpr Duration pause_uncounted = seconds(1);

/// In one request: well below the bounds of the protocol (orders/wire.hpp) and of a body.
constexpr std::size_t most_at_once = 256;

/// Of a text that may be anything.
constexpr std::size_t longest_reason = 500;

CallOutcome outcome_of(CallEnd::Kind kind)
{
    // A validator that refuses a request works, and so does one that rejects an order.
    const bool failed = kind == CallEnd::Kind::failed || kind == CallEnd::Kind::unreachable;
    return failed ? CallOutcome::failure : CallOutcome::success;
}

std::string_view word(CallEnd::Kind kind)
{
    switch (kind) {
    case CallEnd::Kind::valid: return "valid";
    case CallEnd::Kind::rejected: return "rejected";
    case CallEnd::Kind::failed: return "failed";
    case CallEnd::Kind::unreachable: return "not sent";
    case CallEnd::Kind::refused: return "refused";
    }
    return {};
}

} // namespace

Work::Work(const WorkSettings& settings, std::uint64_t seed, TimePoint now)
    : settings_(settings), random_(seed), breaker_(settings.breaker, seed, now), retry_(settings.retry),
      budget_(settings.retry_ratio, settings.retries_per_second), report_most_(most_at_once)
{
}

Actions Work::next(TimePoint now)
{
    Actions actions;
    start_calls(actions, now);
    if (reporting_ == 0 && !reports_.empty() && now >= report_at_) {
        reporting_ = std::min(reports_.size(), report_most_);
        actions.settle.assign(reports_.begin(), reports_.begin() + static_cast<std::ptrdiff_t>(reporting_));
    }
    if (extending_.empty() && now >= extend_at_) {
        for (const auto& [id, job] : jobs_) {
            if (extending_.size() == most_at_once) break;
            extending_.push_back(id);
            actions.extend.push_back({job.lease.what.order_id, job.lease.epoch, job.lease.generation});
        }
        extending_since_ = now;
        extend_at_ = extending_.empty() ? TimePoint::max() : now + lasts_ / 3;
    }
    if (!leasing_ && now >= lease_at_) actions.lease = wanted(now);
    leasing_ = leasing_ || actions.lease > 0;
    const bool silent = !leasing_ && reports_.empty() && extending_.empty() && wanted(now) == 0;
    const bool wants_to_show = !stopping_ && !showing_ && (paused_ || (unanswered_ && silent));
    if (wants_to_show && now >= show_at_) actions.show = showing_ = true;

    actions.wake_at = extend_at_;
    const auto at = [&](TimePoint t) {
        if (t > now) actions.wake_at = std::min(actions.wake_at, t);
    };
    if (reporting_ == 0 && !reports_.empty()) at(report_at_);
    if (wants_to_show) at(show_at_);
    if (!leasing_) {
        at(lease_at_);
        if (const auto open = breaker_.snapshot(now); open.retry_at) at(*open.retry_at);
    }
    return actions;
}

/// Calls for what may be called; the rest goes back at once, where another worker, or this one later, will find it.
void Work::start_calls(Actions& actions, TimePoint now)
{
    while (!ready_.empty()) {
        const auto id = ready_.front();
        ready_.pop_front();
        if (stopping_ || paused_) { // it was on its way when that was said
            put_back(id, stopping_ ? "its worker stops" : "its worker is paused", Duration::zero());
            continue;
        }
        auto admission = breaker_.acquire(now);
        note(admission.transition);
        if (!admission) {
            put_back(id, "the circuit breaker is open", admission.retry_at - now);
            continue;
        }
        Job& job = jobs_.at(id);
        job.calling = true;
        job.permit = std::move(*admission.permit);
        ++calling_;
        if (job.lease.attempts == 0) budget_.deposit(now);
        actions.call.push_back({id, job.lease.what, job.lease.generation});
    }
}

void Work::put_back(CallId id, std::string reason, Duration pause)
{
    const Lease& lease = jobs_.at(id).lease;
    report(id, {.order_id = lease.what.order_id,
                .epoch = lease.epoch,
                .kind = Settlement::Kind::snooze,
                .reason = std::move(reason),
                .pause = pause,
                .attempts = {}});
}

void Work::report(CallId id, Settlement settlement)
{
    settlement.generation = jobs_.at(id).lease.generation;
    reports_.push_back(std::move(settlement));
    jobs_.erase(id);
}

/// How many jobs could be called at once.
std::size_t Work::wanted(TimePoint now)
{
    if (paused_ || stopping_) return 0;
    // What cannot be reported must not pile up.
    if (reports_.size() >= most_at_once) return 0;
    auto most = std::min(settings_.concurrency, most_at_once);
    most -= std::min(most, jobs_.size());
    const auto breaker = breaker_.snapshot(now);
    switch (breaker.state) {
    case BreakerState::closed:
    case BreakerState::disabled: return most;
    case BreakerState::forced_open: return 0;
    case BreakerState::open:
        if (breaker.retry_at && now < *breaker.retry_at) return 0;
        [[fallthrough]];
    case BreakerState::half_open:
        // As many as it will let through: the others would only be put back.
        const auto permits = std::size_t{settings_.breaker.half_open_permits};
        const auto taken = std::size_t{breaker.probes_in_flight} + breaker.probes.calls;
        return std::min(most, permits - std::min(permits, taken));
    }
    return 0;
}

void Work::leased(std::vector<Lease> jobs, Duration lasts, TimePoint now)
{
    leasing_ = false;
    answered();
    lasts_ = lasts;
    if (!jobs.empty() && extend_at_ == TimePoint::max()) extend_at_ = now + lasts_ / 3;
    for (auto& lease : jobs) {
        const auto id = ++last_id_;
        jobs_.emplace(id, Job{.lease = std::move(lease), .since = now, .until = now + lasts});
        ready_.push_back(id);
    }
}

void Work::lease_failed(TimePoint now)
{
    leasing_ = false;
    unanswered_ = true;
    lease_at_ = now + pause_after_failure;
}

void Work::call_ended(CallId id, CallEnd end, TimePoint began, WallTime wall, TimePoint now)
{
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) return;
    Job& job = found->second;
    --calling_;
    const bool probe = job.permit.is_probe();
    const auto took = now - began;
    note(breaker_.report(std::move(job.permit), outcome_of(end.kind), took, now));

    end.text = shortened(std::move(end.text), longest_reason);
    const bool failed = end.kind == CallEnd::Kind::failed;
    const bool held = now < job.until;
    const bool counts = end.kind != CallEnd::Kind::unreachable && !(failed && (probe || !held));
    Attempt attempt{.at = wall,
                    .took = took,
                    .counts = counts,
                    .outcome = end.text.empty() ? std::string(word(end.kind))
                                                : fmt::format("{}: {}", word(end.kind), end.text)};
    Settlement settlement{
        .order_id = job.lease.what.order_id, .epoch = job.lease.epoch, .reason = end.text, .attempts = {}};
    switch (end.kind) {
    case CallEnd::Kind::valid: settlement.status = Status::validated; break;
    case CallEnd::Kind::rejected: settlement.status = Status::rejected; break;
    case CallEnd::Kind::refused:
        settlement.status = Status::failed;
        settlement.reason = "the validator does not take the request: " + end.text;
        break;
    case CallEnd::Kind::failed:
    case CallEnd::Kind::unreachable: settlement = after_failure(job, end, counts, std::move(settlement), now); break;
    }
    settlement.attempts.push_back(std::move(attempt));
    report(id, std::move(settlement));
}

Settlement Work::after_failure(const Job& job, const CallEnd& end, bool counts, Settlement settlement, TimePoint now)
{
    settlement.kind = Settlement::Kind::retry;
    if (!counts) {
        // As soon as the breaker permits a call. While it permits all calls, after a random pause.
        const auto breaker = breaker_.snapshot(now);
        settlement.pause = breaker.retry_at && *breaker.retry_at > now
                               ? *breaker.retry_at - now
                               : std::chrono::duration_cast<Duration>(pause_uncounted * (0.5 + draw() / 2));
        return settlement;
    }
    const auto attempts = job.lease.attempts + 1;
    // The first attempt starts the round's time, so it never uses it up.
    const auto tried_for = job.lease.attempts == 0 ? Duration::zero() : job.lease.tried_for + (now - job.since);
    const auto decision = retry_.decide({.attempts = attempts,
                                         .retry_after = end.retry_after,
                                         .now = now,
                                         .deadline = now + (settings_.give_up_after - tried_for),
                                         .draw = draw()},
                                        budget_);
    if (decision) {
        settlement.pause = *decision.retry_at - now;
        return settlement;
    }
    switch (decision.reason) {
    case resilience::GiveUp::budget:
        // Too many retries at once are no reason to fail an order: it waits its turn.
        settlement.pause = settings_.retry.max_delay;
        break;
    case resilience::GiveUp::deadline:
        settlement.kind = Settlement::Kind::verdict;
        settlement.reason = fmt::format("the deadline has passed; the last failure: {}", end.text);
        break;
    case resilience::GiveUp::attempts:
    case resilience::GiveUp::not_retryable:
        settlement.kind = Settlement::Kind::verdict;
        settlement.reason = fmt::format("{} attempts failed; the last one: {}", attempts, end.text);
        break;
    }
    settlement.status = Status::failed;
    return settlement;
}

double Work::draw()
{
    return std::uniform_real_distribution<double>(0, 1)(random_);
}

void Work::settled(const std::vector<Settled>& results, TimePoint now)
{
    for (std::size_t i = 0; i < reporting_; ++i) {
        const auto& report = reports_.front();
        const auto result = i < results.size() ? results[i] : Settled::unknown;
        if (result == Settled::fenced || result == Settled::unknown)
            ++counters_.fenced;
        else if (report.kind == Settlement::Kind::retry)
            ++counters_.retried;
        else if (report.kind == Settlement::Kind::snooze)
            ++counters_.snoozed;
        else if (report.status == Status::validated)
            ++counters_.validated;
        else if (report.status == Status::rejected)
            ++counters_.rejected;
        else
            ++counters_.failed;
        reports_.pop_front();
    }
    reporting_ = 0;
    answered();
    report_at_ = now;
    report_most_ = std::min(most_at_once, 2 * report_most_);
}

void Work::settle_refused(TimePoint now)
{
    unanswered_ = true;
    report_at_ = now;
    report_most_ = std::max<std::size_t>(1, reporting_ / 2);
    if (std::exchange(reporting_, 0) != 1) return;
    ++counters_.given_up;
    given_up_.push_back(std::move(reports_.front()));
    reports_.pop_front();
}

void Work::settle_failed(TimePoint now)
{
    reporting_ = 0;
    unanswered_ = true;
    report_at_ = now + pause_after_failure;
}

void Work::extended(const std::vector<bool>& held, TimePoint)
{
    for (std::size_t i = 0; i < extending_.size() && i < held.size(); ++i) {
        const auto job = jobs_.find(extending_[i]);
        if (job == jobs_.end()) continue;
        // A call under way goes on: whether its result still counts is for the order service to say.
        if (held[i])
            job->second.until = extending_since_ + lasts_;
        else
            ++counters_.lost;
    }
    extending_.clear();
    answered();
}

void Work::extend_failed(TimePoint now)
{
    extending_.clear();
    unanswered_ = true;
    extend_at_ = std::min(extend_at_, now + pause_after_failure);
}

void Work::shown(TimePoint now)
{
    showing_ = false;
    answered();
    show_at_ = now + show_pause;
}

void Work::show_failed(TimePoint now)
{
    showing_ = false;
    unanswered_ = true;
    show_at_ = now + show_pause;
}

void Work::note(std::optional<resilience::BreakerTransition> transition)
{
    if (transition) transitions_.push_back(*transition);
}

} // namespace hotspare::orders
