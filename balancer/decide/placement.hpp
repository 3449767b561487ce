// Where a request goes: one pool's candidates, what this worker itself saw fail, and what the request has tried.
//
// PURE. Owned by one worker. The monitor's Routing is the truth with a delay; a worker that met a refusal passes the
// backend over at once, until a probe that started after the refusal has succeeded.
#pragma once

#include "balancer/decide/routing.hpp"
#include "balancer/decide/topology.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace hotspare::balancer {

class AttemptLedger;

class Placement {
public:
    Placement(std::shared_ptr<const Topology> topology, std::uint32_t seed);

    /// A new truth from the monitor, maybe of another Topology. Returns the backends that went down since the last one.
    std::vector<BackendIndex> update(std::shared_ptr<const Routing> routing);
    const Routing& routing() const noexcept { return *routing_; }

    /// The backend to try next, or nothing if every backend that could answer has been tried or none can. `active(b)`
    /// is the number of requests in flight at backend b (least_connections). A backend that the client's `cookie`
    /// stands for goes first if it keeps() the request.
    std::optional<BackendIndex> pick(PoolIndex pool, const AttemptLedger& ledger, const std::vector<unsigned>& active,
                                     std::optional<BackendIndex> cookie = {});

    /// Whether a request whose cookie stands for `backend` may go there: it has not tried it, it is not excluded, and
    /// this worker did not see it fail.
    bool keeps(PoolIndex pool, const AttemptLedger& ledger, BackendIndex backend) const noexcept;

    /// The same, but none of those that are `full`: another one that the policy allows, or nothing.
    std::optional<BackendIndex> pick_with_room(PoolIndex pool, const AttemptLedger& ledger,
                                               const std::vector<unsigned>& active, const BackendSet& full);

    /// What pick() may choose from. A backend that is full is no reason to take one of a lower rank: under `failover`
    /// it is the first one alone, as a spare takes no overflow; otherwise all that are as good.
    BackendSet eligible(PoolIndex pool, const AttemptLedger& ledger) const noexcept;

    /// Whether a backend is left that the request has not tried and that is not known to fail.
    bool alternative(PoolIndex pool, const AttemptLedger& ledger) const noexcept;

    /// Whether no backend of the pool is left that may still get the request: it was sent to all of them.
    bool used_up(PoolIndex pool, const AttemptLedger& ledger) const noexcept;

    /// Whether pick() could find a backend for a request that has tried none, other than one known to fail.
    bool can_serve(PoolIndex pool) const noexcept;

    /// What a request of the pool is told at once because none of its backends returns before an operator's word; null
    /// if one may. Valid until update().
    const Maintenance* maintenance(PoolIndex pool) const noexcept;

    /// Feeds what a live request met; decides whether the backend is passed over from now on. Returns true when this
    /// observation began or renewed the suspicion, which the monitor wants to know at once.
    bool observe(BackendIndex backend, EvidenceKind kind, TimePoint now);

    bool suspect(BackendIndex backend) const noexcept
    {
        return suspect_since_[backend] > routing_->backends[backend].good_probe_started;
    }

private:
    /// Failing answers and lost races say less than a refusal: one may be chance, three in a row are not.
    static constexpr unsigned soft_failures = 3;

    void adopt(const Topology& before, const Topology& topology);
    int rank(const Candidate& candidate) const noexcept;
    int best_rank(const PoolRoute& route, const AttemptLedger& ledger) const noexcept;
    std::optional<BackendIndex> first_of_best(const PoolRoute& route, const AttemptLedger& ledger) const noexcept;
    template <class Usable>
    std::optional<BackendIndex> pick_from(PoolIndex pool, const std::vector<unsigned>& active, Usable usable);

    std::shared_ptr<const Routing> routing_;
    std::vector<TimePoint> suspect_since_; ///< by backend, as the next two
    std::vector<unsigned> soft_in_a_row_;
    std::vector<Duration> good_now_;        ///< how long a good probe stands, by backend: HealthSettings::good_now
    std::vector<std::vector<long>> credit_; ///< smooth weighted round robin, by pool and position
    std::minstd_rand random_;
};

} // namespace hotspare::balancer
