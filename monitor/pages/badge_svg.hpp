// A badge for other people's pages: a component's state and its uptime over the days that the status page shows. It
// reads in two colours as in one: what it says is text.
//
// PURE. Any thread.
#pragma once

#include "monitor/pages/view.hpp"

#include <string>

namespace hotspare::monitor {

/// image/svg+xml
std::string badge_svg(const Component& component, Instant now);

} // namespace hotspare::monitor
