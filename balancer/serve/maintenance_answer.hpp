// The answer to a request of a pool in maintenance: a page for a browser, a problem document for everything else.
//
// No I/O. Any thread.
#pragma once

#include "balancer/decide/maintenance.hpp"
#include "balancer/serve/own_answer.hpp"

#include <string_view>

namespace hotspare::balancer {

/// 503 with Retry-After. `accept` is the request's Accept field.
OwnAnswer maintenance_answer(const Maintenance& maintenance, std::string_view accept, WallTime now);

} // namespace hotspare::balancer
