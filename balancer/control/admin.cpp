#include "balancer/control/admin.hpp"

#include "balancer/control/change_requests.hpp"
#include "common/config.hpp"
#include "common/http/caller.hpp"
#include "common/http/grammar.hpp"
#include "common/http/precondition.hpp"
#include "common/sha256.hpp"
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
#include <utility>
#include <variant>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hotspare::balancer {

/// What the pages hold for one connection until it ends.
struct Admin::Visit {
    Visit(Admin& owner, const Handover& handover)
        : admin(owner), descriptor(handover.descriptor), proxied(handover.proxied),
          before(owner.visits_.fetch_add(1, std::memory_order_relaxed))
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
    const bool proxied;       ///< Handover::proxied
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

/// Of an operator's request: as many backends as there may be, with long names. Other requests have no body.
constexpr std::size_t longest_body = 64 * 1024;

/// Streams are ended at once when the balancer stops; a request in flight takes milliseconds.
constexpr Duration drain_grace = seconds(1);

/// How long an operator's request waits for the monitor, which needs less than a millisecond.
constexpr Duration monitor_patience = seconds(2);

/// How long a request may wait until a backend is drained, and how often is looked.
constexpr Duration longest_drain_wait = std::chrono::minutes(10);
constexpr Duration drain_look = milliseconds(20);

/// A disk may be slow.
constexpr Duration reload_patience = seconds(10);

/// Making the text of /metrics takes at most one part in so many of the pages' thread, however often it is asked for.
constexpr int metrics_share = 20;
/// But it is never older than this.
constexpr Duration metrics_age = milliseconds(250);

/// Where the operators' own port has their end points.
const std::string operators_mount = "/admin";
/// Connections to it at once.
constexpr std::size_t most_operators = 64;

const std::string listen_flag = "admin-listen";

/// Under which a Unix socket is handed down: of another path it is another one. A name has no ':' (sd_listen_fds(3)).
std::string socket_name(std::string path)
{
    std::replace(path.begin(), path.end(), ':', '_');
    return listen_flag + " " + path;
}

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

/// Of connections that no worker has read from.
http::ServerOptions operators_options(const Config& config)
{
    http::ServerOptions options;
    options.limits.head = head_limits(config.limits);
    options.limits.body = longest_body;
    options.limits.connections = most_operators;
    return options;
}

/// The page that the operators' own port has at a path.
std::optional<Builtin> page_at(std::string_view path)
{
    if (path == operators_mount || path.starts_with(operators_mount + "/")) return Builtin::admin;
    if (path == "/health") return Builtin::health;
    if (path == "/status") return Builtin::status;
    if (path == "/metrics") return Builtin::metrics;
    if (path == "/events") return Builtin::events;
    if (path == "/logs") return Builtin::logs;
    if (path == "/proxy/health") return Builtin::proxy_health;
    return std::nullopt;
}

/// Whether the request carries the token (RFC 6750 §2.1). The digests are compared: how long that takes says nothing
/// about the token.
bool has_token(const http::Request& request, std::string_view token)
{
    constexpr std::string_view scheme = "Bearer ";
    const std::string_view credentials = request.header("Authorization");
    return credentials.size() > scheme.size() &&
           http::equals_ignoring_case(credentials.substr(0, scheme.size()), scheme) &&
           sha256(credentials.substr(scheme.size())) == sha256(token);
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

Admin::Admin(const Config& config, Monitor& monitor, Changes& changes, Reload reload, Upgrade upgrade,
             std::vector<const WorkerCounters*> counters, const ConnectionLimits& limits,
             const DescriptorShares& shares)
    : config_(config), monitor_(monitor), changes_(changes), reload_(std::move(reload)), upgrade_(std::move(upgrade)),
      counters_(std::move(counters)),
      limits_(limits), guard_{.hosts = config.admin_hosts, .origins = config.admin_origins}, most_visits_(shares.pages),
      context_(1), work_(context_.get_executor()), ending_(context_), server_(context_, {}, options_of(config)),
      feed_({.limits = stream_limits(shares)}),
      operators_(
          context_, [this](http::Request& request) { return answer_operator(request, Door::own_port); },
          operators_options(config)),
      operators_routers_(make_routers({operators_mount}))
{
    // What may wait here is bounded by the core, which damps what flaps.
    monitor_.subscribe_events([this](const ReportedEvent& event) {
        asio::post(context_, [this, event] {
            const auto kind = event.event.kind;
            feed_.append(std::string(to_string(kind)), to_json(event),
                         fmt::format("{} {}", format_rfc3339(event.at), to_text(event)));
            if (config_.log_traffic && (kind == Event::Kind::failover || kind == Event::Kind::failback))
                feed_.tell(fmt::format("Switching active target to: {}", event.url));
        });
    });
}

Admin::~Admin()
{
    stop();
}

void Admin::listen()
{
    const OperatorListen& where = config_.admin_listen;
    if (!where.host.empty()) http::listen(operators_, where.host, where.port, listen_flag);
    if (where.socket.empty()) return;
    const http::Dispatch dispatch = [this](http::Request& request) {
        return answer_operator(request, Door::own_socket);
    };
    auto inherited = process::take_inherited(socket_name(where.socket), {});
    if (inherited.empty())
        operators_socket_.emplace(context_, operators_, where.socket, dispatch);
    else
        operators_socket_.emplace(context_, operators_, where.socket, dispatch, std::move(inherited.front()));
}

std::vector<process::HandedDown> Admin::listening_sockets()
{
    std::vector<process::HandedDown> out;
    for (const int socket : operators_.listening_sockets()) out.push_back({listen_flag, socket});
    if (operators_socket_)
        out.push_back({socket_name(config_.admin_listen.socket), operators_socket_->listening_socket()});
    return out;
}

void Admin::leave_listening()
{
    asio::post(context_, [this] {
        operators_.leave_listening();
        if (operators_socket_) operators_socket_->leave_listening();
    });
}

std::string Admin::operators_address() const
{
    const OperatorListen& where = config_.admin_listen;
    if (!where.socket.empty()) return "unix:" + where.socket;
    if (where.host.empty()) return {};
    return config::format_host_port({where.host, operators_.endpoint().port()});
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
    if (operators_socket_) co_await operators_socket_->end();
    co_await operators_.drain(drain_grace);
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

/// Those for the routes that there are now.
std::shared_ptr<const Admin::Routers> Admin::routers()
{
    const auto current = topology();
    if (routed_ == current->generation) return routers_;
    std::set<std::string> mounts;
    for (const RouteConfig& route : current->routes.routes())
        if (route.builtin == Builtin::admin) mounts.insert(mount_of(route));
    routed_ = current->generation;
    routers_ = std::make_shared<Routers>(make_routers(mounts));
    return routers_;
}

Admin::Routers Admin::make_routers(const std::set<std::string>& mounts)
{
    Routers made;
    add_page(made, Builtin::health, &Admin::health);
    add_page(made, Builtin::status, &Admin::status);
    add_page(made, Builtin::metrics, &Admin::metrics);
    add_page(made, Builtin::events, &Admin::events);
    add_page(made, Builtin::logs, &Admin::logs);
    add_page(made, Builtin::proxy_health, &Admin::proxy_health);
    for (const std::string& mount : mounts) {
        add(made, http::verb::get, mount.empty() ? "/" : mount, &Admin::manual);
        add(made, http::verb::post, mount + "/backends/{name}/drain", &Admin::drain);
        add(made, http::verb::post, mount + "/backends/{name}/maintenance", &Admin::maintenance);
        add(made, http::verb::post, mount + "/backends/{name}/enable", &Admin::enable);
        add(made, http::verb::post, mount + "/pools/{pool}/maintenance", &Admin::pool_maintenance);
        add(made, http::verb::post, mount + "/pools/{pool}/enable", &Admin::pool_enable);
        add(made, http::verb::get, mount + "/pools/{pool}/backends", &Admin::members);
        add(made, http::verb::put, mount + "/pools/{pool}/backends", &Admin::set_members);
        add(made, http::verb::get, mount + "/routes", &Admin::routes);
        add(made, http::verb::put, mount + "/routes", &Admin::set_routes);
        add(made, http::verb::post, mount + "/failover", &Admin::failover);
        add(made, http::verb::post, mount + "/reload", &Admin::reload);
        add(made, http::verb::post, mount + "/upgrade", &Admin::upgrade);
    }
    return made;
}

/// The worker has matched the path already: whatever it is, this is the page for it.
void Admin::add_page(Routers& routers, Builtin builtin, Answer page)
{
    for (const char* const path : {"/", "/{path...}"})
        routers[builtin].add(http::verb::get, path,
                             [this, page](const http::Request& request) { return (this->*page)(request); });
}

void Admin::add(Routers& routers, http::verb method, std::string path, Answer handler)
{
    routers[Builtin::admin].add(method, std::move(path),
                                [this, handler](const http::Request& request) { return (this->*handler)(request); });
}

void Admin::add(Routers& routers, http::verb method, std::string path, Deed handler)
{
    routers[Builtin::admin].add(method, std::move(path), http::Handler([this, handler](const http::Request& request) {
                                    return (this->*handler)(request);
                                }));
}

asio::awaitable<http::Response> Admin::answer(Builtin builtin, http::Request& request, std::shared_ptr<Visit> visit)
{
    if (builtin == Builtin::admin && !config_.admin)
        co_return http::problem(request, 403,
                                "operators' requests are not accepted here: `admin: true` in the configuration, or "
                                "the flag --admin, enables them");
    if (auto refusal = turn_down(request, builtin, Door::clients, visit->proxied)) co_return std::move(*refusal);
    const bool reads = request.method() == http::verb::get || request.method() == http::verb::head;
    if (request.body_unread && reads) co_return http::problem(request, 413, "this page takes no request body");
    const auto all = routers();
    const auto router = all->find(builtin);
    if (router == all->end()) co_return http::problem(request, 404, "this page is no longer there");
    auto response = co_await router->second.dispatch(request);
    // From here on its place among the streams counts, which it keeps for as long as its connection lives.
    if (becomes_stream(request, response) && std::exchange(visit->asks, false))
        visits_.fetch_sub(1, std::memory_order_relaxed);
    co_return response;
}

/// Whom the guard refuses, or who lacks the token. The owner of a Unix socket needs neither: no page and no other user
/// can send anything there.
std::optional<http::Response> Admin::turn_down(const http::Request& request, Builtin builtin, Door door, bool proxied)
{
    if (door == Door::own_socket) return std::nullopt;
    auto access = access_to(builtin);
    const bool asks_for_token = builtin == Builtin::admin && !config_.admin_token.empty();
    if (access) {
        // Who has the token may operate from another machine, though not through the clients' port.
        if (asks_for_token && door == Door::own_port) access = http::Access::work;
        auto caller = http::caller_of(request);
        caller.forwarded = caller.forwarded || proxied;
        if (const auto refusal = http::refuse(caller, *access, guard_)) return http::problem(*refusal, request.id);
    }
    if (!asks_for_token || has_token(request, config_.admin_token)) return std::nullopt;
    auto response = http::problem(request, 401,
                                  "operators' requests need the token of the setting admin_token, as the field "
                                  "`Authorization: Bearer TOKEN`");
    response.set(http::field::www_authenticate, "Bearer");
    return response;
}

asio::awaitable<http::Response> Admin::answer_operator(http::Request& request, Door door)
{
    const auto builtin = page_at(request.path);
    if (!builtin) co_return http::problem(request, 404, "the operators' port has no such page");
    if (auto refusal = turn_down(request, *builtin, door, false)) co_return std::move(*refusal);
    auto response = co_await operators_routers_.at(*builtin).dispatch(request);
    co_return response;
}

/// Of this moment.
Report Admin::report() const
{
    return {.snapshot = monitor_.snapshot(),
            .counters = counters_,
            .limits = &limits_,
            .pages = {.connections = visits_.load(std::memory_order_relaxed),
                      .streams = feed_.open_streams(),
                      .refused = refused_.load(std::memory_order_relaxed)},
            .relay_memory_limit = config_.limits.relay_memory};
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
                    {"active", active ? http::Json(known.topology().backends[*active].name) : http::Json()}};
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
    return http::json_response(200, http::Json{{"active", known.topology().backends[*active].name},
                                               {"url", known.topology().backends[*active].url},
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
    const auto change = [&mount](std::string_view method, std::string_view path, std::string_view effect,
                                 http::Json body) {
        return nlohmann::ordered_json{
            {"method", method}, {"path", mount + std::string(path)}, {"body", std::move(body)}, {"effect", effect}};
    };
    const auto row = [&change](std::string_view path, std::string_view effect, http::Json body = {}) {
        return change("POST", path, effect, std::move(body));
    };
    const http::Json to{{"to", "NAME"}}, announced{{"until", "2026-12-01T04:00:00Z"}, {"message", "TEXT"}};
    nlohmann::ordered_json names = nlohmann::ordered_json::array(), pools = nlohmann::ordered_json::array();
    const auto current = topology();
    for (const BackendIndex b : current->present_backends) names.push_back(current->backends[b].name);
    for (const PoolIndex p : current->present_pools) pools.push_back(current->pools[p].name);
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
              change("PUT", "/pools/{pool}/backends",
                     "replaces the backends of the pool as a whole; If-Match with the ETag of GET makes sure that "
                     "nothing else has changed; what is removed finishes its requests",
                     http::Json{{"backends", {{{"name", "NAME"}, {"url", "http://HOST:PORT"}, {"weight", 1}}}}}),
              change("PUT", "/routes",
                     "replaces the dynamic routes as a whole, with the keys that a route has in the configuration; "
                     "If-Match as above; GET lists all routes in the order in which they are matched",
                     http::Json{{"routes", {{{"prefix", "/PATH"}, {"pool", "NAME"}}}}}),
              row("/reload", "reads the configuration file again: valid as a whole, or nothing changes"),
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
    const auto wait = request.query("wait");
    const auto patience = config::parse_duration(wait ? *wait : "0s");
    const bool fits = patience && *patience >= Duration::zero() && *patience <= longest_drain_wait;
    if (!fits)
        co_return http::problem({422,
                                 fmt::format("the parameter 'wait' is not a duration from 0s to {} such as 10s",
                                             config::format_duration(longest_drain_wait)),
                                 {{"field", "wait"}}},
                                request.id);
    auto response = co_await operate_backend(request, OperatorWord::drain);
    if (!wait || response.result_int() != 200) co_return response;
    std::string name = request.parameter("name");
    const auto left = co_await until_drained(request, name, *patience);
    if (left == 0) {
        const auto current = topology();
        if (const auto backend = current->find_backend(name))
            co_return http::json_response(200, report().backend(*backend));
        co_return response; // it was removed meanwhile
    }
    co_return http::problem(request, 504,
                            fmt::format("'{}' is draining, and {} of its requests have not ended within {}", name, left,
                                        config::format_duration(*patience)));
}

/// How many requests are in flight at the backend, once there are none, or `patience` or the client's has run out.
asio::awaitable<std::int64_t> Admin::until_drained(const http::Request& request, std::string name, Duration patience)
{
    const TimePoint until = Clock::now() + patience;
    const auto version = monitor_.snapshot()->routing->version;
    asio::steady_timer timer(context_);
    for (;;) {
        // In this order: what an older routing still places shows in the count.
        const bool all_know = std::all_of(counters_.begin(), counters_.end(), [version](const WorkerCounters* worker) {
            return worker->routing_version.load(std::memory_order_acquire) >= version;
        });
        std::int64_t left = 0;
        if (const auto backend = topology()->find_backend(name))
            for (const WorkerCounters* worker : counters_)
                if (const auto* const cells = worker->backends.find(*backend)) left += cells->active.value();
        const bool over = Clock::now() >= until || server_.draining() || request.peer_closed();
        if ((all_know && left == 0) || over) co_return std::max<std::int64_t>(left, all_know ? 0 : 1);
        timer.expires_after(drain_look);
        co_await timer.async_wait(no_throw);
    }
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

std::shared_ptr<const Topology> Admin::topology() const
{
    return monitor_.snapshot()->routing->topology;
}

/// Has the monitor's thread do something and waits for it. False if that took too long: it is done then later, or
/// never if the balancer stops.
asio::awaitable<bool> Admin::on_monitor(std::function<void()> deed)
{
    return elsewhere(
        [this, deed = std::move(deed)](std::function<void()> done) {
            asio::post(monitor_.context(), [deed, done = std::move(done)] {
                deed();
                done();
            });
        },
        monitor_patience);
}

/// Begins `deed` and waits until it has called `done`, on whatever thread. False if that took too long.
asio::awaitable<bool> Admin::elsewhere(std::function<void(std::function<void()> done)> deed, Duration patience)
{
    const auto done = std::make_shared<bool>(false); // of this thread
    const auto wake = std::make_shared<asio::steady_timer>(context_, patience);
    deed([this, done, weak = std::weak_ptr(wake)] {
        asio::post(context_, [done, weak] {
            *done = true;
            if (const auto timer = weak.lock()) timer->cancel();
        });
    });
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

std::string backend_names(const Topology& topology)
{
    std::string names;
    for (const BackendIndex b : topology.present_backends)
        names += (names.empty() ? "" : ", ") + topology.backends[b].name;
    return names;
}

std::string pool_names(const Topology& topology)
{
    std::string names;
    for (const PoolIndex p : topology.present_pools) names += (names.empty() ? "" : ", ") + topology.pools[p].name;
    return names;
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
    const auto current = topology();
    const auto backend = current->find_backend(name);
    if (!backend)
        co_return http::problem(
            request, 404, fmt::format("there is no backend '{}', expected one of {}", name, backend_names(*current)));
    std::vector<BackendIndex> backends{*backend};
    auto failure = co_await operate(request, std::move(backends), word);
    if (failure) co_return std::move(*failure);
    co_return http::json_response(200, report().backend(*backend));
}

asio::awaitable<http::Response> Admin::operate_pool(const http::Request& request, OperatorWord word)
{
    const std::string& name = request.parameter("pool");
    const auto current = topology();
    const auto pool = current->find_pool(name);
    if (!pool)
        co_return http::problem(request, 404,
                                fmt::format("there is no pool '{}', expected one of {}", name, pool_names(*current)));
    std::vector<BackendIndex> backends = current->pools[*pool].backends;
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
    std::function<void()> deed = [this, asked = topology(), backends = std::move(backends), word,
                                  announced = std::move(announced)]() mutable {
        const Topology& now = monitor_.failover().topology();
        std::erase_if(backends, [&](BackendIndex b) { return !now.present(b) || !now.same_backend(*asked, b); });
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
    const auto current = topology();
    const auto expected = fmt::format("expected one of {}, or null for the configured order", backend_names(*current));
    if (!body->is_object() || !body->contains("to")) return wrong_target(422, "the field 'to' is missing, " + expected);
    const http::Json& to = body->at("to");
    if (to.is_null()) return std::optional<BackendIndex>();
    if (!to.is_string()) return wrong_target(422, "the field 'to' is not a string, " + expected);
    const auto& name = to.get_ref<const std::string&>();
    const auto target = current->find_backend(name);
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

http::Response Admin::members(const http::Request& request)
{
    const std::string& name = request.parameter("pool");
    const auto current = topology();
    const auto pool = current->find_pool(name);
    if (!pool)
        return http::problem(request, 404,
                             fmt::format("there is no pool '{}', expected one of {}", name, pool_names(*current)));
    auto response = http::json_response(200, members_json(*current, *pool));
    response.set(http::field::etag, tag_of(current->generation));
    return response;
}

asio::awaitable<http::Response> Admin::set_members(const http::Request& request)
{
    const std::string& name = request.parameter("pool");
    const auto current = topology();
    if (!current->find_pool(name))
        co_return http::problem(request, 404,
                                fmt::format("there is no pool '{}', expected one of {}", name, pool_names(*current)));
    auto members = read_members(request.body());
    if (!members) co_return http::problem(members.error(), request.id);
    Change deed = [this, name, members = std::move(*members)](const auto& expected) {
        return changes_.set_members(name, members, expected);
    };
    auto response = co_await change(request, std::move(deed));
    co_return response;
}

http::Response Admin::routes(const http::Request&)
{
    const auto current = topology();
    auto response = http::json_response(200, routes_json(*current));
    response.set(http::field::etag, tag_of(current->generation));
    return response;
}

asio::awaitable<http::Response> Admin::set_routes(const http::Request& request)
{
    auto routes = read_routes(request.body(), *topology());
    if (!routes) co_return http::problem(routes.error(), request.id);
    Change deed = [this, routes = std::move(*routes)](const auto& expected) {
        return changes_.set_routes(routes, expected);
    };
    auto response = co_await change(request, std::move(deed));
    co_return response;
}

/// Has the monitor make it, under the request's If-Match, and tells what became of it.
asio::awaitable<http::Response> Admin::change(const http::Request& request, Change change)
{
    const auto given = request.find(http::field::if_match);
    const auto conditions = http::Preconditions::parse(
        given != request.end() ? std::optional(std::string_view(given->value())) : std::nullopt, std::nullopt);
    if (!conditions) co_return http::problem(conditions.error(), request.id);
    const auto report = std::make_shared<ChangeReport>(); // written before on_monitor() completes, read after
    std::function<void()> deed = [change = std::move(change), conditions = *conditions, report] {
        *report =
            change([&conditions](std::uint64_t generation) { return conditions.if_match_holds(tag_of(generation)); });
    };
    const bool done = co_await on_monitor(std::move(deed));
    if (!done) co_return not_done(request);
    if (report->end != ChangeReport::End::done) co_return http::problem(to_problem(*report), request.id);
    auto response = http::json_response(200, to_json(*report));
    response.set(http::field::etag, tag_of(report->generation));
    co_return response;
}

asio::awaitable<http::Response> Admin::reload(const http::Request& request)
{
    const auto report = std::make_shared<ChangeReport>();
    std::function<void(std::function<void()>)> deed = [this, report](std::function<void()> done) {
        reload_([report, done = std::move(done)](ChangeReport ended) {
            *report = std::move(ended);
            done();
        });
    };
    const bool done = co_await elsewhere(std::move(deed), reload_patience);
    if (!done) co_return not_done(request);
    if (report->end != ChangeReport::End::done) co_return http::problem(to_problem(*report), request.id);
    co_return http::json_response(200, to_json(*report));
}

asio::awaitable<http::Response> Admin::upgrade(const http::Request& request)
{
    const auto report = std::make_shared<UpgradeReport>();
    std::function<void(std::function<void()>)> deed = [this, report](std::function<void()> done) {
        upgrade_([report, done = std::move(done)](UpgradeReport ended) {
            *report = std::move(ended);
            done();
        });
    };
    const bool done = co_await elsewhere(std::move(deed), upgrade_patience + reload_patience);
    if (!done) co_return not_done(request);
    if (report->end == UpgradeReport::End::refused) co_return http::problem(request, 409, report->error);
    if (report->end == UpgradeReport::End::failed)
        co_return http::problem(request, 500,
                                fmt::format("the upgrade failed, process {} goes on: {}", ::getpid(), report->error));
    co_return http::json_response(200, http::Json{{"pid", report->pid}, {"predecessor", ::getpid()}});
}

http::Response Admin::pools() const
{
    const Report known = report();
    const auto active = known.active();
    http::Json pools = http::Json::array();
    for (const PoolIndex p : known.topology().present_pools) pools.push_back(known.pool(p));
    return http::json_response(
        200, http::Json{{"active", active ? http::Json(known.topology().backends[*active].name) : http::Json()},
                        {"pools", std::move(pools)}});
}

} // namespace hotspare::balancer
