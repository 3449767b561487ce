#include "balancer/failover.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

namespace hotspare::balancer {

// So that a failed expectation prints words.
std::ostream& operator<<(std::ostream& out, Policy policy)
{
    return out << to_string(policy);
}
std::ostream& operator<<(std::ostream& out, Status status)
{
    return out << to_string(status);
}
std::ostream& operator<<(std::ostream& out, Event::Kind kind)
{
    return out << to_string(kind);
}
std::ostream& operator<<(std::ostream& out, Tier tier)
{
    return out << (tier == Tier::serving ? "serving" : tier == Tier::fallback ? "fallback" : "excluded");
}

namespace {

using Kind = Event::Kind;

constexpr BackendIndex primary = 0;
constexpr BackendIndex spare = 1;
constexpr BackendIndex third = 2;

Config config_of(std::size_t backends, Policy policy = Policy::failover)
{
    Config config;
    const std::vector<std::string> names{"primary", "spare", "third", "fourth"};
    PoolConfig pool;
    pool.name = "default";
    pool.policy = policy;
    for (std::size_t i = 0; i < backends; ++i) {
        BackendConfig backend;
        backend.name = names[i];
        config.backends.push_back(backend);
        pool.backends.push_back(static_cast<BackendIndex>(i));
        pool.weights.push_back(1);
    }
    config.pools.push_back(pool);
    return config;
}

/// How a simulated backend behaves to probes and requests.
enum class Mode : std::uint8_t { good, slow, refuse, reset, error, hang, count_ };

/// The core with simulated backends and simulated time. Probes take as long as the backend's mode says; everything that
/// the core publishes is checked against the invariants of the failover core before the test goes on.
class World {
public:
    explicit World(Config settings, std::uint32_t seed = 1)
        : config(std::move(settings)), core(config, seed), modes(config.backends.size(), Mode::good),
          last_failure(config.backends.size()), last_good(config.backends.size())
    {
    }

    void start() { take(core.start(now)); }

    /// Lets time pass: probes end and start, ticks come when they were asked for.
    void run(Duration span)
    {
        const TimePoint end = now + span;
        while (true) {
            const bool probe_next = !probes.empty() && probes.begin()->first <= wake;
            const TimePoint next = probe_next ? probes.begin()->first : wake;
            if (next > end) break;
            now = std::max(now, next);
            if (probe_next) {
                const ProbeReport report = probes.begin()->second;
                probes.erase(probes.begin());
                finish(report);
            } else {
                take(core.tick(now));
            }
        }
        now = end;
    }

    bool run_until(const std::function<bool()>& condition, Duration limit)
    {
        for (const TimePoint end = now + limit; now < end; run(milliseconds(1)))
            if (condition()) return true;
        return condition();
    }

    /// This process is stopped: time passes, nobody is served.
    void freeze(Duration span) { now += span; }

    void report(BackendIndex backend, EvidenceKind kind, std::uint32_t count = 1, Duration latency = milliseconds(1))
    {
        const bool hard =
            kind == EvidenceKind::refused || kind == EvidenceKind::reset || kind == EvidenceKind::timed_out;
        const Evidence evidence{backend, kind, count, now, latency * count};
        Reaction reaction = core.evidence(std::span(&evidence, 1), now);
        const bool ignored = std::any_of(reaction.events.begin(), reaction.events.end(),
                                         [](const Event& e) { return e.kind == Kind::clock_jump; });
        if (ignored) jumped_at = now;
        if (hard && !(jumped_at && now <= *jumped_at + milliseconds(100))) last_failure[backend] = now;
        if (kind != EvidenceKind::success) suspected[backend] = now;
        take(std::move(reaction));
    }

    /// What live requests would meet at a backend in its present mode.
    void request(BackendIndex backend)
    {
        switch (modes[backend]) {
        case Mode::good: report(backend, EvidenceKind::success); break;
        case Mode::slow: report(backend, EvidenceKind::outpaced); break;
        case Mode::refuse: report(backend, EvidenceKind::refused); break;
        case Mode::reset: report(backend, EvidenceKind::reset); break;
        case Mode::error: report(backend, EvidenceKind::failing_status); break;
        case Mode::hang:
        case Mode::count_: report(backend, EvidenceKind::outpaced); break;
        }
    }

    void take(Reaction reaction)
    {
        for (const Event& event : reaction.events)
            if (event.kind == Kind::clock_jump) {
                jumped_at = now;
                for (auto& [at, report] : probes) stale.push_back(report.started);
            }
        for (BackendIndex b : reaction.probe) begin_probe(b);
        wake = reaction.wake_at;
        EXPECT_GT(wake, now);
        if (reaction.routing) {
            EXPECT_EQ(reaction.routing->version, versions + 1) << "versions go up one by one";
            versions = reaction.routing->version;
            if (routing) {
                EXPECT_FALSE(reaction.routing->backends == routing->backends &&
                             reaction.routing->pools == routing->pools)
                    << "a routing is only published when it differs";
            }
            routing = reaction.routing;
        }
        for (Event& event : reaction.events) events.push_back(std::move(event));
        if (const std::string broken = broken_invariant(); !broken.empty()) violations.push_back(broken);
    }

