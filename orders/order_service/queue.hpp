// Which jobs a worker gets, and how it hears of them while it waits. Two implementations: the store itself, which knows
// what is due (store_queue.hpp), and Redis, which tells all order services at once (redis_queue.hpp). Neither holds
// anything that may not be lost: what a worker has is only ever what the store has leased to it.
//
// Thread: the service's event loop. Owner: main.
#pragma once

#include "common/metrics.hpp"
#include "orders/order_service/store.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::orders {

class Queue {
public:
    virtual ~Queue() = default;

    /// Leases up to `request.most` jobs, and waits for the first of them until `until`. None for a worker that is
    /// `gone` when the store is asked: it would keep them to the end of the lease. Fails as Store::lease().
    virtual asio::awaitable<result<std::vector<Lease>>> take(LeaseRequest request, TimePoint until,
                                                             std::function<bool()> gone) = 0;

    /// The order with this number is due now.
    virtual void announce(std::int64_t number) = 0;
    /// Some order was put back, and will be due again in a while.
    virtual void put_back() = 0;

    /// Sends away who waits in take(), now and from now on.
    virtual void stop() = 0;
    /// Ends what else it does. After stop(), when no caller is in take() any more.
    virtual asio::awaitable<void> close() = 0;

    /// Workers that wait in take().
    virtual std::size_t waiting() const = 0;
    /// What does not work, for people; orders are processed all the same.
    virtual std::optional<std::string> trouble() const = 0;
    /// For GET /queue.
    virtual nlohmann::ordered_json state() const = 0;
    virtual void expose(metrics::Exposition& out) const = 0;
};

} // namespace hotspare::orders
