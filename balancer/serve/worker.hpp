// A worker: one thread, one event loop, one SO_REUSEPORT listener, and everything its requests need (DataPlane).
//
// Workers share nothing on the request path. Routing comes in, and evidence goes out, by posted messages.
//
// Threads: construct, start(), drain() and join() from the main thread; publish() from any. Owner: main.
#pragma once

#include "balancer/access_log.hpp"
#include "balancer/serve/data_plane.hpp"
#include "balancer/serve/event_loop.hpp"
#include "balancer/serve/session.hpp"
#include "common/socket.hpp"

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::balancer {

class Worker final : private SessionOwner, private Connector, private EventLoop::Watcher {
public:
    struct Hooks {
        DataPlane::Report report;                ///< evidence; called on the worker's thread
        std::function<void(Handover)> hand_over; ///< a request for a page; called on the worker's thread
        /// Lines for /logs, with Config::log_traffic; called on the worker's thread, about ten times a second.
        std::function<void(std::vector<std::string>)> tell_traffic;
        /// Of the retired slots of this generation, those that no request of this worker refers to; called on the
        /// worker's thread, with each generation and when there are more.
        std::function<void(std::uint64_t generation, const SlotSet&)> release;
        std::function<void()> drained; ///< after drain(), when the last connection is gone
        std::function<void()> trim;    ///< the heap should give pages back; called on the worker's thread
    };

    struct Listener {
        Fd socket;        ///< bound, listening, non-blocking
        bool inherited;   ///< other processes hold it too
        std::size_t room; ///< connections accepted from it at once, which is at least 1
    };

    Worker(const DataPlane::Settings& settings, std::shared_ptr<const Topology> topology, ConnectionLimits& limits,
           AccessLog* access_log, Listener listener, Hooks hooks);
    ~Worker();

    void start();

    /// A new truth from the monitor. Any thread.
    void publish(std::shared_ptr<const Routing> routing);

    /// Where a backend can be reached has changed. Any thread.
    void readdress(BackendIndex backend, Addresses addresses);

    /// The socket that it accepts from; its own, until drain().
    int listening_socket() const noexcept { return listener_.get(); }

    /// Whose connections are those that come from now on.
    enum class Rest : std::uint8_t {
        ours,      ///< what waits at the listener is ours, and with that it is closed, unless it was inherited
        successor, ///< another process accepts from the same socket
    };

    /// Takes no new connections, finishes what is in flight, lets idle connections send one last request; then calls
    /// Hooks::drained. After `limit` the rest is cut off; another call can make that earlier. `begun` is called on the
    /// worker's thread when it accepts nothing more. Any thread.
    void drain(Duration limit, Rest rest = Rest::ours, std::function<void()> begun = {});

    void join();

    const WorkerCounters& counters() const noexcept { return counters_; }

private:
    /// The time in which no connection is accepted, because descriptors or memory have run out.
    struct AcceptPause final : Deadline {
        explicit AcceptPause(Worker& w) : worker(w) {}
        void deadline_passed(TimePoint) override { worker.await_connections(); }
        Worker& worker;
    };

    void forget(Session& session) override;
    void call_again(Session& session) override;
    Stream::Ptr open_page(Handover handover) override;

    Stream::Ptr connect(const Addresses& addresses, StreamListener& listener) override;
    Stream::Ptr connect_local(const std::string& path, StreamListener& listener) override;
    void note(std::uint32_t) override {}
    void act() override; ///< connections wait at the listener

    void await_connections();
    bool accept_some();
    bool shortage(const std::string& why);
    void schedule_tick();
    void tick();
    void run_again();
    void release_slots();
    void begin_drain(Duration limit, Rest rest);
    void check_drained();

    Hooks hooks_;
    std::size_t room_; ///< connections that the limit of descriptors leaves to this worker's clients
    WorkerCounters counters_;
    EventLoop loop_;
    std::unique_ptr<AccessLog::Writer> log_writer_;
    DataPlane plane_;
    Fd listener_;    ///< none while the worker drains
    bool inherited_; ///< what waits in it when we end is for the next process
    TimePoint alarm_at_ =
        TimePoint::max(); ///< the loop's, which drives the wheel: never later than the nearest deadline
    AcceptPause accept_pause_{*this};
    TimePoint next_warning_{};
    boost::intrusive::list<
        Session, boost::intrusive::member_hook<Session, boost::intrusive::list_member_hook<>, &Session::in_worker>>
        sessions_;
    std::deque<Session*> again_; ///< whose turn comes after the sockets'
    bool again_deferred_ = false;
    bool slots_retiring_ = false; ///< requests refer to retired slots
    TimePoint next_release_{};
    bool drained_ = false;
    TimePoint drain_deadline_ = TimePoint::max();
    std::thread thread_;
};

} // namespace hotspare::balancer
