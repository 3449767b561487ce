#include "balancer/decide/header_edits.hpp"

#include "common/http/grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace hotspare::balancer {
namespace {

constexpr std::array<std::string_view, 19> own_fields{"Connection",
                                                      "Content-Length",
                                                      "Date",
                                                      "Expect",
                                                      "Forwarded",
                                                      "Host",
                                                      "Keep-Alive",
                                                      "Max-Forwards",
                                                      "Proxy-Connection",
                                                      "TE",
                                                      "Trailer",
                                                      "Transfer-Encoding",
                                                      "Upgrade",
                                                      "Via",
                                                      "X-Forwarded-For",
                                                      "X-Forwarded-Host",
                                                      "X-Forwarded-Proto",
                                                      "X-Request-Id",
                                                      "X-Served-By"};

/// What is wrong with it.
std::optional<std::string> refuse_name(std::string_view name)
{
    if (!http::is_token(name)) return fmt::format("'{}' is not the name of a header field", name);
    const auto is_it = [name](std::string_view own) { return http::equals_ignoring_case(own, name); };
    if (std::any_of(own_fields.begin(), own_fields.end(), is_it))
        return fmt::format("the field {} is written by the balancer itself", name);
    return std::nullopt;
}

} // namespace

boost::system::result<HeaderEdits, std::string> HeaderEdits::parse(const std::vector<std::string>& set,
                                                                   const std::vector<std::string>& remove)
{
    HeaderEdits edits;
    for (const std::string& line : set) {
        const auto colon = line.find(':');
        const std::string_view name = std::string_view(line).substr(0, std::min(colon, line.size()));
        if (colon == line.npos) return {boost::system::in_place_error, "a field has no colon, expected NAME: VALUE"};
        if (auto wrong = refuse_name(name)) return {boost::system::in_place_error, *std::move(wrong)};
        const std::string_view value = http::trim(std::string_view(line).substr(colon + 1));
        if (http::find_control(value.data(), value.data() + value.size()) != value.data() + value.size())
            return {boost::system::in_place_error,
                    fmt::format("the value of the field {} holds a control character", name)};
        edits.removed.emplace_back(name);
        edits.added += fmt::format("{}: {}\r\n", name, value);
    }
    for (const std::string& name : remove) {
        if (auto wrong = refuse_name(name)) return {boost::system::in_place_error, *std::move(wrong)};
        edits.removed.push_back(name);
    }
    return edits;
}

} // namespace hotspare::balancer
