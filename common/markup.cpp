#include "common/markup.hpp"

#include "common/format.hpp"
#include "common/text.hpp"

#include <cstdint>

namespace hotspare {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// `each(code point, its bytes)` returns what to write for it.
template <class Each> std::string transform(std::string_view text, Each each)
{
    std::string out;
    out.reserve(text.size() + text.size() / 8);
    while (!text.empty()) {
        const CodePoint point = first_character(text);
        const std::size_t bytes = point.bytes == 0 ? 1 : point.bytes;
        out += point.bytes == 0 ? replacement : each(point.value, text.substr(0, bytes));
        text.remove_prefix(bytes);
    }
    return out;
}

} // namespace

std::string valid_utf8(std::string_view text)
{
    return transform(text, [](std::uint32_t, std::string_view bytes) { return bytes; });
}

std::string escape(std::string_view text)
{
    return transform(text, [](std::uint32_t point, std::string_view bytes) -> std::string_view {
        switch (point) {
        case '&': return "&amp;";
        case '<': return "&lt;";
        case '>': return "&gt;";
        case '"': return "&quot;";
        case '\'': return "&#39;";
        case '\n':
        case '\t': return bytes;
        case '\r': return "&#13;";
        case 0xFFFE:
        case 0xFFFF: return replacement;
        default: return point < 0x20 || point == 0x7F ? replacement : bytes;
        }
    });
}

std::size_t columns_of(std::string_view text) noexcept
{
    std::size_t count = 0;
    for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0U) != 0x80 ? 1 : 0;
    return count;
}

std::string shorten(std::string_view text, std::size_t columns)
{
    if (columns_of(text) <= columns) return std::string(text);
    std::size_t end = 0;
    for (std::size_t count = 0; end < text.size(); ++end)
        if ((static_cast<unsigned char>(text[end]) & 0xC0U) != 0x80 && ++count == columns) break;
    return std::string(text.substr(0, end)) + "\xE2\x80\xA6";
}

std::string section(std::string_view id, std::string_view title, const std::string& content)
{
    std::string out;
    append(out, "<section aria-labelledby=\"{0}\">\n<h2 id=\"{0}\">{1}</h2>\n{2}</section>\n", id, title, content);
    return out;
}

} // namespace hotspare
