#include "balancer/control/admin.hpp"

#include "common/http/caller.hpp"
#include "common/text.hpp"
#include "common/time.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <variant>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hotspare::balancer {

/// What the pages hold for one connection until it ends.
struct Admin::Visit {
    Visit(Admin& owner, const Handover& handover)
        : admin(owner), descriptor(handover.descriptor), before(owner.visits_.fetch_add(1, std::memory_order_relaxed))
    {
    }
    ~Visit()
    {
        if (asks) admin.visits_.fetch_sub(1, std::memory_order_relaxed);
        if (descriptor >= 0) ::close(descriptor);
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    Admin& admin;
    int descriptor;           ///< until the server has it
    const std::size_t before; ///< visits_ without it
    bool asks = true;         ///< counted in visits_
};

namespace {

constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);

/// Of the places for pages, every fourth is kept for clients of this machine, so that a flood from elsewhere does not
/// lock the operator out.
constexpr std::size_t kept_for_loopback(std::size_t places)
{
    return places / 4;
}

/// Of an operator's request. Other requests have no body.
constexpr std::size_t longest_body = 8 * 1024;

/// Streams are ended at once when the balancer stops; a request in flight takes milliseconds.
constexpr Duration drain_grace = seconds(1);

/// How long an operator's request waits for the monitor, which needs less than a millisecond.
constexpr Duration monitor_patience = seconds(2);

/// Making the text of /metrics takes at most one part in so many of the pages' thread, however often it is asked for.
constexpr int metrics_share = 20;
/// But it is never older than this.
constexpr Duration metrics_age = milliseconds(250);

/// The path below which a route has the operator's end points.
std::string mount_of(const RouteConfig& route)
{
    std::string path = route.path.empty() ? route.prefix : route.path;
    if (path.ends_with('/')) path.pop_back();
    return path;
}

/// What the guard has to allow; nothing for what any caller may ask.
std::optional<http::Access> access_to(Builtin builtin)
{
    switch (builtin) {
    case Builtin::status:
    case Builtin::metrics: return http::Access::read;
    case Builtin::events:
    case Builtin::logs: return http::Access::stream;
    case Builtin::admin: return http::Access::operate;
    case Builtin::none:
    case Builtin::health:
    case Builtin::proxy_health: break;
    }
    return std::nullopt;
}

http::ServerOptions options_of(const Config& config)
{
    http::ServerOptions options;
    // The head is here already, and a body follows it at once.
    options.timeouts.header = seconds(1);
    options.timeouts.body = seconds(1);
    options.timeouts.write = seconds(10);
    options.timeouts.linger = milliseconds(250);
    options.limits.head = head_limits(config.limits);
    options.limits.body = longest_body;
    return options;
}

http::StreamLimits stream_limits(const DescriptorShares& shares)
{
    const std::size_t eighth = shares.streams / 8;
    return {.all = shares.streams, .per_address = std::max<std::size_t>(1, eighth), .kept_for_loopback = eighth};
}

/// Whether the server makes a stream of the connection: a request for a WebSocket may fail to ask for the upgrade.
bool becomes_stream(const http::Request& request, const http::Response& response)
{
    if (std::holds_alternative<http::WebSocket>(response.takeover)) return boost::beast::websocket::is_upgrade(request);
    return response.takeover.index() != 0;
}

/// Answers a request that is not read. On a worker's thread: nothing here waits.
void turn_away(int descriptor)
{
    static constexpr std::string_view request_id = "none"; // the request was not read
    auto response = http::problem({503, "too many requests for the balancer's own pages at once"}, request_id);
    response.version(11);
    response.set(http::field::connection, "close");
    response.set(http::field::retry_after, "1");
    response.set(http::field::date, format_http_date(std::chrono::system_clock::now()));
    response.content_length(response.body().size());
    const std::string text = http::serialize(response);
    // A few hundred bytes. They do not fit only if the client has not read earlier answers on the connection.
    (void)::send(descriptor, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)::shutdown(descriptor, SHUT_WR);
    // What is unread when a socket is closed makes the kernel send RST, which may overtake the answer.
    std::array<char, 4096> unread;
    for (int turn = 0; turn < 16; ++turn)
        if (::recv(descriptor, unread.data(), unread.size(), MSG_DONTWAIT) <= 0) break;
}

} // namespace

