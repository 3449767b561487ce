// PURE: what a terminal shows at the end of an experiment, and the table of a bake-off, for a terminal and for README.
// Nothing is ever wider than it may be, and no text from outside can move the cursor or change a colour.
//
// Any thread.
#pragma once

#include "experiment/judge/compare.hpp"
#include "experiment/judge/verdict.hpp"
#include "experiment/record/record.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::experiment {

/// The closing table: requests and latencies by phase (medians, the range over the runs beneath), times, each condition
/// with what was measured, and the verdict in the last line. Lines end with '\n' and take at most `columns` (40 at
/// least). With `colour` by ANSI sequences, which take no column; without it plain text.
std::string summary(const Journal& journal, const Judgement& judgement, unsigned columns, bool colour);

/// What `compare` found between experiment `a` and experiment `b`: each difference that exceeds the noise with medians
/// and ranges and whether it is for the better, and how many do not.
std::string comparison_table(std::string_view a, std::string_view b, std::span<const Difference> differences,
                             unsigned columns, bool colour);

/// How one balancer got on with one fault. A value that was not observed is absent.
struct BakeoffCell {
    std::string balancer;
    std::optional<std::string> not_possible; ///< why there are no values: "cannot be configured so", "not installed"
    std::optional<Spread> failed, worst_ms, stalled, duplicated; ///< each over the whole run
    std::vector<double> worst_runs;                              ///< the worst latency of each valid run
    bool lowest = false;                                         ///< see mark_lowest()
    std::size_t valid = 0, total = 0;                            ///< runs
};

struct BakeoffRow {
    std::string fault;
    std::vector<BakeoffCell> cells; ///< in the order in which they are shown
};

/// The cell of a balancer whose runs were judged.
BakeoffCell bakeoff_cell(std::string balancer, const Judgement& judgement);

/// Marks, among those that failed the fewest requests, the one with the lowest median of the worst latencies, and all
/// whose worst latencies are not higher than its by more than chance (compare.hpp). None, where there are too few
/// runs to tell: that no difference was found would mean nothing.
void mark_lowest(BakeoffRow& row);

/// For a terminal: medians, and the worst run's value in brackets where it is worse.
std::string bakeoff_table(const std::vector<BakeoffRow>& rows, unsigned columns = 80);
/// The same as a Markdown table.
std::string bakeoff_markdown(const std::vector<BakeoffRow>& rows);

} // namespace hotspare::experiment
