#include "balancer/admin.hpp"

#include <boost/asio/post.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::balancer {
namespace {

/// Event streams that may be open at once: each costs a descriptor and up to a backlog of memory.
constexpr std::size_t max_streams = 256;

/// What a reader gets who does not say what it has seen already: enough to know where things stand.
constexpr std::size_t recent_events = 16;

/// Streams are ended at once when the balancer stops; a request in flight takes milliseconds.
constexpr Duration drain_grace = seconds(1);

/// Names the operator's request that the caller may not make; empty if it may.
std::string forbidden(const http::Request& request)
{
    if (!request.peer.address().is_loopback()) return "the operator's requests are only taken from this machine";
    // A proxy on this machine makes everybody's requests look local.
    for (const auto field : {"X-Forwarded-For", "Forwarded", "Via"})
        if (!request.header(field).empty()) return "the operator's requests are not taken through a proxy";
    // A web page from anywhere can make the operator's browser send requests here.
    const std::string_view origin = request.header("Origin");
    if (!origin.empty() && !origin.ends_with(fmt::format("//{}", request.header("Host"))))
        return "the operator's requests are not taken from other sites' pages";
    return {};
}

} // namespace

Admin::Admin(const Config& config, Monitor& monitor, std::vector<const WorkerCounters*> counters)
    : config_(config), monitor_(monitor), counters_(std::move(counters)), report_{config, monitor, counters_},
      server_(monitor.context(), [this](http::Request& request) { return dispatch(request); })
{
    // The workers' rule (RouteTable): exact paths before prefixes, long prefixes before short ones.
    std::vector<RouteConfig> routes;
    for (const RouteConfig& route : config.routes)
        if (route.builtin != Builtin::none) routes.push_back(route);
    std::stable_sort(routes.begin(), routes.end(), [](const RouteConfig& a, const RouteConfig& b) {
        return std::pair(a.path.empty(), b.prefix.size()) < std::pair(b.path.empty(), a.prefix.size());
    });
    for (const RouteConfig& route : routes) mount(route);

    monitor_.events().listen([this](const LogEntry& entry) { publish(entry); });
    monitor_.before_stop([this] { return server_.drain(drain_grace); });
}

void Admin::adopt(Handover handover)
{
    asio::post(monitor_.context(), [this, handover = std::move(handover)]() mutable {
        server_.adopt(handover.descriptor, handover.protocol, std::move(handover.bytes));
    });
}

// ------------------------------------------------------------------------------------------------------------ routing

void Admin::mount(const RouteConfig& route)
{
    const bool exact = !route.path.empty();
    std::string path = exact ? route.path : route.prefix;
    if (!exact && path.ends_with('/')) path.pop_back();

    const auto get = [&](Answer answer) {
        add(http::verb::get, path.empty() ? "/" : path, answer);
        if (!exact) add(http::verb::get, path + "/{rest...}", answer);
    };
    switch (route.builtin) {
    case Builtin::none: break;
    case Builtin::health: get(&Admin::health); break;
    case Builtin::status: get(&Admin::status); break;
    case Builtin::metrics: get(&Admin::metrics); break;
    case Builtin::events: get(&Admin::events); break;
    case Builtin::logs: get(&Admin::logs); break;
    case Builtin::proxy_health: get(&Admin::proxy_health); break;
    case Builtin::admin:
        admin_prefixes_.push_back(path);
        add(http::verb::post, path + "/backends/{name}/drain", &Admin::drain);
        add(http::verb::post, path + "/backends/{name}/maintenance", &Admin::maintenance);
        add(http::verb::post, path + "/backends/{name}/enable", &Admin::enable);
        add(http::verb::post, path + "/failover", &Admin::failover);
        break;
    }
}

void Admin::add(http::verb method, std::string path, Answer answer)
{
    router_.add(method, std::move(path),
                [this, answer](const http::Request& request) { return (this->*answer)(request); });
}

asio::awaitable<http::Response> Admin::dispatch(http::Request& request)
{
    // Decoded, as the router compares it.
    const std::string path = http::percent_decode(request.path).value_or(request.path);
    const bool operators =
        std::any_of(admin_prefixes_.begin(), admin_prefixes_.end(), [&path](const std::string& prefix) {
            return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
        });
    if (operators) {
        auto why = forbidden(request);
        if (!why.empty()) co_return http::problem(request, 403, std::move(why));
    }
    co_return co_await router_.dispatch(request);
}

// ------------------------------------------------------------------------------------------------------------ reading

http::Response Admin::health(const http::Request&)
{
    const bool well = report_.can_answer();
    const auto active = report_.active();
    http::Json body{{"service", "balancer"},
                    {"status", !well                  ? "unhealthy"
                               : report_.fails_open() ? "degraded"
                                                      : "healthy"},
                    {"active", active ? http::Json(config_.backends[*active].name) : http::Json()}};
    if (!well) body["error"] = "no backend can answer";
    auto response = http::json_response(well ? 200 : 503, body);
    if (!well) response.set(http::field::retry_after, "1");
    return response;
}

http::Response Admin::status(const http::Request&)
{
    return http::json_response(200, report_.status());
}

