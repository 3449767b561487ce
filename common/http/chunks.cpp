#include "common/http/chunks.hpp"

#include "common/http/grammar.hpp"

#include <algorithm>
#include <limits>

namespace hotspare::http {
namespace {

/// A chunk's header or a trailer section this long has no honest use.
constexpr std::size_t longest_line = 8 * 1024;

/// The value of a hexadecimal digit, or 16.
constexpr unsigned hex_value(char c) noexcept
{
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
    return 16;
}

} // namespace

ChunkReader::Step ChunkReader::read(std::string_view input) noexcept
{
    std::size_t used = 0;
    for (;;) {
        if (part_ == Part::done) return {State::done, used, {}};
        if (part_ == Part::malformed) return {State::malformed, used, {}};
        if (used == input.size()) return {State::more, used, {}};
        if (part_ == Part::content) {
            const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - used));
            left_ -= size;
            if (left_ == 0) part_ = Part::content_cr;
            return {State::content, used + size, input.substr(used, size)};
        }
        part_ = ++line_ > longest_line ? Part::malformed : next(input[used]);
        ++used;
    }
}

/// A CR, or the next extension, or `otherwise`.
ChunkReader::Part ChunkReader::end_of_header(char c, Part otherwise) const noexcept
{
    if (c == '\r') return Part::header_lf;
    return c == ';' ? Part::extension_start : otherwise;
}

ChunkReader::Part ChunkReader::next(char c) noexcept
{
    const bool forgiving = sender_ == Sender::server;
    switch (part_) {
    case Part::size_start: left_ = hex_value(c); return left_ < 16 ? Part::size : Part::malformed;
    case Part::size:
        if (const unsigned digit = hex_value(c); digit < 16) {
            if (left_ > (std::numeric_limits<std::uint64_t>::max() >> 4)) return Part::malformed;
            left_ = left_ << 4 | digit;
            return Part::size;
        }
        return is_blank(c) ? Part::behind_size : end_of_header(c, Part::malformed);
    case Part::behind_size:
        if (is_blank(c)) return part_;
        if (c == '\r' && !forgiving) return Part::malformed;
        return end_of_header(c, Part::malformed);
    case Part::extension_start:
        if (is_blank(c)) return part_;
        if (c == '\r' && forgiving) return Part::header_lf;
        return is_kind(c, token_char) ? Part::extension_name : Part::malformed;
    case Part::extension_name:
        if (is_kind(c, token_char)) return part_;
        if (c == '=') return Part::value_start;
        return is_blank(c) ? Part::behind_name : end_of_header(c, Part::malformed);
    case Part::behind_name:
        if (is_blank(c)) return part_;
        if (c == '=') return Part::value_start;
        if (c == '\r' && !forgiving) return Part::malformed;
        return end_of_header(c, Part::malformed);
    case Part::value_start:
        if (is_blank(c)) return part_;
        if (c == '"') return Part::quoted;
        return is_kind(c, token_char) ? Part::value : Part::malformed;
    case Part::value:
        if (is_kind(c, token_char)) return part_;
        return is_blank(c) ? Part::behind_value : end_of_header(c, Part::malformed);
    // Some end the line at a CR or LF between quotes, and so see other chunks than we would.
    case Part::quoted:
        if (c == '"') return Part::behind_value;
        if (c == '\\') return Part::quoted_pair;
        return is_kind(c, control_char) ? Part::malformed : part_;
    case Part::quoted_pair: return is_kind(c, control_char) ? Part::malformed : Part::quoted;
    case Part::behind_value:
        if (is_blank(c)) return part_;
        return end_of_header(c, Part::malformed);
    case Part::header_lf:
        if (c != '\n') return Part::malformed;
        line_ = 0;
        return left_ > 0 ? Part::content : Part::trailer_start;
    case Part::content_cr: return c == '\r' ? Part::content_lf : Part::malformed;
    case Part::content_lf: line_ = 0; return c == '\n' ? Part::size_start : Part::malformed;
    // A blank here would continue the trailer before it (obs-fold).
    case Part::trailer_start:
        if (c == '\r') return Part::last_lf;
        return is_kind(c, token_char) ? Part::trailer_name : Part::malformed;
    case Part::trailer_name:
        if (c == ':') return Part::trailer_value;
        return is_kind(c, token_char) ? part_ : Part::malformed;
    case Part::trailer_value:
        if (c == '\r') return Part::trailer_lf;
        return is_kind(c, control_char) ? Part::malformed : part_;
    case Part::trailer_lf: return c == '\n' ? Part::trailer_start : Part::malformed;
    case Part::last_lf: return c == '\n' ? Part::done : Part::malformed;
    case Part::content:
    case Part::done:
    case Part::malformed: break;
    }
    return part_;
}

} // namespace hotspare::http
