#include "supervisor/api.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <utility>

namespace hotspare::supervisor {
namespace {

constexpr Duration longest_answer = seconds(5); ///< once all daemons have ended

} // namespace

Api::Api(asio::io_context& context, Supervisor& supervisor, std::filesystem::path socket, std::function<void()> finish)
    : supervisor_(supervisor), finish_(std::move(finish)), routes_(make_routes()), server_(context, {}),
      listener_(context, server_, std::move(socket),
                [this](http::Request& request) { return routes_.dispatch(request); })
{
}

http::Router Api::make_routes()
{
    const auto handler = [this](auto method) {
        return [this, method](const http::Request& request) { return (this->*method)(request); };
    };
    http::Router routes;
    routes.add(http::verb::get, "/status", handler(&Api::status));
    routes.add(http::verb::get, "/missing", handler(&Api::missing));
    routes.add(http::verb::post, "/start", http::Handler(handler(&Api::start)));
    routes.add(http::verb::post, "/stop", http::Handler(handler(&Api::stop)));
    routes.add(http::verb::post, "/daemons/{name}/restart", http::Handler(handler(&Api::restart_one)));
    routes.add(http::verb::post, "/daemons/{name}/stop", http::Handler(handler(&Api::stop_one)));
    return routes;
}

asio::awaitable<void> Api::end()
{
    co_await listener_.end();
    co_await server_.drain(longest_answer);
}

// --- Requests --------------------------------------------------------------------------------------------------------

http::Response Api::status(const http::Request& request)
{
    const auto all = supervisor_.status();
    if (request.query("format") == "text") {
        std::string text;
        for (const auto& daemon : all) text += to_text(daemon);
        return http::text_response(200, std::move(text));
    }
    auto daemons = nlohmann::ordered_json::array();
    for (const auto& daemon : all) daemons.push_back(to_json(daemon));
    nlohmann::ordered_json body = {
        {"supervisor", ::getpid()}, {"stopping", supervisor_.is_stopping()}, {"daemons", std::move(daemons)}};
    return http::json_response(200, body);
}

http::Response Api::missing(const http::Request&)
{
    std::string names;
    for (const auto& daemon : supervisor_.status())
        if (is_missing(daemon.state)) names += (names.empty() ? "" : " ") + daemon.name;
    return http::text_response(200, names.empty() ? names : names + "\n");
}

asio::awaitable<http::Response> Api::start(const http::Request&)
{
    auto trouble = co_await supervisor_.start_all();
    const unsigned status = trouble.empty() ? 200 : 503;
    co_return http::text_response(status, std::move(trouble));
}

asio::awaitable<http::Response> Api::stop(const http::Request&)
{
    co_await supervisor_.stop_all();
    finish_();
    co_return http::text_response(200, "");
}

asio::awaitable<http::Response> Api::restart_one(const http::Request& request)
{
    const std::string name = request.parameter("name");
    auto trouble = co_await supervisor_.restart(name);
    if (!trouble) co_return http::problem(request, 404, fmt::format("there is no daemon '{}'", name));
    const unsigned status = trouble->empty() ? 200 : 503;
    co_return http::text_response(status, std::move(*trouble));
}

asio::awaitable<http::Response> Api::stop_one(const http::Request& request)
{
    const std::string name = request.parameter("name");
    const bool known = co_await supervisor_.stop(name);
    if (!known) co_return http::problem(request, 404, fmt::format("there is no daemon '{}'", name));
    if (supervisor_.is_idle()) finish_();
    co_return http::text_response(200, "");
}

} // namespace hotspare::supervisor
