// The attempt ledger: what has been tried for one request, and whether it may be sent again, and where (DESIGN §4).
//
// PURE. The proxy reports what happened to each attempt; the ledger answers with the next move. It never says "send"
// twice for a request that a backend may already have executed, unless repeating it is harmless by RFC 9110 §9.2.2
// (safe and idempotent methods), by the client's own word (Idempotency-Key), or by the word of whoever set up the
// route.
#pragma once

#include "balancer/routing.hpp"
#include "common/clock.hpp"
#include "common/resilience/budget.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace hotspare::balancer {

/// How far an attempt came before it ended.
enum class Stage : std::uint8_t {
    not_sent, ///< no byte of the request was written: the backend cannot have executed it
    sent,     ///< at least one byte was written, no response was passed on
    answered, ///< its response was (partly) passed on to the client
};

/// How an attempt ended.
enum class Outcome : std::uint8_t {
    pending,  ///< still running
    answered, ///< its response went to the client, complete
    refused,  ///< connection refused, no route
    connect_timeout,
    reset,          ///< reset or closed without a complete response
    timed_out,      ///< silent past the deadline
    malformed,      ///< not HTTP
    failing_status, ///< a status that counts as a failure
    moved,          ///< abandoned because its backend was declared down
    outpaced,       ///< abandoned because a rival answered first
    cancelled,      ///< abandoned because the client went away
};
std::string_view to_string(Outcome) noexcept;

/// What the ledger must know of a request.
struct RequestFacts {
    /// May run at two backends at once: safe (GET, HEAD, OPTIONS, TRACE), or carries Idempotency-Key. Not PUT and
    /// DELETE: the slower copy could undo what the client does next.
    bool hedgeable = true;
    bool repeatable = true; ///< hedgeable, or idempotent (PUT, DELETE), or by the word of its route
};

/// What to do after an attempt failed.
enum class Move : std::uint8_t {
    elsewhere, ///< place it on a backend that has not been tried yet; park it if there is none
    fresh,     ///< the pooled connection was stale: try the same backend once more on a new connection
    wait,      ///< another attempt is still running
    give_up,   ///< answer with an error: see Verdict::reason
    abort,     ///< the client already holds part of the response: close its connection so that it can tell
};

/// Why a request could not be sent again.
enum class Reason : std::uint8_t { none, not_repeatable, body_gone, budget, attempts };
std::string_view to_string(Reason) noexcept; ///< a clause for the error message

struct Verdict {
    Move move = Move::give_up;
    Reason reason = Reason::none;
};

struct Attempt {
    BackendIndex backend = 0;
    Stage stage = Stage::not_sent;
    Outcome outcome = Outcome::pending;
    bool reused_connection = false;
    bool hedge = false;
    std::uint16_t status = 0; ///< of its response, if any
    TimePoint started{};
    TimePoint ended{};
};

class AttemptLedger {
public:
    /// An attempt costs a backend work, so their number is bounded whatever the budget says.
    static constexpr std::size_t max_attempts = 8;

    using Id = std::uint8_t;

    AttemptLedger() = default;
    explicit AttemptLedger(RequestFacts facts) noexcept : facts_(facts) {}

    const RequestFacts& facts() const noexcept { return facts_; }

    Id begin(BackendIndex backend, bool reused_connection, bool hedge, TimePoint now) noexcept;
    void sent(Id id) noexcept;
    /// The response of `id` is being passed on: from here on nothing may be sent again.
    void answering(Id id, unsigned status) noexcept;
    void finished(Id id, TimePoint now) noexcept;

    /// The replay buffer overflowed: once sent, the request cannot be sent again.
    void body_gone() noexcept { body_gone_ = true; }

    /// The attempt ended without a response that was passed on; for Outcome::failing_status the caller passes the
    /// response on after all (answering()) if the verdict is to give up. Draws on `budget` when the request goes out
    /// again although a backend may have worked on it.
    Verdict failed(Id id, Outcome outcome, TimePoint now, resilience::RetryBudget& budget) noexcept;

    /// Whether a second attempt may run beside the one that is silent. Does not draw on the budget.
    bool may_hedge() const noexcept;

    /// Whether the attempt may be given up for another backend: its own has been declared down.
    bool may_move(Id id) const noexcept;

    /// Backends that this request has tried in the current round.
    bool tried(BackendIndex backend) const noexcept;
    /// The request waited until a backend returned: every backend may be tried again.
    void new_round() noexcept { round_start_ = count_; }

    std::span<const Attempt> trail() const noexcept { return {attempts_.data(), count_}; }
    const Attempt& operator[](Id id) const noexcept { return attempts_[id]; }
    bool exhausted() const noexcept { return count_ >= max_attempts; }

private:
    bool repeatable_after(Stage stage) const noexcept;
    Reason obstacle(Stage stage) const noexcept;
    bool others_pending(Id id) const noexcept;

    RequestFacts facts_{};
    bool body_gone_ = false;
    bool fresh_used_ = false;
    std::uint8_t count_ = 0;
    std::uint8_t round_start_ = 0;
    std::array<Attempt, max_attempts> attempts_{};
};

} // namespace hotspare::balancer
