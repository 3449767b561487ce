// How the status page looks: one style sheet, for light and dark, for 360 pixels and for wide screens. It carries the
// hints of the day bars, too, which are shown on hover and on focus without any script. What a colour says, a mark, a
// hatching or a word says as well. Bars of equal days in a row are one element, whose class says how many they are.
//
// PURE. Any thread.
#pragma once

#include <string_view>

namespace hotspare::monitor {

/// Fit for a <style> element: contains neither '<' nor '&'. Exactly what stands between its tags, so that a
/// Content-Security-Policy can name its hash.
std::string_view status_style();

/// The part that other pages use as well, without what draws the bars of several days.
std::string_view common_style() noexcept;

} // namespace hotspare::monitor
