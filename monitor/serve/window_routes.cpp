#include "monitor/serve/window_routes.hpp"

#include "common/http/precondition.hpp"
#include "monitor/pages/own_json.hpp"
#include "monitor/pages/records_json.hpp"
#include "monitor/requests/window_plan.hpp"
#include "monitor/serve/answers.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace hotspare::monitor {
namespace {

using http::field;
using http::Request;
using http::Response;

constexpr std::size_t shown_occurrences = 10;

std::string etag_of(const Window& window)
{
    return fmt::format("\"{}-{}\"", window.version, to_string(window.state));
}

} // namespace

http::Response WindowRoutes::shown(unsigned status, const Window& window) const
{
    const auto next = recorder_.board().maintenance().upcoming(window, Recorder::now(), shown_occurrences);
    auto response = http::text_response(status, window_json(window, next) + '\n', json_type);
    response.set(field::etag, etag_of(window));
    return response;
}

asio::awaitable<Response> WindowRoutes::get(const Request& request)
{
    const auto id = number_in(request.parameter("id"));
    const Window* const window = id ? recorder_.board().maintenance().find(*id) : nullptr;
    if (window == nullptr) co_return http::problem(request, 404, "there is no such window");
    co_return shown(200, *window);
}

asio::awaitable<Response> WindowRoutes::announce(const Request& request, Recorder::Who who)
{
    http::Json document;
    if (auto wrong = read_json(request, document)) co_return *std::move(wrong);
    auto plan = read_window_plan(document);
    if (!plan) co_return refused(request, plan.error());
    const auto window = co_await recorder_.announce(*std::move(plan), std::move(who));
    if (!window) co_return http::problem(window.error(), request.id);
    documents_.renew();
    auto response = shown(201, *window);
    response.set(field::location, fmt::format("/maintenance/{}", window->id));
    co_return response;
}

/// The window that a request is about, if what it demands of its version holds.
std::optional<Response> WindowRoutes::find(const Request& request, Window& window) const
{
    const auto id = number_in(request.parameter("id"));
    const Window* const found = id ? recorder_.board().maintenance().find(*id) : nullptr;
    if (found == nullptr) return http::problem(request, 404, "there is no such window");
    const auto conditions = http::Preconditions::parse(header_or_nothing(request, field::if_match), std::nullopt);
    if (!conditions) return http::problem(conditions.error(), request.id);
    if (!conditions->if_match_holds(etag_of(*found)))
        return http::problem(request, 412, "the window was changed meanwhile; get it again");
    window = *found;
    return std::nullopt;
}

asio::awaitable<Response> WindowRoutes::change(const Request& request, Recorder::Who who)
{
    http::Json document;
    if (auto wrong = read_json(request, document)) co_return *std::move(wrong);
    Window before;
    if (auto wrong = find(request, before)) co_return *std::move(wrong);
    auto plan = change_window_plan(before.plan, document);
    if (!plan) co_return refused(request, plan.error());
    const auto window = co_await recorder_.change(before.id, before.version, *std::move(plan), std::move(who));
    if (!window) co_return http::problem(window.error(), request.id);
    documents_.renew();
    co_return shown(200, *window);
}

asio::awaitable<Response> WindowRoutes::cancel(const Request& request, Recorder::Who who)
{
    Window before;
    if (auto wrong = find(request, before)) co_return *std::move(wrong);
    const auto window = co_await recorder_.cancel(before.id, before.version, std::move(who));
    if (!window) co_return http::problem(window.error(), request.id);
    documents_.renew();
    co_return shown(200, *window);
}

} // namespace hotspare::monitor