    /// What the published routing must be, whatever happened. Empty if all is well.
    std::string broken_invariant() const
    {
        if (!routing) return "nothing was published";
        for (std::size_t p = 0; p < config.pools.size(); ++p) {
            const auto& route = routing->pools[p];
            const auto& state = core.pool(static_cast<PoolIndex>(p));
            const auto failed = [this](BackendIndex b) { return last_failure[b] > last_good[b]; };
            const auto status = [this](BackendIndex b) { return routing->backends[b].status; };
            const auto in_quarantine = [&](BackendIndex b) {
                for (std::size_t i = 0; i < config.pools[p].backends.size(); ++i)
                    if (config.pools[p].backends[i] == b) return state.quarantined_until[i].has_value();
                return false;
            };
            unsigned serving = 0;
            bool answers = false;
            for (const Candidate& c : route.candidates) {
                const auto other_is_healthy = [&] {
                    return std::any_of(route.candidates.begin(), route.candidates.end(), [&](const Candidate& o) {
                        return o.backend != c.backend && status(o.backend) == Status::healthy && !failed(o.backend) &&
                               !in_quarantine(o.backend);
                    });
                };
                answers |= status(c.backend) == Status::healthy || status(c.backend) == Status::degraded ||
                           status(c.backend) == Status::unhealthy;
                if (c.tier != Tier::excluded &&
                    (status(c.backend) == Status::draining || status(c.backend) == Status::maintenance))
                    return "a backend that an operator took out gets requests";
                if (c.tier != Tier::serving) continue;
                ++serving;
                if (failed(c.backend) && other_is_healthy())
                    return "serves from " + config.backends[c.backend].name + " whose last evidence is a failure";
                if (status(c.backend) == Status::unknown) return "serves from an unknown backend";
                if (route.policy == Policy::failover && &c != &route.candidates.front())
                    return "the server is not the first";
            }
            if (route.policy != Policy::failover) continue;
            if (serving > 1) return "two backends serve under policy failover";
            if (answers && !state.active) return "a backend answers, but none is active";
            if (answers && !state.can_answer) return "a backend answers, but the pool says it cannot";
        }
        for (std::size_t b = 0; b < config.backends.size(); ++b) {
            // A worker passes the backend over since `suspected`; it must learn of the probe that cleared it.
            const auto it = suspected.find(static_cast<BackendIndex>(b));
            if (it != suspected.end() && last_good[b] > it->second &&
                routing->backends[b].good_probe_started <= it->second)
                return "workers were not told that a probe has cleared " + config.backends[b].name;
        }
        return {};
    }

    std::size_t count(Kind kind) const
    {
        return static_cast<std::size_t>(
            std::count_if(events.begin(), events.end(), [kind](const Event& e) { return e.kind == kind; }));
    }
    const Event& last(Kind kind) const
    {
        const auto it = std::find_if(events.rbegin(), events.rend(), [kind](const Event& e) { return e.kind == kind; });
        static const Event none;
        EXPECT_NE(it, events.rend()) << "no event of kind " << kind;
        return it == events.rend() ? none : *it;
    }
    Status status(BackendIndex b) const { return core.backend(b).status; }
    std::optional<BackendIndex> active(PoolIndex p = 0) const { return core.pool(p).active; }
    Tier tier(BackendIndex b, PoolIndex p = 0) const
    {
        for (const Candidate& c : routing->pools[p].candidates)
            if (c.backend == b) return c.tier;
        return Tier::excluded;
    }
    std::optional<BackendIndex> server(PoolIndex p = 0) const
    {
        const Candidate& first = routing->pools[p].candidates.front();
        return first.tier == Tier::serving ? std::optional(first.backend) : std::nullopt;
    }

    Config config;
    Failover core;
    TimePoint now = TimePoint{} + std::chrono::hours(1);
    std::vector<Mode> modes;
    std::vector<Event> events;
    std::shared_ptr<const Routing> routing;
    std::vector<std::string> violations;
    std::uint64_t probes_done = 0;

private:
    void begin_probe(BackendIndex b)
    {
        const ProbeConfig& settings = config.pools.front().probe;
        ProbeReport report{.backend = b, .started = now + microseconds(20), .latency = microseconds(300)};
        switch (modes[b]) {
        case Mode::good: report.detail = "200 OK"; break;
        case Mode::slow:
            report.latency = settings.slow + milliseconds(20);
            report.detail = "200 OK";
            break;
        case Mode::refuse:
            report.outcome = ProbeOutcome::refused;
            report.detail = "connection refused";
            break;
        case Mode::reset: report.outcome = ProbeOutcome::reset; break;
        case Mode::error:
            report.outcome = ProbeOutcome::failing;
            report.detail = "503 Service Unavailable";
            break;
        case Mode::hang:
        case Mode::count_:
            report.outcome = ProbeOutcome::timed_out;
            report.latency = settings.timeout;
            break;
        }
        probes.emplace(report.started + report.latency, report);
    }

    void finish(const ProbeReport& report)
    {
        ++probes_done;
        Reaction reaction = core.probe_finished(report, now);
        const bool jump = std::any_of(reaction.events.begin(), reaction.events.end(),
                                      [](const Event& e) { return e.kind == Kind::clock_jump; });
        const bool old = jump || std::find(stale.begin(), stale.end(), report.started) != stale.end();
        if (!old) {
            if (report.outcome != ProbeOutcome::ok)
                last_failure[report.backend] = now;
            else if (report.started > last_failure[report.backend])
                last_good[report.backend] = report.started;
        }
        take(std::move(reaction));
    }

