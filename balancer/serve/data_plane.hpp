// What one worker's requests share: routes, placement, upstream connections, budgets, deadlines, counters, and the
// parking lot for requests that no backend can take at the moment.
//
// Thread: its worker's; nothing here is shared between workers but the ConnectionLimits. Owner: the Worker, which feeds
// it Routing snapshots and sends its evidence to the monitor.
#pragma once

#include "balancer/access_log.hpp"
#include "balancer/config.hpp"
#include "balancer/counters.hpp"
#include "balancer/decide/connection_limits.hpp"
#include "balancer/decide/deadline_wheel.hpp"
#include "balancer/decide/hedge_delay.hpp"
#include "balancer/decide/placement.hpp"
#include "balancer/decide/relay_memory.hpp"
#include "balancer/decide/sticky.hpp"
#include "balancer/decide/topology.hpp"
#include "balancer/serve/date_field.hpp"
#include "balancer/serve/message_head.hpp"
#include "balancer/serve/upstream.hpp"
#include "common/resilience/budget.hpp"

#include <boost/intrusive/list.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::balancer {

class Exchange;

/// A request that waits until a backend returns, or for a connection to one that is at its limit.
class Parked : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
    virtual void unpark() = 0; ///< it is to be placed anew
    bool parked() const noexcept { return is_linked(); }

protected:
    ~Parked() = default;
};

/// A request with a peer that does not take what it is sent.
class Stalled : public boost::intrusive::list_base_hook<boost::intrusive::tag<Stalled>,
                                                        boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
    /// Gives back storage that holds nothing. False if bytes moved so lately that it will be needed again.
    virtual bool shrink(TimePoint now) = 0;

protected:
    ~Stalled() = default;
};

/// A Topology as the requests of one worker hold it. They count themselves without a lock: the count of a shared_ptr
/// would be one cache line for all workers.
class WorkerTopology : public boost::intrusive_ref_counter<WorkerTopology, boost::thread_unsafe_counter> {
public:
    explicit WorkerTopology(std::shared_ptr<const Topology> topology) : topology_(std::move(topology)) {}
    const Topology& topology() const noexcept { return *topology_; }

private:
    std::shared_ptr<const Topology> topology_;
};
using TopologyPin = boost::intrusive_ptr<const WorkerTopology>;

class DataPlane final : private Deadline {
public:
    struct Settings {
        unsigned workers = 1;
        unsigned worker = 0; ///< this one's number
        std::uint32_t seed = 1;
        std::uint64_t relay_memory = 0; ///< LimitConfig::relay_memory
        bool log_traffic = false;       ///< Config::log_traffic
        bool proxy_protocol = false;    ///< Config::proxy_protocol
    };

    /// Called with what the requests met: at once if it may mean that a backend is failing, else every 100 ms.
    using Report = std::function<void(std::vector<Evidence>)>;

    DataPlane(Connector& connector, const Settings& settings, std::shared_ptr<const Topology> topology,
              ConnectionLimits& limits, WorkerCounters& counters, AccessLog::Writer* access_log, Report report,
              std::function<void()> earlier_deadline);
    ~DataPlane();

    const Topology& topology() const noexcept { return pin_->topology(); }
    const TopologyPin& pin() const noexcept { return pin_; }
    /// A new truth from the monitor, maybe of another Topology: what of it concerns the requests in progress is left to
    /// the caller. Returns the backends that went down since the last one.
    std::vector<BackendIndex> update(std::shared_ptr<const Routing> routing);

    const unsigned worker;
    const bool log_traffic;
    const bool proxy_protocol;
    ConnectionLimits& limits;
    WorkerCounters& counters;
    AccessLog::Writer* const access_log; ///< null = off
    DeadlineWheel wheel;
    Placement placement;
    UpstreamPools upstreams;
    std::vector<resilience::RetryBudget> budgets;             ///< by pool
    std::vector<HedgeDelay> hedge_delays;                     ///< by pool
    std::vector<std::string> authorities;                     ///< by pool: Host for a request that names none
    std::vector<std::unique_ptr<const StickyCookies>> sticky; ///< by pool; null = its sessions are not sticky
    std::vector<unsigned> active;                             ///< requests in flight, by backend
    RelayMemory relay_memory;
    bool draining = false;

    /// Scratch for one head each: filled and used within one call, so one per worker is enough and stays in the cache.
    RequestHead request_head;
    ResponseHead response_head;
    DateField date;
    /// The same for a piece of a body. It exists while there are large bodies.
    std::span<char> window();

    /// Sends off what was observed up to now.
    void flush();

