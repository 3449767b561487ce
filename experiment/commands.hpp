// The subcommands of `experiment`, one function each: what main() has parsed goes in, an exit code comes out.
//
// 0 PASS or done, 1 FAIL, 2 bad usage, 3 INVALID, 4 ABORTED.
//
// Thread: main's. They throw UsageError (2) and StartupError (3) with the one line that is to be said.
#pragma once

#include "experiment/runner.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::experiment {

/// Where things are.
struct Places {
    std::filesystem::path programs; ///< the build's folder
    std::filesystem::path library;  ///< the experiments that come with hotspare
    std::filesystem::path peers;    ///< the configuration templates of nginx, HAProxy and Caddy
};

struct RunOptions {
    std::string experiment; ///< a file, or the name of one in the library
    std::string balancer = "hotspare";
    std::string balancer_config;
    std::string target; ///< a URL: somebody else's system, nothing is started
    std::vector<std::string> backends, processes, ledgers;
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

/// Carries the experiment out, shows what happens, and judges it; the files go to `out`. What has been measured is kept
/// and judged even if the target cannot be started again. Returns the verdict's code.
int run(const RunOptions& options, const Places& places, const Interrupted& interrupted);

/// Prints name and title of each experiment in the library.
int list(const Places& places);

/// Recomputes the verdict of a samples.jsonl, given itself or by its folder, and returns its code; 3 if the record
/// contradicts itself or a result.json beside it.
int check(const std::string& path, const Places& places);

/// Prints what differs between two experiments by more than chance. 0 whatever that is.
int compare(const std::string& a, const std::string& b);

/// Prints fault x balancer, and writes it with all samples to `out`. 0 if every cell has its runs, whatever came out of
/// them; 3 if some have not, 4 after an interruption, with the table of what there is.
int bakeoff(const BakeoffOptions& options, const Places& places, const Interrupted& interrupted);

} // namespace hotspare::experiment