    std::multimap<TimePoint, ProbeReport> probes; ///< under way, by their end
    TimePoint wake = TimePoint::max();
    std::uint64_t versions = 0;
    std::vector<TimePoint> last_failure, last_good; ///< what an observer would say, by backend
    std::map<BackendIndex, TimePoint> suspected;
    std::vector<TimePoint> stale;
    std::optional<TimePoint> jumped_at;
};

World started(Config config)
{
    World world(std::move(config));
    world.start();
    world.run(seconds(2));
    world.events.clear();
    return world;
}

// ------------------------------------------------------------------------------------------------------------- start

TEST(Failover, serves_from_unknown_backends_until_a_probe_has_ended)
{
    World w(config_of(2));
    w.start();
    EXPECT_EQ(w.tier(primary), Tier::fallback);
    EXPECT_EQ(w.tier(spare), Tier::fallback);
    EXPECT_TRUE(w.core.pool(0).can_answer);
    w.run(milliseconds(1));
    EXPECT_EQ(w.status(primary), Status::healthy);
    EXPECT_EQ(w.status(spare), Status::healthy);
    EXPECT_EQ(w.active(), primary);
    EXPECT_EQ(w.tier(primary), Tier::serving);
    EXPECT_EQ(w.tier(spare), Tier::fallback);
    EXPECT_EQ(w.count(Kind::failover) + w.count(Kind::failback), 0U) << "the first choice is no failover";
    EXPECT_TRUE(w.violations.empty()) << w.violations.front();
}

TEST(Failover, serves_from_the_spare_while_the_primary_is_unknown)
{
    World w(config_of(2));
    w.modes[primary] = Mode::slow;
    w.start();
    w.run(milliseconds(1));
    EXPECT_EQ(w.status(primary), Status::unknown);
    EXPECT_EQ(w.server(), spare);
    w.modes[primary] = Mode::good;
    w.run(seconds(2));
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, a_primary_that_is_dead_at_the_start_is_no_failover)
{
    World w(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.start();
    w.run(milliseconds(1));
    EXPECT_EQ(w.status(primary), Status::down);
    EXPECT_EQ(w.server(), spare);
    EXPECT_EQ(w.count(Kind::failover), 0U);
    w.modes[primary] = Mode::good;
    w.run(seconds(1));
    EXPECT_EQ(w.active(), primary) << "it never flapped: no hold-down";
    EXPECT_EQ(w.count(Kind::failback), 1U);
}

// ---------------------------------------------------------------------------------------------------------- detection

TEST(Failover, heartbeats_alone_detect_a_refusal_within_interval_and_fast_interval)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::refuse;
    const TimePoint fault = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.active() == spare; }, seconds(5)));
    EXPECT_LE(w.now - fault, milliseconds(670));
    EXPECT_EQ(w.status(primary), Status::down);
    const Event& failover = w.last(Kind::failover);
    EXPECT_EQ(failover.previous, primary);
    EXPECT_EQ(failover.backend, spare);
    EXPECT_EQ(failover.cause, "probes");
    EXPECT_EQ(failover.evidence, "'primary' is down: 2 probes in a row failed, the last: connection refused");
    EXPECT_LE(failover.detection, milliseconds(115)) << "from the first failed probe";
}

TEST(Failover, heartbeats_alone_detect_a_hang_within_their_four_terms)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::hang;
    const TimePoint fault = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.active() == spare; }, seconds(5)));
    EXPECT_LE(w.now - fault, milliseconds(1470));
    EXPECT_EQ(w.routing->backends[primary].down_count, 1U);
}

TEST(Failover, a_refused_request_causes_a_probe_at_once_and_the_two_suffice)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.request(primary);
    EXPECT_EQ(w.server(), spare) << "passed over meanwhile";
    EXPECT_EQ(w.active(), primary) << "without a verdict";
    w.run(milliseconds(1));
    EXPECT_EQ(w.status(primary), Status::down);
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.last(Kind::failover).cause, "traffic_and_probes");
    EXPECT_LE(w.last(Kind::failover).detection, milliseconds(1));
    EXPECT_TRUE(w.violations.empty()) << w.violations.front();
}

TEST(Failover, a_stray_reset_passes_a_backend_over_only_until_the_probe_it_causes)
{
    World w = started(config_of(2));
    w.report(primary, EvidenceKind::reset);
    EXPECT_EQ(w.server(), spare);
    const TimePoint failed = w.now;
    w.run(milliseconds(1));
    EXPECT_EQ(w.server(), primary);
    EXPECT_GT(w.routing->backends[primary].good_probe_started, failed);
    EXPECT_EQ(w.count(Kind::failover), 0U);
    EXPECT_EQ(w.count(Kind::transition), 0U);
}

TEST(Failover, probes_after_live_failures_keep_a_distance)
{
    World w = started(config_of(2));
    const auto before = w.probes_done;
    for (int i = 0; i < 1000; ++i) {
        w.report(primary, EvidenceKind::reset);
        w.report(primary, EvidenceKind::success);
        w.run(milliseconds(1));
    }
    EXPECT_LE(w.probes_done - before, 50U) << "one in 25 ms";
    EXPECT_EQ(w.status(primary), Status::healthy);
}

