// How many connections to a backend may be in use at once, and which of the requests that wait for one is next.
//
// All workers share this: a limit holds for the process. A backend without a limit is not counted. At one with a limit
// the beginning and the end of an attempt are one atomic operation each; the mutex is taken only where requests wait.
//
// What holds:
//  - Of a backend with a limit, no more connections are in use than that, those apart that were in use before the limit
//    was set or lowered.
//  - A request waits only while every backend that it would take is at its limit.
//  - First come, first served, for each backend. A connection that is given back while requests wait is the first one's
//    from that moment on, whichever worker has it: no newcomer overtakes, and no worker has to look.
//
// No I/O and no clock, but atomics and a mutex, as all workers share it. Thread: any; each function says where it may
// be called. Owner: main; it outlives the workers.
#pragma once

#include "balancer/config.hpp"
#include "balancer/decide/topology.hpp"

#include <boost/intrusive/list.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace hotspare::balancer {

class ConnectionLimits;

/// The right to use one connection to a backend. Empty for a backend without a limit.
class Admission {
public:
    Admission() = default;
    Admission(Admission&& other) noexcept : limits_(std::exchange(other.limits_, nullptr)), backend_(other.backend_) {}
    Admission& operator=(Admission&& other) noexcept
    {
        give_back();
        limits_ = std::exchange(other.limits_, nullptr);
        backend_ = other.backend_;
        return *this;
    }
    ~Admission() { give_back(); }

    explicit operator bool() const noexcept { return limits_ != nullptr; }
    BackendIndex backend() const noexcept { return backend_; } ///< of one that is not empty

    /// The connection is in use no more. Any thread.
    void give_back() noexcept;

private:
    friend class ConnectionLimits;
    Admission(ConnectionLimits& limits, BackendIndex backend) noexcept : limits_(&limits), backend_(backend) {}

    ConnectionLimits* limits_ = nullptr;
    BackendIndex backend_ = 0;
};

class ConnectionLimits {
public:
    /// A request that waits. Lives on one worker's thread, which makes all calls that concern it.
    class Waiter : public boost::intrusive::list_base_hook<boost::intrusive::tag<Waiter>,
                                                           boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    public:
        explicit Waiter(unsigned worker) noexcept : worker_(worker) {}
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;

        /// Its turn has come.
        virtual void admitted(Admission admission) = 0;

        bool waits_for_connection() const noexcept { return joined_; }
        const BackendSet& wanted() const noexcept { return wanted_; } ///< of one that waits

    protected:
        ~Waiter() = default; ///< it does not wait any more

    private:
        friend class ConnectionLimits;
        const unsigned worker_;
        bool joined_ = false;
        BackendSet wanted_;
        std::uint64_t number_ = 0; ///< place in the line: the smaller, the earlier
        // Guarded by the mutex while joined_:
        bool admitted_ = false;
        BackendIndex backend_ = 0; ///< that it was admitted to
    };

    struct Occupancy {
        unsigned limit = 0; ///< 0 = none: nothing is counted
        unsigned in_use = 0;
        unsigned waiting = 0; ///< requests that would take this backend, and maybe others

        bool operator==(const Occupancy&) const = default;
    };

    explicit ConnectionLimits(unsigned workers);

    /// `wake` is called when requests of the worker have been admitted: it is to call tell_admitted() soon, on the
    /// worker's thread. Any thread calls it, maybe one that ends an exchange. To be set before requests are served.
    void on_admitted(unsigned worker, std::function<void()> wake);

    /// The limits of another Topology, unless they are older than those in force. Any thread.
    void adopt(const Topology& topology);

    /// Any thread. A newcomer gets no connection to a backend that is full.
    bool limited(BackendIndex backend) const noexcept;
    bool full(BackendIndex backend) const noexcept;
    Occupancy occupancy(BackendIndex backend) const noexcept;

    /// False if the backend is full. `admission` stays empty if it has no limit. Any thread.
    [[nodiscard]] bool admit(BackendIndex backend, Admission& admission) noexcept;

    /// For a connection that is in use already: counts it even above the limit. Any thread.
    Admission count(BackendIndex backend) noexcept;

    /// Waits for a connection to any of `wanted`. One that waits already keeps its place. True if it need not wait: it
    /// has left the line with `admission`, which was empty. The worker's thread.
    [[nodiscard]] bool wait(Waiter& waiter, const BackendSet& wanted, Admission& admission);

    /// Waits no more; what it was given meanwhile is the next one's. The worker's thread.
    void leave(Waiter& waiter) noexcept;

    /// Calls admitted() of the requests of this worker whose turn has come. The worker's thread.
    void tell_admitted(unsigned worker);

private:
    friend class Admission;

    /// One word, so that who gives a connection back knows whether requests wait, and who begins to wait whether
    /// one was given back.
    struct alignas(64) Cell {
        std::atomic<std::uint64_t> word{0}; ///< in use, and the waiting ones in the upper half
        std::atomic<unsigned> limit{0};
    };
    static constexpr std::uint64_t one_in_use = 1;
    static constexpr std::uint64_t one_waiting = std::uint64_t{1} << 32U;
    static constexpr unsigned in_use(std::uint64_t word) noexcept { return static_cast<unsigned>(word); }
    static constexpr unsigned waiting(std::uint64_t word) noexcept { return static_cast<unsigned>(word >> 32U); }

    using Waiters = boost::intrusive::list<
        Waiter,
        boost::intrusive::base_hook<boost::intrusive::list_base_hook<
            boost::intrusive::tag<Waiter>, boost::intrusive::link_mode<boost::intrusive::auto_unlink>>>,
        boost::intrusive::constant_time_size<false>>;
    /// Those that would take the same backends, the first one first. There are about as many lines as pools.
    struct Line {
        BackendSet wanted;
        Waiters waiters;
    };
    struct Worker {
        std::function<void()> wake;
        Waiters admitted; ///< and not told
        bool woken = false;
    };

    void give_back(BackendIndex backend) noexcept;
    template <class F> void for_each(const BackendSet& backends, F f);
    Line& line_of(const BackendSet& wanted);
    void enter(Waiter& waiter, Line& line) noexcept;
    void withdraw(Waiter& waiter) noexcept;
    Waiter& first_for(BackendIndex backend) noexcept;
    void serve(BackendIndex backend) noexcept;
    Admission take(Waiter& waiter) noexcept;
    void wake(std::unique_lock<std::mutex>& lock) noexcept;

    std::array<Cell, most_backends> cells_; ///< by backend

    std::mutex mutex_; ///< guards the rest
    std::uint64_t generation_ = 0;
    std::size_t backends_ = 0; ///< slots of the topology
    std::uint64_t last_number_ = 0;
    std::vector<Line> lines_;
    std::vector<Worker> workers_;
    bool to_wake_ = false; ///< some worker has admitted requests and was not woken
};

inline void Admission::give_back() noexcept
{
    if (limits_ != nullptr) std::exchange(limits_, nullptr)->give_back(backend_);
}

} // namespace hotspare::balancer
