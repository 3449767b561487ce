#include "monitor/serve/chaos.hpp"

#include "common/config.hpp"
#include "common/json_document.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace hotspare::monitor {
namespace {

std::string_view path_of(Chaos::Action action) noexcept
{
    switch (action) {
    case Chaos::Action::cpu: return "/simulate/cpu/100";
    case Chaos::Action::corruption: return "/simulate/corruption";
    case Chaos::Action::crash: return "/fail?mode=crash";
    case Chaos::Action::reset: break;
    }
    return "/simulate/reset";
}

std::optional<http::Problem> refuse_bad_status(std::string_view who, std::string_view url, unsigned status)
{
    if (status / 100 == 2) return std::nullopt;
    return http::Problem{
        502, fmt::format("{} at {} answered {}", who, config::without_secret(url, config::Secret::url), status)};
}

} // namespace

std::string_view to_string(Chaos::Action action) noexcept
{
    switch (action) {
    case Chaos::Action::cpu: return "cpu";
    case Chaos::Action::corruption: return "corruption";
    case Chaos::Action::crash: return "crash";
    case Chaos::Action::reset: return "reset";
    }
    return "invalid";
}

Chaos::Chaos(boost::asio::io_context& context, const TargetSettings& balancer)
    : peers_(context), status_url_(status_url_of(balancer.balancer))
{
}

boost::asio::awaitable<Chaos::Answer<Versions>> Chaos::versions()
{
    const auto reply = co_await peers_.get("the balancer", status_url_);
    if (!reply) co_return reply.error();
    if (auto bad = refuse_bad_status("the balancer", status_url_, reply->status)) co_return *std::move(bad);
    auto versions = read_versions(read_json_document(reply->body));
    if (!versions) co_return http::Problem{502, "the balancer's status names no backends"};
    co_return *std::move(versions);
}

boost::asio::awaitable<Chaos::Answer<Chaos::Plan>> Chaos::plan(Action action)
{
    const auto versions = co_await this->versions();
    if (!versions) co_return versions.error();
    const auto active = std::find_if(versions->versions.begin(), versions->versions.end(),
                                     [](const Version& version) { return version.active; });
    if (active == versions->versions.end()) co_return http::Problem{503, "no version is active"};
    co_return Plan{active->name, active->url + std::string(path_of(action)), action};
}

boost::asio::awaitable<Chaos::Answer<void>> Chaos::act(Plan plan)
{
    const auto reply = co_await peers_.post(plan.version, plan.url);
    // A process that crashes may end before it has answered.
    if (plan.action == Action::crash) co_return Answer<void>();
    if (!reply) co_return reply.error();
    if (auto bad = refuse_bad_status(plan.version, plan.url, reply->status)) co_return *std::move(bad);
    co_return Answer<void>();
}

} // namespace hotspare::monitor
