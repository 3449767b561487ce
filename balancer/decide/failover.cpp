#include "balancer/decide/failover.hpp"

#include "balancer/decide/saved_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <numeric>

namespace hotspare::balancer {

using resilience::Cause;
using resilience::HealthChange;

namespace {

/// Evidence from the first moments after a jump may still be about it: workers report with up to this delay.
constexpr Duration jump_grace = milliseconds(100);
constexpr Duration smallest_jump = seconds(1);

constexpr Duration latency_period = seconds(1);
constexpr std::uint64_t latency_samples = 20;
/// What differs by less is noise, whatever the factor.
constexpr Duration latency_difference = milliseconds(5);

constexpr unsigned slow_start_steps = 10;

double sec(Duration d)
{
    return std::chrono::duration<double>(d).count();
}

Status observed_status(Health health) noexcept
{
    switch (health) {
    case Health::unknown: return Status::unknown;
    case Health::down: return Status::down;
    case Health::unhealthy: return Status::unhealthy;
    case Health::degraded: return Status::degraded;
    case Health::healthy: return Status::healthy;
    }
    return Status::unknown;
}

std::string plural(std::uint64_t n, std::string_view one)
{
    return n == 1 ? fmt::format("1 {}", one) : fmt::format("{} {}s", n, one);
}

std::string live_trouble(const HealthChange& change)
{
    auto failed = fmt::format("{} failed", plural(change.requests, "live request"));
    if (change.outpaced == 0) return failed;
    const auto outpaced = fmt::format("{} answered first elsewhere", plural(change.outpaced, "live request"));
    return change.requests == 0 ? outpaced : fmt::format("{} and {}", failed, outpaced);
}

std::string describe(const HealthChange& change, const std::optional<ProbeReport>& probe)
{
    std::string last = probe ? probe->detail : "none";
    if (probe && probe->outcome == ProbeOutcome::ok) last += fmt::format(" in {:.1f} ms", to_ms(probe->latency));
    switch (change.cause) {
    case Cause::first_probe: return fmt::format("first probe: {}", last);
    case Cause::probes: {
        const auto what = change.to > change.from         ? change.to <= Health::unhealthy ? "answered" : "succeeded"
                          : change.to == Health::degraded ? "slow or failed"
                                                          : "failed";
        if (change.probes == 1) return fmt::format("1 probe {}: {}", what, last);
        return fmt::format("{} probes in a row {}, the last: {}", change.probes, what, last);
    }
    case Cause::confirmed:
        return fmt::format("{}, and {} failed: {}", live_trouble(change), plural(change.probes, "probe"), last);
    case Cause::traffic:
        return fmt::format("{} failed and succeeded elsewhere, {} succeeded",
                           plural(change.requests + change.outpaced, "live request"), change.answered);
    case Cause::races:
        return fmt::format("{} in a row answered first elsewhere", plural(change.outpaced, "live request"));
    case Cause::uncompared:
        return fmt::format("{} in a row failed and could not be sent elsewhere",
                           plural(change.requests, "live request"));
    case Cause::intermittent:
        return fmt::format("{} bad ones among the latest probes, the last: {}", change.probes, last);
    case Cause::outlier: return "live answers are much slower than those of its peers";
    }
    return {};
}

/// The pool that decides how a backend is judged: the first that names it.
const PoolConfig& judging_pool(const Topology& topology, BackendIndex backend)
{
    static const PoolConfig defaults;
    for (const PoolIndex p : topology.present_pools) {
        const PoolConfig& pool = topology.pools[p];
        if (std::find(pool.backends.begin(), pool.backends.end(), backend) != pool.backends.end()) return pool;
    }
    return defaults;
}

resilience::HealthSettings health_settings(const PoolConfig& pool)
{
    return {.fall = std::max(pool.probe.fall, 1U),
            .rise = std::max(pool.probe.rise, 1U),
            .slow = pool.probe.slow,
            .degrade_after = pool.passive.degrade_after,
            .good_now = pool.probe.fast_interval,
            .flap_memory = std::max<Duration>(pool.failback.hold_down_max, seconds(1))};
}

} // namespace

std::string_view to_string(Event::Kind kind) noexcept
{
    switch (kind) {
    case Event::Kind::transition: return "transition";
    case Event::Kind::failover: return "failover";
    case Event::Kind::failback: return "failback";
    case Event::Kind::outage: return "outage";
    case Event::Kind::outage_over: return "outage_over";
    case Event::Kind::fail_open: return "fail_open";
    case Event::Kind::fail_open_over: return "fail_open_over";
    case Event::Kind::quarantine: return "quarantine";
    case Event::Kind::quarantine_over: return "quarantine_over";
    case Event::Kind::preference: return "preference";
    case Event::Kind::announcement: return "announcement";
    case Event::Kind::configuration: return "configuration";
    case Event::Kind::clock_jump: return "clock_jump";
    }
    return "invalid";
}

Failover::Failover(std::shared_ptr<const Topology> topology, std::uint32_t seed) : random_(seed)
{
    auto routing = std::make_shared<Routing>();
    routing->topology = topology;
    routing_ = std::move(routing);
    install(std::move(topology), TimePoint{});
}

// ---------------------------------------------------------------------------------------------------------- topology

Reaction Failover::adopt(std::shared_ptr<const Topology> topology, TimePoint now)
{
    Reaction reaction;
    notice_jump(reaction, now);
    install(std::move(topology), now);
    return settle(std::move(reaction), now);
}

void Failover::install(std::shared_ptr<const Topology> topology, TimePoint now)
{
    topology_ = std::move(topology);
    for (std::size_t i = 0; i < topology_->backends.size(); ++i) {
        const auto settings = [&] { return health_settings(judging_pool(*topology_, static_cast<BackendIndex>(i))); };
        if (i == backends_.size())
            backends_.push_back({.config = nullptr, .probe = nullptr, .detector = resilience::HealthDetector({})});
        Backend& backend = backends_[i];
        const Slot before = std::exchange(backend.slot, topology_->backend_slots[i]);
        if (backend.slot.taken != before.taken) {
            backend = {.config = nullptr,
                       .probe = nullptr,
                       .detector = resilience::HealthDetector(settings()),
                       .slot = backend.slot,
                       .added = now,
                       .next_probe = now};
            backend.state.since = now;
            for (Pool& pool : pools_)
                if (pool.last_active == i) pool.last_active.reset();
        } else if (present(backend)) {
            backend.detector.set(settings());
            if (before.use == Slot::Use::retired) { // nothing was asked meanwhile
                backend.detector.forget_doubt();
                backend.next_probe = now;
            }
        }
        backend.config = &topology_->backends[i];
        backend.probe = &judging_pool(*topology_, static_cast<BackendIndex>(i)).probe;
    }
    pools_.resize(topology_->pools.size());
    for (std::size_t p = 0; p < pools_.size(); ++p) install_pool(static_cast<PoolIndex>(p));
}

void Failover::install_pool(PoolIndex index)
{
    Pool& pool = pools_[index];
    const PoolConfig& config = topology_->pools[index];
    const Slot before = std::exchange(pool.slot, topology_->pool_slots[index]);
    if (!present(pool) || before.taken != pool.slot.taken) pool = {.config = nullptr, .slot = pool.slot};
    pool.config = &config;
    if (!present(pool)) return;

    std::vector<Member> members;
    std::vector<std::optional<TimePoint>> quarantined_until;
    for (std::size_t i = 0; i < config.backends.size(); ++i) {
        const BackendIndex backend = config.backends[i];
        Member member{.backend = backend, .weight = 1, .failures = {}};
        quarantined_until.emplace_back();
        for (std::size_t m = 0; m < pool.members.size(); ++m) {
            if (pool.members[m].backend != backend) continue;
            member = std::move(pool.members[m]);
            quarantined_until.back() = pool.state.quarantined_until[m];
        }
        member.weight = i < config.weights.size() ? config.weights[i] : topology_->backends[backend].weight;
        members.push_back(std::move(member));
    }
    pool.members = std::move(members);
    pool.state.quarantined_until = std::move(quarantined_until);
    const auto gone = [&config](std::optional<BackendIndex> backend) {
        return backend && std::find(config.backends.begin(), config.backends.end(), *backend) == config.backends.end();
    };
    if (gone(pool.state.active)) pool.state.active.reset();
    if (gone(pool.state.preferred)) pool.state.preferred.reset();
}

// -------------------------------------------------------------------------------------------------------- succession

SavedState Failover::saved() const
{
    SavedState out{.generation = topology_->generation, .backends = {}, .pools = {}};
    for (const BackendIndex index : topology_->present_backends) {
        const Backend& backend = backends_[index];
        out.backends.push_back({.name = backend.config->name,
                                .url = backend.config->url,
                                .address = backend.config->address,
                                .verdict = backend.detector.verdict(),
                                .observed = backend.observed,
                                .since = backend.state.since,
                                .cause = backend.state.cause,
                                .evidence = backend.state.evidence,
                                .word = backend.word,
                                .maintenance = backend.state.maintenance});
    }
    const auto name_of = [this](std::optional<BackendIndex> backend) {
        return backend && topology_->present(*backend) ? topology_->backends[*backend].name : std::string();
    };
    for (const PoolIndex index : topology_->present_pools) {
        const Pool& pool = pools_[index];
        SavedPool& to = out.pools.emplace_back(SavedPool{.name = pool.config->name,
                                                         .active = name_of(pool.state.active),
                                                         .last_active = name_of(pool.last_active),
                                                         .preferred = name_of(pool.state.preferred),
                                                         .can_answer = pool.state.can_answer,
                                                         .fail_open = pool.state.fail_open,
                                                         .members = {}});
        for (std::size_t i = 0; i < pool.members.size(); ++i) {
            const Member& member = pool.members[i];
            to.members.push_back({.backend = name_of(member.backend),
                                  .quarantined_until = pool.state.quarantined_until[i],
                                  .serving_since = member.serving ? std::optional(member.serving_since) : std::nullopt,
                                  .failures = {member.failures.begin(), member.failures.end()}});
        }
    }
    return out;
}

void Failover::restore(const SavedState& saved)
{
    std::vector<bool> restored(backends_.size());
    for (const SavedBackend& from : saved.backends) {
        const auto index = topology_->find_backend(from.name);
        if (!index) continue;
        Backend& backend = backends_[*index];
        if (backend.config->url != from.url || backend.config->address != from.address) continue;
        restored[*index] = true;
        backend.detector.resume(from.verdict);
        backend.observed = from.observed;
        backend.word = from.word;
        backend.state.maintenance = from.maintenance;
        backend.state.status = from.word == OperatorWord::drain         ? Status::draining
                               : from.word == OperatorWord::maintenance ? Status::maintenance
                                                                        : observed_status(from.verdict.health);
        backend.state.since = from.since;
        backend.state.cause = from.cause;
        backend.state.evidence = from.evidence;
    }
    for (const SavedPool& from : saved.pools) {
        const auto index = topology_->find_pool(from.name);
        if (!index) continue;
        Pool& pool = pools_[*index];
        pool.state.can_answer = from.can_answer;
        pool.state.fail_open = from.fail_open;
        for (std::size_t i = 0; i < pool.members.size(); ++i) {
            Member& member = pool.members[i];
            const std::string& name = topology_->backends[member.backend].name;
            if (!restored[member.backend]) continue; // at another address there is another server
            if (name == from.active) pool.state.active = member.backend;
            if (name == from.last_active) pool.last_active = member.backend;
            if (name == from.preferred) pool.state.preferred = member.backend;
            const auto known = std::find_if(from.members.begin(), from.members.end(),
                                            [&](const SavedMember& other) { return other.backend == name; });
            if (known == from.members.end()) continue;
            pool.state.quarantined_until[i] = known->quarantined_until;
            member.serving = known->serving_since.has_value();
            member.serving_since = known->serving_since.value_or(TimePoint{});
            member.failures.assign(known->failures.begin(), known->failures.end());
        }
    }
}

// ---------------------------------------------------------------------------------------------------- what is fed in

Reaction Failover::start(TimePoint now)
{
    for (Backend& backend : backends_) {
        backend.next_probe = now;
        if (backend.state.cause.empty()) backend.state.since = now; // else restore() knows better
    }
    period_end_ = now + latency_period;
    return settle({}, now);
}

Reaction Failover::tick(TimePoint now)
{
    Reaction reaction;
    notice_jump(reaction, now);
    return settle(std::move(reaction), now);
}

Reaction Failover::clock_jumped(TimePoint now)
{
    Reaction reaction;
    jump("this machine was suspended", reaction, now);
    return settle(std::move(reaction), now);
}

Reaction Failover::probe_finished(ProbeReport report, TimePoint now)
{
    Reaction reaction;
    notice_jump(reaction, now);

    const BackendIndex index = report.backend;
    Backend& backend = backends_[index];
    if (report.started < backend.added) return settle(std::move(reaction), now);
    if (!present(backend)) {
        backend.probing = false;
        return settle(std::move(reaction), now);
    }
    ++backend.state.probes[static_cast<std::size_t>(report.outcome)];
    const resilience::ProbeResult result{report.started, report.latency, report.outcome};
    if (!backend.state.last_probe || backend.state.last_probe->started <= report.started)
        backend.state.last_probe = std::move(report);
    if (result.started < jumped_at_) return settle(std::move(reaction), now); // observed, not acted on

    backend.probing = false;
    if (const auto change = backend.detector.probed(result, now))
        judge(index, *change, describe(*change, backend.state.last_probe), reaction, now);
    if (result.outcome != ProbeOutcome::ok) count_failures(index, 1, reaction, now);
    schedule_probe(backend, now);
    return settle(std::move(reaction), now);
}

Reaction Failover::probe_not_made(BackendIndex index, TimePoint started, TimePoint now)
{
    Reaction reaction;
    notice_jump(reaction, now);
    Backend& backend = backends_[index];
    if (started >= jumped_at_ && started >= backend.added) {
        backend.probing = false;
        backend.next_probe = now + jittered(backend.probe->fast_interval, backend.probe->jitter);
    }
    return settle(std::move(reaction), now);
}

Reaction Failover::evidence(std::span<const Evidence> evidence, TimePoint now)
{
    Reaction reaction;
    notice_jump(reaction, now);

    std::vector<std::optional<resilience::LiveTraffic>> traffic(backends_.size());
    const auto add = [](std::uint32_t& count, TimePoint& last, const Evidence& e) {
        last = count == 0 ? e.last : std::max(last, e.last);
        count += e.count;
    };
    for (const Evidence& e : evidence) {
        if (e.count == 0 || e.backend >= backends_.size() || !present(backends_[e.backend])) continue;
        Backend& backend = backends_[e.backend];
        if (e.kind != EvidenceKind::success) backend.last_suspicion = std::max(backend.last_suspicion, e.last);
        if (jumped_at_ != TimePoint::min() && e.last <= jumped_at_ + jump_grace) continue;

        auto& t = traffic[e.backend];
        if (!t) t.emplace();
        switch (e.kind) {
        case EvidenceKind::success:
            add(t->successes, t->last_success, e);
            backend.latency.count += e.count;
            backend.latency.total += e.total_latency;
            break;
        case EvidenceKind::refused: add(t->refused, t->last_refused, e); break;
        case EvidenceKind::reset:
        case EvidenceKind::timed_out:
        case EvidenceKind::malformed: add(t->broken, t->last_broken, e); break;
        case EvidenceKind::diverted: add(t->diverted, t->last_diverted, e); break;
        case EvidenceKind::uncompared: add(t->uncompared, t->last_uncompared, e); break;
        case EvidenceKind::outpaced: add(t->outpaced, t->last_outpaced, e); break;
        }
    }
    for (std::size_t i = 0; i < traffic.size(); ++i) {
        if (!traffic[i]) continue;
        Backend& backend = backends_[i];
        const auto index = static_cast<BackendIndex>(i);
        if (const auto change = backend.detector.observed(*traffic[i], now))
            judge(index, *change, describe(*change, backend.state.last_probe), reaction, now);
        count_failures(index, traffic[i]->diverted, reaction, now);

        // Ask the backend itself, at once. Where only some requests fail, the probes stay good: the gap keeps such a
        // service from being probed with every one of them.
        const bool unanswered = traffic[i]->refused + traffic[i]->broken > 0;
        const Duration gap = unanswered ? backend.probe->fast_interval / 4 : backend.probe->fast_interval;
        if (backend.last_suspicion > backend.probe_started) hasten_probe(backend, gap, now);
    }
    if (now >= period_end_) compare_latencies(reaction, now);
    return settle(std::move(reaction), now);
}

Reaction Failover::operate(std::span<const BackendIndex> backends, OperatorWord word, TimePoint now,
                           const Maintenance& announced)
{
    Reaction reaction;
    notice_jump(reaction, now);
    for (const BackendIndex index : backends) obey(index, word, announced, reaction, now);
    return settle(std::move(reaction), now);
}

void Failover::obey(BackendIndex index, OperatorWord word, const Maintenance& announced, Reaction& reaction,
                    TimePoint now)
{
    Backend& backend = backends_[index];
    const auto before = std::exchange(backend.state.maintenance, std::nullopt);
    Event event{.at = now, .cause = "operator"};
    switch (word) {
    case OperatorWord::drain:
        backend.word = word;
        event.to = Status::draining;
        event.evidence = "drained by an operator";
        break;
    case OperatorWord::maintenance:
        backend.word = word;
        event.to = Status::maintenance;
        event.evidence = with_announcement("put into maintenance by an operator", announced);
        backend.state.maintenance = announced;
        if (before && before != announced) {
            backend.state.evidence = event.evidence;
            event.kind = Event::Kind::announcement;
            event.backend = index;
            reaction.events.push_back(event);
        }
        break;
    case OperatorWord::enable:
        backend.word.reset();
        backend.detector.forgive();
        for (std::size_t p = 0; p < pools_.size(); ++p)
            for (std::size_t i = 0; i < pools_[p].members.size(); ++i)
                if (pools_[p].members[i].backend == index)
                    end_quarantine(static_cast<PoolIndex>(p), i, "operator", "an operator enabled it", reaction, now);
        event.to = observed_status(backend.detector.health());
        event.evidence = backend.observed.empty() ? "an operator enabled it"
                                                  : fmt::format("an operator enabled it; {}", backend.observed);
        hasten_probe(backend, Duration::zero(), now);
        break;
    }
    show_status(index, std::move(event), reaction);
}

boost::system::result<Reaction, std::string> Failover::prefer(BackendIndex target, TimePoint now)
{
    const Backend& backend = backends_[target];
    if (backend.word)
        return fmt::format("'{}' is in status {}: enable it first", backend.config->name,
                           to_string(backend.state.status));
    if (backend.detector.health() < Health::degraded)
        return fmt::format("'{}' is {}: {}", backend.config->name, to_string(backend.state.status),
                           backend.state.evidence);

    std::vector<std::pair<PoolIndex, std::size_t>> memberships;
    for (std::size_t p = 0; p < pools_.size(); ++p)
        for (std::size_t i = 0; i < pools_[p].members.size(); ++i)
            if (pools_[p].config->policy == Policy::failover && pools_[p].members[i].backend == target)
                memberships.emplace_back(static_cast<PoolIndex>(p), i);
    if (memberships.empty()) return fmt::format("no pool with policy failover holds '{}'", backend.config->name);

    Reaction reaction;
    notice_jump(reaction, now);
    for (const auto& [index, position] : memberships) {
        pools_[index].state.preferred = target;
        end_quarantine(index, position, "operator", "an operator prefers it", reaction, now);
        reaction.events.push_back({.kind = Event::Kind::preference,
                                   .at = now,
                                   .backend = target,
                                   .pool = index,
                                   .cause = "operator",
                                   .evidence = "an operator prefers it"});
        activate(index, target, true, reaction, now);
    }
    return settle(std::move(reaction), now);
}

Reaction Failover::prefer_configured(TimePoint now)
{
    Reaction reaction;
    notice_jump(reaction, now);
    for (std::size_t p = 0; p < pools_.size(); ++p) {
        Pool& pool = pools_[p];
        if (pool.config->policy != Policy::failover) continue;
        if (std::exchange(pool.state.preferred, std::nullopt))
            reaction.events.push_back({.kind = Event::Kind::preference,
                                       .at = now,
                                       .pool = static_cast<PoolIndex>(p),
                                       .cause = "operator",
                                       .evidence = "an operator restored the configured order"});
        if (const auto chosen = elect(pool, true, now))
            activate(static_cast<PoolIndex>(p), pool.members[*chosen].backend, true, reaction, now);
    }
    return settle(std::move(reaction), now);
}

// ------------------------------------------------------------------------------------------------------- clock jumps

void Failover::notice_jump(Reaction& reaction, TimePoint now)
{
    if (wake_at_ == TimePoint::max()) return;
    Duration tolerance = smallest_jump;
    for (const Backend& backend : backends_)
        if (present(backend)) tolerance = std::max(tolerance, 2 * backend.probe->interval);
    if (now > wake_at_ + tolerance)
        jump(fmt::format("this process did not run for {:.1f} s", sec(now - wake_at_)), reaction, now);
}

void Failover::jump(std::string evidence, Reaction& reaction, TimePoint now)
{
    jumped_at_ = now;
    wake_at_ = TimePoint::max();
    for (Backend& backend : backends_) {
        backend.detector.forget_doubt();
        backend.probing = false;
        backend.next_probe = now;
        backend.latency = {};
    }
    reaction.events.push_back(
        {.kind = Event::Kind::clock_jump, .at = now, .cause = "clock_jump", .evidence = std::move(evidence)});
}

// ---------------------------------------------------------------------------------------------------------- verdicts

void Failover::judge(BackendIndex index, const HealthChange& change, std::string evidence, Reaction& reaction,
                     TimePoint now)
{
    Backend& backend = backends_[index];
    const bool worse = change.to < change.from || (change.from == Health::unknown && change.to <= Health::unhealthy);
    Event event{.at = now,
                .backend = index,
                .from = observed_status(change.from),
                .to = observed_status(change.to),
                .cause = std::string(to_string(change.cause)),
                .evidence = std::move(evidence),
                .detection = worse ? now - change.first_evidence : Duration::zero(),
                .first_evidence = change.first_evidence};
    if (change.to == Health::down) ++backend.down_count;
    if (change.to < change.from) backend.worsening = event;
    backend.observed = event.evidence;
    if (!backend.word) show_status(index, std::move(event), reaction);
}

/// Makes `transition.to` the status that people and workers see, if it is not already.
void Failover::show_status(BackendIndex index, Event transition, Reaction& reaction)
{
    BackendState& state = backends_[index].state;
    if (state.status == transition.to) return;
    transition.kind = Event::Kind::transition;
    transition.backend = index;
    transition.from = state.status;
    state.status = transition.to;
    state.since = transition.at;
    state.cause = transition.cause;
    state.evidence = transition.evidence;
    ++state.transitions[static_cast<std::size_t>(state.status)];
    reaction.events.push_back(std::move(transition));
}

void Failover::count_failures(BackendIndex index, std::uint32_t count, Reaction& reaction, TimePoint now)
{
    if (count == 0 || backends_[index].word) return;
    for (std::size_t p = 0; p < pools_.size(); ++p) {
        Pool& pool = pools_[p];
        const QuarantineConfig& limits = pool.config->quarantine;
        if (limits.failure_limit == 0) continue;
        for (std::size_t i = 0; i < pool.members.size(); ++i) {
            if (pool.members[i].backend != index) continue;
            auto& failures = pool.members[i].failures;
            failures.insert(failures.end(), std::min(count, limits.failure_limit), now);
            while (failures.size() > limits.failure_limit) failures.pop_front();
            if (failures.size() < limits.failure_limit || failures.front() < now - limits.failure_window) continue;

            auto& until = pool.state.quarantined_until[i];
            if (!until) {
                backends_[index].worsening = {
                    .kind = Event::Kind::quarantine,
                    .at = now,
                    .backend = index,
                    .pool = static_cast<PoolIndex>(p),
                    .cause = "failure_limit",
                    .evidence =
                        fmt::format("{} in {:.1f} s", plural(failures.size(), "failure"), sec(now - failures.front())),
                    .detection = now - failures.front(),
                    .first_evidence = failures.front()};
                reaction.events.push_back(backends_[index].worsening);
            }
            until = now + limits.cooldown;
            failures.clear();
        }
    }
}

void Failover::compare_latencies(Reaction& reaction, TimePoint now)
{
    const auto comparable = [this](const Member& m) {
        const Backend& b = backends_[m.backend];
        return b.detector.health() == Health::healthy && b.latency.count >= latency_samples;
    };
    std::vector<std::optional<bool>> slower(backends_.size());
    std::vector<std::string> evidence(backends_.size());
    for (const Pool& pool : pools_) {
        for (const Member& m : pool.members) {
            if (!comparable(m)) continue;
            LatencySum peers;
            for (const Member& other : pool.members) {
                if (other.backend == m.backend || !comparable(other)) continue;
                peers.count += backends_[other.backend].latency.count;
                peers.total += backends_[other.backend].latency.total;
            }
            if (peers.count == 0) continue;
            const LatencySum& own = backends_[m.backend].latency;
            const double mean = to_ms(own.total) / static_cast<double>(own.count);
            const double peer_mean = to_ms(peers.total) / static_cast<double>(peers.count);
            const bool far =
                mean > peer_mean * pool.config->passive.outlier_factor && mean - peer_mean > to_ms(latency_difference);
            slower[m.backend] = slower[m.backend].value_or(false) || far;
            evidence[m.backend] =
                fmt::format("live answers take {:.1f} ms on average, those of its peers {:.1f} ms", mean, peer_mean);
        }
    }
    for (std::size_t i = 0; i < backends_.size(); ++i) {
        backends_[i].latency = {};
        if (!slower[i]) continue;
        if (const auto change = backends_[i].detector.compared(*slower[i], now))
            judge(static_cast<BackendIndex>(i), *change, std::move(evidence[i]), reaction, now);
    }
    period_end_ = now + latency_period;
}

// ------------------------------------------------------------------------------------------------------------ probes

Duration Failover::jittered(Duration span, double jitter)
{
    const double factor = std::uniform_real_distribution<double>(1 - jitter, 1 + jitter)(random_);
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double, Duration::period>(static_cast<double>(span.count()) * factor));
}

