// PURE: what the charts of one run and those of all runs together share: which requests count, the unit of the time
// axis, and legends.
//
// Any thread.
#pragma once

#include "experiment/record/record.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::experiment {

/// In the unit of the time axis.
double to_s(Nanos time) noexcept;

bool is_good(const Sample& sample) noexcept;
/// Whether its failure counts as a failed request.
bool must_succeed(const Plan& plan, const Sample& sample) noexcept;
/// Where the time axis of a run ends, in seconds.
double end_of(const Plan& plan, const Run& run) noexcept;

/// One entry of a legend.
struct Swatch {
    std::string mark; ///< SVG, 16 by 12
    std::string text;
};
std::string legend(const std::vector<Swatch>& swatches);

/// Marks of swatches: a box of that share of the height, and the band that a fault has in every plot.
std::string box_mark(std::string_view css, double height);
inline constexpr std::string_view fault_mark = R"(<rect class="fault" x="0" width="16" y="0" height="12"/>)";

} // namespace hotspare::experiment
