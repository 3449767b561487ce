// Views for tests of the pages: one of everything, and one whose every text is hostile. No thread; values.
#pragma once

#include "monitor/pages/view.hpp"

#include <string>
#include <string_view>

namespace hotspare::monitor::example {

Instant at(std::string_view rfc3339);

/// 12 November 2026, noon.
Instant now();

/// A day with so much down time, otherwise up; nothing but up time without.
Day day(std::string_view date, milliseconds down = {}, std::string cause = {});

/// Up for all of the days and months that are shown.
Component component(std::string id, std::string name = {});

/// Lasts from `since` for an hour, or goes on.
PublicIncident incident(std::string component, std::uint64_t number, std::string_view since, bool open);

PublicWindow window(std::uint64_t id, WindowState state, std::string_view start, milliseconds length);

/// Three components of which one is down and one under maintenance, incidents and windows of all kinds.
View full();

/// Markup, quotes, escape sequences, line ends, separators of JavaScript, NUL and bytes that are no UTF-8.
std::string hostile();
/// full() with that in every text.
View hostile_view();

} // namespace hotspare::monitor::example