/// After a probe has ended. A silent backend is asked again `fast_interval` after its timeout, not at once.
void Failover::schedule_probe(Backend& backend, TimePoint now)
{
    const ProbeConfig& probe = *backend.probe;
    const Duration fast = jittered(probe.fast_interval, probe.jitter);
    backend.next_probe = now + fast;
    if (!backend.detector.in_doubt())
        backend.next_probe =
            std::max(backend.next_probe, backend.probe_started + jittered(probe.interval, probe.jitter));
    if (backend.last_suspicion > backend.probe_started) hasten_probe(backend, probe.fast_interval / 4, now);
}

/// Something was met that no probe has looked into: probe now, or `gap` after the last time that this happened.
void Failover::hasten_probe(Backend& backend, Duration gap, TimePoint now)
{
    const TimePoint at = std::max(now, backend.hastened_at + gap);
    if (backend.probing || at >= backend.next_probe) return; // schedule_probe() comes back to it
    backend.next_probe = at;
    backend.hastened_at = at;
}

/// Where nothing works requests wait for the first backend that returns, and what they wait is mostly this gap.
Duration Failover::starved_gap(const ProbeConfig& probe) noexcept
{
    return probe.fast_interval / 5; // 20 ms by default, which costs 50 probes a second
}

void Failover::hurry_for_starved_pools(TimePoint now)
{
    for (const Pool& pool : pools_) {
        // In announced maintenance no request waits, nor for a backend that fails its probes and answers requests.
        const bool starved =
            !maintenance_of(pool) && std::none_of(pool.members.begin(), pool.members.end(), [this](const Member& m) {
                const Backend& backend = backends_[m.backend];
                return !backend.word && (backend.detector.health() >= Health::unhealthy || backend.contradicted);
            });
        if (!starved) continue;
        for (const Member& m : pool.members) {
            Backend& backend = backends_[m.backend];
            const ProbeConfig& probe = *backend.probe;
            // At the start servers come up one after the other: to hurry would make the first of them, and not the
            // preferred one, the active one.
            const Duration gap = pool.last_active ? starved_gap(probe) : probe.fast_interval;
            // Compared before the jitter is drawn: else every call would draw again and the smallest would win.
            const Duration latest = std::chrono::duration_cast<Duration>(gap * (1 + probe.jitter));
            if (backend.next_probe > now + latest) backend.next_probe = now + jittered(gap, probe.jitter);
        }
    }
}

