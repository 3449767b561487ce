#include "monitor/serve/peer_client.hpp"

#include "common/config.hpp"
#include "common/http/client.hpp"
#include "monitor/check/settings.hpp"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace hotspare::monitor {
namespace {

constexpr Duration patience = seconds(2);

} // namespace

boost::asio::awaitable<PeerClient::Answer> PeerClient::get(std::string who, std::string url)
{
    return ask(std::move(who), std::move(url), http::verb::get, {});
}

boost::asio::awaitable<PeerClient::Answer> PeerClient::post(std::string who, std::string url, std::string body)
{
    return ask(std::move(who), std::move(url), http::verb::post, std::move(body));
}

boost::asio::awaitable<PeerClient::Answer> PeerClient::ask(std::string who, std::string url, http::verb method,
                                                           std::string body)
{
    const TimePoint until = Clock::now() + patience;
    const auto parts = parse_http_url(url);
    const auto shown = config::without_secret(url, config::Secret::url);
    if (!parts) co_return http::Problem{502, fmt::format("{} has the URL '{}', which is none", who, shown)};
    const auto name = names_.add(parts->origin);
    const auto addresses = co_await names_.find(name, until);
    if (!addresses) co_return http::Problem{502, fmt::format("{} at {}: {}", who, shown, addresses.error().message())};
    auto request = body.empty() ? http::make_request(method, parts->target)
                                : http::make_request(method, parts->target, std::move(body), "application/json");
    request.set(http::field::host, config::format_host_port(parts->origin));
    http::FetchOptions options{.deadline = until - Clock::now()};
    std::vector<http::tcp::endpoint> endpoints(addresses->begin(), addresses->end());
    http::tcp::endpoint connected;
    const auto response = co_await http::fetch(std::move(endpoints), std::move(request), options, &connected);
    if (!response) {
        if (connected.port() == 0) names_.doubt(name);
        const bool late = response.error() == errc::timed_out;
        co_return http::Problem{late ? 504U : 502U,
                                fmt::format("{} at {}: {}", who, shown, response.error().message())};
    }
    Reply reply{.status = response->result_int(), .body = response->body()};
    co_return reply;
}

std::string status_url_of(const std::string& balancer)
{
    const auto url = parse_http_url(balancer);
    if (!url || url->target != "/") return balancer;
    return fmt::format("http://{}/status", config::format_host_port(url->origin));
}

} // namespace hotspare::monitor
