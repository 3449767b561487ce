// The public status page, GET /status-page: the state of the whole in a sentence, open incidents, maintenance, the
// components with a bar for each of 90 days and their uptime by month, and past incidents by day. One HTML document
// that needs no script, no font and no picture. It is well-formed XML, too.
//
// The reason of a bad day is shown while its bar has the pointer or the focus; only days with something to tell can
// have the focus, so that a reader with a keyboard need not pass 90 bars for each component.
//
// PURE. Any thread.
#pragma once

#include "monitor/pages/view.hpp"

#include <string>

namespace hotspare::monitor {

/// text/html, UTF-8. Its links are relative to its own path.
std::string status_page(const View& view);

} // namespace hotspare::monitor
