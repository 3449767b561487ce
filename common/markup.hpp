// Text that comes from anywhere, made fit for HTML, XML and JSON. What a backend calls itself, what a probe saw or what
// an operator wrote may hold anything; in a result it is text and never becomes markup, a script or, with printable()
// of common/text, an escape sequence.
//
// PURE. Any thread.
#pragma once

#include "common/text.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace hotspare {

/// Valid UTF-8: what is not becomes U+FFFD, byte by byte.
std::string valid_utf8(std::string_view text);

/// For element content and quoted attribute values, in HTML as well as in XML 1.0: valid UTF-8, markup as entities,
/// characters that XML forbids even as entities (controls, U+FFFE, U+FFFF) as U+FFFD. Line ends and tabs stay.
std::string escape(std::string_view text);

/// Code points of valid UTF-8: the columns that it takes, as long as none is East Asian or combining.
std::size_t columns_of(std::string_view text) noexcept;

/// At most `columns` (not 0) of them, the last one an ellipsis if something had to go.
std::string shorten(std::string_view text, std::size_t columns);

/// A section of a page, whose heading names it. `title` and `content` are markup.
std::string section(std::string_view id, std::string_view title, const std::string& content);

} // namespace hotspare