Admin::Admin(const Config& config, Monitor& monitor, std::vector<const WorkerCounters*> counters,
             const DescriptorShares& shares)
    : config_(config), monitor_(monitor),
      counters_(std::move(counters)), guard_{.hosts = config.admin_hosts, .origins = config.admin_origins},
      most_visits_(shares.pages), context_(1), work_(context_.get_executor()), ending_(context_),
      server_(context_, {}, options_of(config)), feed_({.limits = stream_limits(shares)})
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
        add(Builtin::admin, http::verb::get, mount.empty() ? "/" : mount, &Admin::manual);
        add(Builtin::admin, http::verb::post, mount + "/backends/{name}/drain", &Admin::drain);
        add(Builtin::admin, http::verb::post, mount + "/backends/{name}/maintenance", &Admin::maintenance);
        add(Builtin::admin, http::verb::post, mount + "/backends/{name}/enable", &Admin::enable);
        add(Builtin::admin, http::verb::post, mount + "/pools/{pool}/maintenance", &Admin::pool_maintenance);
        add(Builtin::admin, http::verb::post, mount + "/pools/{pool}/enable", &Admin::pool_enable);
        add(Builtin::admin, http::verb::post, mount + "/failover", &Admin::failover);
    }

    // What may wait here is bounded by the core, which damps what flaps.
    monitor_.subscribe_events([this](const ReportedEvent& event) {
        asio::post(context_, [this, event] {
            const auto kind = event.event.kind;
            feed_.append(std::string(to_string(kind)), to_json(event, config_),
                         fmt::format("{} {}", format_rfc3339(event.at), to_text(event, config_)));
            if (config_.log_traffic && (kind == Event::Kind::failover || kind == Event::Kind::failback))
                feed_.tell(fmt::format("Switching active target to: {}", config_.backends[*event.event.backend].url));
        });
    });
}

Admin::~Admin()
{
    stop();
}

void Admin::start()
{
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "pages");
        context_.run();
    });
}

void Admin::stop()
{
    if (!thread_.joinable()) return;
    asio::post(context_, [this] { ending_.spawn("end of the pages", end()); });
    thread_.join();
}

asio::awaitable<void> Admin::end()
{
    co_await server_.drain(drain_grace);
    work_.reset();
}

void Admin::end_streams()
{
    asio::post(context_, [this] { feed_.end_streams(); });
}

