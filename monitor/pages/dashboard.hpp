// The dashboard of a service in several versions, GET /: which version is active, in what state each is and since when,
// the latest failover with its cause and its duration, the latest checks and their latency, buttons that break the
// active version, and the latest lines of the audit log. One HTML document that needs no script, no font and no
// picture, and is also well-formed XML. Beside each button stands the equivalent curl command.
//
// The daemon fills the view, checks credentials, and answers the buttons' POSTs. A page that reloads by itself is a
// hindrance to some readers, so that it can be told not to (WCAG 2.2.2): `?refresh=off`.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/uptime.hpp"
#include "monitor/history/audit_chain.hpp"
#include "monitor/pages/versions.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::monitor {

struct DashboardCheck {
    Instant at{};
    std::string target{};
    State state = State::unknown;
    std::optional<microseconds> latency{}; ///< of an answer
    std::string cause{};                   ///< unless it is up
};

struct LatencyPoint {
    Instant at{};
    std::optional<microseconds> latency{}; ///< of an answer
    State state = State::unknown;
};

/// What became of the button that was pressed last.
struct ActionResult {
    bool good = true;
    std::string text{};
};

/// The most rows of each kind that are shown.
inline constexpr std::size_t most_dashboard_checks = 10;
inline constexpr std::size_t most_dashboard_points = 120;
inline constexpr std::size_t most_dashboard_audit = 20;

struct DashboardView {
    std::string title{};
    std::string user{};
    std::string base_url{}; ///< "http://127.0.0.1:8000", for the curl lines; no slash at the end
    Instant now{};
    std::optional<Versions> versions{};   ///< nothing: the balancer could not be asked
    std::string problem{};                ///< why
    std::vector<DashboardCheck> checks{}; ///< newest first
    std::string latency_of{};             ///< the target of the points
    std::vector<LatencyPoint> points{};   ///< ascending; of too many, the last
    std::vector<AuditEntry> audit{};      ///< newest first
    std::optional<ActionResult> result{};
    bool refreshes = true; ///< every 5 s
};

/// text/html, UTF-8. Its links and forms are relative to its own path: `chaos/cpu`, `chaos/corruption`, `crash`,
/// `chaos/reset`. The forms have no fields.
std::string dashboard(const DashboardView& view);

} // namespace hotspare::monitor
