// PURE: how the report looks: one style sheet, for light and dark, for 360 pixels and for 1600. The colours of data are
// those of Okabe and Ito, which people of any colour vision tell apart, in the dark a little lighter.
//
// Any thread.
#pragma once

#include <string_view>

namespace hotspare::experiment {

/// Fit for a <style> element: contains neither '<' nor '&'.
std::string_view report_style() noexcept;

} // namespace hotspare::experiment
