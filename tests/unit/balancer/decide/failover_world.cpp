#include "tests/unit/balancer/decide/failover_world.hpp"

#include "balancer/decide/saved_state.hpp"

#include <algorithm>
#include <ostream>
#include <span>
#include <stdexcept>
#include <utility>

namespace hotspare::balancer {

using Kind = Event::Kind;

std::ostream& operator<<(std::ostream& out, Policy policy)
{
    return out << to_string(policy);
}
std::ostream& operator<<(std::ostream& out, Status status)
{
    return out << to_string(status);
}
std::ostream& operator<<(std::ostream& out, Kind kind)
{
    return out << to_string(kind);
}
std::ostream& operator<<(std::ostream& out, Tier tier)
{
    return out << (tier == Tier::serving ? "serving" : tier == Tier::fallback ? "fallback" : "excluded");
}
std::ostream& operator<<(std::ostream& out, const Step& step)
{
    static const char* const names[] = {"pause",  "mode",   "traffic", "evidence", "word",
                                        "prefer", "freeze", "members", "succeed"};
    return out << names[static_cast<std::size_t>(step.what)] << "(" << step.backend << ", " << step.value << ")";
}

Config config_of(std::size_t backends, Policy policy)
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

World::World(Config settings, std::uint32_t seed)
    : config(std::move(settings)), core(first_topology(config), seed), modes(config.backends.size(), Mode::good),
      obeyed_(config.pools.size())
{
    make_room();
}

void World::make_room()
{
    const std::size_t backends = topology().backends.size();
    modes.resize(backends, Mode::good);
    last_failure_.resize(backends);
    last_break_.resize(backends);
    last_good_.resize(backends);
    good_in_a_row_.resize(backends);
    added_.resize(backends);
}

void World::reconfigure(unsigned members)
{
    const Config all = config_of(4, config.pools[0].policy);
    Config wanted = config;
    wanted.backends.clear();
    wanted.pools[0].backends.clear();
    wanted.pools[0].weights.clear();
    for (unsigned turn = 0; turn < 4; ++turn) {
        const unsigned i = (members & 0x10) != 0 ? 3 - turn : turn;
        if ((members >> i & 1) == 0) continue;
        wanted.pools[0].backends.push_back(static_cast<BackendIndex>(wanted.backends.size()));
        wanted.pools[0].weights.push_back(1);
        wanted.backends.push_back(all.backends[i]);
    }
    SlotSet released;
    if ((members & 0x20) != 0) released.backends.set();
    const auto before = core.routing_in_force()->topology;
    const auto change = next_topology(before, wanted, released);
    if (!change) throw std::logic_error(change.error());
    const Topology& next = *change->topology;
    std::vector<std::pair<std::string, Status>> kept;
    for (const BackendIndex b : next.present_backends)
        if (before->present(b) && next.same_backend(*before, b)) kept.emplace_back(next.backends[b].name, status(b));

    Reaction reaction = core.adopt(change->topology, now);
    make_room();
    for (std::size_t i = 0; i < next.backends.size(); ++i) {
        const auto b = static_cast<BackendIndex>(i);
        if (next.same_backend(*before, b)) continue;
        modes[i] = Mode::good;
        last_failure_[i] = last_break_[i] = last_good_[i] = TimePoint{};
        good_in_a_row_[i] = 0;
        added_[i] = now;
        suspected_.erase(b);
    }
    for (auto& preferred : obeyed_)
        if (preferred && !next.present(*preferred)) preferred.reset();
    for (const auto& [name, earlier] : kept) {
        const auto backend = next.find_backend(name);
        const auto transition = [backend](const Event& e) {
            return e.kind == Kind::transition && e.backend == backend;
        };
        if (std::none_of(reaction.events.begin(), reaction.events.end(), transition))
            require(status(*backend) == earlier, name + " has another status though it stays");
    }
    take(std::move(reaction));
}

void World::succeed()
{
    const SavedState saved = core.saved();
    const std::shared_ptr<const Topology> topology = core.routing_in_force()->topology;
    std::vector<Status> before;
    for (std::size_t b = 0; b < topology->backends.size(); ++b) before.push_back(status(static_cast<BackendIndex>(b)));
    const auto was_active = active();

    core = Failover(topology, static_cast<std::uint32_t>(versions_));
    core.restore(saved);
    for (const BackendIndex b : topology->present_backends)
        require(status(b) == before[b], name(b) + " has another status for the process that succeeds");
    require(active() == was_active, "another backend is active for the process that succeeds");
    require(core.saved() == saved, "what was restored is saved otherwise");

    // What the earlier process has begun is not this one's, and its workers pass over nothing yet.
    probes_.clear();
    stale_.clear();
    suspected_.clear();
    jumped_at_.reset();
    versions_ = 0;
    routing.reset();
    take(core.start(now));
}

// ------------------------------------------------------------------------------------------------------ what happens

void World::run(Duration span)
{
    const TimePoint end = now + span;
    while (true) {
        const bool probe_next = !probes_.empty() && probes_.begin()->first <= wake_;
        const TimePoint next = probe_next ? probes_.begin()->first : wake_;
        if (next > end) break;
        now = std::max(now, next);
        if (probe_next) {
            const ProbeReport report = probes_.begin()->second;
            probes_.erase(probes_.begin());
            finish(report);
        } else {
            take(core.tick(now));
        }
    }
    now = end;
}

bool World::run_until(const std::function<bool()>& condition, Duration limit)
{
    for (const TimePoint end = now + limit; now < end; run(milliseconds(1)))
        if (condition()) return true;
    return condition();
}

void World::apply(const Step& step)
{
    if (step.what == Step::What::members) return reconfigure(step.value);
    if (step.what == Step::What::succeed) return succeed();
    const auto& present = topology().present_backends;
    if (present.empty() && step.what != Step::What::pause && step.what != Step::What::freeze) return;
    const BackendIndex b = present.empty() ? BackendIndex{0} : present[step.backend % present.size()];
    switch (step.what) {
    case Step::What::pause: run(milliseconds(step.value)); break;
    case Step::What::mode: modes[b] = static_cast<Mode>(step.value % static_cast<unsigned>(Mode::count_)); break;
    case Step::What::traffic:
        for (int i = 0; i < step.value % 20; ++i) {
            request(routing->pools[0].candidates.front().backend);
            run(milliseconds(2));
        }
        break;
    case Step::What::evidence: report(b, static_cast<EvidenceKind>(step.value % 8), 1 + step.value % 5); break;
    case Step::What::word: take(core.operate(b, static_cast<OperatorWord>(step.value % 3), now)); break;
    case Step::What::prefer:
        if (step.value % 2 == 0) {
            take(core.prefer_configured(now));
        } else if (auto moved = core.prefer(b, now)) {
            take(std::move(*moved));
        }
        break;
    case Step::What::freeze: freeze(milliseconds(step.value * 3)); break;
    case Step::What::members:
    case Step::What::succeed:
    case Step::What::count_: break;
    }
}

void World::report(BackendIndex backend, EvidenceKind kind, std::uint32_t count, Duration latency)
{
    const Evidence evidence{backend, kind, count, now, latency * count};
    Reaction reaction = core.evidence(std::span(&evidence, 1), now);
    const bool ignored = std::any_of(reaction.events.begin(), reaction.events.end(),
                                     [](const Event& e) { return e.kind == Kind::clock_jump; });
    if (ignored) jumped_at_ = now;
    if (!(jumped_at_ && now <= *jumped_at_ + milliseconds(100))) {
        if (kind == EvidenceKind::refused) last_failure_[backend] = now;
        if (kind == EvidenceKind::reset || kind == EvidenceKind::timed_out || kind == EvidenceKind::malformed)
            last_break_[backend] = now;
    }
    if (kind != EvidenceKind::success) suspected_[backend] = now;
    take(std::move(reaction));
}

void World::request(BackendIndex backend)
{
    switch (modes[backend]) {
    case Mode::good: report(backend, EvidenceKind::success); break;
    case Mode::slow: report(backend, EvidenceKind::outpaced); break;
    case Mode::refuse: report(backend, EvidenceKind::refused); break;
    case Mode::reset: report(backend, EvidenceKind::reset); break;
    case Mode::error: report(backend, EvidenceKind::diverted); break;
    case Mode::hang:
    case Mode::count_: report(backend, EvidenceKind::outpaced); break;
    }
}

void World::begin_probe(BackendIndex b)
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
    probes_.emplace(report.started + report.latency, report);
}

