// What the data plane needs to know to place a request, as plain immutable data, and what it reports back.
//
// PURE. The monitor thread builds a Routing whenever anything changes and posts a shared_ptr<const Routing> to every
// worker; workers never write it. In the other direction workers report Evidence, coalesced, to the monitor.
#pragma once

#include "balancer/decide/maintenance.hpp"
#include "common/clock.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

/// A slot of the Topology. In a Config, from which a Topology is made, the position in Config::backends or pools.
using BackendIndex = std::uint16_t;
using PoolIndex = std::uint16_t;

struct Topology;

/// The first five are observed, the last two are an operator's word.
enum class Status : std::uint8_t { unknown, healthy, degraded, unhealthy, down, draining, maintenance };
std::string_view to_string(Status) noexcept;

enum class Policy : std::uint8_t { failover, round_robin, random, least_connections };
std::string_view to_string(Policy) noexcept;

/// How willingly a request is placed on a backend.
enum class Tier : std::uint8_t {
    serving,  ///< takes requests by the pool's policy
    fallback, ///< takes a request only when no serving backend is left for it (standby, degraded, unknown, fail-open)
    excluded, ///< takes none: known to be down, draining, in maintenance
};

struct Candidate {
    BackendIndex backend = 0;
    Tier tier = Tier::excluded;
    unsigned weight = 1; ///< relative share under round_robin, random, least_connections; already scaled by slow start

    bool operator==(const Candidate&) const = default;
};

struct BackendRoute {
    Status status = Status::unknown;
    /// Start of the latest probe that succeeded. A worker passes over a backend that failed it after this moment: only
    /// a probe that started after the last failure may re-admit.
    TimePoint good_probe_started{};
    /// Counts the times this backend went from answering to not answering. When it grows, requests in flight there that
    /// may be sent again move at once.
    std::uint32_t down_count = 0;

    bool operator==(const BackendRoute&) const = default;
};

struct PoolRoute {
    Policy policy = Policy::failover;
    /// Every backend of the pool. Under `failover` in order of preference: the active one first, then the standbys;
    /// otherwise in configuration order.
    std::vector<Candidate> candidates;
    /// Set while operators have taken out every backend, at least one of them for maintenance: what a request is told,
    /// at once.
    std::optional<Maintenance> maintenance{};

    bool operator==(const PoolRoute&) const = default;
};

struct Routing {
    std::uint64_t version = 0;
    std::shared_ptr<const Topology> topology; ///< that it was made for
    std::vector<BackendRoute> backends;       ///< by BackendIndex
    std::vector<PoolRoute> pools;             ///< by PoolIndex
};

/// What a live request met at a backend, and what a request that has ended says of it (balancer/blame).
enum class EvidenceKind : std::uint8_t {
    success,    ///< the first backend that the request was sent to answered with a status that is no failure
    refused,    ///< no connection: refused, no route, connecting took too long
    reset,      ///< closed or reset after the request was sent, before the response was complete
    timed_out,  ///< silent past the deadline of an answer
    malformed,  ///< not HTTP
    diverted,   ///< the request failed here, in whatever way, and then succeeded elsewhere
    outpaced,   ///< a hedge sent later to another backend answered first
    uncompared, ///< the request failed here and could not be sent elsewhere
};
std::string_view to_string(EvidenceKind) noexcept;

/// One or more equal observations of one worker since its last report.
struct Evidence {
    BackendIndex backend = 0;
    EvidenceKind kind = EvidenceKind::success;
    std::uint32_t count = 0;
    TimePoint last{};         ///< when the latest of them was observed
    Duration total_latency{}; ///< summed over `count`: request sent -> response header (success)
};

} // namespace hotspare::balancer