// ------------------------------------------------------------------------------------------------- who gets requests

bool Failover::quarantined(const Pool& pool, std::size_t position) const noexcept
{
    return pool.state.quarantined_until[position].has_value();
}

/// By verdicts alone, whatever the last single observation was.
Failover::Rank Failover::nominal_rank(const Pool& pool, std::size_t position) const noexcept
{
    const Backend& backend = backends_[pool.members[position].backend];
    if (backend.word) return Rank::none;
    switch (backend.detector.health()) {
    case Health::healthy: return quarantined(pool, position) ? Rank::quarantined : Rank::healthy;
    case Health::degraded: return quarantined(pool, position) ? Rank::quarantined : Rank::degraded;
    case Health::unhealthy:
    case Health::down:
        if (backend.detector.health() == Health::down && !(pool.state.fail_open && backend.contradicted))
            return Rank::none;
        return backend.rejected ? Rank::rejected : Rank::failing;
    case Health::unknown: break;
    }
    return Rank::none;
}

Failover::Rank Failover::rank(const Pool& pool, std::size_t position) const noexcept
{
    const Rank nominal = nominal_rank(pool, position);
    const bool doubtful = nominal >= Rank::degraded && backends_[pool.members[position].backend].detector.last_failed();
    return doubtful ? Rank::doubtful : nominal;
}

