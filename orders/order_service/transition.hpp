// PURE: what a change makes of one order: what it is afterwards, who may have it and when, and what its timeline says
// of it. A store reads a record, calls one of these and writes the record back, all in one transaction; so every store
// keeps the same promises.
//
// Thread: none. Values.
#pragma once

#include "orders/model.hpp"
#include "orders/order_service/job_clock.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::orders {

/// An order and all that a store keeps beside it.
struct Record {
    Order order;
    JobTime due{};        ///< Processing: when it may be leased, which for a leased one is when its lease ends
    std::string worker{}; ///< Processing: the worker that holds it; empty = none
    std::optional<JobTime> tried{}; ///< Processing: when the first attempt of this round that counted was reported
    std::int64_t events = 0;        ///< that its timeline has; those behind them are forgotten
    std::vector<Event> add{};       ///< what the timeline gets, from place `events` on
};

/// What an operator may do to one order.
enum class Operation : std::uint8_t {
    retry_now, ///< due at once; refused unless it waits, unleased
    cancel,    ///< Failed, whether leased or not; refused unless Processing
    replay,    ///< a new round; refused unless Failed
};

/// An order that is tried each second while its validator is away for days, or cancelled and replayed without end, must
/// not fill the disk with it. All leases of the first ten are listed, with what came of them; of those that brought
/// neither an attempt that counts nor an end, later only the ones at each doubling. From so many entries on, leases and
/// the round's end are all that is listed, and a replay takes the end before it back.
inline constexpr std::int64_t most_events = 100;

/// Of how many orders each is true: by Status, and held by a worker.
using Counts = std::array<std::int64_t, 5>;
inline constexpr std::size_t leased_count = 4; ///< index of those held
/// 1 for what is true of `record`, 0 for the rest.
Counts counts(const Record& record);
Counts operator-(const Counts& after, const Counts& before);
Counts& operator+=(Counts& sum, const Counts& more);

/// A new order of `generation`, due at once. Its number is the store's affair.
Record created(NewOrder what, const Generation& generation, const Now& now);

/// Gives it to `worker`. Precondition: it is Processing, and `due` has come.
Lease lease(Record& record, const std::string& worker, Duration lasts, const Now& now);

/// Prolongs the lease with this epoch; false if it is not the present one.
bool extend(Record& record, Epoch epoch, const std::string& generation, Duration lasts, const Now& now);

/// Takes what a worker has come to, if judge_settlement() does; otherwise nothing changes.
Settled settle(Record& record, const Settlement& settlement, const Now& now);

/// False if the order is not in a state for it: nothing changes.
bool operate(Record& record, Operation operation, const Now& now);

} // namespace hotspare::orders
