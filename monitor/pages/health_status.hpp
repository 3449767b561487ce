// GET /health_status: the health of each target in one word, as the suite's services and balancers use it, and that of
// all together. It says what is confirmed, and what the latest check found.
//
//     healthy    answers as it should        degraded   answers late, or says itself that it is degraded
//     unhealthy  answers something else      down       does not answer, or says itself that it is down
//     unknown    not known, or not checked
//
// PURE. Any thread.
#pragma once

#include "common/resilience/health.hpp"
#include "monitor/decide/instant.hpp"

#include <optional>
#include <span>
#include <string>

namespace hotspare::monitor {

struct TargetHealth {
    std::string name{};
    resilience::Health health = resilience::Health::unknown;
    std::string cause{};                   ///< of what is confirmed, unless it is healthy
    Instant since{};                       ///< of what is confirmed
    std::optional<microseconds> latency{}; ///< of the latest check, if it was answered
    std::string last_error{};              ///< what was wrong with the latest check; empty if nothing was
    std::string url{};                     ///< empty: it has none
    std::optional<bool> paused{};          ///< of a worker
};

/// The health of all of them together: the same word if all have it; else `unhealthy` if something does not work (at
/// least one is unhealthy or down), else `degraded` if one is, else `unknown`. None at all are `unknown`.
resilience::Health overall_health(std::span<const resilience::Health> all) noexcept;

std::string health_status_json(std::span<const TargetHealth> targets, Instant now);

} // namespace hotspare::monitor
