// PURE: one run as a picture of text, for the terminal: who answered, how slow the slowest was, and when the faults
// stood, one column per slice of time.
//
// Any thread.
#pragma once

#include "experiment/record/record.hpp"

#include <string>
#include <vector>

namespace hotspare::experiment {

/// Several lines, each ending with '\n', none wider than `columns` (40 at least). Empty if there are no samples.
std::string timeline(const Plan& plan, const Run& run, const std::vector<std::string>& backends, unsigned columns);

} // namespace hotspare::experiment
