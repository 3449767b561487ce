// PURE: what a terminal shows of orders under a fault: what became of them, how long it took, each promise with what
// was measured against its limit, and whom the judge blames for what.
//
// Any thread.
#pragma once

#include "experiment/orders/check.hpp"

#include <string>

namespace hotspare::experiment {

/// Lines end with '\n' and take at most `columns` (40 at least); the verdict stands in the last one. With `colour` by
/// ANSI sequences, which take no column.
std::string summary(const OrdersHistory& history, const OrdersJudgement& judgement, unsigned columns, bool colour);

} // namespace hotspare::experiment
