#include "common/columns.hpp"

#include <algorithm>

namespace hotspare {

std::string in_columns(std::string_view left, std::string_view right, std::size_t indent, std::size_t width)
{
    std::string out(left);
    std::size_t column = left.size();
    if (!right.empty() && column + 2 > indent) {
        out += '\n';
        column = 0;
    }
    bool first_word = true;
    while (!right.empty()) {
        const auto begin = std::min(right.find_first_not_of(" \n"), right.size());
        right.remove_prefix(begin);
        const auto word = right.substr(0, std::min(right.find_first_of(" \n"), right.size()));
        right.remove_prefix(word.size());
        if (word.empty()) break;
        if (!first_word && column + 1 + word.size() > width) {
            out += '\n';
            column = 0;
            first_word = true;
        }
        if (first_word) {
            out.append(indent > column ? indent - column : 0, ' ');
            column = std::max(column, indent);
        } else {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
        first_word = false;
    }
    return out + '\n';
}

} // namespace hotspare
