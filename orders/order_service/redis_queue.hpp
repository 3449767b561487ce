// The queue of several order services: a Redis stream, from which a consumer group gives each entry to one of them. An
// entry is the number of an order that was due when it was added, no more: whether it still is, the store says when the
// order is leased. So Redis may lose or repeat anything at any time. A sweep, ten times a second, by one of the
// services, adds what is due and has not been leased; and while Redis cannot be used, orders are leased straight from
// the store.
//
// Thread: as Queue. Owner: main.
#pragma once

#include "common/storage/redis.hpp"
#include "common/task_group.hpp"
#include "common/wait_list.hpp"
#include "orders/order_service/dispatch_window.hpp"
#include "orders/order_service/postgres_store.hpp"
#include "orders/order_service/queue.hpp"

#include <deque>

namespace hotspare::orders {

struct StreamEntry {
    std::string id{};        ///< Redis' own
    std::int64_t number = 0; ///< of the order
};

class RedisQueue final : public Queue {
public:
    /// `consumer`: this service in the group. Both references must outlive it.
    RedisQueue(asio::io_context& context, storage::redis::Target target, std::string consumer, PostgresStore& store);

    /// Until then it only ever asks the store. close() must have completed before the queue is destroyed.
    void start();

    asio::awaitable<result<std::vector<Lease>>> take(LeaseRequest request, TimePoint until,
                                                     std::function<bool()> gone) override;
    void announce(std::int64_t number) override;
    void put_back() override {} ///< the sweep finds it when it is due
    void stop() override;
    asio::awaitable<void> close() override;
    std::size_t waiting() const override { return idle_.size(); }
    std::optional<std::string> trouble() const override;
    nlohmann::ordered_json state() const override;
    void expose(metrics::Exposition& out) const override;

private:
    asio::awaitable<void> listen();
    asio::awaitable<void> maintain();
    asio::awaitable<bool> send_outbox();
    asio::awaitable<bool> sweep();
    asio::awaitable<bool> tell_due();
    asio::awaitable<bool> publish(std::vector<std::int64_t> numbers);
    storage::redis::Command addition(std::int64_t number) const;
    void publish_later(std::int64_t number);
    void forget_later(const std::vector<StreamEntry>& entries);
    bool note(const storage::redis::Connection& connection, const error_code& error);
    bool note(const std::vector<storage::redis::Reply>& replies);
    void failed(std::string why);

    PostgresStore& store_;
    const std::string consumer_;
    const std::string stream_;          ///< its key
    const std::string sweeper_;         ///< the key that the service sets that sweeps this time
    storage::redis::Connection reader_; ///< of listen(), which blocks it
    storage::redis::Connection writer_; ///< of maintain()
    DispatchWindow window_;
    std::deque<StreamEntry> ready_;               ///< given to this service, and to none of its workers yet
    std::vector<storage::redis::Command> outbox_; ///< to be sent by maintain()

    WaitList idle_;            ///< workers
    WaitList listener_;        ///< listen(), while no worker waits
    WaitList maintenance_;     ///< maintain(), between two sweeps
    std::size_t wanted_ = 0;   ///< by those workers
    bool usable_ = false;      ///< Redis, by the latest sweep
    bool reader_works_ = true; ///< as far as is known
    std::string why_ = "it has not answered yet";
    bool stopping_ = false;

    metrics::Counter published_, swept_, direct_;
    TaskGroup tasks_;
};

} // namespace hotspare::orders
