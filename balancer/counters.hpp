// One worker's counts: written by that worker only, read by the pages' thread for /metrics and /status. Relaxed
// single-writer cells: no read-modify-write and no shared cache line on the request path.
#pragma once

#include "balancer/config.hpp"
#include "common/metrics.hpp"

#include <array>
#include <vector>

namespace hotspare::balancer {

/// Why a request was answered although its first attempt was not: the value of this program, counted.
enum class Saved : std::uint8_t { retry, hedge, move, park, count_ };
/// Why the balancer itself had to fail a request.
enum class Lost : std::uint8_t { no_backend, not_replayable, budget, deadline, truncated, count_ };

std::string_view to_string(Saved) noexcept;
std::string_view to_string(Lost) noexcept;

/// Where a status is counted. One from 600 on has no class: it counts as a server error (RFC 9110 §15).
constexpr std::size_t code_class(unsigned status) noexcept
{
    return status < 600 ? status / 100 : 5;
}

struct BackendCounters {
    std::array<metrics::Counter, 6> responses; ///< by code_class(); [0] = no response
    metrics::Histogram latency;                ///< request sent -> response header
    metrics::Counter connects, connect_failures, reused;
    metrics::Gauge active; ///< requests in flight there
    metrics::Gauge idle;   ///< pooled connections
};

struct PoolCounters {
    metrics::Counter requests;
    std::array<metrics::Counter, 6>
        responses; ///< what the clients got, by code_class(); [0] = connection closed instead
    std::array<metrics::Counter, static_cast<std::size_t>(Saved::count_)> saved;
    std::array<metrics::Counter, static_cast<std::size_t>(Lost::count_)> lost;
    metrics::Counter retries, hedges, moves, budget_exhausted;
    metrics::Gauge parked;
    metrics::Histogram latency; ///< request header complete -> response complete
};

struct alignas(64) WorkerCounters {
    explicit WorkerCounters(const Config& config) : backends(config.backends.size()), pools(config.pools.size()) {}

    metrics::Counter connections_accepted, connections_refused, bad_requests;
    metrics::Counter unrouted_requests; ///< well-formed, but no route takes their path
    metrics::Gauge connections, connections_idle;
    metrics::Counter access_log_dropped;
    metrics::Gauge relay_memory; ///< bytes, ten times a second
    metrics::Gauge loop_lag_us;  ///< how late the worker's coarse timer ran, last observation
    std::vector<BackendCounters> backends;
    std::vector<PoolCounters> pools;
};

} // namespace hotspare::balancer