http::Response Admin::metrics(const http::Request&)
{
    return http::text_response(200, report_.metrics(), metrics::Exposition::content_type);
}

http::Response Admin::proxy_health(const http::Request&)
{
    const auto active = report_.active();
    if (!active)
        return http::json_response(
            503, {{"active", nullptr}, {"url", nullptr}, {"status", "down"}, {"error", "no backend can answer"}});
    return http::json_response(200, {{"active", config_.backends[*active].name},
                                     {"url", config_.backends[*active].url},
                                     {"status", to_string(monitor_.failover().backend(*active).status)}});
}

http::Response Admin::events(const http::Request& request)
{
    if (!room_for_stream()) return http::problem(request, 503, "too many event streams are open");
    // The header is what a browser sends when it reconnects, the parameter what a person can type.
    std::string last(request.header("Last-Event-ID"));
    if (last.empty()) last = request.query("last_event_id").value_or("");
    return http::EventStream{[this, last = std::move(last)](std::shared_ptr<http::Outbox> outbox) {
        const auto& log = monitor_.events();
        subscribe(StreamKind::events, std::move(outbox), last.empty() ? log.latest(recent_events) : log.after(last));
    }};
}

http::Response Admin::logs(const http::Request& request)
{
    if (!room_for_stream()) return http::problem(request, 503, "too many event streams are open");
    return http::WebSocket{.open =
                               [this](std::shared_ptr<http::Outbox> outbox) {
                                   subscribe(StreamKind::logs, std::move(outbox),
                                             monitor_.events().latest(recent_events));
                               },
                           .on_message = {}};
}

bool Admin::room_for_stream()
{
    std::erase_if(subscribers_, [](const Subscriber& s) { return s.outbox->closed(); });
    return subscribers_.size() < max_streams;
}

namespace {

std::string formatted(const LogEntry& entry, bool as_event)
{
    return as_event ? http::format_event(entry.id, entry.kind, entry.json) : entry.text;
}

} // namespace

void Admin::subscribe(StreamKind kind, std::shared_ptr<http::Outbox> outbox, const std::vector<const LogEntry*>& missed)
{
    for (const LogEntry* entry : missed)
        if (!outbox->send(formatted(*entry, kind == StreamKind::events))) return;
    subscribers_.push_back({kind, std::move(outbox)});
}

void Admin::publish(const LogEntry& entry)
{
    std::erase_if(subscribers_, [&entry](const Subscriber& s) {
        return !s.outbox->send(formatted(entry, s.kind == StreamKind::events));
    });
}

// ----------------------------------------------------------------------------------------------------------- operating

http::Response Admin::drain(const http::Request& request)
{
    return operate(request, OperatorWord::drain);
}
http::Response Admin::maintenance(const http::Request& request)
{
    return operate(request, OperatorWord::maintenance);
}
http::Response Admin::enable(const http::Request& request)
{
    return operate(request, OperatorWord::enable);
}

std::optional<BackendIndex> Admin::find_backend(std::string_view name) const
{
    for (std::size_t i = 0; i < config_.backends.size(); ++i)
        if (config_.backends[i].name == name) return static_cast<BackendIndex>(i);
    return std::nullopt;
}

std::string Admin::backend_names() const
{
    std::string names;
    for (const BackendConfig& backend : config_.backends) names += (names.empty() ? "" : ", ") + backend.name;
    return names;
}

http::Response Admin::operate(const http::Request& request, OperatorWord word)
{
    const std::string& name = request.parameter("name");
    const auto backend = find_backend(name);
    if (!backend)
        return http::problem(request, 404,
                             fmt::format("there is no backend '{}', expected one of {}", name, backend_names()));
    monitor_.operate(*backend, word);
    return http::json_response(200, report_.backend(*backend));
}

http::Response Admin::failover(const http::Request& request)
{
    const auto body = http::parse_json(request.body());
    if (!body) return http::problem(body.error(), request.id);
    const auto invalid = [&](std::string detail) {
        return http::problem(request, 422, std::move(detail), {{"field", "to"}});
    };
    const auto expected = fmt::format("expected one of {}, or null for the configured order", backend_names());
    if (!body->is_object() || !body->contains("to")) return invalid("the field 'to' is missing, " + expected);
    const http::Json& to = body->at("to");

    if (to.is_null()) {
        monitor_.prefer_configured();
    } else if (!to.is_string()) {
        return invalid("the field 'to' is not a string, " + expected);
    } else {
        const auto& name = to.get_ref<const std::string&>();
        const auto target = find_backend(name);
        if (!target) return invalid(fmt::format("the field 'to' names no backend: '{}', {}", name, expected));
        const auto moved = monitor_.prefer(*target);
        if (!moved) return http::problem(request, 409, moved.error(), {{"field", "to"}});
    }
    const auto active = report_.active();
    http::Json pools = http::Json::array();
    for (std::size_t p = 0; p < config_.pools.size(); ++p) pools.push_back(report_.pool(static_cast<PoolIndex>(p)));
    return http::json_response(200, {{"active", active ? http::Json(config_.backends[*active].name) : http::Json()},
                                     {"pools", std::move(pools)}});
}

} // namespace hotspare::balancer
