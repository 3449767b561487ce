// PURE: the charts of all runs of an experiment together, each as a piece of HTML: latencies by phase, failures by
// their distance from the fault. Each says in words what it shows and has its numbers in a table.
//
// Any thread.
#pragma once

#include "experiment/record/condition.hpp"
#include "experiment/record/record.hpp"

#include <string>
#include <vector>

namespace hotspare::experiment {

/// Good answers of the streams that must succeed in one phase, over all given runs, ascending.
std::vector<double> pooled_latencies(const Plan& plan, const std::vector<const Run*>& runs, Phase phase);

/// How many percent of the requests took no longer, by phase, all runs together.
std::string percentile_chart(const Journal& journal, const std::vector<const Run*>& runs);
/// Failed of all requests by their distance from the fault, all runs together.
std::string error_rate_chart(const Journal& journal, const std::vector<const Run*>& runs);

} // namespace hotspare::experiment
