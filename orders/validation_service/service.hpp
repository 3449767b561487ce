// The shell around Work: leases jobs from the order service, calls the validator, reports what came of it, all by HTTP,
// and lets an operator look and steer. It decides nothing about an order.
//
// Thread: that of the io_context. Owner: main; it must live until the io_context has run out of work after stop().
#pragma once

#include "common/http/client.hpp"
#include "common/http/request_counts.hpp"
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/metrics.hpp"
#include "common/task_group.hpp"
#include "orders/validation_service/settings.hpp"
#include "orders/validation_service/work.hpp"

#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::orders {

namespace asio = boost::asio;

class ValidationService {
public:
    /// `worker` names this process to the order service and must be its own. Throws UsageError when the port cannot be
    /// bound or a host is not known.
    ValidationService(asio::io_context& context, ValidationServiceSettings settings, std::string worker);

    std::uint16_t port() const noexcept { return server_.endpoint().port(); }

    /// Begins to work.
    void start();
    /// Ends gracefully: leases nothing more, puts back what is not being called, waits for calls in flight (up to
    /// `drain`) and reports them. After that the service has no work left in the io_context.
    void stop();

private:
    http::Router make_routes();
    asio::awaitable<void> drain();

    // The work.
    void proceed();
    asio::awaitable<void> call(Call call);
    asio::awaitable<void> lease(std::size_t most);
    asio::awaitable<void> settle(std::vector<Settlement> settlements);
    asio::awaitable<void> extend(std::vector<Held> held);
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
    http::Response pause(const http::Request& request);
    http::Response resume(const http::Request& request);
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
    http::Client orders_;
    http::Client validator_;
    std::optional<std::string> orders_trouble_; ///< why the order service could not be asked; none if it could
    TimePoint proceeded_at_ = Clock::now();     ///< the last time
    std::optional<TimePoint> given_up_at_;      ///< a report was, the last time
    metrics::Histogram calls_;                  ///< how long they took

    asio::steady_timer wake_;     ///< when proceed() is due although nothing happened
    asio::steady_timer reported_; ///< never expires; cancelled when the work may have come to its end
    http::RequestCounts counts_;
    http::Router router_;
    http::Server server_;
    TaskGroup tasks_; ///< requests
    TaskGroup life_;  ///< drain(), which ends the others
    bool stopping_ = false;
    bool ended_ = false; ///< nothing is begun any more
};

} // namespace hotspare::orders
