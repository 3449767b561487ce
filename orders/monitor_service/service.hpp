// The monitor of the order pipeline (docs/orders.md): asks every service for GET /health, on a connection of
// its own each time, and tells what it found under GET /health_status. When to ask and what it means is decided in
// watch.hpp. It remembers the present status and no history.
//
// Thread: that of the io_context. Owner: main; it must live until the io_context has run out of work after stop().
#pragma once

#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/metrics.hpp"
#include "common/probe/probe.hpp"
#include "common/task_group.hpp"
#include "orders/monitor_service/settings.hpp"
#include "orders/monitor_service/watch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::orders::monitor {

namespace asio = boost::asio;

class Service {
public:
    /// Resolves every host once and starts to probe. Throws UsageError when a host does not resolve or the port cannot
    /// be bound.
    Service(asio::io_context& context, Settings settings);

    std::uint16_t port() const noexcept { return server_.endpoint().port(); }

    /// Ends the probes and the server gracefully. After that the service has no work left in the io_context.
    void stop();

private:
    static constexpr std::size_t outcome_count = static_cast<std::size_t>(ProbeOutcome::timed_out) + 1;
    static constexpr std::size_t status_count = static_cast<std::size_t>(Health::healthy) + 1;

    /// A watched service.
    struct Target {
        std::string name;
        std::string url;
        config::HostPort origin; ///< of the url
        asio::ip::tcp::endpoint endpoint;
        Watch watch;
        WallTime since;               ///< it has its status
        std::optional<bool> paused{}; ///< a worker's own word, by its latest answer; none if it is no worker
        std::array<metrics::Counter, outcome_count> probes{};
        std::array<metrics::Counter, status_count> transitions{};
        metrics::Histogram latency{};
    };

    http::Router make_routes();
    void tick();
    void arm();
    void check_clock(TimePoint now);
    asio::awaitable<void> probe(Target& target, TimePoint started);
    asio::awaitable<void> end();
    static void report(Target& target, const Change& change, TimePoint now);

    Health overall() const;
    http::Response health_status(const http::Request& request);
    http::Response health(const http::Request& request);
    http::Response expose_metrics(const http::Request& request);

    Settings settings_;
    TimePoint started_ = Clock::now();
    std::vector<Target> targets_; ///< never resized: probes refer to them
    asio::steady_timer timer_;
    TimePoint wake_at_ = TimePoint::max(); ///< what the timer was set to
    bool stopping_ = false;

    http::Router routes_;
    http::Server server_;
    TaskGroup probes_;
    TaskGroup ending_; ///< the one task that ends them
};

} // namespace hotspare::orders::monitor
