// Texts of others, as they may stand in ours.
//
// PURE. Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hotspare {

/// At most the first `most` bytes of UTF-8, and "..." if that is not all; never half a character.
std::string shortened(std::string text, std::size_t most);

/// Whether UTF-8 holds a control character (Unicode category Cc: U+0000 to U+001F and U+007F to U+009F) or a line or
/// paragraph separator (Zl, Zp). They have no place in a name, and would break the lines of every log that shows it.
bool has_control_character(std::string_view text) noexcept;
/// Whether UTF-8 holds nothing that a reader could see: it is empty, or only spaces (category Zs, tab included) and
/// characters of no width.
bool is_blank(std::string_view text) noexcept;

} // namespace hotspare
