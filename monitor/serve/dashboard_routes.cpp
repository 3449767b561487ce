#include "monitor/serve/dashboard_routes.hpp"

#include "monitor/pages/dashboard_style.hpp"
#include "monitor/serve/answers.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {
namespace {

using http::field;
using http::Request;
using http::Response;

constexpr std::size_t checks_on_the_dashboard = 120;
constexpr std::size_t audit_lines_on_the_dashboard = 20;

} // namespace

DashboardRoutes::DashboardRoutes(asio::io_context& context, const MonitorSettings& settings,
                                 const TargetSettings& balancer, Recorder& recorder)
    : settings_(settings), recorder_(recorder), chaos_(context, balancer), policy_(policy_for(dashboard_style()))
{
}

asio::awaitable<Response> DashboardRoutes::show(const Request& request, Recorder::Who who)
{
    DashboardView view{.title = settings_.title,
                       .user = who.user,
                       .base_url = settings_.url,
                       .now = Recorder::now(),
                       .refreshes = request.query("refresh") != "off"};
    auto versions = co_await chaos_.versions();
    if (versions)
        view.versions = *std::move(versions);
    else
        view.problem = versions.error().detail;

    // The active version is watched as a backend of its balancer.
    const Board& board = recorder_.board();
    view.latency_of = view.versions && !view.versions->active.empty()
                          ? fmt::format("{}/{}", settings_.dashboard, view.versions->active)
                          : settings_.dashboard;
    if (const auto target = board.find(view.latency_of)) {
        SampleQuery query{.target = board.id(*target), .from = {}, .before = {}, .most = checks_on_the_dashboard};
        const auto page = co_await recorder_.history().samples(std::move(query));
        if (page)
            for (const StoredSample& one : page->rows) {
                if (view.checks.size() < most_dashboard_checks)
                    view.checks.push_back({one.at, view.latency_of, one.state, one.latency, one.cause});
                view.points.push_back({one.at, one.latency, one.state});
            }
        std::reverse(view.points.begin(), view.points.end());
    }
    AuditQuery query;
    query.most = audit_lines_on_the_dashboard;
    const auto lines = co_await recorder_.history().audit(std::move(query));
    if (lines)
        for (const ChainedEntry& line : lines->rows) view.audit.push_back(line.entry);
    if (const auto result = results_.find(who.user); result != results_.end()) {
        view.result = std::move(result->second);
        results_.erase(result);
    }
    auto response = http::text_response(200, monitor::dashboard(view), html_type);
    response.set(field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    response.set("Content-Security-Policy", policy_);
    co_return response;
}

/// A browser is sent back to the dashboard, which tells what became of it; a program gets JSON.
asio::awaitable<Response> DashboardRoutes::act(const Request& request, Recorder::Who who)
{
    const std::string_view path = request.path;
    const Chaos::Action action = path == "/chaos/cpu"          ? Chaos::Action::cpu
                                 : path == "/chaos/corruption" ? Chaos::Action::corruption
                                 : path == "/crash"            ? Chaos::Action::crash
                                                               : Chaos::Action::reset;
    const bool from_form = request.header("Accept").find("text/html") != std::string_view::npos;
    const std::string user = who.user;
    auto plan = co_await chaos_.plan(action);
    std::optional<http::Problem> wrong;
    std::string version, url;
    if (plan) {
        version = plan->version;
        url = plan->url;
        // The line is durable before anything is broken.
        AuditEntry entry{.at = Recorder::now(),
                         .user = std::move(who.user),
                         .address = std::move(who.address),
                         .action = fmt::format("chaos.{}", to_string(action)),
                         .target = version,
                         .detail = "POST " + url};
        const auto written = co_await recorder_.audit(std::move(entry));
        if (written) {
            const auto done = co_await chaos_.act(*std::move(plan));
            if (!done) wrong = done.error();
        } else {
            wrong = written.error();
        }
    } else {
        wrong = plan.error();
    }
    if (from_form) {
        results_[user] =
            wrong ? ActionResult{false, wrong->detail}
                  : ActionResult{true, fmt::format("{}: {} was sent to {}", to_string(action), url, version)};
        Response response(303);
        response.set(field::location, "/");
        co_return response;
    }
    if (wrong) co_return http::problem(*wrong, request.id);
    co_return http::json_response(
        200, nlohmann::ordered_json{
                 {"status", "ok"}, {"action", to_string(action)}, {"version", version}, {"sent", "POST " + url}});
}

} // namespace hotspare::monitor
