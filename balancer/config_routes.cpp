#include "balancer/config_routes.hpp"

#include "common/http/grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace hotspare::config {

using namespace std::string_view_literals;

template <> struct EnumNames<balancer::Builtin> {
    static constexpr std::array names{
        std::pair{"none"sv, balancer::Builtin::none},     std::pair{"health"sv, balancer::Builtin::health},
        std::pair{"status"sv, balancer::Builtin::status}, std::pair{"metrics"sv, balancer::Builtin::metrics},
        std::pair{"events"sv, balancer::Builtin::events}, std::pair{"logs"sv, balancer::Builtin::logs},
        std::pair{"admin"sv, balancer::Builtin::admin},   std::pair{"proxy_health"sv, balancer::Builtin::proxy_health},
    };
};

} // namespace hotspare::config

namespace hotspare::balancer {
namespace {

constexpr Duration longest_of_route = std::chrono::hours(24);

bool is_path_or_empty(const std::string& text)
{
    return text.empty() || (config::is_target(text) && text.find('?') == std::string::npos);
}
constexpr auto a_path = "a path that starts with '/', without blanks and query";

NamedValue named_value(std::string_view text, char separator)
{
    const auto end = text.find(separator);
    NamedValue out{.name = std::string(text.substr(0, end)), .any = end == text.npos};
    if (!out.any) out.value = text.substr(end + 1);
    return out;
}

bool is_query_condition(const std::string& text)
{
    return text.empty() || !named_value(text, '=').name.empty();
}

NamedValue header_condition(std::string_view text)
{
    NamedValue out = named_value(text, ':');
    out.value = http::trim(out.value);
    return out;
}

bool is_header_condition(const std::string& text)
{
    return text.empty() || http::is_token(header_condition(text).name);
}

bool is_redirect_or_empty(const std::string& text)
{
    if (text.empty()) return true;
    const auto is_good = [](char c) { return c > ' ' && c < 0x7f && c != '?' && c != '#' && c != '\\'; };
    if (!std::all_of(text.begin(), text.end(), is_good)) return false;
    if (text.starts_with('/')) return !text.starts_with("//");
    for (const std::string_view scheme : {"http://", "https://"})
        if (text.starts_with(scheme)) return text.size() > scheme.size() && text[scheme.size()] != '/';
    return false;
}

} // namespace

bool is_route_list(const std::vector<RouteSettings>& list)
{
    return list.size() <= most_routes;
}

void fields(config::Fields& field, RouteSettings& c)
{
    field("path", c.path, "match this path exactly", {is_path_or_empty, a_path});
    field("prefix", c.prefix, "match this path and every path below it", {is_path_or_empty, a_path});
    field(
        "query", c.query,
        "match only requests with this query parameter, NAME=VALUE, not percent-encoded, or NAME for any value; such a "
        "route goes before one without conditions for the same path",
        {is_query_condition, "NAME=VALUE or NAME"});
    field("header", c.header,
          "match only requests with this header field, `NAME: VALUE`, compared as a whole, or NAME for any value",
          {is_header_condition, "NAME: VALUE or NAME"});
    field("rewrite", c.rewrite,
          "replacement for the matched part of the path, joined to the rest by one slash; empty = unchanged",
          {is_path_or_empty, a_path});
    field("repeatable", c.repeatable,
          "requests of any method may be repeated after a failure; set it only if a repeated request has no further "
          "effect");
    field("timeout", c.timeout,
          "request timeout of this route; exceeding it counts as a failure of the backend; 0s = timeouts.request",
          {Duration::zero(), longest_of_route});
    field("body_idle", c.body_idle, "timeouts.body_idle of this route; 0s = timeouts.body_idle",
          {Duration::zero(), longest_of_route});
    field("attempts", c.attempts, "retry.attempts of this route: 1 = a request is never repeated; 0 = that of the pool",
          {0, most_attempts});
    field("hedge", c.hedge, "hedge requests of this route, if the pool's retry.hedge says so too");
    field("set_request_headers", c.set_request_headers,
          "header fields `NAME: VALUE` that the backend gets in place of the client's of the same names",
          {nullptr, "", config::Secret::field});
    field("remove_request_headers", c.remove_request_headers,
          "names of header fields of requests that the backend does not get");
    field("set_response_headers", c.set_response_headers,
          "header fields `NAME: VALUE` that the client gets in place of the backend's of the same names");
    field("remove_response_headers", c.remove_response_headers,
          "names of header fields of responses that the client does not get");
    field("error_page", c.error_page,
          "HTML file, answered in place of application/problem+json to clients that prefer HTML when no backend could "
          "answer (status 500 to 599 of the balancer itself); empty = none");
    field(
        "redirect", c.redirect,
        "redirect requests instead of passing them to a pool: http:// or https:// URL, or path, in place of the "
        "matched part of the path, joined to the rest by one slash; empty = no",
        {is_redirect_or_empty, "http://HOST..., https://HOST... or a path that starts with one '/', without a query"});
    field("redirect_status", c.redirect_status, "status of the redirect: 301, 302, 303, 307 or 308", {301, 308});
    field("builtin", c.builtin, "built-in page served on this route");
    field("pool", c.pool, "pool that the requests of this route are sent to; empty = the first pool");
    field("dynamic", c.dynamic, "operators' requests may replace this route (PUT /admin/routes)");
}

// --- From what was said to the whole ---------------------------------------------------------------------------------

namespace {

/// What spans several keys of routes, and where to say so.
class RouteCheck {
public:
    RouteCheck(const std::vector<std::string>& pools, const ErrorPages& pages, const config::Places& places)
        : pools_(pools), pages_(pages), places_(places)
    {
    }