void World::finish(const ProbeReport& report)
{
    // Of another backend, or of one that is gone: says nothing.
    if (report.started < added_[report.backend] || !topology().present(report.backend))
        return take(core.probe_finished(report, now));
    ++probes_done;
    unsigned& good = good_in_a_row_[report.backend];
    good = report.outcome == ProbeOutcome::ok ? good + 1 : 0;
    Reaction reaction = core.probe_finished(report, now);
    const bool jump = std::any_of(reaction.events.begin(), reaction.events.end(),
                                  [](const Event& e) { return e.kind == Kind::clock_jump; });
    const bool old = jump || std::find(stale_.begin(), stale_.end(), report.started) != stale_.end();
    if (!old) {
        if (report.outcome != ProbeOutcome::ok)
            last_failure_[report.backend] = now;
        else if (report.started > last_failure_[report.backend])
            last_good_[report.backend] = report.started;
    }
    take(std::move(reaction));
}

void World::take(Reaction reaction)
{
    for (const Event& event : reaction.events)
        if (event.kind == Kind::clock_jump) {
            jumped_at_ = now;
            for (auto& [at, report] : probes_) stale_.push_back(report.started);
        }
    for (BackendIndex b : reaction.probe) {
        require(topology().present(b), name(b) + " is probed though it is gone");
        begin_probe(b);
    }
    wake_ = reaction.wake_at;
    require(wake_ > now, "asks to be called again at a time that has passed");
    if (reaction.routing) {
        require(reaction.routing->version == versions_ + 1, "versions do not go up one by one");
        versions_ = reaction.routing->version;
        require(reaction.routing->topology.get() == &topology(), "publishes a routing for another topology");
        require(!routing || reaction.routing->topology != routing->topology ||
                    reaction.routing->backends != routing->backends || reaction.routing->pools != routing->pools,
                "publishes a routing that does not differ");
        routing = reaction.routing;
    }
    for (Event& event : reaction.events) {
        for (const auto& told : {event.backend, event.previous})
            require(!told || !name(*told).empty(), "tells of a backend that has no name any more");
        if (event.kind == Kind::preference) obeyed_[*event.pool] = event.backend;
        if (event.kind == Kind::transition && event.from != Status::unknown && event.to == Status::healthy)
            recoveries.push_back({*event.backend, good_in_a_row_[*event.backend]});
        events.push_back(std::move(event));
    }
    forget_lost_preferences();
    if (std::string broken = broken_invariant(); !broken.empty()) violations.push_back(std::move(broken));
}