/// From when on a healthy backend may take over from one that works: its hold-down is over.
TimePoint Failover::ready_at(const Pool& pool, std::size_t position) const noexcept
{
    const auto& detector = backends_[pool.members[position].backend].detector;
    const FailbackConfig& failback = pool.config->failback;
    const unsigned flaps = detector.flaps(detector.since());
    if (flaps == 0) return detector.since();
    Duration hold = failback.hold_down;
    for (unsigned i = 1; i < flaps && hold < failback.hold_down_max; ++i) hold *= 2;
    return detector.since() + std::min(hold, std::max(failback.hold_down, failback.hold_down_max));
}

std::optional<TimePoint> Failover::failback_at(PoolIndex index, TimePoint now) const
{
    const Pool& pool = pools_[index];
    if (pool.config->policy != Policy::failover || pool.config->failback.mode == FailbackMode::manual)
        return std::nullopt;
    for (const std::size_t i : by_preference(pool)) {
        if (pool.members[i].backend == pool.state.active) return std::nullopt;
        if (nominal_rank(pool, i) == Rank::healthy && ready_at(pool, i) > now) return ready_at(pool, i);
    }
    return std::nullopt;
}

std::vector<std::size_t> Failover::by_preference(const Pool& pool) const
{
    std::vector<std::size_t> order(pool.members.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_partition(order.begin(), order.end(),
                          [&pool](std::size_t i) { return pool.members[i].backend == pool.state.preferred; });
    return order;
}

/// The member that should be active, by position; nothing if none answers. `undamped`: an operator wants it now.
std::optional<std::size_t> Failover::elect(const Pool& pool, bool undamped, TimePoint now) const
{
    const auto order = by_preference(pool);
    const auto ready = [&](std::size_t i) { return undamped || now >= ready_at(pool, i); };

    std::optional<std::size_t> current, best;
    for (std::size_t i : order) {
        if (pool.members[i].backend == pool.state.active && nominal_rank(pool, i) != Rank::none) current = i;
        const auto merit = [&](std::size_t m) {
            const Rank r = rank(pool, m);
            return std::pair(r, r == Rank::healthy && ready(m));
        };
        if (rank(pool, i) != Rank::none && (!best || merit(i) > merit(*best))) best = i;
    }
    if (!current) {
        // At the start the order is only known once every backend has been probed; a good one need not wait for that.
        const bool early =
            !pool.settled && best && rank(pool, *best) < Rank::degraded &&
            std::any_of(pool.members.begin(), pool.members.end(), [this](const Member& m) {
                return !backends_[m.backend].word && backends_[m.backend].detector.health() == Health::unknown;
            });
        return early ? std::nullopt : best;
    }

    const Rank now_has = nominal_rank(pool, *current);
    if (pool.members[*current].backend == pool.state.preferred && now_has >= Rank::degraded) return current;
    if (best && rank(pool, *best) > now_has) {
        const bool works = now_has >= Rank::degraded;
        return works && !ready(*best) ? current : best;
    }
    // Nothing is better: among equals the order decides. A quarantined one is not returned to.
    if (now_has == Rank::quarantined || (pool.config->failback.mode == FailbackMode::manual && !undamped))
        return current;
    for (std::size_t i : order) {
        if (i == *current) break;
        if (rank(pool, i) == now_has && ready(i)) return i;
    }
    return current;
}

void Failover::lift_quarantines(PoolIndex index, Reaction& reaction, TimePoint now)
{
    Pool& pool = pools_[index];
    for (std::size_t i = 0; i < pool.members.size(); ++i) {
        const auto& until = pool.state.quarantined_until[i];
        const auto& detector = backends_[pool.members[i].backend].detector;
        if (!until || now < *until || detector.health() != Health::healthy || detector.last_failed()) continue;
        end_quarantine(index, i, "cooldown", "the cooldown has passed and it is healthy", reaction, now);
    }
}

/// If there is one. Failures from before it do not count towards the next.
void Failover::end_quarantine(PoolIndex index, std::size_t position, std::string cause, std::string evidence,
                              Reaction& reaction, TimePoint now)
{
    Pool& pool = pools_[index];
    Member& member = pool.members[position];
    member.failures.clear();
    if (!std::exchange(pool.state.quarantined_until[position], std::nullopt)) return;
    reaction.events.push_back({.kind = Event::Kind::quarantine_over,
                               .at = now,
                               .backend = member.backend,
                               .pool = index,
                               .cause = std::move(cause),
                               .evidence = std::move(evidence)});
}

void Failover::notice_fail_open(PoolIndex index, Reaction& reaction, TimePoint now)
{
    Pool& pool = pools_[index];
    bool works = false;
    std::optional<BackendIndex> contradicted;
    for (const Member& m : pool.members) {
        const Backend& backend = backends_[m.backend];
        if (backend.word) continue;
        works |= backend.detector.health() >= Health::degraded || backend.detector.health() == Health::unknown;
        if (!contradicted && backend.contradicted) contradicted = m.backend;
    }
    const bool open = !works && contradicted;
    if (open == pool.state.fail_open) return;
    pool.state.fail_open = open;
    if (open)
        reaction.events.push_back({.kind = Event::Kind::fail_open,
                                   .at = now,
                                   .backend = contradicted,
                                   .pool = index,
                                   .cause = "traffic",
                                   .evidence = "every backend fails its probes, but live requests are answered"});
    else
        reaction.events.push_back(
            {.kind = Event::Kind::fail_open_over,
             .at = now,
             .pool = index,
             .cause = works ? "probes" : "traffic",
             .evidence = works ? "a backend passes its probes again" : "live requests are not answered either"});
}

void Failover::activate(PoolIndex index, std::optional<BackendIndex> chosen, bool by_operator, Reaction& reaction,
                        TimePoint now)
{
    Pool& pool = pools_[index];
    pool.state.active = chosen;
    if (!chosen) return;
    const auto previous = std::exchange(pool.last_active, chosen);
    if (!pool.settled || !previous || previous == chosen) return;

    const Backend& left = backends_[*previous];
    Event event{.kind = Event::Kind::failover,
                .at = now,
                .backend = chosen,
                .previous = previous,
                .pool = index,
                .first_evidence = now};
    const auto position_of = [&pool](BackendIndex backend) {
        const auto& backends = pool.config->backends;
        return static_cast<std::size_t>(std::find(backends.begin(), backends.end(), backend) - backends.begin());
    };
    const auto position = position_of(*previous);
    const bool removed = position == pool.members.size();
    const auto order = by_preference(pool);
    const auto preference = [&](std::size_t p) { return std::find(order.begin(), order.end(), p) - order.begin(); };
    const bool is_preferred = !removed && preference(position_of(*chosen)) < preference(position);
    if (removed && !by_operator) {
        event.cause = "configuration";
        event.evidence = fmt::format("'{}' was removed from the pool", left.config->name);
    } else if (by_operator || left.word) {
        event.cause = "operator";
        event.evidence = left.word
                             ? fmt::format("'{}' is in status {}", left.config->name, to_string(left.state.status))
                             : "an operator chose it";
    } else if (is_preferred && nominal_rank(pool, position) >= Rank::degraded) {
        event.kind = Event::Kind::failback;
        event.cause = "recovered";
        event.evidence = fmt::format("'{}' has been healthy for {:.1f} s", backends_[*chosen].config->name,
                                     sec(now - backends_[*chosen].detector.since()));
    } else if (is_preferred && nominal_rank(pool, position) == nominal_rank(pool, position_of(*chosen))) {
        event.kind = Event::Kind::failback;
        event.cause = "order";
        event.evidence = fmt::format("'{}' is {} as well and comes first", backends_[*chosen].config->name,
                                     to_string(backends_[*chosen].state.status));
    } else {
        event.cause = left.worsening.cause;
        event.evidence = fmt::format("'{}' is {}: {}", left.config->name,
                                     quarantined(pool, position) ? "quarantined" : to_string(left.state.status),
                                     left.worsening.evidence);
        event.detection = left.worsening.detection;
        event.first_evidence = left.worsening.first_evidence;
    }
    if (is_planned(event))
        ++pool.state.planned;
    else
        ++(event.kind == Event::Kind::failback ? pool.state.failbacks : pool.state.failovers);
    reaction.events.push_back(std::move(event));
}

PoolRoute Failover::place(PoolIndex index, Reaction& reaction, TimePoint now)
{
    Pool& pool = pools_[index];
    const std::size_t size = pool.members.size();
    std::vector<Rank> ranks(size);
    for (std::size_t i = 0; i < size; ++i) ranks[i] = rank(pool, i);
    const bool sound = std::any_of(ranks.begin(), ranks.end(), [](Rank r) { return r >= Rank::doubtful; });

    std::vector<Tier> tiers(size, Tier::excluded);
    for (std::size_t i = 0; i < size; ++i) {
        const Backend& backend = backends_[pool.members[i].backend];
        if (backend.word) continue;
        const bool promising = backend.detector.health() == Health::unknown || backend.detector.recovering();
        if (ranks[i] >= Rank::doubtful || promising || (ranks[i] == Rank::quarantined && !sound))
            tiers[i] = Tier::fallback;
    }
    // What fails its probes is better than no answer. All of it: each may be the one that answers this request.
    if (std::find(tiers.begin(), tiers.end(), Tier::fallback) == tiers.end())
        for (std::size_t i = 0; i < size; ++i)
            if (ranks[i] == Rank::failing || ranks[i] == Rank::rejected) tiers[i] = Tier::fallback;
    const bool can_answer = std::find(tiers.begin(), tiers.end(), Tier::fallback) != tiers.end();

    PoolRoute route{.policy = pool.config->policy, .candidates = {}, .maintenance = maintenance_of(pool)};
    auto order = by_preference(pool);
    if (route.policy == Policy::failover) {
        // Passing over a doubtful active backend is not a failover: it stays the active one until there is a verdict.
        std::optional<std::size_t> server;
        for (std::size_t i : order)
            if (pool.members[i].backend == pool.state.active) server = i;
        if (server && ranks[*server] == Rank::doubtful)
            for (std::size_t i : order)
                if (ranks[i] >= Rank::degraded && ranks[i] > ranks[*server]) server = i;
        if (server && tiers[*server] == Tier::fallback) tiers[*server] = Tier::serving;
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            return std::pair(tiers[a], ranks[b]) < std::pair(tiers[b], ranks[a]);
        });
    } else {
        order = by_preference(pool);
        for (std::size_t i = 0; i < size; ++i)
            if (ranks[i] == Rank::healthy && now >= ready_at(pool, i)) tiers[i] = Tier::serving;
    }

    const Duration slow_start = pool.config->failback.slow_start;
    for (std::size_t i : order) {
        Member& member = pool.members[i];
        const bool serving = tiers[i] == Tier::serving;
        if (serving && !member.serving) member.serving_since = pool.settled ? now : now - slow_start;
        member.serving = serving;
        unsigned weight = member.weight;
        if (slow_start > Duration::zero()) {
            const auto step =
                serving ? 1 + slow_start_steps * (now - member.serving_since) / slow_start : slow_start_steps;
            weight *= static_cast<unsigned>(std::clamp<Duration::rep>(step, 1, slow_start_steps));
        }
        route.candidates.push_back({member.backend, tiers[i], weight});
    }

    if (can_answer != pool.state.can_answer) {
        pool.state.can_answer = can_answer;
        const bool taken_out = std::all_of(pool.members.begin(), pool.members.end(),
                                           [this](const Member& m) { return backends_[m.backend].word.has_value(); });
        const bool empty = pool.members.empty();
        reaction.events.push_back({.kind = can_answer ? Event::Kind::outage_over : Event::Kind::outage,
                                   .at = now,
                                   .pool = index,
                                   .cause = can_answer  ? "recovered"
                                            : empty     ? "configuration"
                                            : taken_out ? "operator"
                                                        : "no_backend",
                                   .evidence = can_answer  ? "a backend answers again"
                                               : empty     ? "the pool has no backend"
                                               : taken_out ? "every backend is draining or in maintenance"
                                                           : "no backend can answer"});
    }
    return route;
}