TEST(Failover, a_hang_that_live_requests_meet_degrades_at_once_and_is_down_after_one_timeout)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::hang;
    const TimePoint fault = w.now;
    while (w.active() == primary && w.now < fault + seconds(2)) {
        w.run(milliseconds(20));
        w.request(primary);
    }
    EXPECT_LE(w.now - fault, milliseconds(110));
    EXPECT_EQ(w.status(primary), Status::degraded);
    ASSERT_TRUE(w.run_until([&] { return w.status(primary) == Status::down; }, seconds(2)));
    EXPECT_LE(w.now - fault, milliseconds(600));
}

TEST(Failover, failing_answers_confirmed_by_a_probe_make_unhealthy)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::error;
    for (int i = 0; i < 3; ++i) w.request(primary);
    w.run(milliseconds(1));
    EXPECT_EQ(w.status(primary), Status::unhealthy);
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.tier(primary), Tier::excluded);
    EXPECT_EQ(w.routing->backends[primary].down_count, 0U) << "it answers: nothing in flight has to move";
}

TEST(Failover, live_answers_much_slower_than_those_of_the_peers_degrade)
{
    World w = started(config_of(3, Policy::round_robin));
    for (int i = 0; i < 40; ++i) {
        w.report(primary, EvidenceKind::success, 10, milliseconds(2));
        w.report(spare, EvidenceKind::success, 10, milliseconds(80));
        w.report(third, EvidenceKind::success, 10, milliseconds(2));
        w.run(milliseconds(100));
        if (w.status(spare) == Status::degraded) break;
    }
    EXPECT_EQ(w.status(spare), Status::degraded);
    EXPECT_EQ(w.core.backend(spare).cause, "outlier");
    EXPECT_EQ(w.core.backend(spare).evidence, "live answers take 80.0 ms on average, those of its peers 2.0 ms");
    EXPECT_EQ(w.tier(spare), Tier::fallback);
    EXPECT_EQ(w.tier(primary), Tier::serving);
}

// ----------------------------------------------------------------------------------------------------------- failback

TEST(Failover, a_primary_that_returns_is_active_after_rise_and_hold_down)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.run(seconds(2));
    ASSERT_EQ(w.active(), spare);
    w.modes[primary] = Mode::good;
    const TimePoint back = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.status(primary) == Status::healthy; }, seconds(5)));
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.tier(primary), Tier::fallback);
    ASSERT_TRUE(w.run_until([&] { return w.active() == primary; }, seconds(5)));
    EXPECT_GE(w.now - back, seconds(1));
    EXPECT_LE(w.now - back, milliseconds(1700)) << "interval + fast_interval + hold_down";
    EXPECT_EQ(w.last(Kind::failback).previous, spare);
    EXPECT_EQ(w.last(Kind::failback).evidence, "'primary' has been healthy for 1.0 s");
}

TEST(Failover, the_hold_down_doubles_with_every_flap)
{
    World w = started(config_of(2));
    std::vector<int> held_seconds;
    for (int flap = 0; flap < 7; ++flap) {
        w.modes[primary] = Mode::refuse;
        ASSERT_TRUE(w.run_until([&] { return w.active() == spare; }, seconds(5)));
        w.modes[primary] = Mode::good;
        ASSERT_TRUE(w.run_until([&] { return w.status(primary) == Status::healthy; }, seconds(10)));
        const TimePoint healthy = w.now;
        ASSERT_TRUE(w.run_until([&] { return w.active() == primary; }, seconds(70)));
        held_seconds.push_back(static_cast<int>((w.now - healthy + milliseconds(500)) / seconds(1)));
    }
    EXPECT_EQ(held_seconds, (std::vector{1, 2, 4, 8, 16, 32, 60}));
}

TEST(Failover, in_manual_mode_the_spare_stays_active)
{
    Config config = config_of(2);
    config.pools[0].failback.mode = FailbackMode::manual;
    World w = started(config);
    w.modes[primary] = Mode::refuse;
    w.run(seconds(2));
    w.modes[primary] = Mode::good;
    w.run(seconds(200));
    EXPECT_EQ(w.active(), spare);
    w.take(w.core.prefer_configured(w.now));
    EXPECT_EQ(w.active(), primary) << "until an operator says so";
    EXPECT_EQ(w.last(Kind::failover).cause, "operator");
}

TEST(Failover, a_primary_in_hold_down_takes_over_at_once_when_the_spare_fails)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.run(seconds(2));
    w.modes[primary] = Mode::good;
    ASSERT_TRUE(w.run_until([&] { return w.status(primary) == Status::healthy; }, seconds(5)));
    w.modes[spare] = Mode::refuse;
    w.request(spare);
    EXPECT_EQ(w.server(), primary);
    w.run(milliseconds(1));
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, goes_down_the_list_in_order)
{
    World w = started(config_of(3));
    w.modes[primary] = Mode::refuse;
    w.run(seconds(2));
    EXPECT_EQ(w.active(), spare);
    w.modes[spare] = Mode::hang;
    w.run(seconds(3));
    EXPECT_EQ(w.active(), third);
    w.modes[spare] = Mode::good;
    w.run(seconds(5));
    EXPECT_EQ(w.active(), spare);
    w.modes[primary] = Mode::good;
    w.run(seconds(5));
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, slow_start_raises_the_weight_in_steps)
{
    Config config = config_of(2, Policy::round_robin);
    config.pools[0].failback.slow_start = seconds(10);
    World w = started(config);
    const auto weight = [&](BackendIndex b) { return w.routing->pools[0].candidates[b].weight; };
    EXPECT_EQ(weight(primary), weight(spare)) << "not at the start of the balancer";
    w.modes[primary] = Mode::refuse;
    w.run(seconds(2));
    w.modes[primary] = Mode::good;
    ASSERT_TRUE(w.run_until([&] { return w.tier(primary) == Tier::serving; }, seconds(5)));
    EXPECT_EQ(weight(primary) * 10, weight(spare));
    w.run(milliseconds(5100));
    EXPECT_EQ(weight(primary) * 10, weight(spare) * 6);
    w.run(seconds(5));
    EXPECT_EQ(weight(primary), weight(spare));
}

