// What the balancer says of itself and how an operator steers it: /health, /status, /metrics, /events, /logs,
// /proxy/health and /admin, wherever the configuration mounts them on the clients' port, and under these names on the
// operators' own, if there is one. On the clients' port it has no listener and matches no routes: workers hand over
// connections whose request is for one of these and say for which; each is served one request (or one stream) and
// closed.
//
// Whatever a client asks for is done on a thread of its own, from the monitor's latest Snapshot and the workers'
// relaxed cells, so that no number of requests delays a heartbeat. Only an operator's word goes to the monitor's
// thread; its answer waits until the word has taken effect.
//
// Threads: construct, start(), stop() and destroy on the owner's; adopt() on any. Owner: main.
#pragma once

#include "balancer/config.hpp"
#include "balancer/control/changes.hpp"
#include "balancer/control/events.hpp"
#include "balancer/control/monitor.hpp"
#include "balancer/control/report.hpp"
#include "balancer/control/upgrade.hpp"
#include "balancer/counters.hpp"
#include "balancer/decide/connection_limits.hpp"
#include "balancer/decide/descriptor_shares.hpp"
#include "balancer/handover.hpp"
#include "common/http/event_feed.hpp"
#include "common/http/guard.hpp"
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/http/unix_listener.hpp"
#include "common/process/listen_sockets.hpp"
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
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace hotspare::balancer {

class Admin {
public:
    /// Has the configuration read again, elsewhere; `done` is called with what came of it, on any thread.
    using Reload = std::function<void(std::function<void(ChangeReport)> done)>;

    /// Has another process started in place of this one; `done` is called with what came of it, on any thread.
    using Upgrade = std::function<void(std::function<void(UpgradeReport)> done)>;

    /// Construct before Monitor::start(). All of these must outlive the Admin; `counters` holds one entry per worker.
    /// Of `config` only what cannot change while the balancer runs is looked at.
    Admin(const Config& config, Monitor& monitor, Changes& changes, Reload reload, Upgrade upgrade,
          std::vector<const WorkerCounters*> counters, const ConnectionLimits& limits, const DescriptorShares& shares);
    /// Binds what Config::admin_listen says, if anything. Throws UsageError and StartupError. Before start().
    void listen();
    /// Of Config::admin_listen, with the real port, as text; empty if it says nothing.
    std::string operators_address() const;

    /// Of the operators' own port or socket, for a successor, which listen() finds there; they remain the Admin's.
    /// Between start() and leave_listening().
    std::vector<process::HandedDown> listening_sockets();
    /// A successor listens there: no operator's request is taken any more but on connections that there are. Any
    /// thread.
    void leave_listening();

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

    /// How an operator's request came.
    enum class Door : std::uint8_t { clients, own_port, own_socket };

    using Routers = std::map<Builtin, http::Router>; ///< of what the workers have matched
    void add_page(Routers& routers, Builtin builtin, Answer page);
    void add(Routers& routers, http::verb method, std::string path, Answer handler);
    void add(Routers& routers, http::verb method, std::string path, Deed handler);
    std::shared_ptr<const Routers> routers();
    Routers make_routers(const std::set<std::string>& mounts);
    std::optional<http::Response> turn_down(const http::Request& request, Builtin builtin, Door door, bool proxied);
    asio::awaitable<http::Response> answer_operator(http::Request& request, Door door);
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
    http::Response members(const http::Request& request);
    asio::awaitable<http::Response> set_members(const http::Request& request);
    http::Response routes(const http::Request& request);
    asio::awaitable<http::Response> set_routes(const http::Request& request);
    asio::awaitable<http::Response> reload(const http::Request& request);
    asio::awaitable<http::Response> upgrade(const http::Request& request);

    asio::awaitable<http::Response> operate_backend(const http::Request& request, OperatorWord word);
    asio::awaitable<std::int64_t> until_drained(const http::Request& request, std::string name, Duration patience);
    asio::awaitable<http::Response> operate_pool(const http::Request& request, OperatorWord word);
    asio::awaitable<std::optional<http::Response>> operate(const http::Request& request,
                                                           std::vector<BackendIndex> backends, OperatorWord word);
    /// A change of the configuration, if the generation is one that `expected` agrees with.
    using Change = std::function<ChangeReport(const std::function<bool(std::uint64_t generation)>& expected)>;
    asio::awaitable<http::Response> change(const http::Request& request, Change change);
    asio::awaitable<bool> on_monitor(std::function<void()> deed);
    asio::awaitable<bool> elsewhere(std::function<void(std::function<void()> done)> deed, Duration patience);
    boost::system::result<std::optional<BackendIndex>, http::Problem> failover_target(std::string_view text) const;
    http::Response pools() const;
    Report report() const;
    std::shared_ptr<const Topology> topology() const;

    const Config& config_;
    Monitor& monitor_;
    Changes& changes_;
    Reload reload_;
    Upgrade upgrade_;
    std::vector<const WorkerCounters*> counters_;
    const ConnectionLimits& limits_;
    http::GuardSettings guard_;
    const std::size_t most_visits_; ///< connections that may ask for a page at once

    // Before the event loop, whose last handlers give back what they hold.
    std::atomic<std::size_t> visits_{0}; ///< connections that ask for a page; streams are counted by feed_
    std::atomic<std::uint64_t> refused_{0};

    // --- of the pages' thread ---
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    TaskGroup ending_; ///< the one task that ends the rest
    http::Server server_;
    http::EventFeed feed_;
    http::Server operators_; ///< of the operators' own port or socket
    std::optional<http::UnixListener> operators_socket_;
    Routers operators_routers_;
    std::shared_ptr<const Routers> routers_; ///< a request keeps those that it began with
    std::uint64_t routed_ = 0;               ///< generation that they were made for
    std::string metrics_;                    ///< the latest text of /metrics ...
    TimePoint metrics_good_until_;           ///< ... which is given out until then

    std::thread thread_;
};

} // namespace hotspare::balancer