std::optional<Maintenance> Failover::maintenance_of(const Pool& pool) const
{
    const Maintenance* told = nullptr;
    for (const Member& member : pool.members) {
        const Backend& backend = backends_[member.backend];
        if (!backend.word) return std::nullopt;
        const auto& announced = backend.state.maintenance;
        if (announced && (told == nullptr || comes_before(*announced, *told))) told = &*announced;
    }
    return told != nullptr ? std::optional(*told) : std::nullopt;
}

// ------------------------------------------------------------------------------------------------------ conclusion

/// Draws the consequences of whatever has just been learned: the end of every public call.
Reaction Failover::settle(Reaction reaction, TimePoint now)
{
    for (Backend& backend : backends_) {
        backend.contradicted = backend.detector.contradicted(now);
        backend.rejected = backend.detector.rejected(now);
    }
    hurry_for_starved_pools(now);

    auto next = std::make_shared<Routing>();
    next->topology = topology_;
    for (Backend& backend : backends_) {
        // Workers only ask for this when they have met a failure, so it changes only after one: else every heartbeat
        // would be a new Routing.
        const TimePoint good = backend.detector.good_probe_started();
        if (backend.last_suspicion >= backend.published_good && good > backend.published_good)
            backend.published_good = good;
        next->backends.push_back({backend.state.status, backend.published_good, backend.down_count});
    }
    for (std::size_t p = 0; p < pools_.size(); ++p) {
        const auto index = static_cast<PoolIndex>(p);
        Pool& pool = pools_[p];
        if (!present(pool)) {
            const bool retired = pool.slot.use == Slot::Use::retired && p < routing_->pools.size();
            next->pools.push_back(retired ? routing_->pools[p] : PoolRoute{});
            continue;
        }
        lift_quarantines(index, reaction, now);
        notice_fail_open(index, reaction, now);
        if (pool.config->policy == Policy::failover) {
            const auto elected = elect(pool, false, now);
            const auto chosen = elected ? std::optional(pool.members[*elected].backend) : std::nullopt;
            if (chosen != pool.state.active) activate(index, chosen, false, reaction, now);
        }
        next->pools.push_back(place(index, reaction, now));
        pool.settled =
            pool.settled || std::all_of(pool.members.begin(), pool.members.end(), [this](const Member& m) {
                return backends_[m.backend].word || backends_[m.backend].detector.health() != Health::unknown;
            });
    }
    if (next->topology != routing_->topology || next->backends != routing_->backends ||
        next->pools != routing_->pools) {
        next->version = routing_->version + 1;
        routing_ = next;
        reaction.routing = std::move(next);
    }

    for (std::size_t i = 0; i < backends_.size(); ++i) {
        Backend& backend = backends_[i];
        if (!present(backend) || backend.probing || backend.next_probe > now) continue;
        backend.probing = true;
        backend.probe_started = now;
        reaction.probe.push_back(static_cast<BackendIndex>(i));
    }
    wake_at_ = next_wake(now);
    reaction.wake_at = wake_at_;
    return reaction;
}

