// A call failed: may it be made again, and when? Exponential backoff with full jitter (Brooker, "Exponential Backoff
// And Jitter", AWS Architecture Blog, 2015): the n-th wait is uniform between zero and min(max_delay, base_delay *
// multiplier^(n-1)), so that the callers which failed together do not come back together. It makes no call and waits
// for nothing. What makes a failure retryable, its caller knows: no answer is, or one that says that the dependency
// fails; an answer that will be the same next time is not.
//
// Around a circuit breaker the order is retry(breaker(timeout(call))). A refusal of the breaker is no attempt: nothing
// was sent, so it costs neither one of the attempts nor budget, and RetryPolicy is not asked. The job is put off:
//
//     auto admission = breaker.acquire(now);
//     if (!admission) return put_off(job, admission.retry_at);
//     if (++job.attempts == 1) budget.deposit(now);
//     ... the call, with its own deadline ...
//     breaker.report(std::move(*admission.permit), outcome, took, now);
//     if (failed) {
//         const auto next = policy.decide({.attempts = job.attempts, ...}, budget);
//         next ? put_off(job, *next.retry_at) : give_up(job, next.reason);
//     }
//
// Retry-After: the wait is what the server asked for plus the jittered backoff, as all that it told the same date
// would otherwise return in that second. It is honoured up to `max_retry_after`: no server parks a job for a day. If it
// does not fit before the deadline, the job is given up now: to ask sooner would disobey, to wait would be for nothing.
//
// PURE: time and chance are arguments. Any thread; the budget is its owner's.
#pragma once

#include "common/clock.hpp"
#include "common/resilience/budget.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace hotspare::resilience {

struct RetrySettings {
    unsigned attempts = 3; ///< the first one included; at least 1
    Duration base_delay = milliseconds(100);
    double multiplier = 2;                  ///< 1 to 100
    Duration max_delay = seconds(2);        ///< not below base_delay, at most a day
    Duration max_retry_after = seconds(30); ///< longer wishes count as this one; at most a day
};

struct FailedAttempt {
    unsigned attempts = 1; ///< made so far, this one included, those that a breaker refused not
    bool retryable = true;
    std::optional<Duration> retry_after =
        std::nullopt; ///< what the server asked for, from `now` on; negative counts as zero
    TimePoint now{};
    TimePoint deadline{}; ///< of the job; the next attempt begins before it or not at all
    double draw = 0;      ///< uniform in [0, 1)
};

/// In the order in which they are looked at.
enum class GiveUp : std::uint8_t {
    not_retryable,
    attempts, ///< all made
    deadline, ///< nothing would be left of it
    budget,   ///< too many retries of late; says nothing about this job, which may be put off instead
};
std::string_view to_string(GiveUp) noexcept;

struct RetryDecision {
    std::optional<TimePoint> retry_at = std::nullopt; ///< nullopt = give up
    GiveUp reason = GiveUp::not_retryable;            ///< only meaningful then

    explicit operator bool() const noexcept { return retry_at.has_value(); }
};

class RetryPolicy {
public:
    /// Throws std::invalid_argument that names the setting if one is out of its range.
    explicit RetryPolicy(const RetrySettings& settings);

    /// Takes one retry from the budget if and only if the answer is to retry.
    RetryDecision decide(const FailedAttempt& failed, RetryBudget& budget) const;

    /// The longest that the backoff after so many attempts may be.
    Duration longest_backoff(unsigned attempts) const noexcept;

private:
    RetrySettings settings_;
};

/// What parse_retry_after answers at most.
inline constexpr Duration longest_retry_after = std::chrono::hours(24 * 365);

/// The value of a Retry-After field (RFC 9110 §10.2.3) without surrounding whitespace: delay-seconds, or an HTTP-date
/// less `now`, zero if that has passed. What exceeds longest_retry_after counts as that. nullopt: neither of the two.
std::optional<Duration> parse_retry_after(std::string_view value, WallTime now);

} // namespace hotspare::resilience
