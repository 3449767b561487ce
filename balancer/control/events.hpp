// An Event as JSON and as a sentence, in one place, so that the log, /events, /logs and /status say the same. Keeping
// events and giving them out is done by http::EventFeed.
//
// PURE. Any thread.
#pragma once

#include "balancer/decide/failover.hpp"
#include "common/clock.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace hotspare::balancer {

/// An Event with what only the monitor knows of it.
struct ReportedEvent {
    Event event;
    WallTime at{};
    Duration failover{}; ///< failover, failback: first evidence -> new Routing handed to the workers
    /// Of the slots that the event is about, while they were what they were then; empty where it names none.
    std::string backend, previous, pool;
    std::string url; ///< of `backend`
};

/// {"event":"failover","at":…,"pool":…,"from":"primary","to":"spare","cause":…,"evidence":…,"detection_ms":…,…}
nlohmann::json to_json(const ReportedEvent& reported);
/// One line: "failover of pool 'default' from 'primary' to 'spare' in 2.1 ms (…)".
std::string to_text(const ReportedEvent& reported);

} // namespace hotspare::balancer
