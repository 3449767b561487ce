// One orders experiment on a pipeline that runs: waits for its steady state, sets the validator's failure mode, creates
// orders while it lasts, sets the mode back to normal, waits until nothing is Processing, and reads back what became of
// the orders. All of it goes to the recorder; whether it is right is check.hpp's business.
//
// Threads: the caller's; the load has one of its own, which is over when run() returns.
#pragma once

#include "common/clock.hpp"
#include "experiment/load/load.hpp"
#include "experiment/orders/history.hpp"
#include "experiment/orders/pipeline.hpp"
#include "experiment/orders/recorder.hpp"
#include "experiment/orders/story.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace hotspare::experiment {

class OrdersRun {
public:
    struct Options {
        config::HostPort gateway;
        config::HostPort validator; ///< the control listener of its external service
        FailureMode mode = FailureMode::normal;
        std::string id_prefix;    ///< of the ids of the orders, which are numbered
        Duration steady_within{}; ///< how long the pipeline may take to be called healthy
        unsigned columns = 80;    ///< of what is told on the way
    };

    /// `interrupted` ends it early, and the record is then ABORTED. Both references must outlive this object.
    OrdersRun(Options options, Recorder& recorder, const std::atomic<bool>& interrupted);
    /// However it ends, the mode is set back to normal.
    ~OrdersRun();

    OrdersRun(const OrdersRun&) = delete;
    OrdersRun& operator=(const OrdersRun&) = delete;

    /// Throws StartupError when the pipeline is not healthy, the fault cannot be made or the end cannot be read. Once.
    void run();

private:
    Nanos now() const { return std::chrono::duration_cast<Nanos>(Clock::now() - began_); }
    bool is_interrupted() const { return interrupted_; }

    void make_fault();
    void hold();
    void heal();

    void await_steady_state();
    void look();

    OrderContent content(std::uint64_t index) const;
    bool is_large(std::uint64_t index) const;
    LoadPlan load_plan() const;
    void create();

    bool is_ours(const std::string& order_id) const;
    std::size_t processing();
    void await_drain();
    void read_back();

    const Options options_;
    Recorder& recorder_;
    const std::atomic<bool>& interrupted_;
    Pipeline pipeline_;
    Story story_;
    TimePoint began_ = Clock::now();
    bool healthy_ = true; ///< the mode is normal, or was not touched
    std::map<std::string, std::string> seen_;
    std::string named_ = "unknown";
};

} // namespace hotspare::experiment
