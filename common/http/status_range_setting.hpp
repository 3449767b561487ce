// A range of HTTP statuses as a setting: 200, or 200-299.
//
// PURE. Any thread.
#pragma once

#include "common/config.hpp"
#include "common/http/status_range.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace hotspare::config {

template <> struct Scalar<http::StatusRange> {
    static Parsed<http::StatusRange> parse(std::string_view text)
    {
        const auto dash = std::min(text.find('-'), text.size());
        const auto first = parse_unsigned(text.substr(0, dash), 599);
        const auto last = dash == text.size() ? first : parse_unsigned(text.substr(dash + 1), 599);
        if (!first || !last || *first < 100 || *last < *first) return not_valid(text, expected());
        return http::StatusRange{static_cast<unsigned>(*first), static_cast<unsigned>(*last)};
    }
    static std::string format(const http::StatusRange& range)
    {
        return range.first == range.last ? fmt::format("{}", range.first)
                                         : fmt::format("{}-{}", range.first, range.last);
    }
    static std::string expected() { return "an HTTP status or a range of them, such as 200 or 200-299"; }
};

} // namespace hotspare::config
