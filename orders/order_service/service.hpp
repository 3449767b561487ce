// The HTTP side of order_service (docs/orders.md): clients create and read orders, operators steer them, and
// workers lease, extend and settle jobs (orders/wire.hpp). Both listeners have all routes; whose requests each of them
// takes is decided in orders/control.hpp. What is kept, and what may change, is the store's affair.
//
// Thread: that of the io_context. Owner: main; it must live until the io_context has run out of work after stop().
#pragma once

#include "common/http/request_counts.hpp"
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/metrics.hpp"
#include "common/task_group.hpp"
#include "orders/control.hpp"
#include "orders/order_service/queue.hpp"
#include "orders/order_service/settings.hpp"
#include "orders/order_service/store.hpp"

#include <boost/asio/steady_timer.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::orders {

class OrderService {
public:
    /// `store` and `queue` must outlive it. Throws UsageError when the port cannot be bound.
    OrderService(asio::io_context& context, OrderServiceSettings settings, Store& store, Queue& queue);

    std::uint16_t port() const noexcept { return server_.endpoint().port(); }
    std::uint16_t control_port() const noexcept { return control_server_.endpoint().port(); }

    /// Ends gracefully: no new connections, workers that wait for jobs are sent away, requests in flight are answered.
    /// After that the service has no work left in the io_context. Later calls do nothing.
    void stop();

private:
    /// An order on its way to the disk, and who waits for it.
    struct Creating {
        asio::steady_timer done; ///< cancelled when `outcome` is there
        std::optional<result<Creation>> outcome;
    };
    http::Router make_routes(Listener listener);
    asio::awaitable<void> watch_store();
    asio::awaitable<void> drain();

    // Clients.
    asio::awaitable<http::Response> create(const http::Request& request);
    asio::awaitable<http::Response> list(const http::Request& request);
    asio::awaitable<http::Response> find(const http::Request& request);
    asio::awaitable<http::Response> clear(const http::Request& request);
    // Operators.
    asio::awaitable<http::Response> operate(const http::Request& request, Operation operation);
    asio::awaitable<http::Response> operate_all(const http::Request& request, Operation operation);
    asio::awaitable<http::Response> replay_orders(const http::Request& request);
    asio::awaitable<http::Response> cancel_orders(const http::Request& request);
    asio::awaitable<http::Response> show_queue(const http::Request& request);
    http::Response health(const http::Request& request);
    asio::awaitable<http::Response> expose_metrics(const http::Request& request);
    // Workers.
    asio::awaitable<http::Response> lease(const http::Request& request);
    asio::awaitable<http::Response> extend(const http::Request& request);
    asio::awaitable<http::Response> settle(const http::Request& request);
    asio::awaitable<http::Response> presence(const http::Request& request);
    std::vector<std::string> paused_workers();

    asio::awaitable<void> keep(NewOrder what, std::optional<std::string> key, std::shared_ptr<Creating> creating);
    void store_works(bool written);
    /// What is wrong, as /health shows it: without addresses.
    struct Complaint {
        std::string text;
        bool creations_refused = false;
    };
    std::optional<Complaint> complaint() const;
    http::Response store_failure(const http::Request& request, error_code error);
    asio::io_context& context_;
    OrderServiceSettings settings_;
    Store& store_;
    Queue& queue_;
    TimePoint started_ = Clock::now();

    /// Why the latest change failed.
    struct Trouble {
        std::string text;
        bool in_writing = false; ///< over when something has been written, not when something has been read
        bool of_creation = false;
        TimePoint at = Clock::now();
    };
    std::optional<Trouble> trouble_;

    http::RequestCounts counts_;
    std::array<metrics::Counter, 4> created_; ///< by Creation::Kind
    std::array<metrics::Counter, 4> settled_; ///< by Settled
    metrics::Counter leased_;
    metrics::Counter late_; ///< creations that were not on the disk in time

    std::map<std::string, TimePoint> paused_; ///< workers that said so -> when, the last time

    Control control_;
    http::Router router_;
    http::Router control_router_;
    http::Server server_;
    http::Server control_server_;
    asio::steady_timer look_again_; ///< of watch_store()
    TaskGroup tasks_;
    bool stopping_ = false;
};

} // namespace hotspare::orders
