#include "balancer/decide/routes.hpp"

#include <algorithm>

namespace hotspare::balancer {
namespace {

/// "/data" covers /data and /data/x, not /database; "/" and "/x/" cover whatever begins with them.
bool covers(std::string_view prefix, std::string_view path) noexcept
{
    if (!path.starts_with(prefix)) return false;
    return path.size() == prefix.size() || prefix.ends_with('/') || path[prefix.size()] == '/';
}

bool is_escape(std::string_view text, char high, char low) noexcept
{
    return text.size() >= 3 && text[0] == '%' && text[1] == high && (text[2] | 0x20) == low;
}

/// How many characters at the beginning of `text` are a slash.
std::size_t slash_at(std::string_view text, Resolving how) noexcept
{
    if (text.starts_with('/')) return 1;
    if (how == Resolving::plain) return 0;
    if (text.starts_with('\\')) return 1;
    return is_escape(text, '2', 'f') || is_escape(text, '5', 'c') ? 3 : 0;
}

/// The slash and the segment that a path begins with.
struct Piece {
    std::size_t slash = 0; ///< its length; 0 only at the beginning of what is no path
    std::string_view segment;
    unsigned dots = 0; ///< 1 for ".", 2 for "..", in whatever spelling; else 0
};

unsigned dots_in(std::string_view segment) noexcept
{
    unsigned dots = 0;
    while (!segment.empty()) {
        const std::size_t size = segment.starts_with('.') ? 1 : is_escape(segment, '2', 'e') ? 3 : 0;
        if (size == 0 || ++dots > 2) return 0;
        segment.remove_prefix(size);
    }
    return dots;
}

Piece take_piece(std::string_view& path, Resolving how) noexcept
{
    Piece piece;
    piece.slash = slash_at(path, how);
    path.remove_prefix(piece.slash);
    std::size_t end = 0;
    while (end < path.size() && slash_at(path.substr(end), how) == 0) ++end;
    piece.segment = path.substr(0, end);
    path.remove_prefix(end);
    // A servlet container takes what follows a semicolon for parameters of the segment.
    piece.dots = dots_in(how == Resolving::plain ? piece.segment : piece.segment.substr(0, piece.segment.find(';')));
    return piece;
}

int conditions_of(const RouteConfig& route) noexcept
{
    return static_cast<int>(!route.query.name.empty()) + static_cast<int>(!route.header.name.empty());
}

int conditions_of(const RouteSettings& route) noexcept
{
    return static_cast<int>(!route.query.empty()) + static_cast<int>(!route.header.empty());
}

template <class Route> void sort_by_match(std::vector<Route>& routes)
{
    std::stable_sort(routes.begin(), routes.end(), [](const Route& a, const Route& b) {
        const bool a_exact = !a.path.empty();
        const bool b_exact = !b.path.empty();
        if (a_exact != b_exact) return a_exact;
        if (a.prefix.size() != b.prefix.size()) return a.prefix.size() > b.prefix.size();
        if (conditions_of(a) != conditions_of(b)) return conditions_of(a) > conditions_of(b);
        return !a.dynamic && b.dynamic;
    });
}

std::string_view behind_match(const RouteConfig& route, std::string_view target) noexcept
{
    return target.substr(route.path.empty() ? route.prefix.size() : route.path.size());
}

} // namespace

bool has_dot_segment(std::string_view path) noexcept
{
    // What is one for the plain reading is one for the lenient, too.
    while (!path.empty())
        if (take_piece(path, Resolving::lenient).dots > 0) return true;
    return false;
}

std::string resolve_dot_segments(std::string_view path, Resolving how)
{
    std::string out;
    out.reserve(path.size());
    while (!path.empty()) {
        const Piece piece = take_piece(path, how);
        if (piece.dots == 2) out.resize(std::min(out.rfind('/'), out.size()));
        if (piece.dots > 0) {
            if (path.empty()) out += '/'; // what ends in a dot segment names a folder
            continue;
        }
        if (how == Resolving::lenient && piece.segment.empty() && !path.empty()) continue;
        if (piece.slash > 0) out += '/';
        out += piece.segment;
    }
    return out;
}

RouteTable::RouteTable(std::vector<RouteConfig> routes) : routes_(std::move(routes))
{
    sort_by_match(routes_);
}

std::vector<RouteSettings> in_match_order(std::vector<RouteSettings> routes)
{
    sort_by_match(routes);
    return routes;
}

const RouteConfig* RouteTable::match(std::string_view path, const RouteConditions* conditions) const
{
    for (const RouteConfig& route : routes_) {
        if (route.path.empty() ? !covers(route.prefix, path) : path != route.path) continue;
        if (conditions_of(route) == 0 || (conditions != nullptr && conditions->met(route))) return &route;
    }
    return nullptr;
}

bool RouteTable::leaves(const RouteConfig* route, std::string_view path, const RouteConditions* conditions) const
{
    if (!has_dot_segment(path)) return false;
    for (const Resolving how : {Resolving::plain, Resolving::lenient}) {
        const std::string resolved = resolve_dot_segments(path, how);
        if (match(resolved, conditions) != route) return true;
        if (route == nullptr || route->rewrite.empty()) continue;
        // To rewrite and then to resolve must come to the same as the other way round.
        std::string rewritten;
        std::string wanted;
        rewrite(*route, path, rewritten);
        rewrite(*route, resolved, wanted);
        if (resolve_dot_segments(rewritten, how) != resolve_dot_segments(wanted, how)) return true;
    }
    return false;
}

std::string RouteTable::redirect(const RouteConfig& route, std::string_view target)
{
    std::string_view rest = behind_match(route, target);
    std::string place = route.redirect;
    if (!rest.empty() && rest.front() != '?') {
        while (rest.starts_with('/') || rest.starts_with('\\')) rest.remove_prefix(1);
        if (!place.ends_with('/')) place += '/';
    }
    return place.append(rest);
}

std::string_view RouteTable::rewrite(const RouteConfig& route, std::string_view target, std::string& scratch)
{
    if (route.rewrite.empty()) return target;
    std::string_view rest = behind_match(route, target);
    scratch.assign(route.rewrite);
    if (!rest.empty() && rest.front() != '?') {
        if (rest.front() == '/') rest.remove_prefix(1);
        if (!scratch.ends_with('/')) scratch += '/';
    }
    scratch.append(rest);
    return scratch;
}

} // namespace hotspare::balancer