/// A preference binds the core until its backend has failed or was taken out.
void World::forget_lost_preferences()
{
    for (std::size_t p = 0; p < obeyed_.size(); ++p) {
        const auto b = obeyed_[p];
        if (b && ((status(*b) != Status::healthy && status(*b) != Status::degraded) ||
                  in_quarantine(static_cast<PoolIndex>(p), *b)))
            obeyed_[p].reset();
    }
}

bool World::in_quarantine(PoolIndex p, BackendIndex b) const
{
    const auto& members = topology().pools[p].backends;
    for (std::size_t i = 0; i < members.size(); ++i)
        if (members[i] == b) return core.pool(p).quarantined_until[i].has_value();
    return false;
}

// ------------------------------------------------------------------------------------------------------- the judge

void World::require(bool holds, std::string what)
{
    if (!holds) violations.push_back(std::move(what));
}

/// What the published routing must be, whatever happened. Empty if it is that.
std::string World::broken_invariant() const
{
    if (!routing) return "nothing was published";
    for (std::size_t p = 0; p < config.pools.size(); ++p) {
        const auto index = static_cast<PoolIndex>(p);
        const auto& route = routing->pools[p];
        const auto& state = core.pool(index);
        // A connection that breaks is the request's doing as long as a probe is good just then.
        const auto failed = [this](BackendIndex b) {
            return last_failure_[b] > last_good_[b] || last_break_[b] > last_good_[b] + milliseconds(100);
        };
        const auto status = [this](BackendIndex b) { return routing->backends[b].status; };
        unsigned serving = 0;
        bool answers = false;
        for (const Candidate& c : route.candidates) {
            if (!topology().present(c.backend)) return name(c.backend) + " is a candidate though it is gone";
            const auto other_is_healthy = [&] {
                return std::any_of(route.candidates.begin(), route.candidates.end(), [&](const Candidate& o) {
                    return o.backend != c.backend && status(o.backend) == Status::healthy && !failed(o.backend) &&
                           !in_quarantine(index, o.backend);
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
                return "serves from " + name(c.backend) + " whose last evidence is a failure";
            if (status(c.backend) == Status::unknown) return "serves from an unknown backend";
            if (route.policy == Policy::failover && &c != &route.candidates.front())
                return "the server is not the first";
        }
        bool all_out = true, maintained = false;
        for (const Candidate& c : route.candidates) {
            maintained |= status(c.backend) == Status::maintenance;
            all_out &= status(c.backend) == Status::maintenance || status(c.backend) == Status::draining;
        }
        if (route.maintenance.has_value() != (all_out && maintained))
            return "maintenance is announced of a pool that is not in maintenance, or not of one that is";
        if (route.policy != Policy::failover) continue;
        if (serving > 1) return "two backends serve under policy failover";
        if (obeyed_[p] && state.active != obeyed_[p])
            return "an operator prefers " + name(*obeyed_[p]) + ", which works but is not active";
        const bool all_known = std::none_of(route.candidates.begin(), route.candidates.end(),
                                            [&](const Candidate& c) { return status(c.backend) == Status::unknown; });
        if (answers && all_known && !state.active) return "a backend answers, but none is active";
        if (answers && !state.can_answer) return "a backend answers, but the pool says it cannot";
    }
    for (const BackendIndex b : topology().present_backends) {
        // A worker passes the backend over since `suspected_`; it must learn of the probe that cleared it.
        const auto it = suspected_.find(b);
        if (it != suspected_.end() && last_good_[b] > it->second &&
            routing->backends[b].good_probe_started <= it->second)
            return "workers were not told that a probe has cleared " + name(b);
    }
    return {};
}

void World::recover()
{
    const auto& present = topology().present_backends;
    if (present.empty()) return;
    for (const BackendIndex b : present) {
        modes[b] = Mode::good;
        if (status(b) == Status::draining || status(b) == Status::maintenance)
            take(core.operate(b, OperatorWord::enable, now));
    }
    take(core.prefer_configured(now));
    // `rise` at its longest: it doubles with each flap.
    run(seconds(7));
    for (const BackendIndex b : present) require(status(b) == Status::healthy, name(b) + " is not healthy again");
    require(core.pool(0).can_answer, "cannot answer although every backend works");
    require(!core.pool(0).fail_open, "still fails open although every backend works");
    // The longest hold-down.
    run(seconds(60));
    if (config.pools[0].policy == Policy::failover) {
        require(server().has_value(), "no backend serves although every backend works");
        require(server() == active(), "the active backend does not serve although every backend works");
        if (config.pools[0].failback.mode == FailbackMode::automatic)
            require(active() == topology().pools[0].backends.front(),
                    "the primary is not active again after its damping time");
    } else {
        for (const BackendIndex b : present)
            require(tier(b) == Tier::serving, name(b) + " does not serve although every backend works");
    }
}

// ----------------------------------------------------------------------------------------------------- what happened

std::size_t World::count(Kind kind) const
{
    return static_cast<std::size_t>(
        std::count_if(events.begin(), events.end(), [kind](const Event& e) { return e.kind == kind; }));
}

const Event& World::last(Kind kind) const
{
    const auto it = std::find_if(events.rbegin(), events.rend(), [kind](const Event& e) { return e.kind == kind; });
    if (it == events.rend()) throw std::logic_error("no event of kind " + std::string(to_string(kind)));
    return *it;
}

unsigned World::most_failovers_in_a_minute() const
{
    std::deque<TimePoint> recent;
    std::size_t most = 0;
    for (const Event& e : events) {
        if (e.kind != Kind::failover && e.kind != Kind::failback) continue;
        recent.push_back(e.at);
        while (recent.front() <= e.at - seconds(60)) recent.pop_front();
        most = std::max(most, recent.size());
    }
    return static_cast<unsigned>(most);
}

Tier World::tier(BackendIndex b, PoolIndex p) const
{
    for (const Candidate& c : routing->pools[p].candidates)
        if (c.backend == b) return c.tier;
    return Tier::excluded;
}

std::optional<BackendIndex> World::server(PoolIndex p) const
{
    if (routing->pools[p].candidates.empty()) return std::nullopt;
    const Candidate& first = routing->pools[p].candidates.front();
    return first.tier == Tier::serving ? std::optional(first.backend) : std::nullopt;
}

} // namespace hotspare::balancer
