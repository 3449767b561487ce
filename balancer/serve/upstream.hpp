// One worker's keep-alive connections to the backends.
//
// An idle connection is watched: when the backend closes it or sends something, it leaves the pool. Before one goes out
// it must be known to be quiet still, because the event loop may hold that event behind the request's: bytes from
// before a request are not its response (RFC 9112 §9.2), and a response that a backend sends twice must not reach
// another client. The most recently used connection goes out first, so that the surplus of a busy moment ages and is
// closed; but where there is a choice, one that is known to be quiet without a question to the kernel.
//
// Thread: its worker's. Owner: the Worker.
#pragma once

#include "balancer/counters.hpp"
#include "balancer/decide/deadline_wheel.hpp"
#include "balancer/decide/topology.hpp"
#include "balancer/serve/stream.hpp"
#include "common/http/address.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::balancer {

using http::Addresses;

/// Where connections to backends come from.
class Connector {
public:
    /// A new connection, connecting to the first of the addresses that takes it.
    virtual Stream::Ptr connect(const Addresses& addresses, StreamListener& listener) = 0;
    /// The same to a Unix socket at `path`.
    virtual Stream::Ptr connect_local(const std::string& path, StreamListener& listener) = 0;

protected:
    ~Connector() = default;
};

class UpstreamPools final : public StreamListener, public Deadline {
public:
    UpstreamPools(Connector& connector, DeadlineWheel& wheel, WorkerCounters& counters);
    ~UpstreamPools();

    /// What there is has changed. Idle connections to what is gone are closed, others stay. A backend that is new has
    /// no address until set_addresses().
    void adopt(const std::shared_ptr<const Topology>& topology);

    /// Where new connections to `backend` go from now on. Idle ones that lead elsewhere are closed, and so are those
    /// that are given back later.
    void set_addresses(BackendIndex backend, Addresses addresses);

    /// An idle connection to `backend` that is open and has nothing to read, or null.
    Stream::Ptr take(BackendIndex backend);

    /// A new connection, connecting. The caller becomes its listener.
    Stream::Ptr connect(BackendIndex backend, StreamListener& listener);

    /// Keeps a connection whose last response was complete for the next request.
    void give_back(BackendIndex backend, Stream::Ptr stream, TimePoint now);

    /// Resets the idle connections to a backend that went down: they would only fail one by one.
    void drop(BackendIndex backend);
    std::size_t close_all(); ///< the same for every backend; returns how many there were

private:
    struct Idle {
        Stream::Ptr stream;
        TimePoint since;
    };

    bool leads_to(BackendIndex backend, const Stream& stream) const noexcept;
    void stream_ready(Stream& stream) override;
    void deadline_passed(TimePoint now) override;

    Connector& connector_;
    DeadlineWheel& wheel_;
    WorkerCounters& counters_;
    std::shared_ptr<const Topology> topology_ = std::make_shared<const Topology>();
    std::vector<Addresses> addresses_;    ///< by backend
    std::vector<std::vector<Idle>> idle_; ///< by backend, oldest first
};

} // namespace hotspare::balancer
