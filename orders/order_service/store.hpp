// Where orders and jobs are kept: the truth of the pipeline. Two implementations: SQLite for one machine
// (sqlite_store.hpp) and PostgreSQL for several order services at once.
//
// Every change is one transaction over order, job and event, and is durable before its coroutine goes on. What a
// change makes of an order is decided by orders/order_service/transition.hpp, inside that transaction.
//
// Failures: errc::unavailable (no answer at the moment, and unknown whether it was done: to be repeated), errc::storage
// and errc::storage_full (nothing was written), and errc::storage_broken (unknown what was written until the service
// starts again). Nothing else, unless a function says so.
//
// Thread: the public calls on the service's event loop. Owner: main; its coroutines must have ended before it is
// destroyed.
#pragma once

#include "common/error.hpp"
#include "orders/order_service/selection.hpp"
#include "orders/order_service/transition.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::orders {

namespace asio = boost::asio;

struct Creation {
    enum class Kind : std::uint8_t {
        created,
        repeated,    ///< the same request was accepted before: `order` is what it created
        other_order, ///< another order has this order_id: `order`
        other_body,  ///< the Idempotency-Key was used for another request, which created `order`
    };
    Kind kind = Kind::created;
    Order order;
};

struct LeaseRequest {
    std::string worker;
    std::size_t most = 1;
    Duration lasts = seconds(30);
};

struct Leased {
    std::vector<Lease> jobs;               ///< those that waited longest first
    std::optional<Duration> next_due_in{}; ///< if there are fewer than wanted: until another is due
};

/// Everything about one order.
struct OrderFile {
    Order order;
    std::vector<Event> timeline;
    std::optional<WallTime> due; ///< Processing: when it is tried (again), or its lease ends
    std::string worker;          ///< the worker that holds it; empty = none
};

struct ListQuery {
    std::optional<Status> status{};
    std::optional<std::int64_t> before{}; ///< only orders with a smaller number
    std::size_t most = 100;
};

struct Totals {
    std::uint64_t processing = 0, validated = 0, rejected = 0, failed = 0;
    std::uint64_t leased = 0;         ///< of those Processing
    std::optional<WallTime> oldest{}; ///< creation of the oldest that is Processing
};

struct Listing {
    std::vector<Order> orders; ///< the newest first
    bool more = false;
    Totals totals{}; ///< of the same moment
};

/// A name for a generation that no other has.
std::string random_generation();

class Store {
public:
    virtual ~Store() = default;

    virtual asio::awaitable<result<Creation>> create(NewOrder what, std::optional<std::string> key) = 0;

    virtual asio::awaitable<result<Leased>> lease(LeaseRequest request) = 0;
    /// Keeps what `worker` holds for another `lasts`; tells for each whether it still does.
    virtual asio::awaitable<result<std::vector<bool>>> extend(std::vector<Held> held, Duration lasts) = 0;
    virtual asio::awaitable<result<std::vector<Settled>>> settle(std::vector<Settlement> settlements) = 0;

    /// Also errc::not_found, and errc::conflict when the order is not in a state for it.
    virtual asio::awaitable<result<Order>> operate(std::string order_id, Operation operation) = 0;
    /// The oldest orders of the selection, up to `most` of them. Each is judged as it is when it is changed. A failure
    /// may come when some have been changed already.
    virtual asio::awaitable<result<BulkOutcome>> operate_all(BulkRequest request) = 0;
    /// Forgets all orders; tells how many.
    virtual asio::awaitable<result<std::uint64_t>> clear() = 0;

    /// Also errc::not_found.
    virtual asio::awaitable<result<OrderFile>> find(std::string order_id) = 0;
    virtual asio::awaitable<result<Listing>> list(ListQuery query) = 0;
    virtual asio::awaitable<result<Totals>> totals() = 0;

    /// Why it cannot be asked at the moment, for people who may know where it is.
    virtual std::optional<std::string> trouble() const = 0;
};

} // namespace hotspare::orders
