// The failover core in a simulated world: backends that behave as told, probes that take as long as their backend makes
// them, time that only moves when asked. After every call it checks what must hold of the core whatever happens (the
// invariants below), so that unit tests, random sequences and the fuzzer share one judge.
//
// It only observes: a broken invariant is a sentence in `violations`, and who runs the world decides what follows.
// One thread; owned by the test.
//
// The invariants:
//  - No request is served by a backend whose last evidence is a failure while another one is healthy. Evidence is
//    good again
//    only by a probe that started after the last failure.
//  - No request is served by an unknown backend, nor sent to one that an operator took out.
//  - Maintenance is announced of a pool exactly while operators have taken out all of it, some for maintenance.
//  - Under policy failover at most one backend serves, it is the first candidate, and there is an active one whenever
//    any backend answers.
//  - What an operator prefers is active from then on, as long as it works: healthy or degraded, not quarantined.
//  - Workers that pass a backend over are told of the probe that cleared it.
//  - A Routing is published when it differs from the one before and only then, with the next version; the core always
//    wants to be called again, later.
//  - Nothing is probed or gets requests that is not in the configuration; what stays in it keeps its status.
//  - recover(): after all faults, all backends are healthy soon, and the preferred backend is active again after its
//    damping time.
#pragma once

#include "balancer/decide/failover.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::balancer {

// So that a failed expectation prints words.
std::ostream& operator<<(std::ostream& out, Policy policy);
std::ostream& operator<<(std::ostream& out, Status status);
std::ostream& operator<<(std::ostream& out, Event::Kind kind);
std::ostream& operator<<(std::ostream& out, Tier tier);

/// One to four backends, `primary`, `spare`, `third`, `fourth`, in one pool.
Config config_of(std::size_t backends, Policy policy = Policy::failover);

/// How a simulated backend behaves to probes and requests.
enum class Mode : std::uint8_t { good, slow, refuse, reset, error, hang, count_ };

/// Something that happens to the world. What `value` means depends on `what`; every combination is valid.
struct Step {
    enum class What : std::uint8_t {
        pause,    ///< `value` milliseconds pass
        mode,     ///< `backend` behaves as Mode(value) from now on
        traffic,  ///< up to 19 requests, one every 2 ms, to the first backend
        evidence, ///< up to 5 reports of the same kind about `backend`, whatever its mode
        word,     ///< an operator's, about `backend`
        prefer,   ///< an operator prefers `backend`, or takes preferences back
        freeze,   ///< this process is stopped for 3 * `value` milliseconds
        members,  ///< the configuration changes: see World::reconfigure()
        succeed,  ///< another process takes our place
        count_
    };
    What what = What::pause;
    BackendIndex backend = 0;
    std::uint16_t value = 0;
};
std::ostream& operator<<(std::ostream& out, const Step& step);

/// A backend was judged healthy again.
struct Recovery {
    BackendIndex backend = 0;
    unsigned good_probes = 0; ///< in a row until then
};

class World {
public:
    explicit World(Config settings, std::uint32_t seed = 1);
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    void start() { take(core.start(now)); }

    /// Lets time pass: probes end and start, ticks come when they were asked for.
    void run(Duration span);
    bool run_until(const std::function<bool()>& condition, Duration limit);
    /// This process is stopped: time passes, no request is served.
    void freeze(Duration span) { now += span; }

    void apply(const Step& step);
    /// From now on there are only those of the backends whose bit is set in `members` (all four at most, maybe none),
    /// in the order of their numbers or, with bit 4, the other way round. Bit 5: what was removed before has no slot
    /// any more.
    void reconfigure(unsigned members);
    /// Another process goes on with what this one has saved. It finds every backend as it was, and the same one active.
    void succeed();
    void report(BackendIndex backend, EvidenceKind kind, std::uint32_t count = 1, Duration latency = milliseconds(1));
    /// What live requests would meet at a backend in its present mode.
    void request(BackendIndex backend);
    /// Acts on what the core has answered, and checks it.
    void take(Reaction reaction);

    /// All faults are over from now on and no operator holds anything back: lets the longest damping time pass and
    /// checks that everything is in use again.
    void recover();

    std::size_t count(Event::Kind kind) const;
    /// The latest event of that kind; throws std::logic_error if there is none.
    const Event& last(Event::Kind kind) const;
    /// Failovers and failbacks in the minute that had most of them.
    unsigned most_failovers_in_a_minute() const;

    Status status(BackendIndex b) const { return core.backend(b).status; }
    std::optional<BackendIndex> active(PoolIndex p = 0) const { return core.pool(p).active; }
    Tier tier(BackendIndex b, PoolIndex p = 0) const;
    std::optional<BackendIndex> server(PoolIndex p = 0) const;

    Config config; ///< as it was first
    Failover core;
    TimePoint now = TimePoint{} + std::chrono::hours(1);
    std::vector<Mode> modes;
    std::vector<Event> events;
    std::vector<Recovery> recoveries;
    std::shared_ptr<const Routing> routing;
    std::vector<std::string> violations;
    std::uint64_t probes_done = 0;

private:
    void require(bool holds, std::string what);
    std::string broken_invariant() const;
    const Topology& topology() const { return core.topology(); }
    const std::string& name(BackendIndex b) const { return topology().backends[b].name; }
    void make_room();
    bool in_quarantine(PoolIndex p, BackendIndex b) const;
    void forget_lost_preferences();
    void begin_probe(BackendIndex b);
    void finish(const ProbeReport& report);

    std::multimap<TimePoint, ProbeReport> probes_; ///< under way, by their end
    TimePoint wake_ = TimePoint::max();
    std::uint64_t versions_ = 0;
    std::vector<TimePoint> last_failure_, last_break_, last_good_; ///< what an observer would say, by backend
    std::vector<unsigned> good_in_a_row_;                          ///< probes, by backend
    std::vector<TimePoint> added_;                                 ///< when the slot was taken, by backend
    std::map<BackendIndex, TimePoint> suspected_;
    std::vector<TimePoint> stale_;
    std::optional<TimePoint> jumped_at_;
    std::vector<std::optional<BackendIndex>> obeyed_; ///< by pool: preferred by an operator and working since
};

} // namespace hotspare::balancer
