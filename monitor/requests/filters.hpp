// The query parameters of the pages that list what is kept: /audit, /history, /incidents, /uptime. Strict: a parameter
// that is unknown, given twice or empty is refused by name, so that a filter that was misspelt does not yield
// everything. Whether a target of that name exists, the caller knows.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/refusal.hpp"
#include "monitor/history/rows.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::monitor {

/// Decoded names and values: http::QueryParameters, whose header brings Beast along.
using Parameters = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::size_t least_limit = 1;
inline constexpr std::size_t usual_limit = 50;
inline constexpr std::size_t greatest_limit = 500;

/// `from`, `until` (RFC 3339), `user`, `action`, `target`, `before` (an entry's number), `limit`.
Accepted<AuditQuery> read_audit_filter(const Parameters& parameters);

/// `target`, `from`, `until`, `before` (RFC 3339), `limit`.
struct HistoryFilter {
    std::string target{}; ///< empty: not given
    std::optional<Instant> from{};
    std::optional<Instant> before{}; ///< the earlier one of `until` and `before`, which the next page begins with
    std::size_t most = usual_limit;

    friend bool operator==(const HistoryFilter&, const HistoryFilter&) = default;
};
Accepted<HistoryFilter> read_history_filter(const Parameters& parameters);

/// `target`, `before` (an incident's id), `limit`.
struct IncidentFilter {
    std::string target{}; ///< empty: any
    std::optional<std::int64_t> before{};
    std::size_t most = usual_limit;

    friend bool operator==(const IncidentFilter&, const IncidentFilter&) = default;
};
Accepted<IncidentFilter> read_incident_filter(const Parameters& parameters);

/// `target`, `month` (2026-11), which is the current one unless it is given, and never a future one.
struct UptimeFilter {
    std::string target{}; ///< empty: not given
    std::chrono::year_month month{std::chrono::year(1970), std::chrono::January};

    friend bool operator==(const UptimeFilter&, const UptimeFilter&) = default;
};
Accepted<UptimeFilter> read_uptime_filter(const Parameters& parameters, Instant now);

} // namespace hotspare::monitor
