// PURE: does a journal agree with itself? It was written by several independent witnesses: the plan and its seed say
// when each request was due, the generator how it ended, the balancer's access log which way it went, the origins what
// they executed, the event stream in which order health changed. A change of one of them needs a change of all
// the others.
//
// This proves consistency, not honesty: a forger who invents a whole run from the start is not found out, nor is one
// who changes what had only one witness: the first and the last event of a run, whether a failed request was executed,
// what the body of an answer was. Where the balancer keeps no trails or the origins no ledger, there is a witness less.
//
// What is only missing (a fault not made, a probe not asked) is judged in verdict.hpp, where it never counts as good.
//
// Any thread.
#pragma once

#include "experiment/record/record.hpp"

#include <string>
#include <vector>

namespace hotspare::experiment {

/// What is wrong, one sentence each with run and request; empty if nothing is. At most `limit` of them.
std::vector<std::string> audit(const Journal& journal, std::size_t limit = 20);

} // namespace hotspare::experiment
