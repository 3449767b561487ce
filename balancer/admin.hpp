// What the balancer says of itself and how an operator steers it: /health, /status, /metrics, /events, /logs,
// /proxy/health and /admin, wherever the configuration mounts them. It has no listener and matches no routes: workers
// hand over connections whose request is for one of these and say for which; each is served one request (or one stream)
// and closed.
//
// Threads: everything on the monitor's, except construction, adopt() (any) and destruction (after Monitor::join()). It
// reads the failover core directly and the workers' counters through their relaxed cells.
// Owner: main, between the Monitor and the workers whose counters it reads.
#pragma once

#include "balancer/config.hpp"
#include "balancer/counters.hpp"
#include "balancer/monitor.hpp"
#include "balancer/report.hpp"
#include "balancer/session.hpp"
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/http/stream.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

class Admin {
public:
    /// Construct before Monitor::start(). All three must outlive the Admin; `counters` holds one entry per worker.
    Admin(const Config& config, Monitor& monitor, std::vector<const WorkerCounters*> counters);

    Admin(const Admin&) = delete;
    Admin& operator=(const Admin&) = delete;

    /// Takes over a connection and its descriptor. Any thread, until Monitor::stop().
    void adopt(Handover handover);

private:
    enum class StreamKind { events, logs };

    using Answer = http::Response (Admin::*)(const http::Request&);

    void add_page(Builtin builtin, Answer page);
    void add(Builtin builtin, http::verb method, std::string path, Answer handler);
    asio::awaitable<http::Response> answer(Builtin builtin, http::Request& request);

    http::Response health(const http::Request& request);
    http::Response status(const http::Request& request);
    http::Response metrics(const http::Request& request);
    http::Response events(const http::Request& request);
    http::Response logs(const http::Request& request);
    http::Response proxy_health(const http::Request& request);
    http::Response drain(const http::Request& request);
    http::Response maintenance(const http::Request& request);
    http::Response enable(const http::Request& request);
    http::Response failover(const http::Request& request);

    http::Response operate(const http::Request& request, OperatorWord word);
    std::optional<BackendIndex> find_backend(std::string_view name) const;
    std::string backend_names() const;
    bool room_for_stream();
    void subscribe(StreamKind kind, std::shared_ptr<http::Outbox> outbox, const std::vector<const LogEntry*>& missed);
    void publish(const LogEntry& entry);

    struct Subscriber {
        StreamKind kind;
        std::shared_ptr<http::Outbox> outbox;
    };

    const Config& config_;
    Monitor& monitor_;
    std::vector<const WorkerCounters*> counters_;
    Report report_;
    std::map<Builtin, http::Router> routers_; ///< of what the workers have matched
    http::Server server_;
    std::vector<Subscriber> subscribers_;
};

} // namespace hotspare::balancer
