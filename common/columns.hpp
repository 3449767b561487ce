// Two columns of text for a terminal, as --help prints them: a name, and what it means.
//
// PURE. Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hotspare {

/// What every terminal shows.
inline constexpr std::size_t help_width = 80;

/// `left`, then `right` from column `indent` on, broken between words so that no line is wider than `width` (unless one
/// word is). A `left` that does not fit gets a line of its own. Ends with a line feed.
std::string in_columns(std::string_view left, std::string_view right, std::size_t indent,
                       std::size_t width = help_width);

} // namespace hotspare
