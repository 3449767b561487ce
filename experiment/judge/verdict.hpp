// PURE: is what was promised true? Each condition on its own, measured against its limit, in every run; no score that
// adds them up.
//
// Any thread.
#pragma once

#include "experiment/judge/measure.hpp"
#include "experiment/record/plan.hpp"
#include "experiment/record/record.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::experiment {

enum class Verdict : std::uint8_t {
    pass,    ///< every condition held in every run
    fail,    ///< one did not
    invalid, ///< the instruments failed in too many runs: nothing can be said of the system
    aborted, ///< a run was ended early
};
std::string_view to_string(Verdict verdict) noexcept; ///< "PASS"
int exit_code(Verdict verdict) noexcept;              ///< 0, 1, 3, 4

/// One condition over all valid runs.
struct Finding {
    std::string what;     ///< "max latency during the fault", "steady state 'answers' after the fault"
    std::string limit;    ///< "at most 50 ms"
    std::string measured; ///< the worst run's value as text; "not observed" is worse than any
    bool held = false;
    std::size_t held_in = 0, runs = 0;
    bool judged = true; ///< false: nothing at this target can tell, so it neither holds nor fails
};

struct Judgement {
    Verdict verdict = Verdict::invalid;
    std::vector<std::string> reasons; ///< for invalid and aborted: run by run
    std::vector<Finding> findings;    ///< the plan's conditions first, then the steady state
    std::vector<Measures> runs;       ///< of the valid runs
    std::size_t valid = 0, total = 0;
};

/// Why a run says nothing about the system: its own word, a fault that was not effective, no steady state before, a
/// generator that lagged. Empty if it is sound.
std::string why_invalid(const Plan& plan, const Run& run, const Measures& measures);

/// `repeat` is how many valid runs are wanted; with fewer the verdict is INVALID.
Judgement judge(const Journal& journal, std::size_t repeat);

} // namespace hotspare::experiment
