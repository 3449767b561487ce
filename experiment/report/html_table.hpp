// PURE: a table of the report. Where the page is narrow each row becomes a block in which every cell says the name of
// its column, so that nothing must be scrolled sideways to be seen.
//
// Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::experiment {

class HtmlTable {
public:
    enum class Align : unsigned char { left, right };

    /// `label` is what a screen reader calls it.
    explicit HtmlTable(std::string_view label) : label_(label) {}

    void column(std::string_view title, Align align = Align::left);
    void columns(const std::vector<std::string_view>& titles, Align align = Align::left);

    /// Begins a row; `html` is the cell of its first column, which names the row.
    void row(const std::string& html);
    /// The row's next cell, HTML.
    void cell(const std::string& html);

    bool empty() const noexcept { return rows_.empty(); }
    std::string html() const;

private:
    struct Column {
        std::string title; ///< escaped
        Align align;
    };

    std::string label_;
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

} // namespace hotspare::experiment
