// Texts of others, as they may stand in ours.
//
// PURE. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
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

struct CodePoint {
    std::uint32_t value = 0;
    std::size_t bytes = 0; ///< 0: none begins here
};

/// The first character of `text`, which is not empty. Refuses overlong forms, surrogates and what lies beyond U+10FFFF
/// (RFC 3629).
CodePoint first_character(std::string_view text) noexcept;

bool is_utf8(std::string_view text) noexcept;

/// For a terminal, a table or one line of a log: visible characters stay, and everything that could move the cursor,
/// begin a line or change the direction of writing is written out: control characters (C0 and DEL as "\x1b", C1 as
/// "\u{9b}"), line and paragraph separators, bidirectional controls, and bytes that are not UTF-8 ("\xff"). A text
/// that came from outside is written in this form.
std::string printable(std::string_view text);

/// The same for a JSON text, without changing what it says: JSON lets some of those characters stand as they are, here
/// each becomes "\uNNNN". Bytes that are not UTF-8 stay.
std::string printable_json(std::string_view text);

} // namespace hotspare
