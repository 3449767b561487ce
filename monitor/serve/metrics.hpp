// GET /metrics of the monitor, in the text format of Prometheus.
//
// A function without a state. Thread: the io_context's.
#pragma once

#include "common/error.hpp"
#include "common/resilience/health.hpp"
#include "monitor/history/rows.hpp"
#include "monitor/serve/pools.hpp"
#include "monitor/serve/recorder.hpp"
#include "monitor/serve/settings.hpp"

#include <string>

namespace hotspare::monitor {

/// `overall` is the health of all targets together, `sizes` are left out if they could not be read.
std::string metrics_text(const MonitorSettings& settings, const Recorder& recorder, const Pools& pools,
                         resilience::Health overall, const result<Sizes>& sizes);

} // namespace hotspare::monitor
