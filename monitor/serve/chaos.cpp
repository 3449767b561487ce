#include "monitor/serve/chaos.hpp"

#include "common/http/client.hpp"
#include "common/json_document.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {
namespace {

constexpr Duration patience = seconds(2);

std::string_view path_of(Chaos::Deed deed) noexcept
{
    switch (deed) {
    case Chaos::Deed::cpu: return "/simulate/cpu/100";
    case Chaos::Deed::corruption: return "/simulate/corruption";
    case Chaos::Deed::crash: return "/fail?mode=crash";
    case Chaos::Deed::reset: break;
    }
    return "/simulate/reset";
}

} // namespace

std::string_view to_string(Chaos::Deed deed) noexcept
{
    switch (deed) {
    case Chaos::Deed::cpu: return "cpu";
    case Chaos::Deed::corruption: return "corruption";
    case Chaos::Deed::crash: return "crash";
    case Chaos::Deed::reset: return "reset";
    }
    return "invalid";
}

Chaos::Chaos(boost::asio::io_context& context, const TargetSettings& balancer)
    : names_(context), status_url_(balancer.balancer)
{
    if (const auto url = parse_http_url(status_url_); url && url->target == "/")
        status_url_ = fmt::format("http://{}/status", config::format_host_port(url->origin));
}

/// The body of a good answer.
boost::asio::awaitable<Chaos::Answer<std::string>> Chaos::ask(std::string_view who, std::string url, bool post)
{
    const TimePoint until = Clock::now() + patience;
    const auto parts = parse_http_url(url);
    if (!parts) co_return http::Problem{502, fmt::format("{} has the URL '{}', which is none", who, url)};
    const auto name = names_.add(parts->origin);
    const auto addresses = co_await names_.find(name, until);
    if (!addresses) co_return http::Problem{502, fmt::format("{} at {}: {}", who, url, addresses.error().message())};
    auto request = http::make_request(post ? http::verb::post : http::verb::get, parts->target);
    request.set(http::field::host, config::format_host_port(parts->origin));
    http::FetchOptions options{.deadline = until - Clock::now()};
    std::vector<http::tcp::endpoint> endpoints(addresses->begin(), addresses->end());
    const auto response = co_await http::fetch(std::move(endpoints), std::move(request), options, nullptr);
    if (!response) {
        const bool late = response.error() == errc::timed_out;
        co_return http::Problem{late ? 504U : 502U, fmt::format("{} at {}: {}", who, url, response.error().message())};
    }
    if (response->result_int() / 100 != 2)
        co_return http::Problem{502, fmt::format("{} at {} answered {}", who, url, response->result_int())};
    co_return response->body();
}

boost::asio::awaitable<Chaos::Answer<Versions>> Chaos::versions()
{
    const auto text = co_await ask("the balancer", status_url_, false);
    if (!text) co_return text.error();
    auto versions = read_versions(read_json_document(*text));
    if (!versions) co_return http::Problem{502, "the balancer's status names no backends"};
    co_return *std::move(versions);
}

boost::asio::awaitable<Chaos::Answer<Chaos::Plan>> Chaos::plan(Deed deed)
{
    const auto versions = co_await this->versions();
    if (!versions) co_return versions.error();
    const auto active = std::find_if(versions->versions.begin(), versions->versions.end(),
                                     [](const Version& version) { return version.active; });
    if (active == versions->versions.end()) co_return http::Problem{503, "no version is active"};
    co_return Plan{active->name, active->url + std::string(path_of(deed)), deed};
}

boost::asio::awaitable<Chaos::Answer<void>> Chaos::act(Plan plan)
{
    const auto answer = co_await ask(plan.version, plan.url, true);
    // Who crashes at once may take the answer with it.
    if (!answer && plan.deed != Deed::crash) co_return answer.error();
    co_return Answer<void>();
}

} // namespace hotspare::monitor
