// The queue without a queue: the store is asked for what is due. A waiter is woken by what this service does, and
// looks once a second, as another service may have brought work.
//
// Thread: as Queue. Owner: main.
#pragma once

#include "common/wait_list.hpp"
#include "orders/order_service/queue.hpp"

namespace hotspare::orders {

class StoreQueue final : public Queue {
public:
    StoreQueue(asio::io_context& context, Store& store) : store_(store), idle_(context) {}

    asio::awaitable<result<std::vector<Lease>>> take(LeaseRequest request, TimePoint until,
                                                     std::function<bool()> gone) override;
    void announce(std::int64_t number) override;
    void put_back() override;
    void stop() override;
    asio::awaitable<void> close() override { co_return; }
    std::size_t waiting() const override { return idle_.size(); }
    std::optional<std::string> trouble() const override { return std::nullopt; }
    nlohmann::ordered_json state() const override;
    void expose(metrics::Exposition&) const override {}

private:
    Store& store_;
    WaitList idle_;               ///< workers
    std::uint64_t announced_ = 0; ///< how often there was news
    bool stopping_ = false;
};

} // namespace hotspare::orders
