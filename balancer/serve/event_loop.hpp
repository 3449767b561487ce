// A worker's event loop: epoll for its sockets, one alarm for its deadlines, and functions posted by other threads.
//
// A socket is registered once, edge-triggered, for both directions, and stays registered until it is closed. Asio's
// reactor changes the registration for each wait, which costs a proxied request two system calls of its six; this loop
// costs it none, and a turn of the loop, however many sockets it tells, one (docs/decisions/0006).
//
// Thread: constructed on any, then the one that calls run(); post() from any. Owner: the Worker.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/socket.hpp"

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace hotspare::balancer {

class EventLoop {
public:
    /// Told what epoll_wait() said of its descriptor. All watchers of a turn note it before the first one acts: what
    /// one does may depend on what has happened to another.
    class Watcher {
    public:
        virtual void note(std::uint32_t events) = 0; ///< EPOLLIN and the like
        virtual void act() = 0;

    protected:
        ~Watcher() = default;
    };

    using Function = std::function<void()>;

    /// Throws std::system_error without descriptors.
    EventLoop();

    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    /// Tells `watcher` each time that something new happens to the socket: bytes or an end have arrived, it takes bytes
    /// again after it took none, it broke. Until the descriptor is closed; forget() comes before that.
    error_code watch(int descriptor, Watcher& watcher) noexcept;

    /// Tells `watcher` in each turn while connections wait. Of several loops that watch one socket, not all are woken.
    error_code watch_listener(int descriptor, Watcher& watcher) noexcept;

    /// The descriptor lives on, its watcher is not told any more.
    void unwatch(int descriptor, Watcher& watcher) noexcept;

    /// What this turn has not told the watcher yet it will not be told.
    void forget(Watcher& watcher) noexcept;

    /// Calls the function in the next turn, after what has happened to the sockets by then. The loop's thread.
    void defer(Function function) { deferred_.push_back(std::move(function)); }

    /// The same from any thread.
    void post(Function function);

    /// Calls `alarm` once `at` has come; instead of any earlier demand. TimePoint::max(): not at all.
    void set_alarm(TimePoint at) noexcept { alarm_at_ = at; }
    void on_alarm(Function alarm) { alarm_ = std::move(alarm); }

    /// Until stop().
    void run();
    void stop() noexcept { stopped_ = true; } ///< from a function that the loop calls

    /// Asks within a turn what has happened since it began: the watchers note it at once, and act later in this turn.
    void look();

    /// How often the watchers have been told: at the beginning of each turn and by look().
    std::uint64_t looks() const noexcept { return looks_; }
    /// Until when the watchers know what has happened to their sockets. TimePoint::min() after so many events that some
    /// may be missing.
    TimePoint known_until() const noexcept { return known_until_; }

private:
    error_code add(int descriptor, Watcher& watcher, std::uint32_t events) noexcept;
    /// Adds what epoll_wait() tells to events_, and has it noted.
    void wait(Duration limit, bool forever);
    void run_posted();
    void run_deferred();

    /// A turn tells no more sockets than this; others wait for the next one, in the order in which they became ready.
    static constexpr int most_events = 256;

    Fd epoll_;
    WakeUp wake_up_;
    std::array<epoll_event, most_events> events_{};
    int count_ = 0; ///< of events_ in this turn
    int acted_ = 0; ///< of them
    std::uint64_t looks_ = 0;
    bool woken_ = false; ///< functions were posted
    TimePoint known_until_{};
    std::vector<Function> deferred_;
    Function alarm_;
    TimePoint alarm_at_ = TimePoint::max();
    bool precise_ = true; ///< the kernel has epoll_pwait2() (Linux 5.11)
    bool stopped_ = false;

    std::mutex mutex_;
    std::vector<Function> posted_; ///< guarded by mutex_
};

} // namespace hotspare::balancer
