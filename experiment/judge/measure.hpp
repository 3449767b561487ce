// PURE: from what was observed to numbers. Quantiles are exact (nearest rank over all samples, never from buckets).
//
// Requests belong to a phase by the moment at which they were due: `healthy` before the first fault is triggered,
// `fault` until the last fault is undone and seen to be undone, `recovered` from then on. A fault that was not
// effective is no fault. One that was never undone lasts to the end, a restart until it was confirmed.
//
// Times of the fault count from `triggered`, the earliest moment at which it can have been effective, so that no
// number flatters the balancer.
//
// Any thread.
#pragma once

#include "experiment/record/condition.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace hotspare::experiment {

struct Plan;
struct Run;
struct EventRecord;
struct Journal;

/// The smallest of `sorted` that at least `share` of them do not exceed (nearest rank); nothing if there are none.
std::optional<double> quantile(std::span<const double> sorted, double share);

/// What one run came to. A value is absent where it was not observed: no request in that phase, no event, no ledger.
class Measures {
public:
    std::optional<double> of(Measure measure, Phase phase = Phase::all) const noexcept
    {
        return values_[static_cast<std::size_t>(phase)][static_cast<std::size_t>(measure)];
    }
    void set(Measure measure, Phase phase, std::optional<double> value) noexcept
    {
        values_[static_cast<std::size_t>(phase)][static_cast<std::size_t>(measure)] = value;
    }

private:
    std::array<std::array<std::optional<double>, measure_count>, 4> values_{};
};

/// `run` must have its samples in the order of `due`, its faults in that of `triggered`, its events in that of `at`.
Measures measure(const Plan& plan, const Run& run);

/// Whether the event says of the faulty `party` what Measure::detection waits for: that it is no longer healthy, was
/// failed over from or is in quarantine.
bool is_detection(const EventRecord& event, const std::string& party) noexcept;

/// Over the runs in which the value was observed.
struct Spread {
    double median = 0, min = 0, max = 0;
    std::size_t runs = 0;
};
std::optional<Spread> spread(std::span<const Measures> runs, Measure measure, Phase phase = Phase::all);

} // namespace hotspare::experiment
