// The memories of the cores as JSON texts, and back. What is written is read as it was; reading is strict, and refuses
// with a clause that names the place what this program cannot have written: a member that is unknown or missing, a
// number out of its range, and what would break a core's invariants (an incident without an outage). Members that came
// later (a window's `close_pools`, `closed`) are absent from what an earlier version wrote.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/incident.hpp"
#include "monitor/decide/maintenance.hpp"
#include "monitor/decide/notification.hpp"

#include <boost/system/result.hpp>

#include <string>
#include <string_view>

namespace hotspare::monitor {

/// Why a text was refused: "queue[3].due: expected milliseconds from 1970 to 2400".
struct Damage {
    std::string what;

    friend bool operator==(const Damage&, const Damage&) = default;
};

template <class T> using Decoded = boost::system::result<T, Damage>;

std::string encode(const Incident& incident);
std::string encode(const IncidentMemory& memory);
std::string encode(const MaintenanceMemory& memory);
std::string encode(const NotificationMemory& memory);

Decoded<Incident> decode_incident(std::string_view text);
Decoded<IncidentMemory> decode_incident_memory(std::string_view text);
Decoded<MaintenanceMemory> decode_maintenance_memory(std::string_view text);
Decoded<NotificationMemory> decode_notification_memory(std::string_view text);

} // namespace hotspare::monitor
