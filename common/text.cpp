#include "common/text.hpp"

#include "common/format.hpp"

#include <fmt/format.h>

#include <iterator>

namespace hotspare {
namespace {

/// Takes the first character off `text`. Of what is not UTF-8 a byte is a character of its own, above all of Unicode.
char32_t next_character(std::string_view& text) noexcept
{
    constexpr char32_t invalid = 0x11'0000;
    const auto character = first_character(text);
    text.remove_prefix(character.bytes == 0 ? 1 : character.bytes);
    return character.bytes == 0 ? invalid : static_cast<char32_t>(character.value);
}

constexpr bool is_control(char32_t c) noexcept
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
}

constexpr bool is_space(char32_t c) noexcept
{
    const bool space = c == '\t' || c == ' ' || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
                       c == 0x202f || c == 0x205f || c == 0x3000;
    const bool no_width = (c >= 0x200b && c <= 0x200d) || c == 0x2060 || c == 0xfeff;
    return space || no_width;
}

/// What is not shown but acts on what stands around it: controls, and those of the direction of writing (UAX #9).
constexpr bool is_hidden(char32_t c) noexcept
{
    return is_control(c) || c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

} // namespace

std::string shortened(std::string text, std::size_t most)
{
    if (text.size() <= most) return text;
    auto end = most;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text.resize(end);
    return text + "...";
}

bool has_control_character(std::string_view text) noexcept
{
    while (!text.empty())
        if (is_control(next_character(text))) return true;
    return false;
}

bool is_blank(std::string_view text) noexcept
{
    while (!text.empty())
        if (!is_space(next_character(text))) return false;
    return true;
}

CodePoint first_character(std::string_view text) noexcept
{
    const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
    const std::uint32_t lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
    std::uint32_t value = lead & (0x7FU >> bytes);
    for (std::size_t i = 1; i < bytes; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) return {};
        value = (value << 6) | (byte(i) & 0x3FU);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < least[bytes] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return {};
    return {value, bytes};
}

bool is_utf8(std::string_view text) noexcept
{
    while (!text.empty()) {
        const auto character = first_character(text);
        if (character.bytes == 0) return false;
        text.remove_prefix(character.bytes);
    }
    return true;
}

std::string printable_json(std::string_view text)
{
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const auto character = first_character(text);
        const auto bytes = character.bytes == 0 ? 1 : character.bytes;
        // Outside a string JSON has none of them but line ends and tabs.
        if (is_hidden(character.value) && character.value >= 0x20)
            append(out, "\\u{:04x}", character.value);
        else
            out.append(text.substr(0, bytes));
        text.remove_prefix(bytes);
    }
    return out;
}

std::string printable(std::string_view text)
{
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const auto character = first_character(text);
        const auto bytes = character.bytes == 0 ? 1 : character.bytes;
        if (character.bytes == 0 || (bytes == 1 && is_hidden(character.value)))
            append(out, "\\x{:02x}", static_cast<unsigned char>(text.front()));
        else if (is_hidden(character.value))
            append(out, "\\u{{{:x}}}", character.value);
        else
            out.append(text.substr(0, bytes));
        text.remove_prefix(bytes);
    }
    return out;
}

} // namespace hotspare
