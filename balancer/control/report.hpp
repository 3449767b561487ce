// The balancer's account of itself: /status as JSON, /metrics as Prometheus text, and the few answers that both and
// /health share. It only reads.
//
// Thread: any. It reads a Snapshot, which never changes, and the workers' counters through their relaxed cells.
#pragma once

#include "balancer/config.hpp"
#include "balancer/control/snapshot.hpp"
#include "balancer/counters.hpp"
#include "balancer/decide/connection_limits.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::balancer {

/// What the built-in pages count of themselves.
struct PageCounts {
    std::size_t connections = 0; ///< that ask for a page now
    std::size_t streams = 0;     ///< open event streams
    std::uint64_t refused = 0;   ///< connections turned away because too many asked at once
};

struct Report {
    const std::shared_ptr<const Snapshot> snapshot;
    const std::vector<const WorkerCounters*>& counters; ///< one per worker
    const ConnectionLimits* const limits = nullptr;     ///< null: no backend has one
    const PageCounts pages{};
    const std::uint64_t relay_memory_limit = 0; ///< LimitConfig::relay_memory

    /// What the report is about.
    const Topology& topology() const noexcept { return *snapshot->routing->topology; }

    /// The backend that "the balancer" as a whole serves from: of the first pool with policy failover its active one,
    /// else the first one of the first pool that serves. Nothing if there is none.
    std::optional<BackendIndex> active() const;
    /// Whether every pool has a backend to try.
    bool can_answer() const;
    /// Which pools would not answer a request, by their probes and by what live requests meet, and why: a clause for
    /// people. Empty if all would. The pool is named where there are several.
    std::string trouble() const;
    /// Backends of the pool that work: healthy or degraded, not quarantined, not taken out by an operator.
    std::size_t usable(PoolIndex pool) const;
    /// Whether any pool serves from backends that fail their probes.
    bool fails_open() const;

    nlohmann::json status() const;
    nlohmann::json backend(BackendIndex index) const;
    nlohmann::json pool(PoolIndex index) const;
    nlohmann::json dynamic_routes() const;

    /// Prometheus text format, see metrics::Exposition::content_type.
    std::string metrics() const;
};

} // namespace hotspare::balancer
