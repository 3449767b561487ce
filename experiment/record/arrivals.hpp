// PURE: when each request of an experiment is due. The same plan and seed always give the same moments, on every
// machine, so that a record can be checked against them: random numbers and their distribution are made here, with
// operations that IEEE 754 defines to the last bit.
//
// Any thread.
#pragma once

#include "experiment/record/plan.hpp"
#include "experiment/record/record.hpp"

#include <cstdint>
#include <vector>

namespace hotspare::experiment {

/// The seed of one run of an experiment.
std::uint64_t seed_of_run(std::uint64_t seed, std::uint32_t number) noexcept;

/// One request of the load.
struct Due {
    Nanos at{};
    std::uint32_t stream = 0;

    bool operator==(const Due&) const = default;
};

/// All requests that are due in [0, duration), in order of time, at the same moment in the order of the streams. A
/// constant stream begins at 0, a Poisson stream after its first gap; each stream's gaps are its own, whatever the
/// others are.
std::vector<Due> arrivals(const std::vector<Stream>& load, Duration duration, std::uint64_t seed);

} // namespace hotspare::experiment
