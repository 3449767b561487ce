#include "monitor/requests/incident_update.hpp"

#include "monitor/requests/members.hpp"

#include <nlohmann/json.hpp>

namespace hotspare::monitor {

Accepted<IncidentUpdate> read_incident_update(const nlohmann::json& document)
{
    IncidentUpdate update;
    Members members(document, {"status", "message"});
    members.require("status");
    members.require("message");
    members.one_of("status", update.status, IncidentStatus::investigating, IncidentStatus::resolved, update.status);
    members.text("message", update.message);
    if (members.refusal()) return *members.refusal();
    return update;
}

} // namespace hotspare::monitor