// ------------------------------------------------------------------------------------------------- nothing works well

TEST(Failover, the_lesser_evil_answers)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.modes[spare] = Mode::error;
    w.run(seconds(3));
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.tier(spare), Tier::serving);
    EXPECT_EQ(w.tier(primary), Tier::excluded);
    EXPECT_TRUE(w.core.pool(0).can_answer);
}

TEST(Failover, an_outage_ends_with_the_first_good_probe)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.modes[spare] = Mode::refuse;
    w.run(seconds(5));
    EXPECT_EQ(w.active(), std::nullopt);
    EXPECT_FALSE(w.core.pool(0).can_answer);
    EXPECT_EQ(w.count(Kind::outage), 1U);

    w.modes[spare] = Mode::good;
    const TimePoint back = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.core.pool(0).can_answer; }, seconds(2)));
    EXPECT_LE(w.now - back, milliseconds(115)) << "probed at the fast interval while nothing works";
    EXPECT_EQ(w.tier(spare), Tier::fallback);
    EXPECT_EQ(w.count(Kind::outage_over), 1U);
    w.run(milliseconds(120));
    EXPECT_EQ(w.active(), spare);
}

TEST(Failover, does_not_wander_between_backends_that_fail_alike)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::error;
    w.modes[spare] = Mode::error;
    w.run(seconds(60));
    EXPECT_LE(w.count(Kind::failover) + w.count(Kind::failback), 1U);
    EXPECT_TRUE(w.server());
}

TEST(Failover, fails_open_when_probes_fail_and_live_requests_succeed)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::hang; // as its health end point does; its requests are answered
    w.modes[spare] = Mode::hang;
    for (int i = 0; i < 60; ++i) {
        w.report(primary, EvidenceKind::success, 5);
        w.run(milliseconds(50));
    }
    EXPECT_EQ(w.status(primary), Status::down);
    EXPECT_TRUE(w.core.pool(0).fail_open);
    EXPECT_EQ(w.active(), primary);
    EXPECT_EQ(w.tier(primary), Tier::serving);
    EXPECT_EQ(w.count(Kind::fail_open), 1U);
    EXPECT_EQ(w.count(Kind::outage), 0U);

    w.report(primary, EvidenceKind::timed_out);
    EXPECT_FALSE(w.core.pool(0).fail_open);
    EXPECT_EQ(w.tier(primary), Tier::excluded);
    EXPECT_EQ(w.last(Kind::fail_open_over).evidence, "live requests fail as well");
}

TEST(Failover, does_not_fail_open_while_a_backend_works)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::hang;
    for (int i = 0; i < 60; ++i) {
        w.report(primary, EvidenceKind::success, 5);
        w.run(milliseconds(50));
    }
    EXPECT_FALSE(w.core.pool(0).fail_open);
    EXPECT_EQ(w.active(), spare);
}

// ----------------------------------------------------------------------------------------------------------- operator

TEST(Failover, a_drained_backend_gets_no_requests_until_it_is_enabled)
{
    World w = started(config_of(2));
    w.take(w.core.operate(primary, OperatorWord::drain, w.now));
    EXPECT_EQ(w.status(primary), Status::draining);
    EXPECT_EQ(w.tier(primary), Tier::excluded);
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.last(Kind::failover).cause, "operator");
    EXPECT_EQ(w.routing->backends[primary].down_count, 0U);
    w.run(seconds(5));
    EXPECT_EQ(w.status(primary), Status::draining);
    w.take(w.core.operate(primary, OperatorWord::enable, w.now));
    EXPECT_EQ(w.status(primary), Status::healthy);
    EXPECT_EQ(w.active(), primary) << "an operator's word is not damped";
}

TEST(Failover, failures_in_maintenance_are_nobodys_alarm)
{
    World w = started(config_of(2));
    w.take(w.core.operate(spare, OperatorWord::maintenance, w.now));
    w.events.clear();
    w.modes[spare] = Mode::refuse;
    w.run(seconds(5));
    EXPECT_TRUE(w.events.empty());
    w.take(w.core.operate(spare, OperatorWord::enable, w.now));
    EXPECT_EQ(w.status(spare), Status::down);
    w.modes[spare] = Mode::good;
    w.run(seconds(1));
    EXPECT_EQ(w.status(spare), Status::healthy);
}