    /// Records what an attempt met at a backend. `latency` only for answers.
    void observe(BackendIndex backend, EvidenceKind kind, TimePoint now, Duration latency = {});

    /// A line for the readers of /logs: a request goes to a backend.
    void tell_traffic(std::string_view method, std::string_view target, BackendIndex backend);
    /// The lines since the last call; of more than most_traffic_lines the first ones.
    std::vector<std::string> take_traffic() { return std::exchange(traffic_, {}); }

    /// The backend to try next, with the right to use a connection to it; `admission` is empty before. Nothing if none
    /// can take the request now. What the client's `cookie` stands for goes first, if it keeps the request and is not
    /// full.
    std::optional<BackendIndex> choose(PoolIndex pool, const AttemptLedger& ledger, std::optional<BackendIndex> cookie,
                                       Admission& admission)
    {
        return limited_[pool] ? choose_with_room(pool, ledger, cookie, admission)
                              : placement.pick(pool, ledger, active, cookie);
    }
    /// Whether a backend of the pool has a connection limit.
    bool limited(PoolIndex pool) const noexcept { return limited_[pool]; }
    /// Whether a request could go to another backend at once: Placement::alternative(), and not full.
    bool room_elsewhere(PoolIndex pool, const AttemptLedger& ledger) const noexcept;

    /// Queues a request until its pool can serve again, or `at_limit`, until it is admitted to a backend. False if the
    /// lot is full.
    bool park(PoolIndex pool, Parked& request, bool at_limit, TimePoint now);
    /// It gives up, or it was admitted; nothing if it is not parked.
    void leave_lot(PoolIndex pool, Parked& request) noexcept;
    /// New Routing has arrived: lets parked requests go, paced where a backend returned, at once where maintenance is
    /// announced. Those that wait at a limit are placed anew if anything may have changed for them.
    void release_parked(TimePoint now);

    /// Bytes stopped moving: unless they move on soon, the request is asked to shrink. Once is enough.
    void stall(Stalled& request) noexcept { stalled_.push_back(request); }

    /// The state of a request in progress, from a stock that is reused.
    std::unique_ptr<Exchange> borrow();
    void give_back(std::unique_ptr<Exchange> exchange) noexcept;

    /// 32 hexadecimal digits, unique among all workers and restarts.
    std::string_view new_request_id(std::array<char, 32>& storage) noexcept;

private:
    using ParkedList = boost::intrusive::list<Parked, boost::intrusive::constant_time_size<false>>;
    struct Lot {
        ParkedList waiting;
        ParkedList at_limit;
        std::size_t count = 0; ///< of both
        double allowance = 0;  ///< releases that the pace permits now
        TimePoint last{};
    };
    struct Tally {
        std::uint32_t count = 0;
        TimePoint last{};
        Duration total_latency{};
    };
    static constexpr std::size_t kinds = static_cast<std::size_t>(EvidenceKind::uncompared) + 1;
    static constexpr Duration report_interval = milliseconds(100);
    static constexpr std::size_t most_traffic_lines = 1000; ///< in a report_interval: more than can be read
    static constexpr std::size_t stock_limit = 256;
    static constexpr std::size_t stock_kept = 8; ///< however long they were not needed
    static constexpr Duration stock_interval = seconds(1);

    void deadline_passed(TimePoint now) override;
    void adopt(std::shared_ptr<const Topology> topology);
    std::optional<BackendIndex> choose_with_room(PoolIndex pool, const AttemptLedger& ledger,
                                                 std::optional<BackendIndex> cookie, Admission& admission);
    void release_all(PoolIndex pool, ParkedList& requests);
    void place_anew(PoolIndex pool);
    void shrink_stalled(TimePoint now);
    void shrink_stock(TimePoint now);

    const unsigned workers_;
    TopologyPin pin_;
    Report report_;
    std::vector<std::array<Tally, kinds>> tallies_; ///< by backend and kind, since the last report
    bool tallied_ = false;
    std::unique_ptr<char[]> window_;
    bool window_used_ = false; ///< since next_shrink_ was set
    std::vector<std::string> traffic_;
    std::deque<Lot> lots_;           ///< by pool
    std::vector<char> limited_;      ///< by pool
    bool placement_changed_ = false; ///< since requests that wait at a limit were placed
    boost::intrusive::list<Stalled, boost::intrusive::base_hook<Stalled>, boost::intrusive::constant_time_size<false>>
        stalled_;
    std::vector<std::unique_ptr<Exchange>> stock_; ///< the first ones have rested longest
    TimePoint next_shrink_{};
    std::array<std::uint64_t, 2> id_state_;
};

} // namespace hotspare::balancer
