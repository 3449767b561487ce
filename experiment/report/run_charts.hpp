// PURE: the charts of one run in the report, each as a piece of HTML: what is drawn of it, and how honestly. A chart
// says in words what it shows, for those who do not see it, and never leaves a failure out.
//
// Any thread.
#pragma once

#include "experiment/record/record.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace hotspare::experiment {

/// Which samples of a run a scatter shows, so that it stays light without hiding anything: every failure, everything
/// above the p99 of its good answers, and of the rest one in `stride`, which is 1 unless there are too many.
struct Selection {
    std::vector<const Sample*> good, failed;
    std::size_t of = 0; ///< so many samples there are
    std::size_t stride = 1;
    double p99_ms = 0; ///< the bound; meaningless with stride 1

    std::size_t drawn() const noexcept { return good.size() + failed.size(); }
};
/// About `aim` samples, more if that many must be shown.
Selection select(const Run& run, std::size_t aim = 4000);

/// Faults, health and who served of one run above one time axis, and beneath it the latency of each request.
std::string run_charts(const Journal& journal, const Run& run);
/// One run in a thumbnail: the slowest answer and the failures of each moment. `min_ms` and `max_ms` are the range of
/// the axis, the same for all that stand side by side.
std::string thumbnail(const Journal& journal, const Run& run, double min_ms, double max_ms);

} // namespace hotspare::experiment
