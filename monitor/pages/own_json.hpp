// The JSON documents of the monitor's own shape: GET /maintenance, and GET /uptime for one target and month. Times are
// RFC 3339 in UTC.
//
// PURE. Any thread.
#pragma once

#include "monitor/pages/view.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <string>

namespace hotspare::monitor {

/// {"active":false} or {"active":true,"message":…,"title":…,"start_time":…,"end_time":…}, of several windows in
/// progress the one that ends last; `upcoming` lists the windows that are scheduled, with their next occurrences.
std::string maintenance_json(const View& view);

/// What is known of a target in a calendar month.
struct MonthReport {
    std::string target{};
    std::chrono::year_month month{std::chrono::year(1970), std::chrono::January};
    bool complete = false; ///< the month is over
    Tally tally{};
    std::size_t incidents = 0;
    Objective objective{};
    Budget budget{};
    std::array<Burn, burn_alerts.size()> burns{}; ///< now, whatever the month
};

/// `raw` and `sla` go from 0 to 1, rounded down to six decimals, so that 1 says that no time was lost; null without
/// known time. A burn rate is null without counted time, and where it is infinite: then `firing` is true.
std::string uptime_json(const MonthReport& report);

} // namespace hotspare::monitor
