// The subcommands of `experiment`, one function each: what main() has parsed goes in, an exit code comes out.
//
// 0 PASS or done, 1 FAIL, 2 bad usage, 3 INVALID, 4 ABORTED.
//
// Thread: main's. They throw UsageError (2) and StartupError (3) with the one line that is to be said.
#pragma once

#include "experiment/orders/history.hpp"
#include "experiment/runner.hpp"

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::experiment {

/// Where things are.
struct Places {
    std::filesystem::path programs; ///< the build's folder
    std::filesystem::path library;  ///< the experiments that come with hotspare
    std::filesystem::path peers;    ///< the configuration templates of nginx, HAProxy and Caddy
    std::filesystem::path config;   ///< the systems that come with hotspare
};

struct RunOptions {
    std::string experiment; ///< a file, or the name of one in the library
    std::string balancer = "hotspare";
    std::string balancer_config;
    std::string target; ///< a URL: an existing system, nothing is started
    std::vector<std::string> backends, processes, ledgers;
    bool supervised = false;    ///< what is killed of the target is started again by its supervisor
    std::optional<double> rate; ///< of the first stream; the others in proportion
    std::optional<Duration> duration;
    std::uint32_t repeat = 5;
    std::optional<std::uint64_t> seed;
    std::filesystem::path out; ///< empty: nothing is written
    bool quiet = false;
};

struct BakeoffOptions {
    std::vector<std::string> experiments; ///< empty: all that compare balancers
    std::vector<std::string> balancers;   ///< empty: all that are installed
    std::uint32_t repeat = 3;
    std::optional<std::uint64_t> seed;
    std::filesystem::path out;
    std::filesystem::path from; ///< not empty: nothing is run, the samples of an earlier `out` are judged again
};

struct OrdersOptions {
    std::uint64_t orders = 0;
    FailureMode mode = FailureMode::normal;
    double rate = 50;      ///< per second
    std::string target;    ///< http://HOST[:PORT] of a gateway; empty: the pipeline is started
    std::string validator; ///< http://HOST[:PORT] of its external service's control listener; empty: as in config/
    std::filesystem::path ledger; ///< with a target: what its external service writes; empty: effects are not counted
    std::optional<std::uint64_t> seed;
    std::filesystem::path out;
};

/// Carries the experiment out, shows what happens, and judges it; the files go to `out`. What has been measured is kept
/// and judged even if the target cannot be started again. Returns the verdict's code.
int run(const RunOptions& options, const Places& places, const Interrupted& interrupted);

/// Prints name and title of each experiment in the library.
int list(const Places& places);

/// Recomputes the verdict of a samples.jsonl, given itself or by its folder, and returns its code; 3 if the record
/// contradicts itself or a result.json beside it. A history.jsonl of orders() is judged as such.
int check(const std::string& path, const Places& places);

/// Prints what differs between two experiments by more than chance. 0 whatever that is.
int compare(const std::string& a, const std::string& b);

/// Prints fault x balancer, and writes it with all samples to `out`. 0 if every cell has its runs, whatever came out of
/// them; 3 if some have not, 4 after an interruption, with the table of what there is.
int bakeoff(const BakeoffOptions& options, const Places& places, const Interrupted& interrupted);

/// Creates orders while the validator of the order pipeline is in the mode, sets it back to normal, reads back
/// what became of them and judges that. However it ends, the validator is set back to normal. Returns the verdict's
/// code.
int orders(const OrdersOptions& options, const Places& places, const Interrupted& interrupted);

/// check() of a history that orders() has written.
int check_orders(std::istream& in, const std::string& file);

} // namespace hotspare::experiment
