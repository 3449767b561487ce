#include "experiment/report/sheet.hpp"

#include "common/markup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hotspare::experiment {
namespace {

constexpr unsigned least_columns = 40;

/// Removes from the front of `rest` what has room in a line, by words if it can be.
std::string take(std::string& rest, std::size_t room)
{
    if (columns_of(rest) <= room) return std::exchange(rest, {});
    std::size_t end = 0;
    std::size_t last_space = 0;
    for (std::size_t count = 0; end < rest.size(); ++end) {
        const bool begins = (static_cast<unsigned char>(rest[end]) & 0xC0U) != 0x80;
        if (begins && count++ == room) break;
        if (rest[end] == ' ') last_space = end;
    }
    if (end < rest.size() && rest[end] == ' ') last_space = end;
    if (last_space == 0) {
        std::string piece = rest.substr(0, end);
        rest.erase(0, end);
        return piece;
    }
    std::string piece = rest.substr(0, last_space);
    rest.erase(0, last_space + 1);
    return piece;
}

} // namespace

Sheet::Sheet(unsigned columns, bool colour) : columns_(std::max(columns, least_columns)), colour_(colour) {}

void Sheet::line(std::string_view text, Tone tone)
{
    text_ += painted(shorten(printable(text), columns_), tone) + "\n";
}

void Sheet::paragraph(std::string_view mark, Tone tone, std::string_view text)
{
    const std::size_t indent = columns_of(mark);
    std::string rest = printable(text);
    std::string begin = painted(std::string(mark), tone);
    do {
        const std::string piece = take(rest, columns_ - indent);
        text_ += begin + piece + "\n";
        begin = std::string(indent, ' ');
    } while (!rest.empty());
}

std::string Sheet::take_all()
{
    return std::move(text_);
}

std::string Sheet::painted(const std::string& text, Tone tone) const
{
    if (!colour_ || tone == Tone::plain || text.empty()) return text;
    const char* const code = tone == Tone::good ? "32" : tone == Tone::bad ? "31;1" : "2";
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

} // namespace hotspare::experiment
