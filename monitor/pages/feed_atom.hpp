// The Atom feed (RFC 4287): an entry for each incident and each maintenance window, the latest change first. An entry's
// id is a tag URI (RFC 4151) that stays the same for good; `updated` changes with whatever the entry tells.
//
// PURE. Any thread.
#pragma once

#include "monitor/pages/view.hpp"

#include <string>

namespace hotspare::monitor {

/// application/atom+xml
std::string feed_atom(const View& view);

} // namespace hotspare::monitor
