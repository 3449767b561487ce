// Which route serves a path: exact matches before prefixes, longer prefixes before shorter ones.
//
// PURE. Built once from the configuration, immutable afterwards; shared by all workers.
#pragma once

#include "balancer/config.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

class RouteTable {
public:
    explicit RouteTable(std::vector<RouteConfig> routes);

    /// The route for a path (no query), or nullptr.
    const RouteConfig* match(std::string_view path) const noexcept;

    /// `target` (path and query) as the route's backend shall see it. `scratch` holds the result if it differs.
    static std::string_view rewrite(const RouteConfig& route, std::string_view target, std::string& scratch);

private:
    std::vector<RouteConfig> routes_;
};

} // namespace hotspare::balancer