void Admin::adopt(Handover handover)
{
    const auto visit = std::make_shared<Visit>(*this, handover);
    const bool local = http::is_loopback(handover.client);
    const std::size_t room = local ? most_visits_ : most_visits_ - kept_for_loopback(most_visits_);
    if (visit->before >= room) {
        refused_.fetch_add(1, std::memory_order_relaxed);
        return turn_away(visit->descriptor);
    }
    asio::post(context_, [this, visit, handover = std::move(handover)]() mutable {
        const Builtin builtin = handover.builtin;
        server_.adopt(
            {.descriptor = std::exchange(visit->descriptor, -1),
             .already_read = std::move(handover.bytes),
             .peer = std::move(handover.client),
             .dispatch = [this, builtin, visit](http::Request& request) { return answer(builtin, request, visit); },
             .read_body = builtin == Builtin::admin && config_.admin});
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

void Admin::add(Builtin builtin, http::verb method, std::string path, Deed handler)
{
    routers_[builtin].add(method, std::move(path), http::Handler([this, handler](const http::Request& request) {
                              return (this->*handler)(request);
                          }));
}

asio::awaitable<http::Response> Admin::answer(Builtin builtin, http::Request& request, std::shared_ptr<Visit> visit)
{
    if (builtin == Builtin::admin && !config_.admin)
        co_return http::problem(request, 403,
                                "operators' requests are not accepted here: `admin: true` in the configuration, or "
                                "the flag --admin, enables them");
    if (const auto access = access_to(builtin)) {
        const auto refusal = http::refuse(http::caller_of(request), *access, guard_);
        if (refusal) co_return http::problem(*refusal, request.id);
    }
    const bool reads = request.method() == http::verb::get || request.method() == http::verb::head;
    if (request.body_unread && reads) co_return http::problem(request, 413, "this page takes no request body");
    auto response = co_await routers_[builtin].dispatch(request);
    // From here on its place among the streams counts, which it keeps for as long as its connection lives.
    if (becomes_stream(request, response) && std::exchange(visit->asks, false))
        visits_.fetch_sub(1, std::memory_order_relaxed);
    co_return response;
}

/// Of this moment.
Report Admin::report() const
{
    return {.config = config_,
            .snapshot = monitor_.snapshot(),
            .counters = counters_,
            .pages = {.connections = visits_.load(std::memory_order_relaxed),
                      .streams = feed_.open_streams(),
                      .refused = refused_.load(std::memory_order_relaxed)}};
}

// ------------------------------------------------------------------------------------------------------------ reading

http::Response Admin::health(const http::Request&)
{
    const Report known = report();
    const std::string trouble = known.trouble();
    const bool well = trouble.empty();
    const auto active = known.active();
    http::Json body{{"service", "balancer"},
                    {"status", !well                ? "unhealthy"
                               : known.fails_open() ? "degraded"
                                                    : "healthy"},
                    {"active", active ? http::Json(config_.backends[*active].name) : http::Json()}};
    if (!well) body["error"] = trouble;
    auto response = http::json_response(well ? 200 : 503, body);
    if (!well) response.set(http::field::retry_after, "1");
    return response;
}

http::Response Admin::status(const http::Request&)
{
    return http::json_response(200, report().status());
}

http::Response Admin::metrics(const http::Request&)
{
    const TimePoint now = Clock::now();
    if (now >= metrics_good_until_) {
        metrics_ = report().metrics();
        const TimePoint made = Clock::now();
        metrics_good_until_ = made + std::min<Duration>(metrics_age, metrics_share * (made - now));
    }
    return http::text_response(200, metrics_, metrics::Exposition::content_type);
}

http::Response Admin::proxy_health(const http::Request&)
{
    const Report known = report();
    const auto active = known.active();
    if (!active)
        return http::json_response(
            503,
            http::Json{{"active", nullptr}, {"url", nullptr}, {"status", "down"}, {"error", "no backend can answer"}});
    return http::json_response(200, http::Json{{"active", config_.backends[*active].name},
                                               {"url", config_.backends[*active].url},
                                               {"status", to_string(known.snapshot->backends[*active].state.status)}});
}

http::Response Admin::events(const http::Request& request)
{
    return feed_.events(request);
}

http::Response Admin::logs(const http::Request& request)
{
    return feed_.lines(request);
}

void Admin::tell(std::vector<std::string> lines)
{
    asio::post(context_, [this, lines = std::move(lines)] {
        for (const std::string& line : lines) feed_.tell(line);
    });
}

// ----------------------------------------------------------------------------------------------------------- operating

/// GET /admin: the operators' requests, as docs/admin.md describes them.
http::Response Admin::manual(const http::Request& request)
{
    std::string mount = request.path;
    if (mount.ends_with('/')) mount.pop_back();
    const auto row = [&mount](std::string_view path, std::string_view effect, http::Json body = {}) {
        return nlohmann::ordered_json{
            {"method", "POST"}, {"path", mount + std::string(path)}, {"body", std::move(body)}, {"effect", effect}};
    };
    const http::Json to{{"to", "NAME"}}, announced{{"until", "2026-12-01T04:00:00Z"}, {"message", "TEXT"}};
    nlohmann::ordered_json names = nlohmann::ordered_json::array(), pools = nlohmann::ordered_json::array();
    for (const BackendConfig& backend : config_.backends) names.push_back(backend.name);
    for (const PoolConfig& pool : config_.pools) pools.push_back(pool.name);
    return http::json_response(
        200,
        nlohmann::ordered_json{
            {"service", "balancer"},
            {"backends", std::move(names)},
            {"pools", std::move(pools)},
            {"requests",
             {row("/backends/{name}/drain", "no new requests; requests in flight and tunnels continue until they end"),
              row("/backends/{name}/maintenance",
                  "as drain, but shown as maintenance in /status, /metrics and /events; clients are told once it holds "
                  "for all of a pool; the body is optional",
                  announced),
              row("/backends/{name}/enable",
                  "ends drain, maintenance and quarantine, and resets the flap count: the status is what probes say"),
              row("/pools/{pool}/maintenance",
                  "maintenance for every backend of the pool in one step; the body is optional", announced),
              row("/pools/{pool}/enable", "enable for every backend of the pool in one step"),
              row("/failover",
                  "makes an available backend active in every pool of policy failover, while it stays available; "
                  "{\"to\": null} returns to the configured order",
                  to)}},
            {"safe_to_stop", "a backend whose requests_in_flight in /status is 0 while it is draining or in "
                             "maintenance"},
            {"lifetime", "until the balancer restarts: nothing of it is stored"}});
}

asio::awaitable<http::Response> Admin::drain(const http::Request& request)
{
    return operate_backend(request, OperatorWord::drain);
}
asio::awaitable<http::Response> Admin::maintenance(const http::Request& request)
{
    return operate_backend(request, OperatorWord::maintenance);
}
asio::awaitable<http::Response> Admin::enable(const http::Request& request)
{
    return operate_backend(request, OperatorWord::enable);
}
asio::awaitable<http::Response> Admin::pool_maintenance(const http::Request& request)
{
    return operate_pool(request, OperatorWord::maintenance);
}
asio::awaitable<http::Response> Admin::pool_enable(const http::Request& request)
{
    return operate_pool(request, OperatorWord::enable);
}

std::optional<BackendIndex> Admin::find_backend(std::string_view name) const
{
    for (std::size_t i = 0; i < config_.backends.size(); ++i)
        if (config_.backends[i].name == name) return static_cast<BackendIndex>(i);
    return std::nullopt;
}

std::optional<PoolIndex> Admin::find_pool(std::string_view name) const
{
    for (std::size_t i = 0; i < config_.pools.size(); ++i)
        if (config_.pools[i].name == name) return static_cast<PoolIndex>(i);
    return std::nullopt;
}

std::string Admin::pool_names() const
{
    std::string names;
    for (const PoolConfig& pool : config_.pools) names += (names.empty() ? "" : ", ") + pool.name;
    return names;
}

std::string Admin::backend_names() const
{
    std::string names;
    for (const BackendConfig& backend : config_.backends) names += (names.empty() ? "" : ", ") + backend.name;
    return names;
}

/// Has the monitor's thread do something and waits for it. False if that took too long: it is done then later, or
/// never if the balancer stops.
asio::awaitable<bool> Admin::on_monitor(std::function<void()> deed)
{
    const auto done = std::make_shared<bool>(false); // of this thread
    const auto wake = std::make_shared<asio::steady_timer>(context_, monitor_patience);
    auto tell = [done, weak = std::weak_ptr(wake)] {
        *done = true;
        if (const auto timer = weak.lock()) timer->cancel();
    };
    auto work = [this, deed = std::move(deed), tell = std::move(tell)]() mutable {
        deed();
        asio::post(context_, std::move(tell));
    };
    asio::post(monitor_.context(), std::move(work));
    co_await wake->async_wait(no_throw);
    co_return *done;
}

namespace {

http::Problem wrong_target(unsigned status, std::string detail)
{
    return {status, std::move(detail), {{"field", "to"}}};
}

http::Problem wrong_announcement(const std::string& field, std::string_view what)
{
    const std::string shown = shortened(field, 64);
    return {422, fmt::format("the field '{}' {}", shown, what), {{"field", shown}}};
}

/// What the body of a request for maintenance announces; there may be none.
boost::system::result<Maintenance, http::Problem> read_announcement(std::string_view text, WallTime now)
{
    Maintenance announced;
    if (text.empty()) return announced;
    const auto body = http::parse_json(text);
    if (!body) return body.error();
    if (!body->is_object()) return http::Problem{422, "the body is not an object with 'until' and 'message'"};
    for (const auto& [field, value] : body->items()) {
        if (field != "until" && field != "message")
            return wrong_announcement(field, "is unknown, expected 'until' and 'message'");
        if (!value.is_string()) return wrong_announcement(field, "is not a string");
        const auto& content = value.get_ref<const std::string&>();
        if (field == "until") {
            const auto until = parse_rfc3339(content);
            if (!until) return wrong_announcement(field, "is not a time by RFC 3339: " + until.error());
            announced.until = WallTime(*until);
            if (*announced.until <= now) return wrong_announcement(field, "lies in the past");
        } else {
            if (content.size() > Maintenance::longest_message)
                return wrong_announcement(
                    field, fmt::format("is longer than {} bytes of UTF-8", Maintenance::longest_message));
            if (has_control_character(content)) return wrong_announcement(field, "is not one line of text");
            if (!is_blank(content)) announced.message = content;
        }
    }
    return announced;
}

http::Response not_done(const http::Request& request)
{
    auto response = http::problem(
        request, 503, "the monitor has not taken the request in time; it may still take effect, see /status");
    response.set(http::field::retry_after, "1");
    return response;
}

} // namespace

asio::awaitable<http::Response> Admin::operate_backend(const http::Request& request, OperatorWord word)
{
    const std::string& name = request.parameter("name");
    const auto backend = find_backend(name);
    if (!backend)
        co_return http::problem(request, 404,
                                fmt::format("there is no backend '{}', expected one of {}", name, backend_names()));
    std::vector<BackendIndex> backends{*backend};
    auto failure = co_await operate(request, std::move(backends), word);
    if (failure) co_return std::move(*failure);
    co_return http::json_response(200, report().backend(*backend));
}

asio::awaitable<http::Response> Admin::operate_pool(const http::Request& request, OperatorWord word)
{
    const std::string& name = request.parameter("pool");
    const auto pool = find_pool(name);
    if (!pool)
        co_return http::problem(request, 404,
                                fmt::format("there is no pool '{}', expected one of {}", name, pool_names()));
    std::vector<BackendIndex> backends = config_.pools[*pool].backends;
    auto failure = co_await operate(request, std::move(backends), word);
    if (failure) co_return std::move(*failure);
    co_return http::json_response(200, report().pool(*pool));
}

/// Has the monitor take the word for all of `backends` in one step. Nothing, or the answer that says why it did not.
asio::awaitable<std::optional<http::Response>> Admin::operate(const http::Request& request,
                                                              std::vector<BackendIndex> backends, OperatorWord word)
{
    Maintenance announced;
    if (word == OperatorWord::maintenance) {
        auto read = read_announcement(request.body(), std::chrono::system_clock::now());
        if (!read) co_return http::problem(read.error(), request.id);
        announced = std::move(*read);
    }
    std::function<void()> deed = [this, backends = std::move(backends), word, announced = std::move(announced)] {
        monitor_.operate(backends, word, announced);
    };
    const bool done = co_await on_monitor(std::move(deed));
    if (!done) co_return not_done(request);
    co_return std::nullopt;
}

/// The backend that the body of POST /failover names; none for the configured order.
boost::system::result<std::optional<BackendIndex>, http::Problem> Admin::failover_target(std::string_view text) const
{
    const auto body = http::parse_json(text);
    if (!body) return body.error();
    const auto expected = fmt::format("expected one of {}, or null for the configured order", backend_names());
    if (!body->is_object() || !body->contains("to")) return wrong_target(422, "the field 'to' is missing, " + expected);
    const http::Json& to = body->at("to");
    if (to.is_null()) return std::optional<BackendIndex>();
    if (!to.is_string()) return wrong_target(422, "the field 'to' is not a string, " + expected);
    const auto& name = to.get_ref<const std::string&>();
    const auto target = find_backend(name);
    if (!target) return wrong_target(422, fmt::format("the field 'to' names no backend: '{}', {}", name, expected));
    return target;
}

asio::awaitable<http::Response> Admin::failover(const http::Request& request)
{
    const auto target = failover_target(request.body());
    if (!target) co_return http::problem(target.error(), request.id);
    const auto refusal = std::make_shared<std::string>(); // written before on_monitor() completes, read after
    std::function<void()> deed = [this, to = *target, refusal] {
        if (!to) return monitor_.prefer_configured();
        if (auto moved = monitor_.prefer(*to); !moved) *refusal = std::move(moved.error());
    };
    const bool done = co_await on_monitor(std::move(deed));
    if (!done) co_return not_done(request);
    if (!refusal->empty()) co_return http::problem(wrong_target(409, *refusal), request.id);
    co_return pools();
}

http::Response Admin::pools() const
{
    const Report known = report();
    const auto active = known.active();
    http::Json pools = http::Json::array();
    for (std::size_t p = 0; p < config_.pools.size(); ++p) pools.push_back(known.pool(static_cast<PoolIndex>(p)));
    return http::json_response(
        200, http::Json{{"active", active ? http::Json(config_.backends[*active].name) : http::Json()},
                        {"pools", std::move(pools)}});
}

} // namespace hotspare::balancer
