// The attempt ledger: what has been tried for one request, and whether it may be sent again, and where.
//
// PURE. The proxy reports what happened to each attempt; the ledger answers with the next move. It never says "send"
// twice for a request that a backend may already have executed, unless repeating it is harmless by RFC 9110 §9.2.2
// (safe and idempotent methods), by the client's own word (Idempotency-Key), or by the route's configuration.
//
// A request can be what makes a backend fail. Therefore a backend that the request was sent to and that failed does not
// get it again, however long the request waits, and the second backend that breaks under it is the last. One exception
// keeps a request from being lost when all backends end at once: see unread(). Attempts of which no byte was sent cost
// nothing and are not limited in number.
#pragma once

#include "balancer/config.hpp"
#include "balancer/decide/routing.hpp"
#include "common/clock.hpp"
#include "common/resilience/budget.hpp"

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
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
    stale,          ///< its pooled connection had ended before the request: the backend has not seen it
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
enum class Reason : std::uint8_t { none, not_repeatable, body_gone, budget, attempts, malformed, breaks_backends };
std::string_view to_string(Reason) noexcept; ///< a clause for the error message

struct Verdict {
    Move move = Move::give_up;
    Reason reason = Reason::none;
};

struct Attempt {
    std::uint32_t id = 0;
    BackendIndex backend = 0;
    Stage stage = Stage::not_sent;
    Outcome outcome = Outcome::pending;
    bool reused_connection = false;
    bool hedge = false;
    bool unread = false;      ///< see AttemptLedger::unread()
    std::uint16_t status = 0; ///< of its response, if any
    TimePoint started{};
    TimePoint ended{};
};

class AttemptLedger {
public:
    /// The backend that breaks under a request once another one has: it is not sent to a third.
    static constexpr unsigned most_broken = 2;
    /// Every attempt that was sent, the stale one among them, two that are running, and some that were not sent.
    static constexpr std::size_t trail_size = most_attempts + 4;

    using Id = std::uint32_t;

    AttemptLedger() = default;
    /// `attempts`: how often the request may be sent (1 to most_attempts), hedges included.
    explicit AttemptLedger(RequestFacts facts, unsigned attempts = most_attempts) noexcept { restart(facts, attempts); }

    /// Forgets everything: another request begins.
    void restart(RequestFacts facts, unsigned attempts) noexcept;

    const RequestFacts& facts() const noexcept { return facts_; }

    Id begin(BackendIndex backend, bool reused_connection, bool hedge, TimePoint now) noexcept;
    void sent(Id id) noexcept;
    /// The response of `id` is being passed on: from here on nothing may be sent again.
    void answering(Id id, unsigned status) noexcept;
    void finished(Id id, TimePoint now) noexcept;

    /// To be called before failed(id, Outcome::reset): the backend's kernel has reset the connection of a request
    /// without a body before any byte of a response. That is what it does if the process ended with the request unread
    /// (RFC 1122 §4.2.2.13). The backend of the first such attempt is spared: it may get the request again when it has
    /// been down, and is the only one that may once two have broken.
    void unread(Id id) noexcept { attempts_[position(id)].unread = true; }
    std::optional<BackendIndex> spared() const noexcept { return spared_; }
    /// That backend has not been down since: it reset the connection on purpose, and does not get the request again.
    void deny_spared() noexcept { sent_to_.set(*spared_); }
    /// It is not known yet whether it was down: it does not get the request in this round.
    void hold_spared() noexcept { tried_.set(*spared_); }

    /// The replay buffer overflowed: once sent, the request cannot be sent again.
    void body_gone() noexcept { body_gone_ = true; }

    /// The attempt ended without a response that was passed on; for Outcome::failing_status the caller passes the
    /// response on after all (answering()) if the verdict is to give up. Outcome::stale only if may_be_stale(). Draws
    /// on `budget` when the request goes out again although a backend may have worked on it.
    Verdict failed(Id id, Outcome outcome, TimePoint now, resilience::RetryBudget& budget) noexcept;

    /// Whether a 408 as the first answer to `id` says that its connection was stale (RFC 9110 §15.5.9), and the request
    /// can go out again: it is then as if it had not been sent.
    bool may_be_stale(Id id) const noexcept { return (*this)[id].reused_connection && !body_gone_; }

    /// Whether the request may be sent once more.
    bool may_send() const noexcept { return sends_ < attempts_allowed_ && broken_ < most_broken && !malformed_; }

    /// Whether a second attempt may run beside the one that is silent. Does not draw on the budget.
    bool may_hedge() const noexcept;

    /// Whether the attempt may be given up for another backend: its own has been declared down.
    bool may_move(Id id) const noexcept;

    /// Backends that this request has tried in the current round, or that it was sent to in any.
    bool tried(BackendIndex backend) const noexcept { return tried_[backend]; }
    /// Backends that the request was sent to: they do not get it again.
    bool sent_to(BackendIndex backend) const noexcept { return sent_to_[backend]; }
    /// The request waited until a backend returned: every backend that it was not sent to may be tried again.
    void new_round() noexcept { tried_ = sent_to_; }

    /// The attempts in the order in which they began. Where there are more than trail_size, the oldest of those that
    /// were not sent are missing.
    std::span<const Attempt> trail() const noexcept { return {attempts_.data(), count_}; }
    const Attempt& operator[](Id id) const noexcept { return attempts_[position(id)]; }

private:
    std::size_t position(Id id) const noexcept;
    void make_room() noexcept;
    bool broke_its_backend(const Attempt& attempt) const noexcept;
    Reason obstacle(Stage stage) const noexcept;
    bool others_pending(Id id) const noexcept;
    bool spares(const Attempt& attempt) const noexcept;

    RequestFacts facts_{};
    bool body_gone_ = false;
    bool ever_sent_ = false;
    std::optional<BackendIndex> checked_; ///< was tried on a fresh connection after a reset of a pooled one
    unsigned attempts_allowed_ = most_attempts;
    unsigned sends_ = 0;
    unsigned broken_ = 0;
    std::optional<BackendIndex> spared_;
    bool malformed_ = false; ///< a response was not valid HTTP
    std::uint32_t next_id_ = 0;
    std::size_t count_ = 0;
    std::bitset<most_backends> tried_;
    std::bitset<most_backends> sent_to_;
    std::array<Attempt, trail_size> attempts_; ///< the first count_ of them
};

} // namespace hotspare::balancer
