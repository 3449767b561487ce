// What /banner.js answers: a script that any page can include, and that shows the current banner, if there is one, as a
// bar at the top. The banner is part of the script, so that the page makes no further request; the daemon lets the
// script be cached briefly. The text goes into the page as text only.
//
// A visitor who dismisses the bar does not see it again until the phase changes. What is remembered is one entry of
// localStorage, the name of the phase: window, phase, and start of the occurrence, or incident and its status.
//
// PURE. Any thread.
#pragma once

#include "monitor/pages/view.hpp"

#include <cstddef>
#include <string>

namespace hotspare::monitor {

/// In bytes. A text that would not fit is shortened.
inline constexpr std::size_t longest_banner_script = 1024;

/// A comment if there is nothing to show.
std::string banner_script(const View& view);

/// The bar's text, not escaped; empty if there is no bar.
std::string banner_text(const View& view);

/// What the visitor's browser remembers of a bar that was dismissed; empty if there is no bar.
std::string banner_key(const View& view);

} // namespace hotspare::monitor
