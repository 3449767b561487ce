// PURE: what a change makes of one order: what it is afterwards, who may have it and when, and what its timeline says
// of it. A store reads a record, calls one of these and writes the record back, all in one transaction; so every store
// keeps the same promises.
//
// Thread: none. Values.
#pragma once

#include "orders/model.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hotspare::orders {

/// An order and all that a store keeps beside it.
struct Record {
    Order order;
    WallTime due{};           ///< Processing: when it may be leased, which for a leased one is when its lease ends
    std::string worker{};     ///< Processing: who holds it; empty: nobody
    std::int64_t events = 0;  ///< that its timeline has
    std::vector<Event> add{}; ///< what the timeline gets, from place `events` on
};

/// What an operator may do to one order.
enum class Operation : std::uint8_t {
    retry_now, ///< due at once; refused unless it waits, unleased
    cancel,    ///< Failed, whoever has it; refused unless Processing
    replay,    ///< a new round; refused unless Failed
};

/// An order that is tried each second while its validator is away for days must not fill the disk with it: so many of
/// what happens by itself are listed. What ends a round, or is an operator's, always is.
inline constexpr std::int64_t most_routine_events = 300;

/// A new order, due at once. Its number is the store's affair.
Record created(NewOrder what, WallTime now);

/// Gives it to `worker`. Precondition: it is Processing, and `due` has come.
Lease lease(Record& record, const std::string& worker, Duration lasts, WallTime now);

/// Prolongs the lease with this epoch; false if it is not the present one.
bool extend(Record& record, Epoch epoch, WallTime until);

/// Takes what a worker has come to, if judge_settlement() does; otherwise nothing changes.
Settled settle(Record& record, const Settlement& settlement, WallTime now);

/// False if the order is not in a state for it: nothing changes.
bool operate(Record& record, Operation operation, WallTime now);

} // namespace hotspare::orders
