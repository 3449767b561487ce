// The shell around Work: leases jobs from the order service, calls the validator, reports what came of it, all by HTTP,
// and lets an operator look and steer (on both listeners, see orders/control.hpp). It decides nothing about an order.
//
// Thread: that of the io_context. Owner: main; it must live until the io_context has run out of work after stop().
#pragma once

#include "common/http/client.hpp"
#include "common/http/request_counts.hpp"
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/metrics.hpp"
#include "common/storage/worker.hpp"
#include "common/task_group.hpp"
#include "orders/control.hpp"
#include "orders/validation_service/pause_file.hpp"
#include "orders/validation_service/settings.hpp"
#include "orders/validation_service/work.hpp"

#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::orders {

namespace asio = boost::asio;

class ValidationService {
public:
    /// `worker` names this process to the order service and must be its own. Paused if it was when it ended. Throws
    /// UsageError when a port cannot be bound, a host is not known or the state cannot be read.
    ValidationService(asio::io_context& context, ValidationServiceSettings settings, std::string worker);

    std::uint16_t port() const noexcept { return server_.endpoint().port(); }
    std::uint16_t control_port() const noexcept { return control_server_.endpoint().port(); }

    /// Begins to work.
    void start();
    /// Ends gracefully: leases nothing more, puts back what is not being called, waits for calls in flight (up to
    /// `drain`) and reports them. After that the service has no work left in the io_context.
    void stop();

private:
    http::Router make_routes(Listener listener);
    asio::awaitable<void> drain();

    // The work.
    void proceed();
    asio::awaitable<void> call(Call call);
    asio::awaitable<void> lease(std::size_t most);
    asio::awaitable<void> settle(std::vector<Settlement> settlements);
    asio::awaitable<void> extend(std::vector<Held> held);
    asio::awaitable<void> show();
    /// What the order service answered: its JSON, or that it refuses to read what it was sent, or neither.
    struct OrdersAnswer {
        std::optional<http::Json> json{};
        bool refused = false;
    };
    asio::awaitable<OrdersAnswer> ask_orders(std::string path, http::Json body, Duration deadline);
    void log_transitions();
    void log_given_up();

    // Operators.
    http::Response health(const http::Request& request);
    http::Response queue(const http::Request& request);
    asio::awaitable<http::Response> pause(const http::Request& request);
    asio::awaitable<http::Response> resume(const http::Request& request);
    asio::awaitable<http::Response> keep_pause(const http::Request& request);
    http::Response breaker(const http::Request& request);
    http::Response force_open(const http::Request& request);
    http::Response disable(const http::Request& request);
    http::Response reset(const http::Request& request);
    http::Response expose_metrics(const http::Request& request);

    asio::io_context& context_;
    ValidationServiceSettings settings_;
    std::string worker_;
    TimePoint started_ = Clock::now();

    Work work_;
    PauseFile pause_file_;
    http::Client orders_;
    http::Client validator_;
    std::optional<std::string> orders_trouble_; ///< why the order service could not be asked; none if it could
    TimePoint proceeded_at_ = Clock::now();     ///< the last time
    std::optional<TimePoint> given_up_at_;      ///< a report was, the last time
    metrics::Histogram calls_;                  ///< how long they took

    asio::steady_timer wake_;     ///< when proceed() is due although nothing happened
    asio::steady_timer reported_; ///< never expires; cancelled when the work may have come to its end
    http::RequestCounts counts_;
    Control control_;
    http::Router router_;
    http::Router control_router_;
    http::Server server_;
    http::Server control_server_;
    TaskGroup tasks_; ///< requests
    TaskGroup life_;  ///< drain(), which ends the others
    bool stopping_ = false;
    bool ended_ = false; ///< nothing is begun any more

    storage::Worker disk_; ///< last: joined before what its work touches goes
};

} // namespace hotspare::orders
