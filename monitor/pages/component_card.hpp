// A component on the status page: its state, a bar for each of the days that are shown, and its uptime by month.
//
// PURE. Any thread.
#pragma once

#include "monitor/pages/view.hpp"

#include <string>
#include <string_view>

namespace hotspare::monitor {

/// An item of a list, HTML.
std::string component_card(const Component& component, Instant now);

/// What the marks of the bars mean, HTML.
std::string legend();

/// The mark and the class that say the same as a colour: "✓" and "up".
struct Sign {
    std::string_view mark;
    std::string_view css;
};
Sign sign_of(const Component& component) noexcept;
Sign sign_of(Overall overall) noexcept;

} // namespace hotspare::monitor
