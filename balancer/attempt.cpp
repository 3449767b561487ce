#include "balancer/attempt.hpp"

#include <cassert>

namespace hotspare::balancer {

std::string_view to_string(Outcome outcome) noexcept
{
    switch (outcome) {
    case Outcome::pending: return "pending";
    case Outcome::answered: return "answered";
    case Outcome::refused: return "refused";
    case Outcome::connect_timeout: return "connect_timeout";
    case Outcome::reset: return "reset";
    case Outcome::timed_out: return "timed_out";
    case Outcome::malformed: return "malformed";
    case Outcome::failing_status: return "failing_status";
    case Outcome::moved: return "moved";
    case Outcome::outpaced: return "outpaced";
    case Outcome::cancelled: return "cancelled";
    }
    return "invalid";
}

std::string_view to_string(Reason reason) noexcept
{
    switch (reason) {
    case Reason::none: return "no other backend is left to try";
    case Reason::not_repeatable:
        return "the request may have been executed and its method does not allow to repeat it "
               "(send an Idempotency-Key to allow it)";
    case Reason::body_gone: return "its body is larger than the replay buffer";
    case Reason::budget: return "the retry budget is spent";
    case Reason::attempts: return "the limit of attempts is reached";
    }
    return "invalid";
}

AttemptLedger::Id AttemptLedger::begin(BackendIndex backend, bool reused_connection, bool hedge, TimePoint now) noexcept
{
    assert(count_ < max_attempts);
    Attempt& attempt = attempts_[count_];
    attempt = Attempt{};
    attempt.backend = backend;
    attempt.reused_connection = reused_connection;
    attempt.hedge = hedge;
    attempt.started = now;
    return count_++;
}

void AttemptLedger::sent(Id id) noexcept
{
    if (attempts_[id].stage == Stage::not_sent) attempts_[id].stage = Stage::sent;
}

void AttemptLedger::answering(Id id, unsigned status) noexcept
{
    attempts_[id].stage = Stage::answered;
    attempts_[id].status = static_cast<std::uint16_t>(status);
}

void AttemptLedger::finished(Id id, TimePoint now) noexcept
{
    attempts_[id].outcome = Outcome::answered;
    attempts_[id].ended = now;
}

Reason AttemptLedger::obstacle(Stage stage) const noexcept
{
    if (exhausted()) return Reason::attempts;
    if (stage == Stage::not_sent) {
        // This attempt wrote nothing, but an earlier one may have: what that one was given decides.
        for (const Attempt& a : trail())
            if (a.stage != Stage::not_sent) return obstacle(a.stage);
        return Reason::none;
    }
    if (!facts_.repeatable) return Reason::not_repeatable;
    if (body_gone_) return Reason::body_gone;
    return Reason::none;
}

bool AttemptLedger::repeatable_after(Stage stage) const noexcept
{
    return obstacle(stage) == Reason::none;
}

bool AttemptLedger::others_pending(Id id) const noexcept
{
    for (Id other = 0; other < count_; ++other)
        if (other != id && attempts_[other].outcome == Outcome::pending) return true;
    return false;
}

Verdict AttemptLedger::failed(Id id, Outcome outcome, TimePoint now, resilience::RetryBudget& budget) noexcept
{
    Attempt& attempt = attempts_[id];
    attempt.outcome = outcome;
    attempt.ended = now;

    if (attempt.stage == Stage::answered) return {Move::abort, Reason::none};
    if (others_pending(id)) return {Move::wait, Reason::none};
    if (const Reason reason = obstacle(attempt.stage); reason != Reason::none) return {Move::give_up, reason};

    // A connection from the pool that dies unanswered says little about the backend: servers close idle connections at
    // any moment (RFC 9112 §9.3.1). One more try on a fresh connection tells, and is free.
    const bool stale = attempt.reused_connection && outcome == Outcome::reset;
    if (stale && !fresh_used_) {
        fresh_used_ = true;
        return {Move::fresh, Reason::none};
    }
    // No backend has worked on it, or the one that did is known to be gone: going elsewhere adds no load.
    if (attempt.stage == Stage::not_sent || outcome == Outcome::moved) return {Move::elsewhere, Reason::none};
    if (!budget.withdraw(now)) return {Move::give_up, Reason::budget};
    return {Move::elsewhere, Reason::none};
}

bool AttemptLedger::may_hedge() const noexcept
{
    if (!facts_.hedgeable || body_gone_ || exhausted()) return false;
    unsigned pending = 0;
    for (const Attempt& a : trail()) {
        if (a.stage == Stage::answered) return false;
        if (a.outcome == Outcome::pending) ++pending;
    }
    return pending == 1;
}

bool AttemptLedger::may_move(Id id) const noexcept
{
    return attempts_[id].outcome == Outcome::pending && attempts_[id].stage != Stage::answered &&
           repeatable_after(attempts_[id].stage);
}

bool AttemptLedger::tried(BackendIndex backend) const noexcept
{
    for (std::size_t i = round_start_; i < count_; ++i)
        if (attempts_[i].backend == backend) return true;
    return false;
}

} // namespace hotspare::balancer
