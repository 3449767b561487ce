// The public state as Atlassian Statuspage's status API publishes it (version 2), so that programs that read such pages
// read this one: GET /api/v2/summary.json, status.json, incidents.json, scheduled-maintenances.json. All keys of that
// shape are present, with null where the monitor has nothing to say. Two things the shape has no word for: the status
// of a component that is not observed is null, and a window that was cancelled is `completed`, as its latest update
// tells.
//
// PURE. Any thread.
#pragma once

#include "monitor/pages/view.hpp"

#include <cstddef>
#include <string>

namespace hotspare::monitor {

/// The most incidents, and windows, of one document.
inline constexpr std::size_t most_listed = 50;

/// Components, unresolved incidents, and windows that are not over.
std::string summary_json(const View& view);
std::string status_json(const View& view);
/// Unresolved ones first, then the latest.
std::string incidents_json(const View& view);
/// Those that are not over first, then the latest.
std::string scheduled_maintenances_json(const View& view);

} // namespace hotspare::monitor