TEST(Failover, an_operators_preference_holds_and_survives_a_failure_of_the_preferred_one)
{
    World w = started(config_of(3));
    auto moved = w.core.prefer(third, w.now);
    ASSERT_TRUE(moved);
    w.take(std::move(*moved));
    EXPECT_EQ(w.active(), third);
    EXPECT_EQ(w.count(Kind::failover), 1U);
    w.run(seconds(30));
    EXPECT_EQ(w.active(), third);
    w.modes[third] = Mode::refuse;
    w.run(seconds(2));
    EXPECT_EQ(w.active(), primary);
    w.modes[third] = Mode::good;
    w.run(seconds(5));
    EXPECT_EQ(w.active(), third);
    w.take(w.core.prefer_configured(w.now));
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, refuses_to_prefer_what_cannot_serve)
{
    World w = started(config_of(2));
    w.modes[spare] = Mode::refuse;
    w.run(seconds(2));
    const auto refused = w.core.prefer(spare, w.now);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), "'spare' is down: 2 probes in a row failed, the last: connection refused");
    w.take(w.core.operate(spare, OperatorWord::maintenance, w.now));
    EXPECT_EQ(w.core.prefer(spare, w.now).error(), "'spare' is in status maintenance: enable it first");
    EXPECT_EQ(w.active(), primary);

    World r = started(config_of(2, Policy::random));
    EXPECT_EQ(r.core.prefer(spare, r.now).error(), "no pool with policy failover holds 'spare'");
}

// --------------------------------------------------------------------------------------------------- version failover

Config versions()
{
    Config config = config_of(3);
    for (std::size_t i = 0; i < 3; ++i) config.backends[i].name = "v" + std::to_string(i + 1);
    config.pools[0].quarantine.failure_limit = 5;
    return config;
}

TEST(Failover, a_version_that_fails_too_often_is_quarantined_for_the_cooldown)
{
    World w = started(versions());
    for (int i = 0; i < 5; ++i) { // every other request fails: never unhealthy, yet too often
        w.report(primary, EvidenceKind::failing_status);
        w.report(primary, EvidenceKind::success);
        w.run(milliseconds(200));
    }
    EXPECT_EQ(w.status(primary), Status::healthy);
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.last(Kind::quarantine).evidence, "5 failures in 0.8 s");
    EXPECT_EQ(w.last(Kind::failover).evidence, "'v1' is quarantined: 5 failures in 0.8 s");
    EXPECT_EQ(w.tier(primary), Tier::excluded);
    w.run(seconds(13));
    EXPECT_EQ(w.active(), spare);
    w.run(seconds(3));
    EXPECT_EQ(w.count(Kind::quarantine_over), 1U);
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, fewer_failures_or_slower_ones_do_not_quarantine)
{
    World w = started(versions());
    for (int i = 0; i < 20; ++i) {
        w.report(primary, EvidenceKind::failing_status);
        w.report(primary, EvidenceKind::success);
        w.run(seconds(3));
    }
    EXPECT_EQ(w.active(), primary);
    EXPECT_EQ(w.count(Kind::quarantine), 0U);
}

TEST(Failover, a_quarantine_outlasts_its_cooldown_while_probes_fail)
{
    World w = started(versions());
    w.modes[primary] = Mode::error;
    w.run(seconds(40));
    EXPECT_TRUE(w.core.pool(0).quarantined_until[0]);
    w.modes[primary] = Mode::good;
    w.run(seconds(1));
    EXPECT_TRUE(w.core.pool(0).quarantined_until[0]) << "its failures renewed it";
    w.run(seconds(17));
    EXPECT_FALSE(w.core.pool(0).quarantined_until[0]);
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, versions_go_forward_and_not_around)
{
    World w = started(versions());
    w.modes[primary] = Mode::error;
    w.run(seconds(4));
    EXPECT_EQ(w.active(), spare);
    w.modes[primary] = Mode::good; // looks well again, but is in quarantine
    w.run(seconds(2));
    w.modes[spare] = Mode::error;
    w.run(seconds(4));
    EXPECT_EQ(w.active(), third);
    w.modes[third] = Mode::refuse;
    w.run(seconds(1));
    EXPECT_EQ(w.active(), primary) << "quarantined, but nothing else answers well";
}

TEST(Failover, an_operator_ends_a_quarantine)
{
    World w = started(versions());
    w.report(primary, EvidenceKind::failing_status, 5);
    w.report(primary, EvidenceKind::success);
    w.run(milliseconds(10));
    EXPECT_EQ(w.active(), spare);
    w.take(w.core.operate(primary, OperatorWord::enable, w.now));
    w.run(milliseconds(200));
    EXPECT_EQ(w.active(), primary);
}

// ------------------------------------------------------------------------------------------------------- other
// policies

TEST(Failover, under_the_other_policies_all_healthy_backends_serve)
{
    for (const Policy policy : {Policy::round_robin, Policy::random, Policy::least_connections}) {
        World w = started(config_of(3, policy));
        for (BackendIndex b = 0; b < 3; ++b) EXPECT_EQ(w.tier(b), Tier::serving);
        w.modes[primary] = Mode::refuse;
        w.modes[third] = Mode::slow;
        w.run(seconds(3));
        EXPECT_EQ(w.tier(primary), Tier::excluded);
        EXPECT_EQ(w.tier(spare), Tier::serving);
        EXPECT_EQ(w.tier(third), Tier::fallback);
        w.modes[spare] = Mode::refuse;
        w.run(seconds(3));
        EXPECT_EQ(w.tier(third), Tier::fallback) << "what is left is degraded, but it answers";
        EXPECT_EQ(w.count(Kind::failover), 0U);
        EXPECT_TRUE(w.violations.empty()) << w.violations.front();
    }
}