    void complete(RouteSettings& route, const std::string& path) const
    {
        if (route.path.empty() == route.prefix.empty()) fail(path, "expected either `path` or `prefix`");
        if (route.redirect.empty() && route.redirect_status != RouteSettings{}.redirect_status)
            fail(path + ".redirect_status", "without `redirect`, expected both or none");
        if (route.builtin != Builtin::none) {
            if (!route.pool.empty()) fail(path + ".pool", "together with `builtin`, expected one of the two");
            if (!route.redirect.empty()) fail(path + ".redirect", "together with `builtin`, expected one of the two");
            refuse_what_needs_a_backend(route, path, "builtin");
            return;
        }
        if (!route.redirect.empty()) {
            if (!route.pool.empty()) fail(path + ".pool", "together with `redirect`, expected one of the two");
            refuse_what_needs_a_backend(route, path, "redirect");
            if (route.redirect_status > 303 && route.redirect_status < 307)
                fail(path + ".redirect_status",
                     fmt::format("{} is no redirect with a new place, expected 301, 302, 303, 307 or 308",
                                 route.redirect_status));
            return;
        }
        check_headers(route.set_request_headers, route.remove_request_headers, path, "request");
        check_headers(route.set_response_headers, route.remove_response_headers, path, "response");
        if (!route.error_page.empty()) {
            auto page = pages_(route.error_page);
            if (!page) fail(path + ".error_page", page.error());
            route.error_page_html = std::move(*page);
        }
        if (route.pool.empty()) route.pool = pools_.front();
        if (std::find(pools_.begin(), pools_.end(), route.pool) == pools_.end())
            fail(path + ".pool", config::unknown_name("pool", route.pool, pools_));
    }

private:
    /// `instead`: the key that answers requests without a backend.
    void refuse_what_needs_a_backend(const RouteSettings& route, const std::string& path,
                                     std::string_view instead) const
    {
        const auto refuse = [&](bool given, const char* key) {
            if (given) fail(path + "." + key, fmt::format("together with `{}`, expected none", instead));
        };
        refuse(!route.rewrite.empty(), "rewrite");
        refuse(route.repeatable, "repeatable");
        refuse(route.timeout > Duration::zero(), "timeout");
        refuse(route.body_idle > Duration::zero(), "body_idle");
        refuse(route.attempts > 0, "attempts");
        refuse(!route.hedge, "hedge");
        refuse(!route.set_request_headers.empty(), "set_request_headers");
        refuse(!route.remove_request_headers.empty(), "remove_request_headers");
        refuse(!route.set_response_headers.empty(), "set_response_headers");
        refuse(!route.remove_response_headers.empty(), "remove_response_headers");
        refuse(!route.error_page.empty(), "error_page");
    }

