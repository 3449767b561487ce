#include "experiment/report/html_table.hpp"

#include "common/format.hpp"
#include "common/markup.hpp"

#include <fmt/format.h>

#include <iterator>

namespace hotspare::experiment {

void HtmlTable::column(std::string_view title, Align align)
{
    columns_.push_back({escape(title), align});
}

void HtmlTable::columns(const std::vector<std::string_view>& titles, Align align)
{
    for (const std::string_view title : titles) column(title, align);
}

void HtmlTable::row(const std::string& html)
{
    rows_.push_back({html});
}

void HtmlTable::cell(const std::string& html)
{
    rows_.back().push_back(html);
}

std::string HtmlTable::html() const
{
    const auto css = [&](std::size_t i) { return columns_[i].align == Align::right ? " class=\"right\"" : ""; };
    // The roles say again what the elements mean, because a row that is laid out as a block loses it in some browsers.
    std::string out = fmt::format("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">"
                                  "<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">",
                                  escape(label_));
    for (std::size_t i = 0; i < columns_.size(); ++i)
        append(out, R"(<th scope="col" role="columnheader"{}>{}</th>)", css(i), columns_[i].title);
    out += "</tr></thead>\n<tbody role=\"rowgroup\">\n";
    for (const auto& row : rows_) {
        out += "<tr role=\"row\">";
        for (std::size_t i = 0; i < row.size() && i < columns_.size(); ++i)
            if (i == 0)
                append(out, R"(<th scope="row" role="rowheader"{}>{}</th>)", css(i), row[i]);
            else
                append(out, R"(<td role="cell" data-column="{}"{}><div>{}</div></td>)", columns_[i].title, css(i),
                       row[i]);
        out += "</tr>\n";
    }
    return out + "</tbody></table></div>\n";
}

} // namespace hotspare::experiment
