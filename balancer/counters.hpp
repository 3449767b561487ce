// One worker's counts: written by that worker only, read by the pages' thread for /metrics and /status. Relaxed
// single-writer cells: no read-modify-write and no shared cache line on the request path.
#pragma once

#include "balancer/config.hpp"
#include "common/metrics.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

namespace hotspare::balancer {

/// Why a request was answered although its first attempt was not: the value of this program, counted.
enum class Saved : std::uint8_t { retry, hedge, move, park, count_ };
/// Why the balancer itself had to fail a request.
enum class Lost : std::uint8_t { no_backend, not_replayable, budget, deadline, truncated, connection_limit, count_ };

/// Why a connection was closed for its PROXY header.
enum class BadProxyHeader : std::uint8_t { untrusted, missing, malformed, count_ };

std::string_view to_string(Saved) noexcept;
std::string_view to_string(Lost) noexcept;
std::string_view to_string(BadProxyHeader) noexcept;

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

/// Cells by slot. One that was opened stays where it is for the life of the table, so that a reader may look at it
/// while the writer opens others.
template <class Cells, std::size_t Most> class CellTable {
public:
    /// Writer: the slot begins anew, at zero.
    void open(std::size_t slot)
    {
        if (owned_.size() <= slot) owned_.resize(slot + 1);
        if (owned_[slot])
            *owned_[slot] = Cells{};
        else
            owned_[slot] = std::make_unique<Cells>();
        cells_[slot].store(owned_[slot].get(), std::memory_order_release);
    }
    /// Writer: of a slot that was opened.
    Cells& operator[](std::size_t slot) noexcept { return *cells_[slot].load(std::memory_order_relaxed); }
    /// Any thread: null if the slot was never opened.
    const Cells* find(std::size_t slot) const noexcept { return cells_[slot].load(std::memory_order_acquire); }

private:
    std::array<std::atomic<Cells*>, Most> cells_{};
    std::vector<std::unique_ptr<Cells>> owned_;
};

struct alignas(64) WorkerCounters {
    metrics::Counter connections_accepted, connections_refused, bad_requests;
    metrics::Counter unrouted_requests; ///< well-formed, but no route takes their path
    std::array<metrics::Counter, static_cast<std::size_t>(BadProxyHeader::count_)> bad_proxy_headers;
    metrics::Gauge connections, connections_idle;
    metrics::Counter access_log_dropped;
    metrics::Gauge relay_memory; ///< bytes, ten times a second
    /// Of the Routing in use, set after the worker has taken it over. A reader that loads this first and then
    /// BackendCounters::active counts every request that an older Routing has placed.
    std::atomic<std::uint64_t> routing_version{0};
    metrics::Gauge loop_lag_us; ///< how late the worker's coarse timer ran, last observation
    CellTable<BackendCounters, most_backends> backends;
    CellTable<PoolCounters, most_pools> pools;
};

} // namespace hotspare::balancer
