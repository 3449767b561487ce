#include "balancer/serve/worker.hpp"

#include "balancer/serve/tcp_stream.hpp"
#include "common/log.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace hotspare::balancer {
namespace {

/// Accepted at one go before the connections that are already there get their turn.
constexpr int accept_batch = 32;
/// Batches that a draining worker takes from a listener that others hold too: more than a queue holds in practice.
constexpr int longest_farewell = 32;
/// Pause of the accept loop when descriptors or memory have run out: long enough not to spin, short enough that the
/// clients in the backlog wait only until some connection has been closed.
constexpr Duration accept_pause = milliseconds(50);

} // namespace

Worker::Worker(const DataPlane::Settings& settings, std::shared_ptr<const Topology> topology, ConnectionLimits& limits,
               AccessLog* access_log, Listener listener, Hooks hooks)
    : hooks_(std::move(hooks)), room_(listener.room),
      log_writer_(access_log != nullptr ? std::make_unique<AccessLog::Writer>(*access_log, topology) : nullptr),
      plane_(*this, settings, std::move(topology), limits, counters_, log_writer_.get(), hooks_.report,
             [this] { schedule_tick(); }),
      listener_(std::move(listener.socket)), inherited_(listener.inherited)
{
    loop_.on_alarm([this] { tick(); });
    limits.on_admitted(plane_.worker, [this] { loop_.post([this] { plane_.limits.tell_admitted(plane_.worker); }); });
}

Worker::~Worker()
{
    // Sessions refer to the data plane and the event loop: they go first, whatever state they are in.
    sessions_.clear_and_dispose([](Session* session) { std::unique_ptr<Session>{session}; });
    plane_.upstreams.close_all();
}

void Worker::start()
{
    thread_ = std::thread([this] {
        schedule_tick();
        await_connections();
        loop_.run();
    });
}

void Worker::publish(std::shared_ptr<const Routing> routing)
{
    loop_.post([this, routing = std::move(routing)]() mutable {
        const TimePoint now = Clock::now();
        const auto generation = plane_.topology().generation;
        const auto version = routing->version;
        const auto down = plane_.update(std::move(routing));
        counters_.routing_version.store(version, std::memory_order_release);
        if (!down.empty())
            for (Session& session : sessions_) session.backends_down(down, now);
        if (plane_.topology().generation != generation) {
            for (Session& session : sessions_) session.topology_changed(now);
            release_slots();
        }
        plane_.release_parked(now);
    });
}

void Worker::readdress(BackendIndex backend, Addresses addresses)
{
    loop_.post([this, backend, addresses = std::move(addresses)]() mutable {
        plane_.upstreams.set_addresses(backend, std::move(addresses));
    });
}

void Worker::drain(Duration limit, Rest rest, std::function<void()> begun)
{
    loop_.post([this, limit, rest, begun = std::move(begun)] {
        begin_drain(limit, rest);
        if (begun) begun();
    });
}

void Worker::join()
{
    if (thread_.joinable()) thread_.join();
}

// ---------------------------------------------------------------------------------------------------------- accepting

void Worker::await_connections()
{
    if (!listener_) return;
    if (const error_code ec = loop_.watch_listener(listener_.get(), *this)) {
        shortage(ec.message());
        plane_.wheel.arm(accept_pause_, Clock::now() + accept_pause);
    }
}

void Worker::act()
{
    if (accept_some()) return;
    loop_.unwatch(listener_.get(), *this);
    plane_.wheel.arm(accept_pause_, Clock::now() + accept_pause);
}

/// False when the process has run out of something and must pause.
bool Worker::accept_some()
{
    for (int i = 0; i < accept_batch; ++i) {
        if (sessions_.size() >= room_) return shortage("too many connections for the limit of descriptors");
        boost::asio::ip::tcp::endpoint peer;
        auto size = static_cast<socklen_t>(peer.capacity());
        Fd socket(::accept4(listener_.get(), peer.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!socket) {
            const error_code ec(errno, boost::system::system_category());
            if (ec.value() == EAGAIN || ec.value() == EWOULDBLOCK) return true;
            if (is_own_shortage(ec)) return shortage(ec.message());
            continue; // ECONNABORTED and the like concern one connection, not the listener
        }
        peer.resize(size);
        if (plane_.topology().limits.connections > 0 && sessions_.size() >= plane_.topology().limits.connections) {
            counters_.connections_refused.add();
            continue; // closed by going out of scope
        }
        const int on = 1;
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        counters_.connections_accepted.add();
        Stream::Ptr client = TcpStream::adopt(loop_, std::move(socket));
        if (!client) return shortage("the kernel does not watch another socket");
        auto session =
            std::make_unique<Session>(plane_, static_cast<SessionOwner&>(*this), std::move(client), ip_endpoint(peer));
        sessions_.push_back(*session);
        session.release()->step(Clock::now());
    }
    return true;
}

bool Worker::shortage(const std::string& why)
{
    const TimePoint now = Clock::now();
    if (now >= next_warning_) {
        next_warning_ = now + seconds(1);
        log::warn("worker {}: new connections wait: {} ({} open); trying again", plane_.worker, why, sessions_.size());
    }
    return false;
}

// ----------------------------------------------------------------------------------------------------------- sessions

Stream::Ptr Worker::connect(const Addresses& addresses, StreamListener& listener)
{
    return TcpStream::connect(loop_, addresses, listener);
}

Stream::Ptr Worker::connect_local(const std::string& path, StreamListener& listener)
{
    return TcpStream::connect_local(loop_, path, listener);
}

void Worker::forget(Session& session)
{
    if (session.called_again) std::erase(again_, &session);
    sessions_.erase(sessions_.iterator_to(session));
    std::unique_ptr<Session>{&session};
    check_drained();
}

void Worker::call_again(Session& session)
{
    if (std::exchange(session.called_again, true)) return;
    again_.push_back(&session);
    if (again_deferred_) return;
    again_deferred_ = true;
    loop_.defer([this] { run_again(); });
}

void Worker::run_again()
{
    again_deferred_ = false;
    const TimePoint now = Clock::now();
    // A step may end other sessions in the list or add to it: take one at a time, and only those that wait now.
    for (std::size_t turns = again_.size(); turns > 0 && !again_.empty(); --turns) {
        Session* const session = again_.front();
        again_.pop_front();
        session->called_again = false;
        session->step(now);
    }
}

Stream::Ptr Worker::open_page(Handover handover)
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) return nullptr;
    handover.descriptor = ends[1];
    hooks_.hand_over(std::move(handover));
    return TcpStream::adopt(loop_, Fd(ends[0]));
}

