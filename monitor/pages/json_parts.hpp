// What several JSON documents of the monitor have in common, so that they cannot say it in two ways.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/window.hpp"

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string>

namespace hotspare::monitor {

/// From 0 to 1, rounded down to six decimals; null of nothing.
nlohmann::ordered_json share_json(milliseconds part, milliseconds whole);

/// null for an empty text.
nlohmann::ordered_json text_or_null(const std::string& text);

/// A window with the occurrences that are not over. `title` is the operator's, and may be empty.
nlohmann::ordered_json window_document(const Window& window, std::span<const Span> upcoming);

} // namespace hotspare::monitor