TEST(Failover, pools_share_verdicts_but_not_choices)
{
    Config config = config_of(2);
    PoolConfig other = config.pools[0];
    other.name = "other";
    other.backends = {spare, primary};
    config.pools.push_back(other);
    World w = started(config);
    EXPECT_EQ(w.active(0), primary);
    EXPECT_EQ(w.active(1), spare);
    w.modes[spare] = Mode::refuse;
    w.run(seconds(2));
    EXPECT_EQ(w.active(0), primary);
    EXPECT_EQ(w.active(1), primary);
    EXPECT_EQ(w.count(Kind::transition), 1U);
}

// ---------------------------------------------------------------------------------------------------------- clock
// jumps

TEST(Failover, what_was_under_way_when_this_process_was_stopped_decides_nothing)
{
    World w = started(config_of(2));
    w.modes[primary] = Mode::hang;
    w.modes[spare] = Mode::hang;
    w.run(milliseconds(550)); // probes are under way; they will look like timeouts
    w.modes[primary] = Mode::good;
    w.modes[spare] = Mode::good;
    w.freeze(seconds(30));
    w.report(primary, EvidenceKind::timed_out, 20); // and so do requests
    w.run(seconds(3));
    EXPECT_EQ(w.count(Kind::clock_jump), 1U);
    EXPECT_EQ(w.count(Kind::transition), 0U);
    EXPECT_EQ(w.count(Kind::failover), 0U);
    EXPECT_EQ(w.active(), primary);
    EXPECT_TRUE(w.violations.empty()) << w.violations.front();
}

TEST(Failover, after_a_jump_a_fresh_round_finds_the_truth_at_once)
{
    World w = started(config_of(2));
    w.freeze(std::chrono::hours(1));
    w.modes[primary] = Mode::refuse;
    w.run(milliseconds(150));
    EXPECT_EQ(w.count(Kind::clock_jump), 1U);
    EXPECT_EQ(w.active(), spare);
}

TEST(Failover, a_suspended_machine_is_told)
{
    World w = started(config_of(2));
    const auto before = w.probes_done;
    w.take(w.core.clock_jumped(w.now));
    EXPECT_EQ(w.count(Kind::clock_jump), 1U);
    w.run(milliseconds(1));
    EXPECT_GE(w.probes_done, before + 2);
}

// ------------------------------------------------------------------------------------------------------------ the long
// run

TEST(Failover, a_day_of_heartbeats_changes_nothing)
{
    World w = started(config_of(2));
    const auto version = w.routing->version;
    w.run(std::chrono::hours(24));
    EXPECT_GE(w.probes_done, 2U * 24 * 3600 * 2 * 9 / 10);
    EXPECT_EQ(w.routing->version, version);
    EXPECT_TRUE(w.events.empty());
    EXPECT_TRUE(w.violations.empty());
}

// --------------------------------------------------------------------------------------------------- random sequences

struct Step {
    enum class What : std::uint8_t { pause, mode, traffic, evidence, word, prefer, freeze };
    What what;
    BackendIndex backend;
    std::uint16_t value;
};

std::ostream& operator<<(std::ostream& out, const Step& step)
{
    static const char* const names[] = {"pause", "mode", "traffic", "evidence", "word", "prefer", "freeze"};
    return out << names[static_cast<std::size_t>(step.what)] << "(" << step.backend << ", " << step.value << ")";
}

rc::Gen<Step> any_step()
{
    using What = Step::What;
    return rc::gen::build<Step>(rc::gen::set(&Step::what, rc::gen::weightedElement<What>({{8, What::pause},
                                                                                          {6, What::mode},
                                                                                          {4, What::traffic},
                                                                                          {3, What::evidence},
                                                                                          {1, What::word},
                                                                                          {1, What::prefer},
                                                                                          {1, What::freeze}})),
                                rc::gen::set(&Step::backend, rc::gen::inRange<BackendIndex>(0, 4)),
                                rc::gen::set(&Step::value, rc::gen::inRange<std::uint16_t>(0, 1200)));
}

Config any_config()
{
    Config config = config_of(*rc::gen::inRange<std::size_t>(1, 5),
                              *rc::gen::weightedElement<Policy>({{4, Policy::failover}, {1, Policy::round_robin}}));
    PoolConfig& pool = config.pools[0];
    pool.probe.fall = *rc::gen::inRange(1U, 4U);
    pool.probe.rise = *rc::gen::inRange(1U, 4U);
    if (*rc::gen::inRange(0, 4) == 0) pool.quarantine.failure_limit = 5;
    if (*rc::gen::inRange(0, 4) == 0) pool.failback.mode = FailbackMode::manual;
    if (*rc::gen::inRange(0, 4) == 0) pool.failback.slow_start = seconds(5);
    return config;
}

void apply(World& w, const Step& step)
{
    const auto b = static_cast<BackendIndex>(step.backend % w.config.backends.size());
    switch (step.what) {
    case Step::What::pause: w.run(milliseconds(step.value)); break;
    case Step::What::mode: w.modes[b] = static_cast<Mode>(step.value % static_cast<unsigned>(Mode::count_)); break;
    case Step::What::traffic:
        for (int i = 0; i < step.value % 20; ++i) {
            w.request(w.routing->pools[0].candidates.front().backend);
            w.run(milliseconds(2));
        }
        break;
    case Step::What::evidence: w.report(b, static_cast<EvidenceKind>(step.value % 7), 1 + step.value % 5); break;
    case Step::What::word: w.take(w.core.operate(b, static_cast<OperatorWord>(step.value % 3), w.now)); break;
    case Step::What::prefer:
        if (step.value % 2 == 0) {
            w.take(w.core.prefer_configured(w.now));
        } else if (auto moved = w.core.prefer(b, w.now)) {
            w.take(std::move(*moved));
        }
        break;
    case Step::What::freeze: w.freeze(milliseconds(step.value * 3)); break;
    }
}

