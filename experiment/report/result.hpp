// PURE: an experiment's result for programs: one JSON document with every number, and JUnit's XML, in which each
// condition is a test case, for whatever collects test results. The page for people is report.hpp, the terminal's table
// summary.hpp.
//
// Any thread.
#pragma once

#include "experiment/judge/verdict.hpp"
#include "experiment/record/record.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace hotspare::experiment {

/// The content of result.json. Keys, in this order:
///
///     format       "hotspare-experiment-result-1"; changes when a key changes its meaning
///     name, title, about, target, backends    as in the plan and the journal
///     verdict      "PASS" "FAIL" "INVALID" "ABORTED"
///     exit_code    of `experiment run` and `experiment check`
///     sentence     what the verdict is owed to
///     reasons      [text], of INVALID and ABORTED
///     valid, total, wanted    numbers of runs; the measures are those of the valid ones
///     findings     [{what, limit, measured, judged, held, held_in, runs}], the worst run's value as `measured`; not
///                  `judged`: nothing at this target can tell
///     measures     {PHASE: {MEASURE: {unit, median, min, max, runs}}}; null for what was not observed. PHASE is "all",
///                  "healthy", "fault", "recovered"; MEASURE as in a plan's `expect`; unit "count", "share",
///                  "milliseconds". Measures that are known of the whole run only stand under "all".
///     runs         [{number, seed, started, valid, invalid, aborted, samples, counted, faults, measures}]: `invalid`
///     and
///                  `aborted` say why, or are empty; `faults` is [{step, fault, on, effective, evidence, triggered_ms,
///                  confirmed_ms, undone_ms}], times after the run's first request was due, null where they do not
///                  exist; `measures` is {PHASE: {MEASURE: number or null}}
///     seed         of the whole experiment
///     plan         the YAML text
///     environment  machine, versions, configuration of the target
nlohmann::ordered_json result_json(const Journal& journal, const Judgement& judgement);

/// The content of junit.xml: one suite with a test case for each finding. A condition that did not hold is a failure.
/// If the verdict is INVALID or ABORTED, one more case is in error for that reason and the findings count as skipped,
/// since they say nothing about the system. With the elements and attributes that the schemas of Ant and Jenkins share.
std::string junit_xml(const Journal& journal, const Judgement& judgement);

} // namespace hotspare::experiment
