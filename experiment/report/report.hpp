// PURE: an experiment's result for people who read: one HTML file that needs nothing else, no network, no script, no
// font, and that forbids itself to fetch any. It is read in the light and in the dark, on a telephone and on a wall;
// every chart has its numbers in words or in a table, and no meaning hangs on a colour alone.
//
// The charts are run_charts.hpp's and series_charts.hpp's, the looks style.hpp's; the same for programs is result.hpp,
// for the terminal summary.hpp. Any thread.
#pragma once

#include "experiment/judge/verdict.hpp"
#include "experiment/record/record.hpp"

#include <string>

namespace hotspare::experiment {

/// The content of report.html, well-formed as XML but for its doctype. Every text that comes from the journal is
/// escaped.
std::string html_report(const Journal& journal, const Judgement& judgement);

} // namespace hotspare::experiment
