// What an operator writes about an incident, as a client sends it. Whether it fits the incident's state,
// decide/incident says.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/incident.hpp"
#include "monitor/decide/refusal.hpp"

#include <nlohmann/json_fwd.hpp>

namespace hotspare::monitor {

/// {"status":"identified","message":"…"}, both required. Who wrote it and when is left to the caller.
Accepted<IncidentUpdate> read_incident_update(const nlohmann::json& document);

} // namespace hotspare::monitor
