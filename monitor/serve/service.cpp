#include "monitor/serve/service.hpp"

#include "common/http/caller.hpp"
#include "common/http/precondition.hpp"
#include "common/json_document.hpp"
#include "common/log.hpp"
#include "common/metrics.hpp"
#include "common/time.hpp"
#include "common/version.hpp"
#include "monitor/notify/wording.hpp"
#include "monitor/pages/badge_svg.hpp"
#include "monitor/pages/banner_script.hpp"
#include "monitor/pages/calendar_ics.hpp"
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
#include "monitor/serve/answers.hpp"
#include "monitor/serve/metrics.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {
namespace {

using http::field;
using http::Request;
using http::Response;
using http::verb;

constexpr std::size_t longest_push_message = 200;

http::ServerOptions options_of(const MonitorSettings&)
{
    http::ServerOptions options;
    options.limits.body = 64 * 1024; // a window's message has 16 KiB
    return options;
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
      documents_(context, [this] { return recorder_.board().view(Recorder::now()); }), windows_(recorder, documents_),
      status_policy_(policy_for(status_style())), audits_(context),
      server_(
          context, [this](Request& request) { return routes_.dispatch(request); }, options_of(settings)),
      ending_(context)
{
    const auto balancer = std::find_if(settings.targets.begin(), settings.targets.end(),
                                       [&](const TargetSettings& one) { return one.name == settings.dashboard; });
    if (balancer != settings.targets.end()) dashboard_.emplace(context, settings, *balancer, recorder);
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

template <class Owner> void Service::add_public(verb method, std::string pattern, Owner& owner, Answer<Owner> answer)
{
    Respond respond = [&owner, answer](const Request& request) { return (owner.*answer)(request); };
    routes_.add(method, std::move(pattern), http::Handler([this, respond = std::move(respond)](const Request& request) {
                    return settings_.public_pages ? respond(request) : enter_to_read(request, respond);
                }));
}

template <class Owner>
void Service::add_private(verb method, std::string pattern, Owner& owner, AnswerToUser<Owner> answer)
{
    RespondToUser respond = [&owner, answer](const Request& request, Recorder::Who who) {
        return (owner.*answer)(request, std::move(who));
    };
    routes_.add(method, std::move(pattern), http::Handler([this, respond = std::move(respond)](const Request& request) {
                    return enter_and(request, respond);
                }));
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
    add_public(verb::get, "/badge/{target...}", *this, &Service::badge);

    add_public(verb::get, "/maintenance/{id}", windows_, &WindowRoutes::get);
    add_public(verb::get, "/uptime", *this, &Service::uptime);
    add_public(verb::get, "/incidents", *this, &Service::incidents);
    add_public(verb::get, "/targets", *this, &Service::targets);
    add_public(verb::get, "/health_status", *this, &Service::health_status);
    add_public(verb::get, "/history", *this, &Service::history);
    add_public(verb::get, "/events", *this, &Service::events);

    add_private(verb::post, "/maintenance", windows_, &WindowRoutes::announce);
    add_private(verb::patch, "/maintenance/{id}", windows_, &WindowRoutes::change);
    add_private(verb::delete_, "/maintenance/{id}", windows_, &WindowRoutes::cancel);
    add_private(verb::post, "/incidents", *this, &Service::post_update);
    add_private(verb::get, "/audit", *this, &Service::audit);
    add_private(verb::get, "/audit/verification", *this, &Service::verify_audit);
    if (!dashboard_) {
        add_public(verb::get, "/", *this, &Service::root);
        return;
    }
    add_private(verb::get, "/", *dashboard_, &DashboardRoutes::show);
    add_private(verb::post, "/chaos/cpu", *dashboard_, &DashboardRoutes::act);
    add_private(verb::post, "/chaos/corruption", *dashboard_, &DashboardRoutes::act);
    add_private(verb::post, "/chaos/reset", *dashboard_, &DashboardRoutes::act);
    add_private(verb::post, "/crash", *dashboard_, &DashboardRoutes::act);
}

asio::awaitable<Response> Service::enter_and(const Request& request, const RespondToUser& respond)
{
    if (settings_.users.empty())
        co_return http::problem(request, 403, "no users are configured: `users` says who may do this");
    // Before the credentials: a browser attaches them to whatever a page of another origin makes it send.
    if (const auto problem = http::refuse(http::caller_of(request), http::Access::work, guard_))
        co_return http::problem(*problem, request.id);
    auto entry = co_await authenticator_.enter(request, Clock::now());
    if (entry.refusal) co_return *std::move(entry.refusal);
    Recorder::Who who{std::move(entry.user), request.peer.address().to_string()};
    co_return co_await respond(request, std::move(who));
}

asio::awaitable<std::optional<Response>> Service::turn_away(const Request& request)
{
    if (const auto problem = http::refuse(http::caller_of(request), http::Access::stream, guard_))
        co_return http::problem(*problem, request.id);
    auto entry = co_await authenticator_.enter(request, Clock::now());
    co_return std::move(entry.refusal);
}

asio::awaitable<Response> Service::enter_to_read(const Request& request, const Respond& respond)
{
    auto refusal = co_await turn_away(request);
    if (refusal) co_return *std::move(refusal);
    co_return co_await respond(request);
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
    const std::string name = board.present(*target).name;
    SampleQuery query{
        .target = board.id(*target), .from = filter->from, .before = filter->before, .most = filter->most};
    const auto page = co_await recorder_.history().samples(std::move(query));
    if (!page) co_return http::problem(request, 503, "the history cannot be read: " + page.error().message());
    co_return http::text_response(200, samples_json(name, *page) + '\n', json_type);
}

asio::awaitable<Response> Service::events(const Request& request)
{
    if (const auto problem = http::refuse(http::caller_of(request), http::Access::stream, guard_))
        co_return http::problem(*problem, request.id);
    co_return feed_.events(request);
}

asio::awaitable<Response> Service::metrics(const Request&)
{
    const auto sizes = co_await recorder_.history().sizes();
    co_return http::text_response(200, metrics_text(settings_, recorder_, pools_, overall(), sizes),
                                  metrics::Exposition::content_type);
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

// --- Operators -------------------------------------------------------------------------------------------------------

asio::awaitable<Response> Service::post_update(const Request& request, Recorder::Who who)
{
    http::Json document;
    if (auto wrong = read_json(request, document)) co_return *std::move(wrong);
    auto update = read_incident_update(document);
    if (!update) co_return refused(request, update.error());
    const auto name = request.query("target");
    if (!name) co_return http::problem(request, 404, "there is no such target", {{"field", "target"}});
    std::string target(*name);
    const auto posted =
        co_await recorder_.post(std::move(target), update->status, std::move(update->message), std::move(who));
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

} // namespace hotspare::monitor
