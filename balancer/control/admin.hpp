// What the balancer says of itself and how an operator steers it: /health, /status, /metrics, /events, /logs,
// /proxy/health and /admin, wherever the configuration mounts them. It has no listener and matches no routes: workers
// hand over connections whose request is for one of these and say for which; each is served one request (or one stream)
// and closed.
//
// Whatever a client asks for is done on a thread of its own, from the monitor's latest Snapshot and the workers'
// relaxed cells, so that no number of requests delays a heartbeat. Only an operator's word goes to the monitor's
// thread; its answer waits until the word has taken effect.
//
// Threads: construct, start(), stop() and destroy on the owner's; adopt() on any. Owner: main.
#pragma once

#include "balancer/config.hpp"
#include "balancer/control/events.hpp"
#include "balancer/control/monitor.hpp"
#include "balancer/control/report.hpp"
#include "balancer/counters.hpp"
#include "balancer/decide/descriptor_shares.hpp"
#include "balancer/handover.hpp"
#include "common/http/event_feed.hpp"
#include "common/http/guard.hpp"
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/task_group.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/result.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace hotspare::balancer {

class Admin {
public:
    /// Construct before Monitor::start(). All three must outlive the Admin; `counters` holds one entry per worker.
    Admin(const Config& config, Monitor& monitor, std::vector<const WorkerCounters*> counters,
          const DescriptorShares& shares);
    /// Stops if that has not been done. Not while the monitor runs.
    ~Admin();

    Admin(const Admin&) = delete;
    Admin& operator=(const Admin&) = delete;

    void start();
    /// Ends the streams, lets requests in flight finish for a second, then returns. May be repeated. To be called
    /// before Monitor::stop(), since an operator's request waits for the monitor.
    void stop();

    /// Ends the event streams and WebSockets, whose readers learn it: the process is about to end. Any thread.
    void end_streams();

    /// Takes over a connection and its descriptor. One too many is answered with 503 and closed at once.
    void adopt(Handover handover);

    /// Sends each line to every reader of /logs. Any thread.
    void tell(std::vector<std::string> lines);

private:
    struct Visit;

    using Answer = http::Response (Admin::*)(const http::Request&);
    using Deed = asio::awaitable<http::Response> (Admin::*)(const http::Request&);

    void add_page(Builtin builtin, Answer page);
    void add(Builtin builtin, http::verb method, std::string path, Answer handler);
    void add(Builtin builtin, http::verb method, std::string path, Deed handler);
    asio::awaitable<http::Response> answer(Builtin builtin, http::Request& request, std::shared_ptr<Visit> visit);
    asio::awaitable<void> end();

    http::Response health(const http::Request& request);
    http::Response status(const http::Request& request);
    http::Response metrics(const http::Request& request);
    http::Response events(const http::Request& request);
    http::Response logs(const http::Request& request);
    http::Response proxy_health(const http::Request& request);
    http::Response manual(const http::Request& request);
    asio::awaitable<http::Response> drain(const http::Request& request);
    asio::awaitable<http::Response> maintenance(const http::Request& request);
    asio::awaitable<http::Response> enable(const http::Request& request);
    asio::awaitable<http::Response> pool_maintenance(const http::Request& request);
    asio::awaitable<http::Response> pool_enable(const http::Request& request);
    asio::awaitable<http::Response> failover(const http::Request& request);

    asio::awaitable<http::Response> operate_backend(const http::Request& request, OperatorWord word);
    asio::awaitable<http::Response> operate_pool(const http::Request& request, OperatorWord word);
    asio::awaitable<std::optional<http::Response>> operate(const http::Request& request,
                                                           std::vector<BackendIndex> backends, OperatorWord word);
    asio::awaitable<bool> on_monitor(std::function<void()> deed);
    boost::system::result<std::optional<BackendIndex>, http::Problem> failover_target(std::string_view text) const;
    http::Response pools() const;
    Report report() const;
    std::optional<BackendIndex> find_backend(std::string_view name) const;
    std::optional<PoolIndex> find_pool(std::string_view name) const;
    std::string backend_names() const;
    std::string pool_names() const;

    const Config& config_;
    Monitor& monitor_;
    std::vector<const WorkerCounters*> counters_;
    http::GuardSettings guard_;
    const std::size_t most_visits_;           ///< connections that may ask for a page at once
    std::map<Builtin, http::Router> routers_; ///< of what the workers have matched

    // Before the event loop, whose last handlers give back what they hold.
    std::atomic<std::size_t> visits_{0}; ///< connections that ask for a page; streams are counted by feed_
    std::atomic<std::uint64_t> refused_{0};

    // --- of the pages' thread ---
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    TaskGroup ending_; ///< the one task that ends the rest
    http::Server server_;
    http::EventFeed feed_;
    std::string metrics_;          ///< the latest text of /metrics ...
    TimePoint metrics_good_until_; ///< ... which is given out until then

    std::thread thread_;
};

} // namespace hotspare::balancer
