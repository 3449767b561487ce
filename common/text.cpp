#include "common/text.hpp"

namespace hotspare {
namespace {

/// Takes the first character off `text`. Of what is not UTF-8 a byte is a character of its own, above all of Unicode.
char32_t next_character(std::string_view& text) noexcept
{
    constexpr char32_t invalid = 0x11'0000;
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const auto first = byte(0);
    std::size_t length = 1;
    char32_t character = first;
    if (first >= 0xf0 && first < 0xf8) {
        length = 4;
        character = first & 0x07;
    } else if (first >= 0xe0 && first < 0xf0) {
        length = 3;
        character = first & 0x0f;
    } else if (first >= 0xc0 && first < 0xe0) {
        length = 2;
        character = first & 0x1f;
    } else if (first >= 0x80) {
        character = invalid;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if (i >= text.size() || (byte(i) & 0xc0) != 0x80) {
            text.remove_prefix(i);
            return invalid;
        }
        character = character << 6 | (byte(i) & 0x3f);
    }
    text.remove_prefix(length);
    return character;
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

} // namespace hotspare