    void check_headers(const std::vector<std::string>& set, const std::vector<std::string>& remove,
                       const std::string& path, std::string_view whose) const
    {
        const auto edits = HeaderEdits::parse(set, remove);
        if (!edits) fail(fmt::format("{}.{}_{}_headers", path, set.empty() ? "remove" : "set", whose), edits.error());
    }

    [[noreturn]] void fail(const std::string& path, const std::string& message) const { places_.fail(path, message); }

    const std::vector<std::string>& pools_;
    const ErrorPages& pages_;
    const config::Places& places_;
};

} // namespace

boost::system::result<std::string, std::string> read_error_page(const std::string& file)
{
    constexpr std::uintmax_t largest = 64 * 1024;
    const auto fail = [](std::string why) -> boost::system::result<std::string, std::string> {
        return {boost::system::in_place_error, std::move(why)};
    };
    std::error_code error;
    const auto size = std::filesystem::file_size(file, error);
    if (error) return fail(fmt::format("cannot read the file {}: {}", config::in_quotes(file), error.message()));
    if (size > largest)
        return fail(
            fmt::format("the file {} has {} bytes, expected at most {}", config::in_quotes(file), size, largest));
    std::ifstream in(file, std::ios::binary);
    std::string html((std::istreambuf_iterator<char>(in)), {});
    if (!in || html.empty())
        return fail(fmt::format("cannot read the file {}, or it is empty", config::in_quotes(file)));
    return {boost::system::in_place_value, std::move(html)};
}

MatchKey match_key(const RouteSettings& route)
{
    MatchKey key{route.path, route.prefix, route.query, {}};
    if (route.header.empty()) return key;
    NamedValue header = header_condition(route.header);
    std::transform(header.name.begin(), header.name.end(), header.name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
    key.back() = header.any ? header.name : header.name + ":" + header.value;
    return key;
}

void complete(std::vector<RouteSettings>& routes, const std::vector<std::string>& pools, const ErrorPages& pages,
              const config::Places& places)
{
    const RouteCheck check(pools, pages, places);
    std::set<MatchKey> seen;
    std::vector<std::string> errors;
    for (std::size_t i = 0; i < routes.size(); ++i) {
        RouteSettings& route = routes[i];
        const auto path = fmt::format("routes[{}]", i);
        try {
            check.complete(route, path);
            if (!seen.insert(match_key(route)).second)
                places.fail(path, fmt::format("a second route for '{}', expected one", route.path + route.prefix));
        } catch (const UsageError& e) {
            errors.insert(errors.end(), e.messages.begin(), e.messages.end());
        }
    }
    if (!errors.empty()) throw UsageError(std::move(errors));
}

RouteConfig to_config(const RouteSettings& settings, const std::vector<std::string>& pools,
                      const TimeoutConfig& timeouts)
{
    RouteConfig route;
    route.path = settings.path;
    route.prefix = settings.prefix;
    if (!settings.query.empty()) route.query = named_value(settings.query, '=');
    if (!settings.header.empty()) route.header = header_condition(settings.header);
    route.rewrite = settings.rewrite;
    route.repeatable = settings.repeatable;
    route.timeout = settings.timeout > Duration::zero() ? settings.timeout : timeouts.request;
    route.body_idle = settings.body_idle;
    route.attempts = settings.attempts;
    route.hedge = settings.hedge;
    // complete() has parsed them.
    route.request_headers = *HeaderEdits::parse(settings.set_request_headers, settings.remove_request_headers);
    route.response_headers = *HeaderEdits::parse(settings.set_response_headers, settings.remove_response_headers);
    route.error_page = settings.error_page_html;
    route.redirect = settings.redirect;
    route.redirect_status = settings.redirect_status;
    route.builtin = settings.builtin;
    route.dynamic = settings.dynamic;
    if (settings.builtin == Builtin::none && settings.redirect.empty())
        route.pool = static_cast<PoolIndex>(std::find(pools.begin(), pools.end(), settings.pool) - pools.begin());
    return route;
}

} // namespace hotspare::balancer
