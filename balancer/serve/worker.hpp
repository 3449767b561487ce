// A worker: one thread, one event loop, one SO_REUSEPORT listener, and everything its requests need (DataPlane).
//
// Workers share nothing on the request path. Routing comes in, and evidence goes out, by posted messages.
//
// Threads: construct, start(), drain() and join() from the main thread; publish() from any. Owner: main.
#pragma once

#include "balancer/access_log.hpp"
#include "balancer/serve/data_plane.hpp"
#include "balancer/serve/session.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::balancer {

class Worker final : private SessionOwner {
public:
    struct Hooks {
        DataPlane::Report report;                ///< evidence; called on the worker's thread
        std::function<void(Handover)> hand_over; ///< an admin request; called on the worker's thread
        /// Lines for /logs, with Config::log_traffic; called on the worker's thread, about ten times a second.
        std::function<void(std::vector<std::string>)> tell_traffic;
        std::function<void()> drained; ///< after drain(), when the last connection is gone
        std::function<void()> trim;    ///< the heap should give pages back; called on the worker's thread
    };

    /// `listener` is a bound, listening, non-blocking descriptor, owned from here on.
    Worker(const Config& config, const RouteTable& routes, const std::vector<Addresses>& addresses,
           AccessLog* access_log, unsigned index, unsigned workers, int listener, tcp protocol, Hooks hooks);
    ~Worker();

    void start();

    /// A new truth from the monitor. Any thread.
    void publish(std::shared_ptr<const Routing> routing);

    /// Where a backend can be reached has changed. Any thread.
    void readdress(BackendIndex backend, Addresses addresses);

    /// Takes no new connections, finishes what is in flight, lets idle connections send one last request; then calls
    /// Hooks::drained. After `limit` the rest is cut off. Any thread.
    void drain(Duration limit);

    void join();

    const WorkerCounters& counters() const noexcept { return counters_; }

private:
    using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;
    using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, asio::io_context::executor_type>;

    void forget(Session& session) override;
    void call_again(Session& session) override;
    void hand_over(Handover handover) override;

    void await_connection();
    bool accept_some();
    std::size_t connections() const noexcept;
    bool shortage(const std::string& why);
    void schedule_tick();
    void tick();
    void run_again();
    void begin_drain(Duration limit);
    void check_drained();

    const Config& config_;
    unsigned index_;
    Hooks hooks_;
    std::size_t room_; ///< connections that the limit of descriptors leaves to this worker's clients
    /// Connections handed over that have not ended: they go on counting here. Outlives the worker with the last of
    /// them.
    std::shared_ptr<std::atomic<std::size_t>> handed_over_ = std::make_shared<std::atomic<std::size_t>>(0);
    WorkerCounters counters_;
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::unique_ptr<AccessLog::Writer> log_writer_;
    DataPlane plane_;
    Acceptor acceptor_;
    Timer timer_; ///< drives the wheel; never armed later than the nearest deadline
    TimePoint timer_at_ = TimePoint::max();
    Timer accept_pause_; ///< after EMFILE and its kin
    TimePoint next_warning_{};
    boost::intrusive::list<
        Session, boost::intrusive::member_hook<Session, boost::intrusive::list_member_hook<>, &Session::in_worker>>
        sessions_;
    std::deque<Session*> again_; ///< whose turn comes after the sockets'
    bool again_posted_ = false;
    bool drained_ = false;
    TimePoint drain_deadline_ = TimePoint::max();
    std::thread thread_;
};

} // namespace hotspare::balancer