// ------------------------------------------------------------------------------------------------------------- timing

void Worker::schedule_tick()
{
    const TimePoint at = plane_.wheel.next();
    alarm_at_ = at;
    loop_.set_alarm(at);
}

void Worker::tick()
{
    const TimePoint now = Clock::now();
    counters_.loop_lag_us.set(std::chrono::duration_cast<microseconds>(now - alarm_at_).count());
    plane_.wheel.advance(now);
    if (plane_.relay_memory.trim_due(now)) hooks_.trim();
    if (plane_.log_traffic)
        if (auto lines = plane_.take_traffic(); !lines.empty()) hooks_.tell_traffic(std::move(lines));
    if (slots_retiring_ && now >= next_release_) release_slots();
    if (now >= drain_deadline_) {
        while (!sessions_.empty()) forget(sessions_.front());
        check_drained();
    }
    schedule_tick();
}

// ------------------------------------------------------------------------------------------------------------ topology

/// Looks for requests that refer to retired slots: a walk over all of them, but only after a change and while some do.
/// To count references instead would cost every request.
void Worker::release_slots()
{
    constexpr Duration interval = milliseconds(100);
    next_release_ = Clock::now() + interval;
    const Topology& topology = plane_.topology();
    SlotSet used;
    for (const Session& session : sessions_) session.mark(used);

    SlotSet released;
    slots_retiring_ = false;
    for (std::size_t p = 0; p < topology.pools.size(); ++p) {
        if (topology.pool_slots[p].use != Slot::Use::retired) continue;
        released.pools.set(p, !used.pools[p]);
        slots_retiring_ |= used.pools[p];
        // Its requests may still be sent to what was in it.
        if (used.pools[p])
            for (const BackendIndex backend : topology.pools[p].backends) used.backends.set(backend);
    }
    for (std::size_t b = 0; b < topology.backends.size(); ++b) {
        if (topology.backend_slots[b].use != Slot::Use::retired) continue;
        released.backends.set(b, !used.backends[b]);
        slots_retiring_ |= used.backends[b];
    }
    plane_.flush(); // what was met at a backend goes before the word that its slot is free
    hooks_.release(topology.generation, released);
}

// ------------------------------------------------------------------------------------------------------------ draining

void Worker::begin_drain(Duration limit, Rest rest)
{
    if (plane_.draining) { // a successor serves, and now we are to end sooner
        drain_deadline_ = std::min(drain_deadline_, Clock::now() + limit);
        return;
    }
    if (rest == Rest::successor) inherited_ = true; // the socket is now
    // What the kernel has accepted for us belongs to us: closing the listener would reset it. A queue of one admits
    // no new connection while it is emptied. An inherited listener stays open elsewhere: what comes later is for the
    // next process, so its queue is as long as ever, and only what waits now is taken.
    if (!inherited_) ::listen(listener_.get(), 0);
    for (int turn = 0; !inherited_ || turn < longest_farewell; ++turn) {
        const auto before = counters_.connections_accepted.value();
        if (!accept_some() || counters_.connections_accepted.value() == before) break;
    }
    loop_.unwatch(listener_.get(), *this);
    listener_.reset();
    const TimePoint now = Clock::now();
    plane_.draining = true;
    drain_deadline_ = now + limit;
    for (auto it = sessions_.begin(); it != sessions_.end();) (it++)->drain(now);
    check_drained();
}

void Worker::check_drained()
{
    if (!plane_.draining || drained_ || !sessions_.empty()) return;
    drained_ = true;
    plane_.upstreams.close_all();
    if (log_writer_) counters_.access_log_dropped.add(log_writer_->flush());
    loop_.stop();
    hooks_.drained();
}

} // namespace hotspare::balancer
