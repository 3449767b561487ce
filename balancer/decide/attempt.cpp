#include "balancer/decide/attempt.hpp"

#include <algorithm>
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
    case Outcome::stale: return "stale";
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
        return "the request may have been executed and its method does not allow repeating it "
               "(send an Idempotency-Key to allow it)";
    case Reason::body_gone: return "its body is larger than the replay buffer";
    case Reason::budget: return "the retry budget is spent";
    case Reason::attempts: return "the request was sent as often as retry.attempts allows";
    case Reason::malformed: return "the request is not repeated after a response that is not valid HTTP";
    case Reason::breaks_backends: return "a second backend failed on it";
    }
    return "invalid";
}

void AttemptLedger::restart(RequestFacts facts, unsigned attempts) noexcept
{
    facts_ = facts;
    body_gone_ = ever_sent_ = false;
    checked_.reset();
    attempts_allowed_ = attempts;
    sends_ = broken_ = 0;
    malformed_ = false;
    spared_.reset();
    next_id_ = 0;
    count_ = 0;
    tried_.reset();
    sent_to_.reset();
}

AttemptLedger::Id AttemptLedger::begin(BackendIndex backend, bool reused_connection, bool hedge, TimePoint now) noexcept
{
    if (count_ == trail_size) make_room();
    tried_.set(backend);
    attempts_[count_++] = {.id = next_id_,
                           .backend = backend,
                           .stage = Stage::not_sent,
                           .outcome = Outcome::pending,
                           .reused_connection = reused_connection,
                           .hedge = hedge,
                           .unread = false,
                           .status = 0,
                           .started = now,
                           .ended = {}};
    return next_id_++;
}

/// Drops the oldest attempt that ended without being sent. There is one: of the others there are never trail_size.
void AttemptLedger::make_room() noexcept
{
    const auto end = attempts_.begin() + static_cast<std::ptrdiff_t>(count_);
    const auto oldest = std::find_if(attempts_.begin(), end, [](const Attempt& a) {
        return a.stage == Stage::not_sent && a.outcome != Outcome::pending;
    });
    assert(oldest != end);
    std::move(oldest + 1, end, oldest);
    --count_;
}

std::size_t AttemptLedger::position(Id id) const noexcept
{
    std::size_t i = 0;
    while (attempts_[i].id != id) ++i;
    assert(i < count_);
    return i;
}

void AttemptLedger::sent(Id id) noexcept
{
    Attempt& attempt = attempts_[position(id)];
    if (attempt.stage != Stage::not_sent) return;
    attempt.stage = Stage::sent;
    sent_to_.set(attempt.backend);
    ever_sent_ = true;
    ++sends_;
}

void AttemptLedger::answering(Id id, unsigned status) noexcept
{
    Attempt& attempt = attempts_[position(id)];
    attempt.stage = Stage::answered;
    attempt.status = static_cast<std::uint16_t>(status);
}

void AttemptLedger::finished(Id id, TimePoint now) noexcept
{
    Attempt& attempt = attempts_[position(id)];
    attempt.outcome = Outcome::answered;
    attempt.ended = now;
}

Reason AttemptLedger::obstacle(Stage stage) const noexcept
{
    if (broken_ >= most_broken) return Reason::breaks_backends;
    // An attempt that wrote nothing may have come after one that did: what that one was given decides.
    if (stage == Stage::not_sent && !ever_sent_) return Reason::none;
    if (!facts_.repeatable) return Reason::not_repeatable;
    if (body_gone_) return Reason::body_gone;
    // What cannot be read safely is refused once: the next server is likely to run the same program.
    if (malformed_) return Reason::malformed;
    if (sends_ >= attempts_allowed_) return Reason::attempts;
    return Reason::none;
}

bool AttemptLedger::others_pending(Id id) const noexcept
{
    return std::any_of(attempts_.begin(), attempts_.begin() + static_cast<std::ptrdiff_t>(count_),
                       [id](const Attempt& a) { return a.id != id && a.outcome == Outcome::pending; });
}

