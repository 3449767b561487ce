// Asks the probes of a plan whether the system is in its steady state, apart from the load.
//
// Thread: check() and settle() block their caller; between start() and stop() a thread of its own asks again and again.
#pragma once

#include "common/clock.hpp"
#include "experiment/inject/target.hpp"
#include "experiment/record/plan.hpp"
#include "experiment/record/record.hpp"

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hotspare::experiment {

class Prober {
public:
    /// Records count from `origin`.
    Prober(const Plan& plan, const Target& target, TimePoint origin);

    /// Asks every probe until all pass in the same round, for `plan.settle` at most or until `give_up` says so. Returns
    /// the last round. A balancer that tells its health must moreover hold every backend for healthy.
    std::vector<ProbeRecord> settle(Stage stage, const std::function<bool()>& give_up);

    /// From now on records count from `origin`, and each probe that must hold during a fault is asked five times a
    /// second while `fault` is true.
    void start(TimePoint origin, const std::atomic<bool>& fault);
    /// Ends that; what was recorded.
    std::vector<ProbeRecord> stop();

private:
    ProbeRecord ask(std::uint32_t probe, Stage stage) const;
    std::string wrong(const Probe& probe) const;

    const Plan& plan_;
    const Target& target_;
    TimePoint origin_;
    std::mutex mutex_;
    std::vector<ProbeRecord> records_;
    std::jthread thread_;
};

} // namespace hotspare::experiment
