#include "balancer/admin.hpp"

#include <boost/asio/post.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace hotspare::balancer {
namespace {

/// Event streams that may be open at once: each costs a descriptor and up to a backlog of memory.
constexpr std::size_t max_streams = 256;

/// What a reader gets who does not say what it has seen already: enough to know where things stand.
constexpr std::size_t recent_events = 16;

/// Streams are ended at once when the balancer stops; a request in flight takes milliseconds.
constexpr Duration drain_grace = seconds(1);

/// The path below which a route has the operator's end points.
std::string mount_of(const RouteConfig& route)
{
    std::string path = route.path.empty() ? route.prefix : route.path;
    if (path.ends_with('/')) path.pop_back();
    return path;
}

/// Whether a Host field (host [":" port]) means this machine, in a way that no name server has a say in.
bool means_this_machine(std::string_view field, const std::vector<std::string>& more_names)
{
    const std::size_t end = field.starts_with('[') ? field.find(']') : std::min(field.find(':'), field.size());
    if (end == std::string_view::npos) return false;
    std::string host(field.starts_with('[') ? field.substr(1, end - 1) : field.substr(0, end));
    std::transform(host.begin(), host.end(), host.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    error_code error;
    const auto address = asio::ip::make_address(host, error);
    if (!error && address.is_loopback()) return true;
    return host == "localhost" || std::find(more_names.begin(), more_names.end(), host) != more_names.end();
}

/// Names the operator's request that the caller may not make; empty if it may.
std::string forbidden(const http::Request& request, const Config& config)
{
    if (!request.peer.address().is_loopback()) return "the operator's requests are only taken from this machine";
    // A proxy on this machine makes everybody's requests look local.
    for (const auto field : {"X-Forwarded-For", "Forwarded", "Via"})
        if (!request.header(field).empty()) return "the operator's requests are not taken through a proxy";
    // A page whose own name is made to resolve to this machine (DNS rebinding) is of the same origin as we are.
    if (!means_this_machine(request.header("Host"), config.admin_hosts))
        return fmt::format("the operator's requests are only taken for a loopback name or address or one of "
                           "`admin_hosts`, not for Host '{}'",
                           request.header("Host"));
    // A web page from anywhere can make the operator's browser send requests here.
    const std::string_view origin = request.header("Origin");
    if (!origin.empty() && !origin.ends_with(fmt::format("//{}", request.header("Host"))))
        return "the operator's requests are not taken from other sites' pages";
    return {};
}

} // namespace

Admin::Admin(const Config& config, Monitor& monitor, std::vector<const WorkerCounters*> counters)
    : config_(config), monitor_(monitor), counters_(std::move(counters)), report_{config, monitor, counters_},
      server_(monitor.context(), {})
{
    add_page(Builtin::health, &Admin::health);
    add_page(Builtin::status, &Admin::status);
    add_page(Builtin::metrics, &Admin::metrics);
    add_page(Builtin::events, &Admin::events);
    add_page(Builtin::logs, &Admin::logs);
    add_page(Builtin::proxy_health, &Admin::proxy_health);
    std::set<std::string> mounts;
    for (const RouteConfig& route : config.routes)
        if (route.builtin == Builtin::admin) mounts.insert(mount_of(route));
    for (const std::string& mount : mounts) {
        add(Builtin::admin, http::verb::post, mount + "/backends/{name}/drain", &Admin::drain);
        add(Builtin::admin, http::verb::post, mount + "/backends/{name}/maintenance", &Admin::maintenance);
        add(Builtin::admin, http::verb::post, mount + "/backends/{name}/enable", &Admin::enable);
        add(Builtin::admin, http::verb::post, mount + "/failover", &Admin::failover);
    }

    monitor_.events().listen([this](const LogEntry& entry) { publish(entry); });
    monitor_.before_stop([this] { return server_.drain(drain_grace); });
}

void Admin::adopt(Handover handover)
{
    asio::post(monitor_.context(), [this, handover = std::move(handover)]() mutable {
        server_.adopt(handover.descriptor, handover.protocol, std::move(handover.bytes),
                      [this, builtin = handover.builtin](http::Request& request) { return answer(builtin, request); });
    });
}

// ------------------------------------------------------------------------------------------------------------ routing

/// The worker has matched the path already: whatever it is, this is the page for it.
void Admin::add_page(Builtin builtin, Answer page)
{
    add(builtin, http::verb::get, "/", page);
    add(builtin, http::verb::get, "/{path...}", page);
}

void Admin::add(Builtin builtin, http::verb method, std::string path, Answer handler)
{
    routers_[builtin].add(method, std::move(path),
                          [this, handler](const http::Request& request) { return (this->*handler)(request); });
}

asio::awaitable<http::Response> Admin::answer(Builtin builtin, http::Request& request)
{
    if (builtin == Builtin::admin) {
        auto why = forbidden(request, config_);
        if (!why.empty()) co_return http::problem(request, 403, std::move(why));
    }
    co_return co_await routers_[builtin].dispatch(request);
}

// ------------------------------------------------------------------------------------------------------------ reading

http::Response Admin::health(const http::Request&)
{
    const std::string trouble = report_.trouble();
    const bool well = trouble.empty();
    const auto active = report_.active();
    http::Json body{{"service", "balancer"},
                    {"status", !well                  ? "unhealthy"
                               : report_.fails_open() ? "degraded"
                                                      : "healthy"},
                    {"active", active ? http::Json(config_.backends[*active].name) : http::Json()}};
    if (!well) body["error"] = trouble;
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
