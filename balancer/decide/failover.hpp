// The failover core: everything that is known of the backends, and what follows from it. It takes probe results, what
// live requests met, an operator's word and the passing of time; it answers with probes to start, the Routing to
// publish, events to log, and when it wants to be called again. One machine for all pools and all policies.
//
// What it adds to the verdicts of resilience::HealthDetector (which see):
//  - Tiers. Under `failover` the active backend serves and the others are fallbacks, in order of usefulness; under the
//    other policies all healthy ones serve. A backend whose last evidence is a failure does not serve while another one
//    can (it is passed over, without a failover, until a good probe or a verdict). What is down is excluded; what
//    answers wrongly is used when nothing better is left; so is what is judged down but answers live requests (fail
//    open). Among equals that do not work well the configured order decides, after their hold-down.
//  - Failover. The active backend is left at once when it fails or an operator takes it out; a better or preferred one
//    is returned to only after its hold-down (`ready`). Never from one failing backend to another that is no better.
//    One that an operator prefers is not left for a better one
//    while it works.
//  - Maintenance. A pool of which operators have taken out every backend, at least one for maintenance, announces it:
//    its requests are answered at once. One backend that only fails may return by itself, and is waited for.
//  - Quarantine. A backend with `failure_limit` failures in `failure_window` is not used while any other works, until
//    the cooldown has passed and it is healthy, or an operator enables it. It is still
//    preferred to
//    giving no answer at all.
//  - Clock jumps. If it is called much later than it asked for, we were stopped ourselves: results of probes that were
//    under way are recorded but decide nothing, and a fresh round starts.
//
// How often flapping can cause failovers: with one backend flapping at any frequency, its hold-down (1 s, doubled up to
// 60 s, one flap forgotten per quiet minute) admits it at most 7 times in any minute, each time with one failover and
// one failback: at most 14 a minute with the defaults. When all flap, a failover is needed whenever the active one
// fails while another works, and none is suppressed. What bounds them then is `rise`, doubled with each flap up to 32
// good probes in a row: 3 s for each backend while another one works, 0.6 s while none does and probes come quicker.
//
// PURE: no I/O, no clock; `now` is an argument that does not go backwards, jitter comes from a seed.
// Thread: the monitor's. Owner: the Monitor.
#pragma once

#include "balancer/config.hpp"
#include "balancer/decide/maintenance.hpp"
#include "balancer/decide/routing.hpp"
#include "balancer/decide/topology.hpp"
#include "common/resilience/health.hpp"

#include <boost/system/result.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace hotspare::balancer {

using resilience::Health;
using resilience::ProbeOutcome;

/// A probe that has ended.
struct ProbeReport {
    BackendIndex backend = 0;
    TimePoint started{};
    Duration latency{}; ///< started -> whole answer, or failure
    ProbeOutcome outcome = ProbeOutcome::ok;
    std::string detail{}; ///< a clause for people: "503 Service Unavailable", "connection refused"
};

enum class OperatorWord : std::uint8_t {
    drain,       ///< takes no new requests, finishes those that it has
    maintenance, ///< the same; announces planned work, so that no alert is raised and clients are told
    enable,      ///< back to what is observed; forgives its past
};

struct Event {
    enum class Kind : std::uint8_t {
        transition, ///< of a backend's status, `from` -> `to`
        failover,   ///< `backend` is active in `pool` instead of `previous`, which failed or was taken out
        failback,   ///< the same, but `previous` still works: a preferred or better backend has returned
        outage,     ///< nothing in `pool` can answer
        outage_over,
        fail_open, ///< all of `pool` fails its probes but answers live requests
        fail_open_over,
        quarantine, ///< `backend` failed too often in `pool`
        quarantine_over,
        preference,    ///< an operator prefers `backend` in `pool`, or takes the preference back
        announcement,  ///< an operator changes what is announced of `backend`, which is in maintenance already
        configuration, ///< what there is has changed; said by the caller of adopt()
        clock_jump,    ///< this process was stopped
    };

    Kind kind = Kind::transition;
    TimePoint at{};
    std::optional<BackendIndex> backend{};
    std::optional<BackendIndex> previous{};
    std::optional<PoolIndex> pool{};
    Status from = Status::unknown;
    Status to = Status::unknown;
    std::string cause{};        ///< one word: probes, traffic, operator, ...
    std::string evidence{};     ///< what was seen, a clause for people
    Duration detection{};       ///< worse transitions, failover: first evidence -> verdict
    TimePoint first_evidence{}; ///< failover: the clock of "how long did it take" starts here
};
std::string_view to_string(Event::Kind) noexcept;
/// Caused by people, not by a fault: an operator's word, or a change of the configuration.
inline bool is_planned(const Event& event) noexcept
{
    return event.cause == "operator" || event.cause == "configuration";
}

