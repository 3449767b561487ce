// The latency of a target's checks over time as inline SVG in a <figure>, with the same in words beneath it. What a
// colour says, the shape of a mark says as well. It scales with the page's width while its texts and marks keep their
// size; all colours come from the dashboard's style sheet.
//
// PURE. Any thread.
#pragma once

#include "monitor/pages/dashboard.hpp"

#include <span>
#include <string>

namespace hotspare::monitor {

/// HTML. The points are ascending.
std::string latency_chart(std::span<const LatencyPoint> points);

/// What the chart tells, without markup: the checks, their time, the least, median and greatest latency, and how many
/// were degraded or down.
std::string latency_text(std::span<const LatencyPoint> points);

} // namespace hotspare::monitor
