// Carries an experiment out: starts the target, waits for the steady state, sends the load, makes the faults happen in
// time, watches, undoes everything, and writes down what was seen. It judges nothing.
//
// Threads: the caller's directs; the load, the event reader, the prober and the gates have one each. Everything is
// over when run_once() returns, however it ends.
#pragma once

#include "experiment/inject/target.hpp"
#include "experiment/record/plan.hpp"
#include "experiment/record/record.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

namespace hotspare::experiment {

/// What is going on, for those who watch; times count from the first request.
struct Snapshot {
    Nanos at{};
    std::uint64_t ended = 0, failed = 0; ///< requests so far
    double rate = 0;                     ///< ended per second, lately
    std::string served_by;               ///< the latest good answer's
    std::string faults;                  ///< those that stand, in words; empty = none
};

/// Callbacks on the director's thread.
struct Watcher {
    std::function<void(const Snapshot&)> progress;         ///< about 20 times a second while the load runs
    std::function<void(Nanos at, const std::string&)> say; ///< something happened
};

/// Set by a signal handler or another thread: the run ends early, undoes everything, and is ABORTED.
using Interrupted = std::atomic<bool>;

/// How often to do it, and on what.
struct Series {
    std::function<Target(std::uint32_t number)> start; ///< a target for one run
    std::uint32_t repeat = 5;                          ///< valid runs that are wanted
    std::uint64_t seed = 0;
};

/// Runs until `repeat` of them are valid, twice as many have been made, or one was aborted; invalid ones are kept and
/// stay visible. `on_run` gets each as it ends.
void run_series(const Plan& plan, const Series& series, const Interrupted& interrupted, const Watcher& watcher,
                const std::function<void(const Target&, Run)>& on_run);

/// One run against a target that answers. Never throws for what the system under test does; UsageError when the plan
/// cannot be carried out on this target.
Run run_once(const Plan& plan, Target& target, std::uint32_t number, std::uint64_t seed, const Interrupted& interrupted,
             const Watcher& watcher);

} // namespace hotspare::experiment
