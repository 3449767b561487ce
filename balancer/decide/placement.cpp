#include "balancer/decide/placement.hpp"

#include "balancer/decide/attempt.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace hotspare::balancer {
namespace {

constexpr int no_rank = std::numeric_limits<int>::max();

} // namespace

Placement::Placement(std::shared_ptr<const Topology> topology, std::uint32_t seed) : random_(seed)
{
    adopt({}, *topology);
    // Until the first Routing arrives every backend is unknown, and each of them may be tried.
    auto initial = std::make_shared<Routing>();
    initial->backends.resize(topology->backends.size());
    for (const PoolConfig& pool : topology->pools) {
        PoolRoute route{.policy = pool.policy, .candidates = {}};
        for (BackendIndex backend : pool.backends) route.candidates.push_back({backend, Tier::fallback, 1});
        initial->pools.push_back(std::move(route));
    }
    initial->topology = std::move(topology);
    routing_ = std::move(initial);
}

void Placement::adopt(const Topology& before, const Topology& topology)
{
    const std::size_t backends = topology.backends.size();
    suspect_since_.resize(backends);
    soft_in_a_row_.resize(backends);
    good_now_.assign(backends, ProbeConfig{}.fast_interval);
    for (std::size_t b = 0; b < backends; ++b) {
        if (topology.same_backend(before, static_cast<BackendIndex>(b))) continue;
        suspect_since_[b] = TimePoint::min();
        soft_in_a_row_[b] = 0;
    }
    credit_.resize(topology.pools.size());
    for (std::size_t p = topology.pools.size(); p-- > 0;)
        if (p >= before.pools.size() || before.pools[p].backends != topology.pools[p].backends)
            credit_[p].assign(topology.pools[p].backends.size(), 0);
    const auto& present = topology.present_pools;
    for (std::size_t i = present.size(); i-- > 0;) { // backwards: the first pool that names a backend decides
        const PoolConfig& pool = topology.pools[present[i]];
        for (const BackendIndex backend : pool.backends) good_now_[backend] = pool.probe.fast_interval;
    }
}

std::vector<BackendIndex> Placement::update(std::shared_ptr<const Routing> routing)
{
    if (routing->topology && routing->topology != routing_->topology) adopt(*routing_->topology, *routing->topology);
    std::vector<BackendIndex> down;
    for (std::size_t i = 0; i < std::min(routing->backends.size(), routing_->backends.size()); ++i)
        if (routing->backends[i].down_count > routing_->backends[i].down_count)
            down.push_back(static_cast<BackendIndex>(i));
    routing_ = std::move(routing);
    return down;
}

/// In order of preference: serving, fallback, and last those that this worker saw fail.
int Placement::rank(const Candidate& candidate) const noexcept
{
    return suspect(candidate.backend) ? 2 : candidate.tier == Tier::fallback ? 1 : 0;
}

/// What failover picks, in one pass: mostly the first candidate.
std::optional<BackendIndex> Placement::first_of_best(const PoolRoute& route, const AttemptLedger& ledger) const noexcept
{
    std::optional<BackendIndex> first;
    int best = no_rank;
    for (const Candidate& c : route.candidates) {
        if (c.tier == Tier::excluded || ledger.tried(c.backend)) continue;
        const int its = rank(c);
        if (its == 0) return c.backend;
        if (its >= best) continue;
        best = its;
        first = c.backend;
    }
    return first;
}

/// Of those that the request may be sent to; `no_rank` if there are none.
int Placement::best_rank(const PoolRoute& route, const AttemptLedger& ledger) const noexcept
{
    int best = no_rank;
    for (const Candidate& c : route.candidates)
        if (c.tier != Tier::excluded && !ledger.tried(c.backend)) best = std::min(best, rank(c));
    return best;
}

std::optional<BackendIndex> Placement::pick(PoolIndex pool, const AttemptLedger& ledger,
                                            const std::vector<unsigned>& active, std::optional<BackendIndex> cookie)
{
    if (cookie && keeps(pool, ledger, *cookie)) return cookie;
    const PoolRoute& route = routing_->pools[pool];
    if (route.policy == Policy::failover) return first_of_best(route, ledger);
    const int best = best_rank(route, ledger);
    if (best == no_rank) return std::nullopt;
    return pick_from(pool, active, [&](const Candidate& c) {
        return c.tier != Tier::excluded && !ledger.tried(c.backend) && rank(c) == best;
    });
}

bool Placement::keeps(PoolIndex pool, const AttemptLedger& ledger, BackendIndex backend) const noexcept
{
    for (const Candidate& c : routing_->pools[pool].candidates)
        if (c.backend == backend) return c.tier != Tier::excluded && !suspect(backend) && !ledger.tried(backend);
    return false;
}

