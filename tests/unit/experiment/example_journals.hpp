// Journals as real experiments leave them, made up from a seed, for what shows journals to people: 500 requests/s for
// six seconds, and a primary that crashes after two and returns at three and a half. What exactly they measure to is of
// no interest here; synthetic.hpp has a run that is known to the last answer.
#pragma once

#include "experiment/record/record.hpp"

namespace hotspare::experiment::example {

/// Five runs in which retries and hedges save every request.
Journal survived();

/// Three runs by a balancer that notices late and repeats nothing: requests fail for half a second, some writes are
/// executed twice, and it reports no event.
Journal not_survived();

/// Ended before a single request was due; nothing was observed.
Journal aborted();

/// Every text in it, from the plan's title to the name of the server, is `text`.
Journal forged(const std::string& text);

} // namespace hotspare::experiment::example