/// Whether the backend may have failed because of this request: it closed the connection instead of answering. Silence,
/// a failing status and our own giving up leave the backend as it was; what is not HTTP ends the request anyway.
bool AttemptLedger::broke_its_backend(const Attempt& attempt) const noexcept
{
    // Nothing listens where a moment ago a connection from the pool was reset: it was not stale after all.
    if (attempt.outcome == Outcome::refused) return checked_ == attempt.backend;
    if (attempt.stage == Stage::not_sent) return false;
    return attempt.outcome == Outcome::reset;
}

bool AttemptLedger::spares(const Attempt& attempt) const noexcept
{
    return attempt.outcome == Outcome::reset && attempt.unread && attempt.stage == Stage::sent && !spared_;
}

Verdict AttemptLedger::failed(Id id, Outcome outcome, TimePoint now, resilience::RetryBudget& budget) noexcept
{
    Attempt& attempt = attempts_[position(id)];
    attempt.outcome = outcome;
    attempt.ended = now;

    if (attempt.stage == Stage::answered) return {Move::abort, Reason::none};
    const bool alone = !others_pending(id);

    // A connection from the pool that ended before anything was written to it, or that answers with a 408 from before
    // the request, says nothing about the backend. A fresh one cannot be stale: this ends.
    if (outcome == Outcome::stale && attempt.stage == Stage::sent) {
        attempt.stage = Stage::not_sent;
        sent_to_.reset(attempt.backend);
        ever_sent_ = --sends_ > 0 || checked_.has_value();
    }
    const bool unused = attempt.stage == Stage::not_sent &&
                        (outcome == Outcome::stale || (outcome == Outcome::reset && attempt.reused_connection));
    if (unused && alone) return {Move::fresh, Reason::none};

    // One that dies unanswered says little: servers close idle connections at any moment (RFC 9112 §9.3.1). One more
    // try on a fresh connection tells, and is free.
    if (outcome == Outcome::reset && attempt.reused_connection && !unused && alone && !checked_ && facts_.repeatable &&
        !body_gone_) {
        checked_ = attempt.backend;
        --sends_;
        return {Move::fresh, Reason::none};
    }

    if (spares(attempt)) {
        spared_ = attempt.backend;
        sent_to_.reset(attempt.backend);
    }
    if (broke_its_backend(attempt) && ++broken_ == most_broken && spared_ && !sent_to_[*spared_]) {
        --broken_;
        tried_.set();
        sent_to_.set();
        sent_to_.reset(*spared_);
    }
    if (outcome == Outcome::malformed && attempt.stage == Stage::sent) malformed_ = true;
    if (!alone) return {Move::wait, Reason::none};
    if (const Reason reason = obstacle(attempt.stage); reason != Reason::none) return {Move::give_up, reason};
    // No backend has worked on it, or the one that did is known to be gone: going elsewhere adds no load.
    if (attempt.stage == Stage::not_sent || outcome == Outcome::moved) return {Move::elsewhere, Reason::none};
    if (!budget.withdraw(now)) return {Move::give_up, Reason::budget};
    return {Move::elsewhere, Reason::none};
}

bool AttemptLedger::may_hedge() const noexcept
{
    // Two at once after one backend broke could become three.
    if (!facts_.hedgeable || body_gone_ || malformed_ || broken_ > 0) return false;
    unsigned pending = 0;
    unsigned to_be_sent = 1;
    for (const Attempt& a : trail()) {
        if (a.stage == Stage::answered) return false;
        if (a.outcome != Outcome::pending) continue;
        ++pending;
        if (a.stage == Stage::not_sent) ++to_be_sent;
    }
    return pending == 1 && sends_ + to_be_sent <= attempts_allowed_;
}

bool AttemptLedger::may_move(Id id) const noexcept
{
    const Attempt& attempt = (*this)[id];
    return attempt.outcome == Outcome::pending && attempt.stage != Stage::answered &&
           obstacle(attempt.stage) == Reason::none;
}

} // namespace hotspare::balancer
