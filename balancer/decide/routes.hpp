// Which route serves a path: exact matches before prefixes, longer prefixes before shorter ones. A route may ask for a
// query parameter or a header field as well. Of several for the same path, those that ask for more go first, then those
// that operators' requests cannot replace, then the order of the configuration decides.
//
// A route is a boundary: who may ask for what lies below /public must not reach /admin by asking for /public/../admin.
// A path goes on as it was written, but only where it leads the same way however its dot segments are resolved.
//
// PURE. Part of a Topology: immutable, shared by all workers.
#pragma once

#include "balancer/config.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

/// How a server may resolve dot segments.
enum class Resolving : std::uint8_t {
    plain,  ///< by RFC 3986 §5.2.4, with %2e read as '.'
    lenient ///< and %2f, '\' and %5c read as slashes, several slashes as one, "..;x" as ".."
};
/// Whether `path` holds a dot segment in either reading.
bool has_dot_segment(std::string_view path) noexcept;
/// `path` without its dot segments.
std::string resolve_dot_segments(std::string_view path, Resolving how = Resolving::plain);

/// Tells whether a request meets what a route asks for beside the path.
class RouteConditions {
public:
    /// Called of routes that ask for something.
    virtual bool met(const RouteConfig& route) const = 0;

protected:
    ~RouteConditions() = default;
};

/// In the order in which they are matched: that of RouteTable::routes() for what they become.
std::vector<RouteSettings> in_match_order(std::vector<RouteSettings> routes);

class RouteTable {
public:
    RouteTable() = default;
    explicit RouteTable(std::vector<RouteConfig> routes);

    /// In the order in which they are matched.
    const std::vector<RouteConfig>& routes() const noexcept { return routes_; }

    /// The route for a path (no query), or nullptr. Of routes for the same path, those that ask for more come first;
    /// without `conditions` none of these matches.
    const RouteConfig* match(std::string_view path, const RouteConditions* conditions = nullptr) const;

    /// Whether the dot segments of `path` lead out of `route`, which match() found for it, or out of what its rewrite
    /// stands for. Never true of a path without any of '.', '%' and '\'.
    bool leaves(const RouteConfig* route, std::string_view path, const RouteConditions* conditions = nullptr) const;

    /// `target` (path and query) as the route's backend shall see it: the rewrite in place of what the route matched,
    /// and one slash between it and the rest. `scratch` holds the result if it differs.
    static std::string_view rewrite(const RouteConfig& route, std::string_view target, std::string& scratch);

    /// Where a request with `target` is sent by the route's redirect: in place of what the route matched. The rest is
    /// joined by one slash whatever it begins with, as "//HOST" and "/\\HOST" would lead to another server.
    static std::string redirect(const RouteConfig& route, std::string_view target);

private:
    std::vector<RouteConfig> routes_;
};

} // namespace hotspare::balancer
