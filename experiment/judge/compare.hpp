// PURE: which measured differences between two experiments are more than chance?
//
// Each measure is compared on its own by the Mann-Whitney U test over the runs, two-sided (Mann, Whitney: On a test of
// whether one of two random variables is stochastically larger than the other, 1947): it assumes nothing about how the
// values are distributed, so counts and latencies are treated alike. Up to 20 runs on either side the probability is
// exact for the values at hand, equal ones included (by the shift algorithm of Streitberg and Röhmel, 1986); beyond
// that by the normal approximation with corrections for ties and continuity.
//
// Many measures are compared at once: at this level about one in a hundred that differ by chance alone is called real.
//
// Any thread.
#pragma once

#include "experiment/judge/measure.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace hotspare::experiment {

/// A difference counts as real if chance brings one like it in fewer than this share of cases.
inline constexpr double significance = 0.01;

struct Difference {
    Measure measure = Measure::failed;
    Phase phase = Phase::all;
    Spread a, b;
    double p = 1; ///< how often chance alone would set the two at least so far apart
    bool exceeds_noise = false;
    bool too_few = false; ///< not even a complete separation would be significant with so few runs
};

/// All measures that both have a value of, in the order of the enumerators, for each the whole run first.
std::vector<Difference> compare(std::span<const Measures> a, std::span<const Measures> b);

/// Whether complete separation, the clearest of all outcomes, would be significant with so few runs on either side.
bool can_be_significant(std::size_t runs_a, std::size_t runs_b);

/// The probability, under the hypothesis that it makes no difference which values are of `a` and which of `b`, that the
/// rank sum is at least as far from its mean as it is. 1 if either is empty.
double mann_whitney(std::span<const double> a, std::span<const double> b);

} // namespace hotspare::experiment
