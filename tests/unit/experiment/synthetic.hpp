// Journals in which everything is known beforehand, for whatever reads journals: a scripted run whose measures are
// worked out by hand, and a small model of an experiment that makes any number of different ones. All are consistent:
// what one witness says, the others say, too.
#pragma once

#include "experiment/judge/measure.hpp"
#include "experiment/record/arrivals.hpp"
#include "experiment/record/plan.hpp"
#include "experiment/record/record.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace hotspare::experiment::synthetic {

/// A moment in milliseconds, to the nanosecond.
Nanos ms(double value);

/// 2 s of 100 reads/s that must succeed and 10 writes/s that must not be repeated; primary crashes at 0.5 s for 0.7 s.
/// Expects three things, of which the scripted run keeps two.
Plan scripted_plan();

/// One run of scripted_plan(). Primary dies at 500.5 ms and is back at 1201.25 ms. Five reads fail, three of them were
/// executed by no server; two writes are given up and one is executed twice; one read takes 150 ms.
Run scripted_run();

/// `runs` runs like that; healthy ones without its failures if `flawless`.
Journal scripted_journal(std::uint32_t runs = 1, bool flawless = false);

struct Expected {
    Measure measure;
    Phase phase;
    std::optional<double> value; ///< nothing: not observed
};
/// Everything that scripted_run() must be measured to be.
const std::vector<Expected>& scripted_measures();

/// What random_journal() leaves out.
struct Witnesses {
    bool trails = true;  ///< the balancer kept trails
    bool counted = true; ///< the origins kept a ledger
};

/// A consistent journal, different for each seed: its own streams, faults, latencies, failures, retries, hedges,
/// restarts of the balancer, invalid and aborted runs. Its plan has no text.
Journal random_journal(std::uint64_t seed, Witnesses witnesses = {});

} // namespace hotspare::experiment::synthetic
