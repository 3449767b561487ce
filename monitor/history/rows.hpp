// What goes into the history and comes out of it, beside what the cores themselves make. The history keeps it
// (history.hpp).
//
// PURE: data. Any thread.
#pragma once

#include "monitor/decide/incident.hpp"
#include "monitor/decide/maintenance.hpp"
#include "monitor/decide/notification.hpp"
#include "monitor/history/audit_chain.hpp"
#include "monitor/history/retention.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::monitor {

using TargetId = std::int64_t; ///< from 1 on, never used twice

struct Target {
    TargetId id = 0;
    std::string name{};
    Instant watched_since{};
    RolledUntil rolled{};

    friend bool operator==(const Target&, const Target&) = default;
};

/// One check.
struct StoredSample {
    TargetId target = 0;
    Instant at{};
    State state = State::unknown;
    std::optional<microseconds> latency{}; ///< of an answer
    std::string cause{};                   ///< at most 200 bytes are kept

    friend bool operator==(const StoredSample&, const StoredSample&) = default;
};
inline constexpr std::size_t longest_cause = 200;

/// Of the checks of a unit that were good and had a latency.
struct Latency {
    std::int64_t count = 0;
    microseconds sum{};
    microseconds least{}; ///< 0 without any
    microseconds most{};

    friend bool operator==(const Latency&, const Latency&) = default;
};

struct StoredRollup {
    Rollup rollup{};
    Latency latency{};
    std::int64_t incidents = 0; ///< that began in it and are not marked as maintenance
};

/// What an observed sample changed. Of a sample that left all but IncidentMemory::latest as it was, there is nothing to
/// store.
struct TargetStep {
    TargetId target = 0;
    Step step{};
    IncidentMemory memory{};
};

struct TargetRollups {
    TargetId target = 0;
    DueRollups due{};
};

/// What is stored together or not at all.
struct Batch {
    std::vector<StoredSample> samples{}; ///< those that led to the steps
    std::vector<TargetStep> steps{};
    std::vector<TargetRollups> rollups{};
    std::optional<MaintenanceMemory> maintenance{};
    std::optional<NotificationMemory> notification{};
    std::vector<AuditEntry> audit{}; ///< their numbers are given when they are stored
};

struct Committed {
    AuditHead audit{}; ///< after this batch
};

/// How much of what is no longer kept was deleted.
enum class Expired : std::uint8_t { all, in_part };

struct SampleQuery {
    TargetId target = 0;
    std::optional<Instant> from{};
    std::optional<Instant> before{}; ///< without
    std::size_t most = 50;
};

struct IncidentQuery {
    std::optional<TargetId> target{};
    std::optional<std::int64_t> before{}; ///< StoredIncident::id, for the next page
    std::size_t most = 50;
};
struct StoredIncident {
    std::int64_t id = 0; ///< in the order in which they were opened
    TargetId target = 0;
    Incident incident{};
};

struct AuditQuery {
    std::optional<std::uint64_t> before{}; ///< number, for the next page
    std::optional<Instant> from{};
    std::optional<Instant> until{}; ///< without
    std::string user{};             ///< empty: any
    std::string action{};
    std::string target{};
    std::size_t most = 50;
};

/// What is found in an audit log.
struct AuditFinding {
    AuditHead head{}; ///< of the entries up to the breach
    std::optional<Breach> breach{};
};

/// Newest first.
template <class T> struct Page {
    std::vector<T> rows{};
    bool more = false;
};

struct Sizes {
    std::uint64_t file_bytes = 0;
    std::uint64_t log_bytes = 0;                               ///< of the write-ahead log beside it
    std::uint64_t free_bytes = 0;                              ///< in the file, for rows to come
    std::vector<std::pair<std::string, std::uint64_t>> rows{}; ///< by table
};

struct RestoredTarget {
    Target target{};
    IncidentMemory memory{};
    /// From the begin of the first month without a rollup on, and the state before that. Without announced windows,
    /// which the maintenance memory knows.
    Record record{};
};

struct Restored {
    std::vector<RestoredTarget> targets{}; ///< all that were ever watched
    MaintenanceMemory maintenance{};
    NotificationMemory notification{};
    /// When the latest samples were stored: what follows until the present start was not observed.
    std::optional<Instant> last_alive{};
    AuditHead audit{};
};

} // namespace hotspare::monitor
