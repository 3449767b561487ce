#include "common/http/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace hotspare::http {
namespace {

std::vector<std::string_view> split(std::string_view path)
{
    std::vector<std::string_view> segments;
    for (std::size_t start = 1; start <= path.size();) {
        const auto end = std::min(path.find('/', start), path.size());
        segments.push_back(path.substr(start, end - start));
        start = end + 1;
    }
    return segments;
}

bool is_parameter(std::string_view segment)
{
    return segment.starts_with('{') && segment.ends_with('}');
}
bool is_rest(std::string_view segment)
{
    return is_parameter(segment) && segment.ends_with("...}");
}
std::string_view name_of(std::string_view segment)
{
    return segment.substr(1, segment.size() - (is_rest(segment) ? 5 : 2));
}

} // namespace

void Router::add(verb method, std::string pattern, Handler handler)
{
    auto route = std::ranges::find(routes_, pattern, &Route::pattern);
    if (route == routes_.end()) {
        Route added;
        for (const auto segment : split(pattern)) added.segments.emplace_back(segment);
        added.pattern = std::move(pattern);
        route = routes_.insert(routes_.end(), std::move(added));
    }
    if (std::ranges::find(route->methods, method, &Method::method) != route->methods.end())
        throw std::logic_error(fmt::format("two handlers for one method of '{}'", route->pattern));
    route->methods.push_back({method, std::move(handler)});
}

void Router::identify(Request& request) const
{
    find(request);
}

const Router::Route* Router::find(Request& request) const
{
    request.route = {};
    const auto segments = split(request.path);
    const auto found =
        std::ranges::find_if(routes_, [&](const Route& route) { return match(route, segments, request); });
    if (found == routes_.end()) return nullptr;
    request.route = found->pattern;
    return &*found;
}

asio::awaitable<Response> Router::dispatch(Request& request) const
{
    if (request.path == "*") co_return Response(204);
    const auto* route = find(request);
    if (!route) co_return problem(request, 404, fmt::format("there is nothing at {}", request.path));
    const auto wanted = request.method() == verb::head ? verb::get : request.method();
    if (const auto method = std::ranges::find(route->methods, wanted, &Method::method); method != route->methods.end())
        co_return co_await method->handler(request);
    auto response = request.method() == verb::options
                        ? Response(204)
                        : problem(request, 405,
                                  fmt::format("{} is not allowed for {}, expected one of {}",
                                              std::string_view(request.method_string()), request.route, allow(*route)));
    response.set(field::allow, allow(*route));
    co_return response;
}

asio::awaitable<Response> Router::ready(Response response)
{
    co_return response;
}

bool Router::match(const Route& route, const std::vector<std::string_view>& segments, Request& request)
{
    request.parameters.clear();
    for (std::size_t i = 0; i < route.segments.size(); ++i) {
        const std::string_view expected = route.segments[i];
        if (i >= segments.size()) return false;
        if (is_rest(expected)) {
            request.parameters.emplace_back(name_of(expected), request.path.substr(static_cast<std::size_t>(
                                                                   segments[i].data() - request.path.data())));
            return true;
        }
        // Segments are compared decoded, so that an escape is no way around a literal route.
        auto decoded = percent_decode(segments[i]);
        if (!decoded) return false;
        if (is_parameter(expected)) {
            if (decoded->empty()) return false;
            request.parameters.emplace_back(name_of(expected), *std::move(decoded));
        } else if (*decoded != expected) {
            return false;
        }
    }
    if (segments.size() == route.segments.size()) return true;
    request.parameters.clear();
    return false;
}

std::string Router::allow(const Route& route)
{
    std::string names = "OPTIONS";
    for (const auto& method : route.methods) {
        names += ", " + std::string(beast::http::to_string(method.method));
        if (method.method == verb::get) names += ", HEAD";
    }
    return names;
}

} // namespace hotspare::http
