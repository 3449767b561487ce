// What the monitor knows at one moment, as one value that never changes: all that the built-in pages say beside the
// workers' counters. The monitor makes a new one when something has changed; readers keep theirs as long as they like.
//
// PURE data. Any thread.
#pragma once

#include "balancer/control/events.hpp"
#include "balancer/decide/failover.hpp"

#include <memory>
#include <optional>
#include <vector>

namespace hotspare::balancer {

struct BackendSnapshot {
    BackendState state;
    unsigned flaps = 0;
};

struct PoolSnapshot {
    PoolState state;
    std::optional<TimePoint> failback_at;       ///< as Failover::failback_at()
    std::optional<ReportedEvent> last_failover; ///< the latest failover, not failback
    Duration failover_time{}; ///< first evidence -> new Routing handed to the workers, summed over all failovers
};

/// How often the configuration was read again.
struct Reloads {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    std::optional<TimePoint> last{}; ///< when the latest one ended
    std::string error{};             ///< of the latest one; empty = it was done
};

struct Snapshot {
    std::vector<BackendSnapshot> backends; ///< by BackendIndex
    std::vector<PoolSnapshot> pools;       ///< by PoolIndex
    std::shared_ptr<const Routing> routing;
    Reloads reloads{};
    TimePoint started{};
    WallTime::duration wall_offset{}; ///< wall clock less steady clock
    Duration lag{};                   ///< how late the monitor's latest tick was

    /// What the wall clock showed at `t`; the same for the same `t` unless the clock is set.
    WallTime wall(TimePoint t) const noexcept
    {
        return WallTime(std::chrono::duration_cast<WallTime::duration>(t.time_since_epoch()) + wall_offset);
    }
};

} // namespace hotspare::balancer
