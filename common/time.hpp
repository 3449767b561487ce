// How the suite writes points in time for people and for other programs.
#pragma once

#include "common/clock.hpp"

#include <string>

namespace hotspare {

/// RFC 3339 in UTC with milliseconds: 2026-02-03T04:05:06.789Z. Rounds down, so that a moment is never shown as later
/// than it was. Any thread.
std::string format_rfc3339(WallTime time);

} // namespace hotspare
