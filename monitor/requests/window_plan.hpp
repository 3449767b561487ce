// A maintenance window as a client asks for it: the body of POST /maintenance, and of PATCH /maintenance/{id}, which is
// a merge patch (RFC 7396). It reads; whether such a window is accepted, decide/maintenance says.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/refusal.hpp"
#include "monitor/decide/window.hpp"

#include <nlohmann/json_fwd.hpp>

namespace hotspare::monitor {

/// `start_time`, `end_time` and `message` are required; `title`, `components`, `impact`, `rrule`, `time_zone`,
/// `emergency` and `close_pools` are not, and null is their default. Times are of the years 2000 to 2200 and have a
/// zone. The field of a refusal is the member, or "body".
Accepted<WindowPlan> read_window_plan(const nlohmann::json& document);

/// `plan` with what the document changes: a member that is absent stays as it is, null sets the default.
Accepted<WindowPlan> change_window_plan(WindowPlan plan, const nlohmann::json& document);

} // namespace hotspare::monitor
