// How the dashboard looks: the status page's style sheet, and what the dashboard has beyond it: buttons, tables that
// become lists on narrow screens, and the latency chart.
//
// PURE. Any thread.
#pragma once

#include <string_view>

namespace hotspare::monitor {

/// Fit for a <style> element: contains neither '<' nor '&'. Exactly what stands between its tags, so that a
/// Content-Security-Policy can name its hash. The same text in every call.
std::string_view dashboard_style();

} // namespace hotspare::monitor
