#include "balancer/serve/route_conditions.hpp"

#include "common/http/grammar.hpp"
#include "common/http/message.hpp"

#include <algorithm>
#include <string_view>

namespace hotspare::balancer {
namespace {

/// Decoded as forms write it: '+' is a space. What cannot be decoded is equal to nothing.
bool decodes_to(std::string_view encoded, std::string_view text)
{
    std::string plain(encoded);
    std::replace(plain.begin(), plain.end(), '+', ' ');
    const auto decoded = http::percent_decode(plain);
    return decoded && *decoded == text;
}

bool has_parameter(std::string_view query, const NamedValue& wanted)
{
    while (!query.empty()) {
        const auto piece = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(piece.size() + 1, query.size()));
        const auto equals = std::min(piece.find('='), piece.size());
        if (!decodes_to(piece.substr(0, equals), wanted.name)) continue;
        if (wanted.any || decodes_to(piece.substr(std::min(equals + 1, piece.size())), wanted.value)) return true;
    }
    return false;
}

} // namespace

bool RequestConditions::met(const RouteConfig& route) const
{
    if (!route.query.name.empty()) {
        const std::string_view target = head_.target;
        const auto begin = std::min(target.find('?'), target.size() - 1) + 1;
        if (!has_parameter(target.substr(begin), route.query)) return false;
    }
    const NamedValue& field = route.header;
    return field.name.empty() || std::any_of(head_.fields.begin(), head_.fields.end(), [&field](const Field& one) {
               return http::equals_ignoring_case(one.name, field.name) && (field.any || one.value == field.value);
           });
}

} // namespace hotspare::balancer