/// What to do now.
struct Reaction {
    std::vector<BackendIndex> probe;        ///< start a probe of each
    std::shared_ptr<const Routing> routing; ///< publish; null = unchanged
    std::vector<Event> events;              ///< in the order in which they happened
    TimePoint wake_at{};                    ///< call tick() then, or soon after
};

/// What is known of a backend, for /status and /metrics.
struct BackendState {
    Status status = Status::unknown; ///< as in Routing: an operator's word hides the observed health
    TimePoint since{};
    std::string cause;                      ///< of that status, as in Event
    std::string evidence;                   ///< of that status, as in Event
    std::optional<Maintenance> maintenance; ///< what was announced; set in status maintenance only
    std::optional<ProbeReport> last_probe;
    std::array<std::uint64_t, 6> probes{};      ///< ended, by ProbeOutcome
    std::array<std::uint64_t, 7> transitions{}; ///< by the Status entered
};

/// What is known of a pool, for /status and /metrics.
struct PoolState {
    std::optional<BackendIndex> active;    ///< policy failover: the one that gets the requests; none if none answers
    std::optional<BackendIndex> preferred; ///< by an operator
    bool can_answer = true;                ///< some backend may be tried
    bool fail_open = false;
    std::uint64_t failovers = 0; ///< planned ones not counted
    std::uint64_t planned = 0;   ///< changes of the active backend with is_planned()
    std::uint64_t failbacks = 0;
    std::vector<std::optional<TimePoint>> quarantined_until; ///< by position in PoolConfig::backends
};

struct SavedState; // saved_state.hpp

class Failover {
public:
    /// A backend in several pools is judged by the probe settings of the first that names it.
    Failover(std::shared_ptr<const Topology> topology, std::uint32_t seed);

    /// What another Failover can restore().
    SavedState saved() const;
    /// Goes on from there, as far as it is about the same backends and pools. Before start().
    void restore(const SavedState& saved);

    /// Begins: probes every backend. Call once, before anything else but restore().
    Reaction start(TimePoint now);
    Reaction tick(TimePoint now);
    Reaction probe_finished(ProbeReport report, TimePoint now);
    /// A probe could not be made for a reason of our own (no descriptor left): says nothing about the backend.
    Reaction probe_not_made(BackendIndex backend, TimePoint started, TimePoint now);
    Reaction evidence(std::span<const Evidence> evidence, TimePoint now);
    /// The machine was suspended and the steady clock with it, so that no call came late.
    Reaction clock_jumped(TimePoint now);

    /// What there is has changed: `topology` was made from the one in force. Backends and pools that stay keep all that
    /// is known of them, an operator's word included; those that are new are unknown, and probed at once; those that
    /// are gone are not probed any more. A pool that is gone keeps its last PoolRoute, for the requests that began in
    /// it.
    Reaction adopt(std::shared_ptr<const Topology> topology, TimePoint now);
    const Topology& topology() const noexcept { return *topology_; }

    /// The word holds for all of `backends` in one step: no Routing shows it of only some of them. `announced` goes
    /// with the word maintenance.
    Reaction operate(std::span<const BackendIndex> backends, OperatorWord word, TimePoint now,
                     const Maintenance& announced = {});
    Reaction operate(BackendIndex backend, OperatorWord word, TimePoint now, const Maintenance& announced = {})
    {
        return operate(std::span(&backend, 1), word, now, announced);
    }

    /// Prefers `target` in every failover pool that holds it, and makes it active there now. It stays active while it
    /// works (healthy or degraded, not quarantined), even beside a better one; once left it is returned to as the first
    /// of the order would be. Refused, with a sentence for the operator, if there is no such pool or the target does
    /// not work.
    boost::system::result<Reaction, std::string> prefer(BackendIndex target, TimePoint now);
    /// Takes every such preference back and returns to the configured order now, also under failback mode `manual`.
    Reaction prefer_configured(TimePoint now);

    const BackendState& backend(BackendIndex index) const noexcept { return backends_[index].state; }
    const PoolState& pool(PoolIndex index) const noexcept { return pools_[index].state; }
    /// When a better backend than the active one will take over: it is healthy and waits out its hold_down. Nothing if
    /// there is none, or if an operator must say so.
    std::optional<TimePoint> failback_at(PoolIndex pool, TimePoint now) const;
    const Routing& routing() const noexcept { return *routing_; }
    std::shared_ptr<const Routing> routing_in_force() const noexcept { return routing_; }
    /// How a backend is to be probed.
    const ProbeConfig& probe_config(BackendIndex index) const noexcept { return *backends_[index].probe; }
    unsigned flaps(BackendIndex index, TimePoint now) const noexcept { return backends_[index].detector.flaps(now); }

private:
    /// How good a backend is as the target of a pool, worst first.
    enum class Rank : std::uint8_t {
        none,
        rejected, ///< as `failing`, and most live requests failed here and succeeded elsewhere
        failing,  ///< answers probes with a failure, or none of them but live requests
        quarantined,
        doubtful, ///< works, but its last evidence is a failure
        degraded,
        healthy,
    };

