// PURE: what an order is, which states it may be in, and what may happen to it. Everything else in orders/ moves orders
// about; only this file says which moves are legal.
//
//     (created) --> Processing --> Validated   the validator said yes
//                       |  ^-----> Rejected    the validator said no: only ever its own word
//                       |  |-----> Failed      every attempt failed, or an operator cancelled it; never a verdict
//                       +--+                   leased, tried, snoozed, leased again, any number of times
//
//     Failed --> Processing                    an operator replays it: a new round
//
// A round ends in exactly one terminal state. Every lease raises the order's epoch, and so does all that takes a lease
// away (putting the order back, an operator's word); only the holder of the present epoch may end the round. A worker
// that was stopped, or cut off, past its lease changes nothing (a fencing token; Kleppmann, "How to do distributed
// locking", 2016).
//
// A name is not an order: when all orders are cleared, their names may be used again. So each clearing begins a new
// generation, which has a name of its own and epochs above those of all generations before it: what was held of an
// order that is forgotten is nothing of the order that has its name now.
#pragma once

#include "common/clock.hpp"
#include "common/http/problem.hpp"

#include <boost/system/result.hpp>
#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::orders {

/// Only grows, over all rounds of an order and over all orders of the same name.
using Epoch = std::int64_t;

/// The orders between two clearings.
struct Generation {
    std::string name{};     ///< random: no other generation of any store has it
    Epoch first_epoch = 0;  ///< of an order that is created
    std::int64_t after = 0; ///< it begins with the number behind this one; orders up to it are older than generations

    /// More epochs than any order uses, and few enough that JavaScript still counts those of a million generations.
    static constexpr Epoch epochs = Epoch{1} << 32;

    /// That of the orders that are created when those of this one are forgotten.
    Generation next(std::string its_name) const { return {std::move(its_name), first_epoch + epochs, 0}; }
};

enum class Status : std::uint8_t { processing = 0, validated = 1, rejected = 2, failed = 3 }; // stored: never renumber

/// "Processing", "Validated", "Rejected", "Failed": the words of docs/api.md.
std::string_view to_string(Status status) noexcept;
std::optional<Status> status_named(std::string_view word) noexcept;

constexpr bool is_terminal(Status status) noexcept
{
    return status != Status::processing;
}

/// What a client asks for.
struct NewOrder {
    std::string order_id; ///< the client's name for it, unique for ever (until the orders are cleared)
    std::string product;
    std::int64_t quantity = 0;

    bool operator==(const NewOrder&) const = default;
};

struct OrderLimits {
    static constexpr std::size_t order_id = 128; ///< bytes
    static constexpr std::size_t product = 256;  ///< bytes
    static constexpr std::int64_t quantity = 1'000'000;
    static constexpr std::size_t idempotency_key = 255; ///< bytes
};

/// Reads the body of POST /create_order. Strict: a field that is missing, blank, too long, of the wrong kind, unknown
/// or that holds a control character or a line separator is a 422 that names it.
boost::system::result<NewOrder, http::Problem> parse_new_order(const nlohmann::json& body);
/// The value of the Idempotency-Key header: visible ASCII, not empty.
boost::system::result<std::string, http::Problem> parse_idempotency_key(std::string_view value);

/// Whether a stored order can have this name: what cannot be stored need not be looked for. Wider than what
/// parse_new_order() takes, as an earlier version of it may have taken more.
bool may_be_order_id(std::string_view text);

/// One line of an order's timeline.
struct Event {
    enum class Kind : std::uint8_t { // stored: never renumber
        created = 0,
        leased = 1,    ///< a worker has it
        attempt = 2,   ///< one call of the validator, and how it ended
        snoozed = 3,   ///< put back without having been tried: the breaker is open, or the worker stops
        retry = 4,     ///< put back after a failed attempt
        validated = 5, ///< terminal, as are the next two
        rejected = 6,
        failed = 7,
        replayed = 8, ///< an operator began a new round
        hastened = 9, ///< an operator made it due at once
    };

    Kind kind = Kind::created;
    WallTime at{};
    Epoch epoch = 0;
    std::string detail{}; ///< for people: who, why, how long
};
std::string_view to_string(Event::Kind kind) noexcept;
Event::Kind terminal_event(Status status) noexcept; ///< precondition: is_terminal(status)

struct Order {
    std::int64_t number = 0;  ///< in the order of creation
    std::string generation{}; ///< name of its generation; empty for one that was created before there were any
    NewOrder what;
    Status status = Status::processing;
    std::string reason{}; ///< why it ended so, or why it waits
    Epoch epoch = 0;
    unsigned attempts = 0; ///< calls of the validator in this round that count as attempts
    WallTime created{};
    WallTime updated{};
};

/// What a worker holds until `until`.
struct Lease {
    NewOrder what;
    Epoch epoch = 0;
    unsigned attempts = 0;
    WallTime created{};
    std::string generation{};
    Duration tried_for{}; ///< since the first attempt of this round that counted, by the store's clock
};

/// What a worker says that it holds.
struct Held {
    std::string order_id{};
    Epoch epoch = 0;
    std::string generation{}; ///< as Settlement::generation

    bool operator==(const Held&) const = default;
};

/// One call of the validator, as its worker saw it.
struct Attempt {
    WallTime at{};
    Duration took{};
    bool counts = true; ///< false: a half-open breaker's probe, which is not the order's fault
    std::string outcome;
};

/// What a worker has come to with a lease.
struct Settlement {
    enum class Kind : std::uint8_t {
        verdict, ///< `status` is the round's end
        retry,   ///< again after `pause`
        snooze,  ///< as retry, but nothing was tried
    };

    std::string order_id{};
    Epoch epoch = 0;
    Kind kind = Kind::verdict;
    Status status = Status::failed;
    std::string reason{};
    Duration pause{};
    std::vector<Attempt> attempts{}; ///< made under this lease
    std::string generation{};        ///< as leased; empty: whatever has this name and epoch is meant
};

/// Whether the settlement was taken, or why not.
enum class Settled : std::uint8_t {
    applied,
    repeated, ///< it had been applied before: the answer was lost on its way
    fenced,   ///< a later lease exists, or the round is over: nothing changed
    unknown,  ///< there is no such order
};
std::string_view to_string(Settled settled) noexcept;

/// Whether what is said of an order of the generation `offered` is about one of the generation `held`. Workers of
/// earlier versions do not name it: there the epoch decides alone.
inline bool is_generation(const std::string& held, const std::string& offered) noexcept
{
    return offered.empty() || offered == held;
}

/// The single rule that every store follows: what becomes of an order in `status` with epoch `held` when a settlement
/// for `offered` arrives that would end in `wanted` (nothing: it would be put back).
Settled judge_settlement(Status status, Epoch held, Epoch offered, std::optional<Status> wanted) noexcept;

} // namespace hotspare::orders