TimePoint Failover::next_wake(TimePoint now) const
{
    TimePoint wake = TimePoint::max();
    const auto at = [&wake, now](TimePoint t) {
        if (t > now) wake = std::min(wake, t);
    };
    for (const Backend& backend : backends_) {
        if (!present(backend)) continue;
        // While a probe is under way nothing is due; the time given is past its end, so that a jump would show.
        const ProbeConfig& probe = *backend.probe;
        at(backend.probing ? backend.probe_started + probe.timeout + probe.interval : backend.next_probe);
    }
    for (const Pool& pool : pools_) {
        const Duration slow_start = pool.config->failback.slow_start;
        for (std::size_t i = 0; i < pool.members.size(); ++i) {
            if (nominal_rank(pool, i) != Rank::none) at(ready_at(pool, i));
            if (pool.state.quarantined_until[i]) at(*pool.state.quarantined_until[i]);
            const Member& member = pool.members[i];
            if (!member.serving || slow_start <= Duration::zero()) continue;
            const auto step = slow_start / slow_start_steps;
            if (now - member.serving_since < slow_start)
                at(member.serving_since + step * ((now - member.serving_since) / step + 1));
        }
    }
    return wake == TimePoint::max() ? now + seconds(1) : wake;
}

} // namespace hotspare::balancer
