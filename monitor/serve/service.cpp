#include "monitor/serve/service.hpp"

#include "common/http/caller.hpp"
#include "common/http/precondition.hpp"
#include "common/json_document.hpp"
#include "common/log.hpp"
#include "common/metrics.hpp"
#include "common/notify/mail.hpp"
#include "common/sha256.hpp"
#include "common/time.hpp"
#include "common/version.hpp"
#include "monitor/notify/wording.hpp"
#include "monitor/pages/badge_svg.hpp"
#include "monitor/pages/banner_script.hpp"
#include "monitor/pages/calendar_ics.hpp"
#include "monitor/pages/dashboard.hpp"
#include "monitor/pages/dashboard_style.hpp"
#include "monitor/pages/feed_atom.hpp"
#include "monitor/pages/health_status.hpp"
#include "monitor/pages/own_json.hpp"
#include "monitor/pages/records_json.hpp"
#include "monitor/pages/status_page.hpp"
#include "monitor/pages/status_style.hpp"
#include "monitor/pages/statuspage_json.hpp"
#include "monitor/pages/wording.hpp"
#include "monitor/requests/filters.hpp"
#include "monitor/requests/incident_update.hpp"
#include "monitor/requests/window_plan.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace hotspare::monitor {
namespace {

using http::field;
using http::Request;
using http::Response;
using http::verb;

constexpr std::string_view json_type = "application/json";
constexpr std::string_view html_type = "text/html; charset=utf-8";
constexpr std::size_t shown_occurrences = 10;
constexpr std::size_t longest_push_message = 200;
constexpr std::size_t checks_on_the_dashboard = 120;
/// They have 1 kB each, and while they are written down no check is made: 50 ms for a thousand.
constexpr std::size_t most_targets_in_metrics = 1000;
constexpr std::size_t audit_lines_on_the_dashboard = 20;

/// The hash by which a Content-Security-Policy admits exactly this style sheet.
std::string policy_for(std::string_view style)
{
    const Sha256 digest = sha256(style);
    const std::string_view bytes(reinterpret_cast<const char*>(digest.data()), digest.size());
    return fmt::format("default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'self'; "
                       "frame-ancestors 'none'",
                       notify::base64(bytes));
}

http::ServerOptions options_of(const MonitorSettings&)
{
    http::ServerOptions options;
    options.limits.body = 64 * 1024; // a window's message has 16 KiB
    return options;
}

Response refused(const Request& request, const Refusal& refusal)
{
    return http::problem(problem_of(refusal), request.id);
}

std::string etag_of(const Window& window)
{
    return fmt::format("\"{}-{}\"", window.version, to_string(window.state));
}

std::optional<std::string_view> header_or_nothing(const Request& request, field name)
{
    const auto it = request.find(name);
    if (it == request.end()) return std::nullopt;
    return std::string_view(it->value().data(), it->value().size());
}

std::optional<std::uint64_t> number_in(const std::string& text)
{
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

/// The body as JSON, or the answer that says why it is none.
std::optional<Response> read_json(const Request& request, http::Json& document)
{
    const auto type = request.header("Content-Type");
    const bool patch = request.method() == verb::patch;
    if (!type.starts_with("application/json") && !(patch && type.starts_with("application/merge-patch+json")))
        return http::problem(request, 415, "the body must be JSON: Content-Type: application/json");
    auto parsed = http::parse_json(request.body());
    if (!parsed) return http::problem(parsed.error(), request.id);
    document = *std::move(parsed);
    return std::nullopt;
}

std::string kind_of(const Watched& watched, const MonitorSettings& settings)
{
    if (watched.is_backend) return "backend";
    const auto kind = settings.targets[watched.settings].kind();
    return kind == CheckKind::http ? "http" : std::string(to_string(kind));
}

/// Where a target is, without the path, which may hold a secret.
std::string address_of(const TargetSettings& target)
{
    if (!target.tcp.empty()) return "tcp://" + target.tcp;
    const auto url = parse_http_url(target.url.empty() ? target.balancer : target.url);
    return url ? "http://" + config::format_host_port(url->origin) : std::string();
}

std::string in_words_of(const BoardEvent& event)
{
    using Kind = BoardEvent::Kind;
    switch (event.kind) {
    case Kind::incident_opened: return fmt::format("{} is down: {}", event.target, event.text);
    case Kind::incident_reopened: return fmt::format("{} is down again: {}", event.target, event.text);
    case Kind::incident_outlasted_maintenance:
        return fmt::format("{} is still down after its maintenance: {}", event.target, event.text);
    case Kind::incident_updated: return fmt::format("{}: update of incident {}", event.target, event.number);
    case Kind::incident_resolved:
        return fmt::format("{} is up again, after {}", event.target, in_words(event.duration));
    case Kind::state_changed: return fmt::format("{} is {}", event.target, event.text);
    case Kind::window_announced: return fmt::format("maintenance {} was announced: {}", event.number, event.text);
    case Kind::window_changed: return fmt::format("maintenance {} was changed: {}", event.number, event.text);
    case Kind::window_started: return fmt::format("maintenance {} has begun: {}", event.number, event.text);
    case Kind::window_ended: return fmt::format("maintenance {} is over: {}", event.number, event.text);
    case Kind::window_scheduled: return fmt::format("maintenance {} is scheduled again: {}", event.number, event.text);
    case Kind::window_cancelled: return fmt::format("maintenance {} was cancelled: {}", event.number, event.text);
    }
    return {};
}

http::Json to_json(const BoardEvent& event)
{
    http::Json json{{"event", to_string(event.kind)}, {"at", machine_time(event.at)}, {"text", event.text}};
    if (!event.target.empty()) {
        json["target"] = event.target;
        if (event.number != 0) json["incident"] = event.number;
    } else {
        json["window"] = event.number;
    }
    if (event.kind == BoardEvent::Kind::incident_resolved) json["duration_ms"] = event.duration.count();
    return json;
}

} // namespace

Service::Service(asio::io_context& context, const MonitorSettings& settings, Recorder& recorder, const Pools& pools)
    : settings_(settings), recorder_(recorder), pools_(pools), guard_{.hosts = settings.hosts,
                                                                      .origins = settings.origins,
                                                                      .hosts_setting = "hosts",
                                                                      .origins_setting = "origins"},
      authenticator_(context, settings.users, settings.title,
                     {.on_failure =
                          [this](const FailedLogin& failed) {
                              AuditEntry entry{.at = Recorder::now(),
                                               .user = failed.user,
                                               .address = failed.address,
                                               .action = "login.failed",
                                               .detail = failed.reason};
                              audits_.spawn("audit of a failed login",
                                            [](Recorder& to, AuditEntry line) -> asio::awaitable<void> {
                                                co_await to.audit(std::move(line));
                                            }(recorder_, std::move(entry)));
                          }}),
      documents_(context, [this] { return recorder_.board().view(Recorder::now()); }),
      status_policy_(policy_for(status_style())), dashboard_policy_(policy_for(dashboard_style())), audits_(context),
      server_(
          context, [this](Request& request) { return routes_.dispatch(request); }, options_of(settings)),
      ending_(context)
{
    const auto balancer = std::find_if(settings.targets.begin(), settings.targets.end(),
                                       [&](const TargetSettings& one) { return one.name == settings.dashboard; });
    if (balancer != settings.targets.end()) chaos_.emplace(context, *balancer);
    make_routes();
}

// --- Life ------------------------------------------------------------------------------------------------------------

void Service::listen()
{
    http::listen(server_, settings_.host, settings_.port, "--port");
}

void Service::stop()
{
    ending_.spawn("end", end());
}

asio::awaitable<void> Service::end()
{
    feed_.end_streams();
    co_await server_.drain(settings_.drain);
    co_await audits_.join();
}

void Service::tell(const BoardEvent& event)
{
    using Kind = BoardEvent::Kind;
    const auto words = in_words_of(event);
    const auto json = to_json(event);
    const bool bad = event.kind == Kind::incident_opened || event.kind == Kind::incident_reopened ||
                     event.kind == Kind::incident_outlasted_maintenance;
    log::event(bad ? log::Level::warn : log::Level::info, words, json);
    feed_.append(std::string(to_string(event.kind)), json, words);
    documents_.changed();
}

// --- Routes ----------------------------------------------------------------------------------------------------------

void Service::add_public(verb method, std::string pattern, Respond respond)
{
    routes_.add(method, std::move(pattern), http::Handler([this, respond](const Request& request) {
                    return settings_.public_pages ? (this->*respond)(request) : enter_to_read(request, respond);
                }));
}

void Service::add_private(verb method, std::string pattern, RespondToUser respond)
{
    routes_.add(method, std::move(pattern),
                http::Handler([this, respond](const Request& request) { return enter_and(request, respond); }));
}

void Service::add_document(verb method, std::string pattern, std::string content_type, Documents::Renderer render)
{
    auto key = pattern;
    auto handler = [this, key = std::move(key), type = std::move(content_type),
                    render = std::move(render)](const Request& request) {
        return settings_.public_pages ? show(request, key, type, render) : enter_to_show(request, key, type, render);
    };
    routes_.add(method, std::move(pattern), http::Handler(std::move(handler)));
}

void Service::make_routes()
{
    routes_.add(verb::get, "/health", http::Handler([this](const Request& request) { return health(request); }));
    routes_.add(verb::get, "/metrics", http::Handler([this](const Request& request) { return metrics(request); }));
    const http::Handler report([this](const Request& request) { return push(request); });
    routes_.add(verb::get, "/push/{token}", report);
    routes_.add(verb::post, "/push/{token}", report);

    add_document(verb::get, "/status-page", std::string(html_type), status_page);
    add_document(verb::get, "/banner.js", "text/javascript; charset=utf-8", banner_script);
    add_document(verb::get, "/feed.atom", "application/atom+xml; charset=utf-8", feed_atom);
    add_document(verb::get, "/maintenance.ics", "text/calendar; charset=utf-8", calendar_ics);
    add_document(verb::get, "/maintenance", std::string(json_type), maintenance_json);
    add_document(verb::get, "/status", std::string(json_type), own_status_json);
    add_document(verb::get, "/api/v2/summary.json", std::string(json_type), summary_json);
    add_document(verb::get, "/api/v2/status.json", std::string(json_type), status_json);
    add_document(verb::get, "/api/v2/incidents.json", std::string(json_type), incidents_json);
    add_document(verb::get, "/api/v2/scheduled-maintenances.json", std::string(json_type), scheduled_maintenances_json);
    add_public(verb::get, "/badge/{target...}", &Service::badge);

    add_public(verb::get, "/maintenance/{id}", &Service::window);
    add_public(verb::get, "/uptime", &Service::uptime);
    add_public(verb::get, "/incidents", &Service::incidents);
    add_public(verb::get, "/targets", &Service::targets);
    add_public(verb::get, "/health_status", &Service::health_status);
    add_public(verb::get, "/history", &Service::history);
    add_public(verb::get, "/events", &Service::events);

    add_private(verb::post, "/maintenance", &Service::announce);
    add_private(verb::patch, "/maintenance/{id}", &Service::change);
    add_private(verb::delete_, "/maintenance/{id}", &Service::cancel);
    add_private(verb::post, "/incidents", &Service::post_update);
    add_private(verb::get, "/audit", &Service::audit);
    add_private(verb::get, "/audit/verification", &Service::verify_audit);
    if (!chaos_) {
        add_public(verb::get, "/", &Service::root);
        return;
    }
    add_private(verb::get, "/", &Service::dashboard);
    add_private(verb::post, "/chaos/cpu", &Service::chaos);
    add_private(verb::post, "/chaos/corruption", &Service::chaos);
    add_private(verb::post, "/chaos/reset", &Service::chaos);
    add_private(verb::post, "/crash", &Service::chaos);
}

asio::awaitable<Response> Service::enter_and(const Request& request, RespondToUser respond)
{
    if (settings_.users.empty())
        co_return http::problem(request, 403, "no users are configured: `users` says who may do this");
    // Before the credentials: a browser attaches them to whatever a page of another origin makes it send.
    if (const auto problem = http::refuse(http::caller_of(request), http::Access::work, guard_))
        co_return http::problem(*problem, request.id);
    auto entry = co_await authenticator_.enter(request, Clock::now());
    if (entry.refusal) co_return *std::move(entry.refusal);
    Recorder::Who who{std::move(entry.user), request.peer.address().to_string()};
    co_return co_await (this->*respond)(request, std::move(who));
}

asio::awaitable<std::optional<Response>> Service::turn_away(const Request& request)
{
    if (const auto problem = http::refuse(http::caller_of(request), http::Access::stream, guard_))
        co_return http::problem(*problem, request.id);
    auto entry = co_await authenticator_.enter(request, Clock::now());
    co_return std::move(entry.refusal);
}

asio::awaitable<Response> Service::enter_to_read(const Request& request, Respond respond)
{
    auto refusal = co_await turn_away(request);
    if (refusal) co_return *std::move(refusal);
    co_return co_await (this->*respond)(request);
}

asio::awaitable<Response> Service::enter_to_show(const Request& request, std::string key, std::string_view content_type,
                                                 Documents::Renderer render)
{
    auto refusal = co_await turn_away(request);
    if (refusal) co_return *std::move(refusal);
    co_return co_await show(request, std::move(key), content_type, std::move(render));
}

// --- Documents -------------------------------------------------------------------------------------------------------

asio::awaitable<Response> Service::show(const Request& request, std::string key, std::string_view content_type,
                                        Documents::Renderer render)
{
    const bool is_page = content_type == html_type;
    const auto document = co_await documents_.get(std::move(key), std::move(render));
    if (document->text.empty()) co_return http::problem(request, 404, "there is no such target");
    const auto conditions = http::Preconditions::parse(std::nullopt, header_or_nothing(request, field::if_none_match));
    if (!conditions) co_return http::problem(conditions.error(), request.id);
    Response response = conditions->if_none_match_holds(document->etag)
                            ? http::text_response(200, document->text, content_type)
                            : Response(304);
    response.set(field::etag, document->etag);
    response.set(field::cache_control, settings_.public_pages ? "public, max-age=5" : "private, no-cache");
    response.set("X-Content-Type-Options", "nosniff");
    if (is_page)
        response.set("Content-Security-Policy", status_policy_);
    else if (settings_.public_pages)
        response.set(field::access_control_allow_origin, "*"); // any page may include and read it
    co_return response;
}

asio::awaitable<Response> Service::badge(const Request& request)
{
    std::string name = request.parameter("target");
    constexpr std::string_view suffix = ".svg";
    const auto decoded = http::percent_decode(name);
    if (!decoded || !decoded->ends_with(suffix)) co_return http::problem(request, 404, "a badge is /badge/TARGET.svg");
    name = decoded->substr(0, decoded->size() - suffix.size());
    // Only what exists: keys of documents are kept.
    if (!recorder_.board().find(name)) co_return http::problem(request, 404, "there is no such target");
    auto key = "/badge/" + name;
    Documents::Renderer render = [name](const View& view) {
        const Component* const component = find_component(view, name);
        return component == nullptr ? std::string() : badge_svg(*component, view.now);
    };
    co_return co_await show(request, std::move(key), "image/svg+xml", std::move(render));
}

asio::awaitable<Response> Service::root(const Request&)
{
    Response response(302);
    response.set(field::location, "/status-page");
    co_return response;
}

// --- Reading ---------------------------------------------------------------------------------------------------------

asio::awaitable<Response> Service::health(const Request&)
{
    nlohmann::ordered_json body{{"status", "ok"},
                                {"message", "Service online"},
                                {"service", "monitor"},
                                {"version", version()},
                                {"uptime_s", to_s(Clock::now() - started_)},
                                {"timestamp", machine_time(Recorder::now())}};
    if (settings_.public_pages) body["overall"] = to_string(overall());
    co_return http::json_response(200, body);
}

/// Of all targets together.
resilience::Health Service::overall() const
{
    const Board& board = recorder_.board();
    std::vector<resilience::Health> all(board.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = board.health(i);
    return overall_health(all);
}

std::string Service::window_text(const Window& window) const
{
    const auto next = recorder_.board().maintenance().upcoming(window, Recorder::now(), shown_occurrences);
    return window_json(window, next);
}

asio::awaitable<Response> Service::window(const Request& request)
{
    const auto id = number_in(request.parameter("id"));
    const Window* const window = id ? recorder_.board().maintenance().find(*id) : nullptr;
    if (window == nullptr) co_return http::problem(request, 404, "there is no such window");
    auto response = http::text_response(200, window_text(*window) + '\n', json_type);
    response.set(field::etag, etag_of(*window));
    co_return response;
}

asio::awaitable<Response> Service::uptime(const Request& request)
{
    const Instant now = Recorder::now();
    const auto filter = read_uptime_filter(request.query_parameters, now);
    if (!filter) co_return refused(request, filter.error());
    const Board& board = recorder_.board();
    if (!filter->target.empty() || board.size() == 1) {
        const auto target = filter->target.empty() ? std::optional<std::size_t>(0) : board.find(filter->target);
        if (!target) co_return http::problem(request, 404, "there is no such target", {{"field", "target"}});
        co_return http::text_response(200, uptime_json(board.report(*target, filter->month, now)) + '\n', json_type);
    }
    std::string text = fmt::format(R"({{"month":"{}","targets":[)", month_text(filter->month));
    for (std::size_t i = 0; i < board.size(); ++i)
        text.append(i == 0 ? "" : ",").append(uptime_json(board.report(i, filter->month, now)));
    co_return http::text_response(200, text + "]}\n", json_type);
}

std::string Service::name_of(TargetId id) const
{
    const Board& board = recorder_.board();
    for (std::size_t i = 0; i < board.size(); ++i)
        if (board.id(i) == id) return board.present(i).name;
    return fmt::format("target {}", id); // no longer watched
}

asio::awaitable<Response> Service::incidents(const Request& request)
{
    auto filter = read_incident_filter(request.query_parameters);
    if (!filter) co_return refused(request, filter.error());
    IncidentQuery query{.target = {}, .before = filter->before, .most = filter->most};
    if (!filter->target.empty()) {
        const auto target = recorder_.board().find(filter->target);
        if (!target) co_return http::problem(request, 404, "there is no such target", {{"field", "target"}});
        query.target = recorder_.board().id(*target);
    }
    const auto page = co_await recorder_.history().incidents(std::move(query));
    if (!page) co_return http::problem(request, 503, "the history cannot be read: " + page.error().message());
    const NameOfTarget name = [this](TargetId id) { return name_of(id); };
    co_return http::text_response(200, incident_page_json(*page, name, Recorder::now()) + '\n', json_type);
}

asio::awaitable<Response> Service::targets(const Request&)
{
    const Board& board = recorder_.board();
    std::vector<TargetRecord> records;
    for (const Watched& watched : recorder_.checker().targets()) {
        const auto place = board.find(watched.name);
        if (!place) continue; // met a moment ago
        TargetNow now = board.present(*place);
        TargetRecord record{.name = watched.name,
                            .kind = kind_of(watched, settings_),
                            .state = now.state,
                            .cause = std::move(now.cause),
                            .since = now.since,
                            .watched_since = board.watched_since(*place),
                            .maintenance = now.maintenance};
        if (now.latest) {
            record.checked_at = now.latest->at;
            record.latency = now.latest->latency;
        }
        records.push_back(std::move(record));
    }
    co_return http::text_response(200, targets_json(records) + '\n', json_type);
}

asio::awaitable<Response> Service::health_status(const Request&)
{
    const Board& board = recorder_.board();
    std::vector<TargetHealth> targets;
    for (const Watched& watched : recorder_.checker().targets()) {
        const auto place = board.find(watched.name);
        if (!place) continue; // met a moment ago
        TargetNow now = board.present(*place);
        TargetHealth target{.name = watched.name,
                            .health = now.health,
                            .cause = std::move(now.cause),
                            .since = now.since,
                            .url = watched.is_backend ? "" : address_of(settings_.targets[watched.settings])};
        if (now.latest) {
            target.latency = now.latest->latency;
            target.last_error = std::move(now.latest->cause);
            target.paused = now.latest->paused;
        }
        targets.push_back(std::move(target));
    }
    auto response = http::text_response(200, health_status_json(targets, Recorder::now()) + '\n', json_type);
    response.set(field::cache_control, "no-store");
    co_return response;
}

asio::awaitable<Response> Service::history(const Request& request)
{
    auto filter = read_history_filter(request.query_parameters);
    if (!filter) co_return refused(request, filter.error());
    const Board& board = recorder_.board();
    if (filter->target.empty() && board.size() != 1)
        co_return refused(request, {"target", "target says whose checks are listed"});
    const auto target = filter->target.empty() ? std::optional<std::size_t>(0) : board.find(filter->target);
    if (!target) co_return http::problem(request, 404, "there is no such target", {{"field", "target"}});
    const auto page = co_await recorder_.history().samples(board.id(*target), filter->before, filter->most);
    if (!page) co_return http::problem(request, 503, "the history cannot be read: " + page.error().message());
    co_return http::text_response(200, samples_json(board.present(*target).name, *page) + '\n', json_type);
}

asio::awaitable<Response> Service::events(const Request& request)
{
    if (const auto problem = http::refuse(http::caller_of(request), http::Access::stream, guard_))
        co_return http::problem(*problem, request.id);
    co_return feed_.events(request);
}

asio::awaitable<Response> Service::metrics(const Request&)
{
    metrics::Exposition out;
    const Board& board = recorder_.board();
    std::array<double, 4> states{};
    for (std::size_t i = 0; i < board.size(); ++i) states[static_cast<std::size_t>(board.state(i))] += 1;
    for (std::size_t i = 0; i < states.size(); ++i)
        out.gauge("hotspare_monitor_targets", "Targets, by confirmed state",
                  {{"state", to_string(static_cast<State>(i))}}, states[i]);
    if (settings_.public_pages) add_target_metrics(out); // they tell the names
    const auto& schedule = recorder_.checker().schedule();
    out.counter("hotspare_monitor_checks_total", "Checks that were begun", {}, static_cast<double>(schedule.begun()));
    out.counter("hotspare_monitor_checks_skipped_total", "Checks that were due and not made", {},
                static_cast<double>(schedule.skipped()));
    out.histogram("hotspare_monitor_lag_seconds", "By how much checks began later than due", {},
                  recorder_.checker().lag());
    out.gauge("hotspare_monitor_longest_lag_seconds", "The longest lag since the start", {},
              to_s(schedule.longest_lag()));
    out.counter("hotspare_monitor_samples_dropped_total", "Samples that the disk was too slow for", {},
                static_cast<double>(recorder_.history().dropped_samples()));
    out.counter("hotspare_monitor_commits_failed_total", "Commits to the history that failed", {},
                static_cast<double>(recorder_.failed_commits()));
    if (const auto up = recorder_.table_up())
        out.gauge("hotspare_monitor_store_up", "Whether the table of maintenance windows can be used", {},
                  *up ? 1. : 0.);
    const auto& notification = board.notification();
    out.gauge("hotspare_monitor_notifications_waiting", "Notifications that are not delivered yet", {},
              static_cast<double>(notification.queue.size()));
    out.gauge("hotspare_monitor_notifications_failed", "The latest notifications that were given up", {},
              static_cast<double>(notification.failures.size()));
    out.gauge("hotspare_monitor_pools_pending", "Balancers whose pools are yet to be closed or opened", {},
              static_cast<double>(pools_.pending()));
    const auto sizes = co_await recorder_.history().sizes();
    if (sizes) {
        out.gauge("hotspare_monitor_history_bytes", "Size of the history's file", {},
                  static_cast<double>(sizes->file_bytes));
        out.gauge("hotspare_monitor_history_free_bytes", "Room in the history's file for rows to come", {},
                  static_cast<double>(sizes->free_bytes));
        for (const auto& [table, rows] : sizes->rows)
            out.gauge("hotspare_monitor_history_rows", "Rows of the history", {{"table", table}},
                      static_cast<double>(rows));
    }
    out.process(version());
    co_return http::text_response(200, out.text(), metrics::Exposition::content_type);
}

void Service::add_target_metrics(metrics::Exposition& out) const
{
    using resilience::Health;
    constexpr auto words = static_cast<std::size_t>(Health::healthy) + 1;
    const Health present = overall();
    for (std::size_t word = 0; word < words; ++word)
        out.gauge("hotspare_monitor_overall", "1 for the present health of all targets together",
                  {{"status", to_string(static_cast<Health>(word))}}, static_cast<Health>(word) == present ? 1. : 0.);
    const Board& board = recorder_.board();
    if (board.size() > most_targets_in_metrics) return;
    for (const Watched& watched : recorder_.checker().targets()) {
        const auto place = board.find(watched.name);
        if (!place) continue;
        const Health health = board.health(*place);
        for (std::size_t i = 0; i < words; ++i) {
            const auto word = static_cast<Health>(i);
            out.gauge("hotspare_monitor_status", "1 for the present health of a target",
                      {{"target", watched.name}, {"status", to_string(word)}}, word == health ? 1. : 0.);
            out.counter("hotspare_monitor_transitions_total", "Changes of health since the start, by the one entered",
                        {{"target", watched.name}, {"status", to_string(word)}},
                        static_cast<double>(board.transitions(*place, word)));
        }
        if (watched.is_backend || settings_.targets[watched.settings].kind() == CheckKind::push) continue;
        const Checker::Outcomes& outcomes = recorder_.checker().outcomes(watched.settings);
        for (std::size_t i = 0; i < outcomes.size(); ++i)
            out.counter("hotspare_monitor_probes_total", "Checks by outcome",
                        {{"target", watched.name}, {"outcome", to_string(static_cast<resilience::ProbeOutcome>(i))}},
                        static_cast<double>(outcomes[i]));
    }
}

asio::awaitable<Response> Service::push(const Request& request)
{
    PushReport report;
    const auto word = request.query("status").value_or("up");
    if (word != "up" && word != "down") co_return refused(request, {"status", "status must be up or down"});
    report.up = word == "up";
    if (const auto message = request.query("message"))
        if (const auto refusal = refuse_text("message", *message, TextKind::line, longest_push_message, false))
            co_return refused(request, *refusal);
    report.message = std::string(request.query("message").value_or(""));
    if (!recorder_.report(request.parameter("token"), std::move(report)))
        co_return http::problem(request, 404, "no target has this token");
    co_return http::json_response(200, http::Json{{"status", "ok"}});
}

// --- Commands --------------------------------------------------------------------------------------------------------

asio::awaitable<Response> Service::announce(const Request& request, Recorder::Who who)
{
    http::Json document;
    if (auto wrong = read_json(request, document)) co_return *std::move(wrong);
    auto plan = read_window_plan(document);
    if (!plan) co_return refused(request, plan.error());
    const auto window = co_await recorder_.announce(*std::move(plan), std::move(who));
    if (!window) co_return http::problem(window.error(), request.id);
    documents_.renew();
    auto response = http::text_response(201, window_text(*window) + '\n', json_type);
    response.set(field::location, fmt::format("/maintenance/{}", window->id));
    response.set(field::etag, etag_of(*window));
    co_return response;
}

/// The window that a request is about, if what it demands of its version holds.
std::optional<Response> Service::find_window(const Request& request, Window& window) const
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

asio::awaitable<Response> Service::change(const Request& request, Recorder::Who who)
{
    http::Json document;
    if (auto wrong = read_json(request, document)) co_return *std::move(wrong);
    Window before;
    if (auto wrong = find_window(request, before)) co_return *std::move(wrong);
    auto plan = change_window_plan(before.plan, document);
    if (!plan) co_return refused(request, plan.error());
    const auto window = co_await recorder_.change(before.id, before.version, *std::move(plan), std::move(who));
    if (!window) co_return http::problem(window.error(), request.id);
    documents_.renew();
    auto response = http::text_response(200, window_text(*window) + '\n', json_type);
    response.set(field::etag, etag_of(*window));
    co_return response;
}

asio::awaitable<Response> Service::cancel(const Request& request, Recorder::Who who)
{
    Window before;
    if (auto wrong = find_window(request, before)) co_return *std::move(wrong);
    const auto window = co_await recorder_.cancel(before.id, before.version, std::move(who));
    if (!window) co_return http::problem(window.error(), request.id);
    documents_.renew();
    auto response = http::text_response(200, window_text(*window) + '\n', json_type);
    response.set(field::etag, etag_of(*window));
    co_return response;
}

asio::awaitable<Response> Service::post_update(const Request& request, Recorder::Who who)
{
    http::Json document;
    if (auto wrong = read_json(request, document)) co_return *std::move(wrong);
    auto update = read_incident_update(document);
    if (!update) co_return refused(request, update.error());
    const auto name = request.query("target");
    const auto target = name ? recorder_.board().find(*name) : std::nullopt;
    if (!target) co_return http::problem(request, 404, "there is no such target", {{"field", "target"}});
    const auto posted = co_await recorder_.post(*target, update->status, std::move(update->message), std::move(who));
    if (!posted) co_return http::problem(posted.error(), request.id);
    documents_.renew();
    co_return http::json_response(201,
                                  http::Json{{"target", std::string(*name)}, {"status", to_string(update->status)}});
}

asio::awaitable<Response> Service::audit(const Request& request, Recorder::Who)
{
    auto query = read_audit_filter(request.query_parameters);
    if (!query) co_return refused(request, query.error());
    const auto page = co_await recorder_.history().audit(*std::move(query));
    if (!page) co_return http::problem(request, 503, "the audit log cannot be read: " + page.error().message());
    co_return http::text_response(200, audit_json(*page) + '\n', json_type);
}

asio::awaitable<Response> Service::verify_audit(const Request& request, Recorder::Who)
{
    const auto finding = co_await recorder_.history().verify_audit();
    if (!finding) co_return http::problem(request, 503, "the audit log cannot be read: " + finding.error().message());
    nlohmann::ordered_json document{
        {"whole", !finding->breach}, {"entries", finding->head.number}, {"head", finding->head.hash}};
    if (finding->breach) document["breach"] = finding->breach->what;
    co_return http::json_response(200, document);
}

// --- The dashboard ---------------------------------------------------------------------------------------------------

asio::awaitable<Response> Service::dashboard(const Request& request, Recorder::Who who)
{
    DashboardView view{.title = settings_.title,
                       .user = who.user,
                       .base_url = settings_.url,
                       .now = Recorder::now(),
                       .refreshes = request.query("refresh") != "off"};
    auto versions = co_await chaos_->versions();
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
        const auto page =
            co_await recorder_.history().samples(board.id(*target), std::nullopt, checks_on_the_dashboard);
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
    response.set("Content-Security-Policy", dashboard_policy_);
    co_return response;
}

/// A browser is sent back to the dashboard, which tells what became of it; a program gets JSON.
asio::awaitable<Response> Service::chaos(const Request& request, Recorder::Who who)
{
    const std::string_view path = request.path;
    const Chaos::Deed deed = path == "/chaos/cpu"          ? Chaos::Deed::cpu
                             : path == "/chaos/corruption" ? Chaos::Deed::corruption
                             : path == "/crash"            ? Chaos::Deed::crash
                                                           : Chaos::Deed::reset;
    const bool from_form = request.header("Accept").find("text/html") != std::string_view::npos;
    const std::string user = who.user;
    auto plan = co_await chaos_->plan(deed);
    std::optional<http::Problem> wrong;
    std::string version, url;
    if (plan) {
        version = plan->version;
        url = plan->url;
        // The line is durable before anything is broken.
        AuditEntry entry{.at = Recorder::now(),
                         .user = std::move(who.user),
                         .address = std::move(who.address),
                         .action = fmt::format("chaos.{}", to_string(deed)),
                         .target = version,
                         .detail = "POST " + url};
        const auto written = co_await recorder_.audit(std::move(entry));
        if (written) {
            const auto done = co_await chaos_->act(*std::move(plan));
            if (!done) wrong = done.error();
        } else {
            wrong = written.error();
        }
    } else {
        wrong = plan.error();
    }
    if (from_form) {
        results_[user] = wrong
                             ? ActionResult{false, wrong->detail}
                             : ActionResult{true, fmt::format("{}: {} was sent to {}", to_string(deed), url, version)};
        Response response(303);
        response.set(field::location, "/");
        co_return response;
    }
    if (wrong) co_return http::problem(*wrong, request.id);
    co_return http::json_response(
        200, nlohmann::ordered_json{
                 {"status", "ok"}, {"action", to_string(deed)}, {"version", version}, {"sent", "POST " + url}});
}

} // namespace hotspare::monitor