    struct LatencySum {
        std::uint64_t count = 0;
        Duration total{};
    };

    struct Backend {
        const BackendConfig* config;
        const ProbeConfig* probe;
        resilience::HealthDetector detector;
        Slot slot{};
        TimePoint added{}; ///< probes that started earlier were of the slot's backend before
        BackendState state{};
        std::optional<OperatorWord> word{}; ///< drain or maintenance
        bool probing = false;
        TimePoint probe_started{};
        TimePoint next_probe{};
        TimePoint hastened_at{};    ///< when a live failure last brought a probe forward
        TimePoint last_suspicion{}; ///< latest live failure of any kind: workers may pass it over since then
        TimePoint published_good{}; ///< BackendRoute::good_probe_started
        std::uint32_t down_count = 0;
        bool contradicted = false; ///< HealthDetector::contradicted() and ...
        bool rejected = false;     ///< ... rejected(), at the latest call
        std::string observed{};    ///< evidence of the latest verdict, whatever an operator has said since
        Event worsening{};         ///< the latest verdict that was worse than the one before, or quarantine
        LatencySum latency{};      ///< of live answers in this comparison period
    };

    struct Member {
        BackendIndex backend;
        unsigned weight;
        std::deque<TimePoint> failures; ///< the latest `failure_limit` of them
        TimePoint serving_since{};      ///< slow start
        bool serving = false;
    };

    struct Pool {
        const PoolConfig* config = nullptr;
        Slot slot{};
        PoolState state{};
        std::vector<Member> members{};             ///< none unless the pool is present
        std::optional<BackendIndex> last_active{}; ///< survives an outage
        bool settled = false; ///< every member has been probed: from now on changes are failovers, not the first choice
    };

    void install(std::shared_ptr<const Topology> topology, TimePoint now);
    void install_pool(PoolIndex index);
    bool present(const Backend& backend) const noexcept { return backend.slot.use == Slot::Use::present; }
    bool present(const Pool& pool) const noexcept { return pool.slot.use == Slot::Use::present; }

    void notice_jump(Reaction& reaction, TimePoint now);
    void jump(std::string evidence, Reaction& reaction, TimePoint now);
    Reaction settle(Reaction reaction, TimePoint now);

    void judge(BackendIndex index, const resilience::HealthChange& change, std::string evidence, Reaction& reaction,
               TimePoint now);
    void show_status(BackendIndex index, Event transition, Reaction& reaction);
    void obey(BackendIndex index, OperatorWord word, const Maintenance& announced, Reaction& reaction, TimePoint now);
    void count_failures(BackendIndex index, std::uint32_t count, Reaction& reaction, TimePoint now);
    void compare_latencies(Reaction& reaction, TimePoint now);

    void schedule_probe(Backend& backend, TimePoint now);
    void hasten_probe(Backend& backend, Duration gap, TimePoint now);
    static Duration starved_gap(const ProbeConfig& probe) noexcept;
    void hurry_for_starved_pools(TimePoint now);
    Duration jittered(Duration span, double jitter);

    bool quarantined(const Pool& pool, std::size_t position) const noexcept;
    Rank nominal_rank(const Pool& pool, std::size_t position) const noexcept;
    Rank rank(const Pool& pool, std::size_t position) const noexcept;
    TimePoint ready_at(const Pool& pool, std::size_t position) const noexcept;
    std::vector<std::size_t> by_preference(const Pool& pool) const;
    std::optional<std::size_t> elect(const Pool& pool, bool undamped, TimePoint now) const;

    void end_quarantine(PoolIndex index, std::size_t position, std::string cause, std::string evidence,
                        Reaction& reaction, TimePoint now);
    void lift_quarantines(PoolIndex index, Reaction& reaction, TimePoint now);
    void notice_fail_open(PoolIndex index, Reaction& reaction, TimePoint now);
    void activate(PoolIndex index, std::optional<BackendIndex> chosen, bool by_operator, Reaction& reaction,
                  TimePoint now);
    PoolRoute place(PoolIndex index, Reaction& reaction, TimePoint now);
    std::optional<Maintenance> maintenance_of(const Pool& pool) const;
    TimePoint next_wake(TimePoint now) const;

    std::shared_ptr<const Topology> topology_;
    std::vector<Backend> backends_;          ///< by BackendIndex
    std::vector<Pool> pools_;                ///< by PoolIndex
    std::shared_ptr<const Routing> routing_; ///< the latest one published; never null
    std::minstd_rand random_;
    TimePoint wake_at_ = TimePoint::max();   ///< what the latest Reaction asked for
    TimePoint jumped_at_ = TimePoint::min(); ///< what was under way then is stale
    TimePoint period_end_{};                 ///< of the latency comparison
};

} // namespace hotspare::balancer
