// One worker's keep-alive connections to the backends.
//
// An idle connection is watched: when the backend closes it, it leaves the pool at once, so that a request rarely meets
// a dead one (and if it does, the attempt ledger knows what to do). The most recently used connection goes out first,
// so that the surplus of a busy moment ages and is closed.
//
// Thread: its worker's. Owner: the Worker.
#pragma once

#include "balancer/config.hpp"
#include "balancer/counters.hpp"
#include "balancer/deadline_wheel.hpp"
#include "balancer/stream.hpp"

#include <vector>

namespace hotspare::balancer {

class UpstreamPools final : public StreamListener, public Deadline {
public:
    UpstreamPools(asio::io_context& context, const Config& config, std::vector<tcp::endpoint> endpoints,
                  DeadlineWheel& wheel, WorkerCounters& counters);
    ~UpstreamPools();

    /// An idle connection to `backend`, or null.
    Stream::Ptr take(BackendIndex backend);

    /// A new connection, connecting. The caller becomes its listener.
    Stream::Ptr connect(BackendIndex backend, StreamListener& listener);

    /// Keeps a connection whose last response was complete for the next request.
    void give_back(BackendIndex backend, Stream::Ptr stream, TimePoint now);

    /// Closes the idle connections to a backend that went down: they would only fail one by one.
    void drop(BackendIndex backend);
    std::size_t close_all(); ///< how many there were

private:
    struct Idle {
        Stream::Ptr stream;
        TimePoint since;
    };

    void stream_ready(Stream& stream) override;
    void deadline_passed(TimePoint now) override;

    asio::io_context& context_;
    const Config& config_;
    std::vector<tcp::endpoint> endpoints_;
    DeadlineWheel& wheel_;
    WorkerCounters& counters_;
    std::vector<std::vector<Idle>> idle_; ///< by backend, oldest first
};

} // namespace hotspare::balancer
