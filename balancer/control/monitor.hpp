// The heartbeat thread: it owns the failover core and is its hands. It probes, takes evidence in, publishes Routing,
// events and a Snapshot of what it knows; every decision is the core's. Nothing that a client can ask for runs on its
// thread: pages are made of the Snapshot, elsewhere.
//
// Threads: construct, subscribe…() and start() on the owner's thread, in this order; report(), snapshot(), stop() on
// any, as long as the Monitor exists; join() and destruction on the owner's. Everything below "monitor thread" only
// there. Owner: main. It must outlive the threads that call report(); what subscribe…() was given must outlive join().
#pragma once

#include "balancer/config.hpp"
#include "balancer/control/events.hpp"
#include "balancer/control/name_watch.hpp"
#include "balancer/control/snapshot.hpp"
#include "balancer/decide/failover.hpp"
#include "common/probe/probe.hpp"
#include "common/task_group.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::balancer {

class Monitor {
public:
    using Publish = std::function<void(std::shared_ptr<const Routing>)>;

    /// `addresses` are those of the topology's backends, by BackendIndex, as far as they are known. `workers`: how many
    /// will say which slots they release. `resolvers`: as in Config.
    Monitor(std::shared_ptr<const Topology> topology, std::vector<Addresses> addresses, unsigned workers,
            std::uint32_t seed, std::vector<std::string> resolvers = {});
    /// Stops and joins if that has not been done.
    ~Monitor();

    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    /// `publish` gets every Routing, on the monitor's thread; it must not block or throw (Worker::publish posts).
    void subscribe(Publish publish);
    /// `publish` is told on the monitor's thread where a backend can be reached when that changes: its name resolves
    /// otherwise, or a probe had to go to another of its addresses, which then stands in front. It must not block or
    /// throw.
    void subscribe_addresses(std::function<void(BackendIndex, const Addresses&)> publish);
    /// `tell` gets every event, on the monitor's thread, once snapshot() shows what it tells of. It must not block or
    /// throw.
    void subscribe_events(std::function<void(const ReportedEvent&)> tell);

    /// Each answer to a name that expand_names() was given is told first to `hearing`, on the monitor's thread, which
    /// may change() then.
    void subscribe_names(NameWatch::Hearing hearing);

    /// Begins with what another process knew. Before start().
    void restore(const SavedState& saved);

    void start();
    /// Begins the end and returns at once. May be repeated.
    void stop();
    void join();

    /// Hands over what live requests met. What the monitor has not yet looked at is added up, so that a storm of
    /// reports costs it no more than its own pace.
    void report(const std::vector<Evidence>& evidence);

    /// What Worker::Hooks::release says. Any thread.
    void release(unsigned worker, std::uint64_t generation, const SlotSet& slots);

    /// What is known, never null: up to date after every event and every word of an operator, else at most 100 ms old.
    std::shared_ptr<const Snapshot> snapshot() const;

    // --- monitor thread ---

    asio::io_context& context() noexcept { return context_; }
    const Failover& failover() const noexcept { return core_; }

    /// Makes the next generation, as next_topology() does, and publishes it.
    boost::system::result<TopologyChange, std::string> change(const Config& wanted);

    /// Looks these names up beside those of the backends. Also before start().
    void expand_names(std::vector<NameWatch::Name> names);

    /// The configuration was read again; `error` says why that changed nothing.
    void reloaded(bool done, std::string error);

    /// As Failover::operate().
    void operate(const std::vector<BackendIndex>& backends, OperatorWord word, const Maintenance& announced = {});
    /// Fails with a sentence for the operator.
    boost::system::result<void, std::string> prefer(BackendIndex target);
    void prefer_configured();

private:
    asio::awaitable<void> end();
    asio::awaitable<void> probe(BackendIndex backend);
    asio::awaitable<probe::Result> ask(BackendIndex backend);
    void look_up(BackendIndex backend);
    void looked_up(const NameQuery& name, const http::NameAnswer& found);
    void watch_names();
    void publish_addresses(BackendIndex backend);
    void tick();
    void take_evidence();
    void react(Reaction reaction);
    void check_clocks();
    void show(bool changed);
    void take_snapshot();
    WallTime wall(TimePoint t) const noexcept;
    std::shared_ptr<const Topology> topology() const noexcept { return core_.routing_in_force()->topology; }
    SlotSet released() const;
    void adopt(std::shared_ptr<const Topology> topology, std::string what);
    ReportedEvent named(Event event) const;

    /// The latest word of a worker on the slots that it does not refer to.
    struct Release {
        std::uint64_t generation = 0;
        SlotSet slots;
    };
    std::vector<Release> releases_; ///< by worker
    Reloads reloads_;

    std::vector<Addresses> addresses_;            ///< by backend
    std::vector<NameWatch::Name> expanded_names_; ///< of expand_names()
    NameWatch::Hearing name_subscriber_;
    bool watching_ = false; ///< names, from start() on
    std::vector<Publish> subscribers_;
    std::vector<std::function<void(BackendIndex, const Addresses&)>> address_subscribers_;
    std::vector<std::function<void(const ReportedEvent&)>> event_subscribers_;

    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    TaskGroup tasks_;  ///< probes
    TaskGroup ending_; ///< the one task that ends them
    asio::steady_timer timer_;
    NameWatch names_;
    TimePoint timer_at_ = TimePoint::max();

    Failover core_;
    std::vector<std::optional<ReportedEvent>> last_failover_; ///< by pool
    std::vector<Duration> failover_time_;                     ///< by pool
    TimePoint started_{};
    WallTime::duration wall_offset_{}; ///< wall clock less steady clock
    Duration suspended_{};             ///< how long this machine has slept since it was booted
    Duration lag_{};
    bool stopping_ = false;
    bool ended_ = false;

    asio::steady_timer snapshot_timer_;
    TimePoint snapshot_due_{}; ///< not before this, unless something has changed
    bool snapshot_waits_ = false;
    mutable std::mutex snapshot_mutex_; ///< held for the exchange of a pointer
    std::shared_ptr<const Snapshot> snapshot_;

    std::mutex inbox_mutex_;
    std::vector<Evidence> inbox_; ///< reported and not yet taken; one entry per backend and kind
    std::thread thread_;
};

} // namespace hotspare::balancer