std::optional<BackendIndex> Placement::pick_with_room(PoolIndex pool, const AttemptLedger& ledger,
                                                      const std::vector<unsigned>& active, const BackendSet& full)
{
    const BackendSet usable = eligible(pool, ledger) & ~full;
    if (usable.none()) return std::nullopt;
    return pick_from(pool, active, [&](const Candidate& c) { return usable[c.backend]; });
}

BackendSet Placement::eligible(PoolIndex pool, const AttemptLedger& ledger) const noexcept
{
    const PoolRoute& route = routing_->pools[pool];
    const int best = best_rank(route, ledger);
    BackendSet set;
    for (const Candidate& c : route.candidates) {
        if (c.tier == Tier::excluded || ledger.tried(c.backend) || rank(c) != best) continue;
        set.set(c.backend);
        if (route.policy == Policy::failover) break;
    }
    return set;
}

/// By the pool's policy, of the `usable` candidates; there is one.
template <class Usable>
std::optional<BackendIndex> Placement::pick_from(PoolIndex pool, const std::vector<unsigned>& active, Usable usable)
{
    const PoolRoute& route = routing_->pools[pool];
    switch (route.policy) {
    case Policy::failover:
        for (const Candidate& c : route.candidates)
            if (usable(c)) return c.backend;
        break;
    case Policy::round_robin: {
        // Smooth weighted round robin: each turn every candidate earns its weight, the richest serves and pays the
        // total.
        auto& credit = credit_[pool];
        credit.resize(route.candidates.size());
        long total = 0;
        std::optional<std::size_t> chosen;
        for (std::size_t i = 0; i < route.candidates.size(); ++i) {
            if (!usable(route.candidates[i])) continue;
            credit[i] += route.candidates[i].weight;
            total += route.candidates[i].weight;
            if (!chosen || credit[i] > credit[*chosen]) chosen = i;
        }
        credit[*chosen] -= total;
        return route.candidates[*chosen].backend;
    }
    case Policy::random: {
        unsigned total = 0;
        for (const Candidate& c : route.candidates)
            if (usable(c)) total += c.weight;
        if (total == 0) break;
        auto ticket = std::uniform_int_distribution<unsigned>(0, total - 1)(random_);
        for (const Candidate& c : route.candidates) {
            if (!usable(c)) continue;
            if (ticket < c.weight) return c.backend;
            ticket -= c.weight;
        }
        break;
    }
    case Policy::least_connections: {
        const Candidate* best = nullptr;
        const auto load = [&](const Candidate& c) {
            return static_cast<double>(active[c.backend] + 1) / std::max(1U, c.weight);
        };
        for (const Candidate& c : route.candidates)
            if (usable(c) && (best == nullptr || load(c) < load(*best))) best = &c;
        return best->backend;
    }
    }
    // Every eligible weight is zero (a slow start at its first instant): the first one still answers.
    for (const Candidate& c : route.candidates)
        if (usable(c)) return c.backend;
    return std::nullopt;
}

bool Placement::alternative(PoolIndex pool, const AttemptLedger& ledger) const noexcept
{
    for (const Candidate& c : routing_->pools[pool].candidates)
        if (c.tier != Tier::excluded && !suspect(c.backend) && !ledger.tried(c.backend)) return true;
    return false;
}

bool Placement::used_up(PoolIndex pool, const AttemptLedger& ledger) const noexcept
{
    for (const Candidate& c : routing_->pools[pool].candidates)
        if (!ledger.sent_to(c.backend)) return false;
    return true;
}

bool Placement::can_serve(PoolIndex pool) const noexcept
{
    for (const Candidate& c : routing_->pools[pool].candidates)
        if (c.tier != Tier::excluded && !suspect(c.backend)) return true;
    return false;
}

const Maintenance* Placement::maintenance(PoolIndex pool) const noexcept
{
    const auto& announced = routing_->pools[pool].maintenance;
    return announced ? &*announced : nullptr;
}

bool Placement::observe(BackendIndex backend, EvidenceKind kind, TimePoint now)
{
    // The request may be the cause of what happened after it was sent. As long as a probe is good just then, the
    // backend is not passed over for it, and the first probe that starts after it settles it.
    const auto suspect_softly = [&] {
        const TimePoint good = routing_->backends[backend].good_probe_started;
        if (!suspect(backend) && now > good + good_now_[backend]) suspect_since_[backend] = now;
    };
    switch (kind) {
    case EvidenceKind::success: soft_in_a_row_[backend] = 0; return false;
    case EvidenceKind::refused: suspect_since_[backend] = now; return true;
    case EvidenceKind::reset:
    case EvidenceKind::malformed:
    case EvidenceKind::timed_out: suspect_softly(); return true;
    case EvidenceKind::diverted:
    case EvidenceKind::outpaced:
    case EvidenceKind::uncompared:
        if (++soft_in_a_row_[backend] < soft_failures) return false;
        if (kind != EvidenceKind::uncompared) suspect_softly();
        return true;
    }
    return false;
}

} // namespace hotspare::balancer
