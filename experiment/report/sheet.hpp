// PURE: lines for a terminal that are never wider than they may be, and in which no text from outside can move the
// cursor or change a colour.
//
// Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hotspare::experiment {

enum class Tone : std::uint8_t { plain, good, bad, faint };

class Sheet {
public:
    /// At least 40 columns. With `colour` by ANSI sequences, which take no column.
    Sheet(unsigned columns, bool colour);

    std::size_t columns() const noexcept { return columns_; }

    void blank() { text_ += '\n'; }

    /// One line, shortened if it is too long.
    void line(std::string_view text, Tone tone = Tone::plain);

    /// `mark` in its tone and then as many lines as the text needs, all of them below each other.
    void paragraph(std::string_view mark, Tone tone, std::string_view text);

    std::string take_all();

private:
    std::string painted(const std::string& text, Tone tone) const;

    std::size_t columns_;
    bool colour_;
    std::string text_;
};

} // namespace hotspare::experiment