// Invariants of every published routing, see World::broken_invariant(), and that what is well again is in use again.
TEST(Failover, holds_its_invariants_in_any_sequence_and_recovers_from_it)
{
    test::check_property(2000, [] {
        World w(any_config(), *rc::gen::arbitrary<std::uint32_t>());
        const auto steps = *rc::gen::container<std::vector<Step>>(any_step());
        w.start();
        for (const Step& step : steps) {
            apply(w, step);
            if (!w.violations.empty()) RC_FAIL(w.violations.front());
        }

        // Everything is well from now on: everybody is healthy soon, and where it is automatic the first one active
        // after its damping time: rise at its longest, then the longest hold-down.
        for (std::size_t b = 0; b < w.modes.size(); ++b) {
            w.modes[b] = Mode::good;
            const auto index = static_cast<BackendIndex>(b);
            if (w.status(index) == Status::draining || w.status(index) == Status::maintenance)
                w.take(w.core.operate(index, OperatorWord::enable, w.now));
        }
        w.take(w.core.prefer_configured(w.now));
        w.run(seconds(7));
        for (std::size_t b = 0; b < w.modes.size(); ++b)
            RC_ASSERT(w.status(static_cast<BackendIndex>(b)) == Status::healthy);
        RC_ASSERT(w.core.pool(0).can_answer);
        RC_ASSERT(!w.core.pool(0).fail_open);
        w.run(seconds(60));
        if (w.config.pools[0].policy == Policy::failover) {
            RC_ASSERT(w.server().has_value());
            RC_ASSERT(w.server() == w.active());
            if (w.config.pools[0].failback.mode == FailbackMode::automatic) RC_ASSERT(w.active() == primary);
        } else {
            for (std::size_t b = 0; b < w.modes.size(); ++b)
                RC_ASSERT(w.tier(static_cast<BackendIndex>(b)) == Tier::serving);
        }
        if (!w.violations.empty()) RC_FAIL(w.violations.front());
    });
}

unsigned most_in_a_minute(const World& w)
{
    std::deque<TimePoint> recent;
    std::size_t most = 0;
    for (const Event& e : w.events) {
        if (e.kind != Kind::failover && e.kind != Kind::failback) continue;
        recent.push_back(e.at);
        while (recent.front() <= e.at - seconds(60)) recent.pop_front();
        most = std::max(most, recent.size());
    }
    return static_cast<unsigned>(most);
}

// The bounds stated in failover.hpp.
TEST(Failover, one_flapping_backend_causes_at_most_14_failovers_a_minute_at_any_frequency)
{
    unsigned worst = 0;
    test::check_property(200, [&worst] {
        World w(config_of(2), *rc::gen::arbitrary<std::uint32_t>());
        w.start();
        w.run(seconds(1));
        const auto up = milliseconds(*rc::gen::inRange(1, 6000));
        const auto down = milliseconds(*rc::gen::inRange(1, 3000));
        const auto fault = *rc::gen::element(Mode::refuse, Mode::error, Mode::hang, Mode::slow, Mode::reset);
        const bool traffic = *rc::gen::arbitrary<bool>();
        for (const TimePoint end = w.now + seconds(180); w.now < end;) {
            w.modes[primary] = fault;
            if (traffic) w.request(w.routing->pools[0].candidates.front().backend);
            w.run(down);
            w.modes[primary] = Mode::good;
            if (traffic) w.request(w.routing->pools[0].candidates.front().backend);
            w.run(up);
        }
        const unsigned most = most_in_a_minute(w);
        worst = std::max(worst, most);
        RC_ASSERT(most <= 14U);
        if (!w.violations.empty()) RC_FAIL(w.violations.front());
    });
    std::cout << "most failovers in any minute: " << worst << std::endl;
}

TEST(Failover, when_all_backends_flap_failovers_are_bounded_by_rise)
{
    unsigned worst = 0;
    test::check_property(150, [&worst] {
        World w(config_of(2), *rc::gen::arbitrary<std::uint32_t>());
        w.start();
        w.run(seconds(1));
        // Each on its own rhythm, so that every phase between them occurs.
        std::vector<Duration> up, down;
        for (int b = 0; b < 2; ++b) {
            up.push_back(milliseconds(*rc::gen::inRange(50, 4000)));
            down.push_back(milliseconds(*rc::gen::inRange(50, 4000)));
        }
        const TimePoint begin = w.now;
        while (w.now < begin + seconds(180)) {
            for (std::size_t b = 0; b < 2; ++b) {
                const Duration phase = (w.now - begin) % (up[b] + down[b]);
                w.modes[b] = phase < up[b] ? Mode::good : Mode::refuse;
            }
            w.run(milliseconds(25));
        }
        const unsigned most = most_in_a_minute(w);
        worst = std::max(worst, most);
        RC_ASSERT(most <= 48U);
        if (!w.violations.empty()) RC_FAIL(w.violations.front());
    });
    std::cout << "most failovers in any minute: " << worst << std::endl;
}

} // namespace
} // namespace hotspare::balancer
