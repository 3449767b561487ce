#include "balancer/routes.hpp"

#include <algorithm>

namespace hotspare::balancer {
namespace {

/// "/data" covers /data and /data/x, not /database; "/" and "/x/" cover whatever begins with them.
bool covers(std::string_view prefix, std::string_view path) noexcept
{
    if (!path.starts_with(prefix)) return false;
    return path.size() == prefix.size() || prefix.ends_with('/') || path[prefix.size()] == '/';
}

} // namespace

RouteTable::RouteTable(std::vector<RouteConfig> routes) : routes_(std::move(routes))
{
    std::stable_sort(routes_.begin(), routes_.end(), [](const RouteConfig& a, const RouteConfig& b) {
        const bool a_exact = !a.path.empty();
        const bool b_exact = !b.path.empty();
        if (a_exact != b_exact) return a_exact;
        return a.prefix.size() > b.prefix.size();
    });
}

const RouteConfig* RouteTable::match(std::string_view path) const noexcept
{
    for (const RouteConfig& route : routes_) {
        if (!route.path.empty() ? path == route.path : covers(route.prefix, path)) return &route;
    }
    return nullptr;
}

std::string_view RouteTable::rewrite(const RouteConfig& route, std::string_view target, std::string& scratch)
{
    if (route.rewrite.empty()) return target;
    const std::size_t matched = route.path.empty() ? route.prefix.size() : route.path.size();
    scratch.assign(route.rewrite);
    scratch.append(target.substr(matched));
    return scratch;
}

} // namespace hotspare::balancer
