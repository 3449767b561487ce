#include "balancer/config_file.hpp"

#include "balancer/backend_url.hpp"
#include "balancer/config_probe.hpp"
#include "common/http/grammar.hpp"
#include "common/http/status_range_setting.hpp"

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

namespace hotspare::config {

using namespace std::string_view_literals;

template <> struct EnumNames<balancer::Policy> {
    static constexpr std::array names{
        std::pair{"failover"sv, balancer::Policy::failover},
        std::pair{"round_robin"sv, balancer::Policy::round_robin},
        std::pair{"random"sv, balancer::Policy::random},
        std::pair{"least_connections"sv, balancer::Policy::least_connections},
    };
};

template <> struct EnumNames<balancer::ProxyVersion> {
    static constexpr std::array names{
        std::pair{"off"sv, balancer::ProxyVersion::off},
        std::pair{"v1"sv, balancer::ProxyVersion::v1},
        std::pair{"v2"sv, balancer::ProxyVersion::v2},
    };
};

template <> struct EnumNames<balancer::Resolve> {
    static constexpr std::array names{
        std::pair{"any"sv, balancer::Resolve::any},
        std::pair{"each"sv, balancer::Resolve::each},
        std::pair{"srv"sv, balancer::Resolve::srv},
    };
};

template <> struct EnumNames<balancer::FailbackMode> {
    static constexpr std::array names{
        std::pair{"auto"sv, balancer::FailbackMode::automatic},
        std::pair{"manual"sv, balancer::FailbackMode::manual},
    };
};

template <> struct Scalar<balancer::Network> {
    static Parsed<balancer::Network> parse(std::string_view text)
    {
        auto network = balancer::Network::parse(text);
        if (!network) return not_valid(text, network.error());
        return *network;
    }
    static std::string format(const balancer::Network& network) { return network.to_string(); }
    static std::string expected() { return "an IP address or a network such as 10.0.0.0/8"; }
};

} // namespace hotspare::config

namespace hotspare::balancer {
namespace {

using std::chrono::hours;

constexpr Duration shortest = milliseconds(1);
constexpr Duration longest = hours(24);

bool is_backend_list(const std::vector<BackendConfig>& list)
{
    return !list.empty() && list.size() <= most_backends;
}
constexpr auto a_backend_list = "1 to 256 backends, as the key `backends` or as --backend NAME=URL";

bool is_pool_list(const std::vector<PoolSettings>& list)
{
    return list.size() <= 256;
}

bool is_network_list(const TrustedProxies& list)
{
    return list.size() <= 1000;
}

bool are_weights(const std::vector<unsigned>& list)
{
    return std::all_of(list.begin(), list.end(), [](unsigned weight) { return weight >= 1 && weight <= 1000; });
}

bool are_host_names(const std::vector<std::string>& list)
{
    return std::all_of(list.begin(), list.end(), [](const std::string& name) {
        return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':';
        });
    });
}
constexpr auto a_host_name_list = "names or addresses in lower case, without a port and without brackets";

bool are_origins(const std::vector<std::string>& list)
{
    return std::all_of(list.begin(), list.end(), [](const std::string& origin) {
        const auto scheme = origin.starts_with("http://") ? 7 : origin.starts_with("https://") ? 8 : 0;
        return scheme > 0 && origin.size() > static_cast<std::size_t>(scheme) &&
               std::all_of(origin.begin() + scheme, origin.end(), [](char c) {
                   return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':' ||
                          c == '[' || c == ']';
               });
    });
}
constexpr auto an_origin_list = "http://HOST[:PORT] or https://HOST[:PORT] in lower case, without a path";

/// Of what `admin_listen` says.
std::optional<OperatorListen> operator_listen(const std::string& text)
{
    constexpr std::string_view scheme = "unix:";
    if (text.empty()) return OperatorListen{};
    if (text.starts_with(scheme)) {
        if (text.size() == scheme.size()) return std::nullopt;
        return OperatorListen{.socket = text.substr(scheme.size())};
    }
    const auto address = config::parse_host_port(text);
    if (!address) return std::nullopt;
    boost::system::error_code error;
    boost::asio::ip::make_address(address->host, error);
    if (error) return std::nullopt;
    return OperatorListen{.host = address->host, .port = address->port};
}

bool is_operator_listen(const std::string& text)
{
    return operator_listen(text).has_value();
}

/// Of the characters of RFC 6750 §2.1, so that it stands in a field as it is.
bool is_token_or_empty(const std::string& text)
{
    constexpr std::size_t shortest_token = 16;
    constexpr std::size_t longest_token = 256;
    return text.empty() || (text.size() >= shortest_token && text.size() <= longest_token &&
                            std::all_of(text.begin(), text.end(), [](char c) {
                                return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                       std::string_view("-._~+/=").find(c) != std::string_view::npos;
                            }));
}

bool is_cookie_name_or_empty(const std::string& text)
{
    constexpr std::size_t longest_name = 64;
    return text.empty() || (text.size() <= longest_name && http::is_token(text));
}

bool are_name_servers(const std::vector<std::string>& list)
{
    return list.size() <= 16 && std::all_of(list.begin(), list.end(), [](const std::string& server) {
               boost::system::error_code error;
               boost::asio::ip::make_address(server, error);
               if (!error) return true;
               const auto with_port = config::parse_host_port(server);
               if (!with_port || with_port->port == 0) return false;
               boost::asio::ip::make_address(with_port->host, error);
               return !error;
           });
}
constexpr auto a_name_server_list = "at most 16 entries ADDRESS or ADDRESS:PORT, IPv6 addresses as [ADDRESS]:PORT";

bool is_loopback(const std::string& host)
{
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(host, error);
    return error ? host == "localhost" : address.is_loopback();
}

} // namespace

// --- The keys --------------------------------------------------------------------------------------------------------
// Static, not in the anonymous namespace: config::Fields finds them by argument-dependent lookup.

static void fields(config::Fields& field, BackendConfig& c)
{
    field("name", c.name, "name in X-Served-By, /status, metrics and logs", {config::is_name, config::a_name});
    field("url", c.url, "address of the server: http://HOST[:PORT], or unix:/PATH of a socket",
          {is_backend_url, a_backend_url});
    field("weight", c.weight, "relative share of requests; not used by policy failover", {1, 1000});
    field("max_connections", c.max_connections,
          "maximum number of connections in use at once, of all workers together: requests in flight and tunnels, not "
          "idle connections; further requests go to another backend, or wait up to park.timeout; 0 = no limit",
          {0, 1'000'000});
    field("proxy_protocol", c.proxy_protocol,
          "version of the PROXY header that the server expects in front of each connection; its connections then carry "
          "one request each");
    field("resolve", c.resolve,
          "any: all addresses of the host name belong to one server, the next one is tried when one fails; each: every "
          "address is a backend of its own, NAME-1, NAME-2 ...; srv: the host name is that of a service such as "
          "_http._tcp.example.com, and every SRV record is a backend of its own");
    field("resolve_interval", c.resolve_interval,
          "time between two lookups of the host name; 0s = by the TTL of the answer, 1s to 1h",
          {Duration::zero(), longest});
    field("probe", c.probe, "what of pools[].probe this backend has of its own");
}

static void fields(config::Fields& field, FailbackConfig& c)
{
    field(
        "mode", c.mode,
        "auto: a preferred backend becomes active again after its recovery; manual: only when an operator requests it");
    field("hold_down", c.hold_down,
          "time a recovered backend must stay healthy before it becomes active; each flap doubles it",
          {Duration::zero(), longest});
    field("hold_down_max", c.hold_down_max, "maximum hold-down", {Duration::zero(), longest});
    field("slow_start", c.slow_start, "time over which a recovered backend's share grows to its weight; 0s = at once",
          {Duration::zero(), longest});
}

static void fields(config::Fields& field, QuarantineConfig& c)
{
    field("failure_limit", c.failure_limit, "failures within failure_window that quarantine a backend; 0 = off",
          {0, 1'000'000});
    field("failure_window", c.failure_window, "length of the sliding window for failure_limit", {shortest, longest});
    field("cooldown", c.cooldown, "minimum time in quarantine", {Duration::zero(), longest});
}

static void fields(config::Fields& field, PassiveConfig& c)
{
    field("failing_status", c.failing_status, "response statuses that count as failures of the backend");
    field("degrade_after", c.degrade_after,
          "score that marks the backend degraded: plus 1 for each request that failed on it and succeeded on another "
          "backend, minus 2 for each that succeeded on it",
          {1, 1'000'000});
    field("outlier_factor", c.outlier_factor,
          "mean latency that marks the backend degraded, as a multiple of that of the other backends", {1.0, 1e6});
}

static void fields(config::Fields& field, RetryConfig& c)
{
    field("statuses", c.statuses,
          "response statuses after which a request that may be repeated is sent to another backend");
    field("attempts", c.attempts,
          "maximum number of times a request is sent, including hedges; failed connections do not count",
          {1, most_attempts});
    field("budget_ratio", c.budget_ratio,
          "retry budget: retries and hedges allowed per request, in addition to budget_per_second", {0.0, 100.0});
    field("budget_per_second", c.budget_per_second,
          "retry budget: retries and hedges allowed per second, in addition to budget_ratio", {0.0, 1e6});
    field("replay_buffer", config::Bytes{c.replay_buffer},
          "maximum request body kept for a retry; a request with a larger body is not repeated", {0, 64 << 20});
    field("hedge", c.hedge,
          "send a safe request (GET, HEAD, OPTIONS), or one with an Idempotency-Key, to a second backend as well if "
          "it has no response after the hedge delay; the first response is used");
    field("hedge_floor", c.hedge_floor, "minimum delay before a hedge", {shortest, longest});
    field("hedge_factor", c.hedge_factor,
          "delay before a hedge, as a multiple of the recent 99th percentile of latency", {1.0, 1000.0});
}

static void fields(config::Fields& field, ParkConfig& c)
{
    field("timeout", c.timeout, "maximum time a request waits while no backend is available; 0s = 503 at once",
          {Duration::zero(), longest});
    field("limit", c.limit, "maximum number of waiting requests per worker", {0, 1'000'000});
    field("release_per_second", c.release_per_second,
          "rate at which waiting requests are released when a backend returns", {1, 10'000'000});
}

static void fields(config::Fields& field, StickyConfig& c)
{
    field(
        "cookie", c.cookie,
        "name of a cookie that keeps a client on the backend that answered it; not with policy failover; empty = none",
        {is_cookie_name_or_empty, "at most 64 letters, digits and !#$%&'*+-.^_`|~"});
    field("secure", c.secure, "the cookie is Secure: clients send it over https only");
    field("max_age", c.max_age,
          "time after which the client forgets the cookie, in whole seconds; 0s = when its session ends",
          {Duration::zero(), hours(24 * 366)});
}

static void fields(config::Fields& field, PoolSettings& c)
{
    field("name", c.name, "name in routes, /status and metrics", {config::is_name, config::a_name});
    field("policy", c.policy, "how a backend is chosen; failover = the first healthy one, in the order of `backends`");
    field("backends", c.backends, "names of backends, in order of preference; empty = all");
    field("weights", c.weights, "one weight per backend, in the order of `backends`; empty = backends[].weight",
          {are_weights, "numbers from 1 to 1000"});
    field("probe", c.probe, "active health checks");
    field("failback", c.failback, "return to a preferred backend after its recovery");
    field("quarantine", c.quarantine, "removal of a backend that failed too often");
    field("passive", c.passive, "passive health checks: evidence from live requests");
    field("retry", c.retry, "retries and hedges");
    field("park", c.park, "requests that wait while no backend is available");
    field("sticky", c.sticky, "sticky sessions by cookie");
}

static void fields(config::Fields& field, TimeoutConfig& c)
{
    field("connect", c.connect, "timeout for connecting to a backend", {shortest, longest});
    field("request", c.request,
          "maximum time from a complete request to its response header, including retries and waiting for a backend",
          {shortest, longest});
    field("header", c.header, "maximum time to receive a request header; exceeding it is answered with 408",
          {shortest, longest});
    field("body_idle", c.body_idle, "maximum time between two reads or writes of a body, on either side",
          {shortest, longest});
    field("client_idle", c.client_idle, "idle time before a client connection is closed", {shortest, longest});
    field("upstream_idle", c.upstream_idle, "idle time before a backend connection is closed", {shortest, longest});
    field("tunnel_idle", c.tunnel_idle, "idle time before an upgraded connection is closed", {shortest, longest});
    field("tunnel_drain", c.tunnel_drain, "time that tunnels to a backend have left once it is removed",
          {Duration::zero(), longest});
    field("drain", c.drain, "maximum time for requests in flight to complete after SIGTERM",
          {Duration::zero(), longest});
    field("upgrade_drain", c.upgrade_drain,
          "maximum time for the requests and tunnels of a process to complete after an upgrade has replaced it",
          {Duration::zero(), longest});
}

static void fields(config::Fields& field, LimitConfig& c)
{
    constexpr std::uint64_t smallest = 256;
    constexpr std::uint64_t largest = 1 << 20;
    field("request_line", config::Bytes{c.request_line},
          "maximum size of a request line; a longer one is answered with 414", {smallest, largest});
    field("header", config::Bytes{c.header},
          "maximum size of a request header, including its request line; a larger one is answered with 431",
          {smallest, largest});
    field("fields", c.fields, "maximum number of request header fields; more are answered with 431", {1, most_fields});
    field("body", config::Bytes{c.body},
          "maximum size of a request body; a larger one is answered with 413; 0 = unlimited");
    field("relay_memory", config::Bytes{c.relay_memory},
          "maximum memory for bodies that wait for a slow receiver, all workers together; when it is used up, each "
          "request buffers at most 16 KiB, and a request with a larger body is not repeated",
          {1 << 20});
    field("access_log_backlog", config::Bytes{c.access_log_backlog},
          "maximum memory for access log lines waiting to be written; further lines are dropped and counted",
          {1 << 16});
    field("connections", c.connections,
          "maximum number of client connections per worker; 0 = as many as file descriptors allow");
    field("upstream_idle_per_backend", c.upstream_idle_per_backend,
          "maximum number of idle connections kept per worker and backend", {0, 100'000});
}

void fields(config::Fields& field, ConfigFile& c)
{
    field("listen", c.listen, "address and port for clients; port 0 = any free port");
    field("workers", c.workers, "number of worker threads; 0 = one per core", {0, 256});
    field("access_log", c.access_log, "access log file, one JSON object per line; - = standard output; empty = off");
    field("forwarded", c.forwarded, "add the Forwarded header field (RFC 7239) to requests");
    field("trusted_proxies", c.trusted_proxies,
          "addresses and networks of proxies in front of the balancer: their X-Forwarded-* and Forwarded fields are "
          "kept, and tell the client's address; empty = those of no client",
          {is_network_list, "at most 1000 addresses and networks"});
    field("proxy_protocol", c.proxy_protocol,
          "require a PROXY header (version 1 or 2) in front of each connection from trusted_proxies; connections from "
          "other addresses must have none");
    field("log_traffic", c.log_traffic,
          "write a line to /logs for each request (Proxying request: METHOD PATH -> URL) and for each change of the "
          "active backend (Switching active target to: URL)");
    field("pages", c.pages, "serve /health /status /metrics /events /logs /admin unless a route has the same path");
    field("admin", c.admin,
          "accept operators' requests at /admin from loopback clients; do not enable it behind a TCP or TLS proxy on "
          "this machine, as all its clients have a loopback address");
    field(
        "admin_listen", c.admin_listen,
        "where operators' requests and the pages are served apart from the clients' port: unix:PATH, a Unix socket of "
        "mode 0600, or ADDRESS:PORT, a loopback address unless admin_token is set; empty = nowhere",
        {is_operator_listen, "unix:PATH or ADDRESS:PORT"});
    field("admin_token", c.admin_token,
          "operators' requests over TCP must carry it as `Authorization: Bearer TOKEN`; empty = none is asked for",
          {is_token_or_empty, "16 to 256 letters, digits and -._~+/=", config::Secret::whole});
    field("admin_hosts", c.admin_hosts,
          "further values of the Host field that are accepted: by /admin, besides localhost and loopback addresses; by "
          "/status /metrics /events /logs, besides localhost and IP addresses",
          {are_host_names, a_host_name_list});
    field("admin_origins", c.admin_origins,
          "origins of web pages, such as https://console.example:8443, that may use /admin /events /logs, besides the "
          "balancer's own",
          {are_origins, an_origin_list});
    field("resolvers", c.resolvers,
          "name servers that the host names of backends are looked up at, ADDRESS[:PORT]; empty = those of "
          "/etc/resolv.conf",
          {are_name_servers, a_name_server_list});
    field("backends", c.backends, "servers that requests are passed to", {is_backend_list, a_backend_list});
    field("pools", c.pools, "groups of backends; empty = one pool named default with all backends",
          {is_pool_list, "at most 256 pools"});
    field("routes", c.routes, "routes, the longest match wins; empty = every path goes to the first pool",
          {is_route_list, a_route_list});
    field("timeouts", c.timeouts, "timeouts");
    field("limits", c.limits, "size and connection limits");
}

// --- Flags that are no keys ------------------------------------------------------------------------------------------

static std::string assign_backends(ConfigFile& file, const std::vector<std::string>& values)
{
    std::vector<BackendConfig> backends;
    for (const auto& value : values) {
        const auto equals = std::min(value.find('='), value.size());
        BackendConfig backend;
        backend.name = value.substr(0, equals);
        backend.url = equals < value.size() ? value.substr(equals + 1) : "";
        if (!config::is_name(backend.name) || !is_backend_url(backend.url))
            return config::not_valid(config::without_password(value),
                                     fmt::format("NAME=URL with {} and {}", config::a_name, a_backend_url))
                .message;
        backends.push_back(std::move(backend));
    }
    if (backends.size() > most_backends)
        return fmt::format("{} backends, expected {}", backends.size(), a_backend_list);
    file.backends = std::move(backends);
    return {};
}

void flags(config::Flags& list, ConfigFile& file)
{
    config::Flag port;
    port.name = "port";
    port.metavar = "PORT";
    port.help = "listen port, in place of that of --listen";
    port.path = "port";
    port.assign = [&file](const std::vector<std::string>& values) -> std::string {
        const auto value = config::parse_unsigned(values.back(), 65535);
        if (!value) return value.error().message;
        file.listen.port = static_cast<std::uint16_t>(*value);
        return {};
    };
    list.push_back(std::move(port));

    config::Flag backend;
    backend.name = "backend";
    backend.metavar = "NAME=URL";
    backend.help = "backend; repeat the flag for each one, in order of preference; replaces the backends of the file";
    backend.path = "backends";
    backend.repeatable = true;
    backend.assign = [&file](const std::vector<std::string>& values) { return assign_backends(file, values); };
    list.push_back(std::move(backend));

    config::Flag probe_path;
    probe_path.name = "probe-path";
    probe_path.metavar = "PATH";
    probe_path.help = "probe path of every pool";
    probe_path.path = "probe-path";
    probe_path.assign = [&file](const std::vector<std::string>& values) -> std::string {
        if (!config::is_target(values.back())) return fmt::format("'{}' is not {}", values.back(), config::a_target);
        if (file.pools.empty()) file.pools.emplace_back();
        for (auto& pool : file.pools) pool.probe.path = values.back();
        return {};
    };
    list.push_back(std::move(probe_path));

    config::Flag policy;
    policy.name = "policy";
    policy.metavar = "POLICY";
    policy.help = "policy of every pool: " + config::Scalar<Policy>::expected();
    policy.path = "policy";
    policy.assign = [&file](const std::vector<std::string>& values) -> std::string {
        const auto value = config::Scalar<Policy>::parse(values.back());
        if (!value) return value.error().message;
        if (file.pools.empty()) file.pools.emplace_back();
        for (auto& pool : file.pools) pool.policy = *value;
        return {};
    };
    list.push_back(std::move(policy));

    config::Flag offset;
    offset.name = "port-offset";
    offset.metavar = "N";
    offset.help = "number added to the ports of listen, admin_listen and loopback backends [0]";
    offset.path = "port_offset";
    offset.assign = [&file](const std::vector<std::string>& values) -> std::string {
        const auto value = config::parse_unsigned(values.back(), 65535);
        if (!value) return value.error().message;
        file.port_offset = static_cast<unsigned>(*value);
        return {};
    };
    list.push_back(std::move(offset));
}

// --- From what was said to the whole ---------------------------------------------------------------------------------

namespace {

template <class Item> std::size_t index_of(const std::vector<Item>& items, const std::string& name)
{
    const auto it = std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.name == name; });
    return static_cast<std::size_t>(it - items.begin());
}

template <class Item> std::vector<std::string> names_of(const std::vector<Item>& items)
{
    std::vector<std::string> out;
    for (const auto& item : items) out.push_back(item.name);
    return out;
}

/// One finish(): the file, where its values came from, and the steps in the order in which they depend on each other.
class Completion {
public:
    Completion(ConfigFile& file, const config::Places& places) : file_(file), places_(places) {}

    void run()
    {
        for (const auto* path : {"listen", "port"})
            if (places_.contains(path)) file_.listen_source = places_.of(path);
        shift_ports();
        // What follows refers to these by name.
        attempt([&] { backends(); });
        if (errors_.empty()) pools();
        if (errors_.empty()) routes();
        attempt([&] { fit("timeouts.connect", file_.timeouts.connect, "timeouts.request", file_.timeouts.request); });
        attempt([&] { fit("limits.request_line", file_.limits.request_line, "limits.header", file_.limits.header); });
        attempt([&] { access_log(); });
        attempt([&] { admin_listen(); });
        if (!errors_.empty()) throw UsageError(std::move(errors_));
    }

private:
    /// Notes what `check` throws, so that the rest is checked too.
    template <class F> void attempt(F&& check)
    {
        try {
            check();
        } catch (const UsageError& e) {
            errors_.insert(errors_.end(), e.messages.begin(), e.messages.end());
        }
    }

    void access_log() const
    {
        if (file_.access_log.empty() || file_.access_log == "-") return;
        const auto folder = std::filesystem::absolute(file_.access_log).parent_path();
        std::error_code ignored;
        if (!std::filesystem::is_directory(folder, ignored))
            fail("access_log", fmt::format("the folder {} does not exist, expected a file in an existing one",
                                           config::in_quotes(folder.string())));
        if (std::filesystem::is_directory(file_.access_log, ignored))
            fail("access_log", fmt::format("{} is a folder, expected a file", config::in_quotes(file_.access_log)));
    }

    void admin_listen() const
    {
        const auto listen = operator_listen(file_.admin_listen).value();
        if (!listen.host.empty() && !is_loopback(listen.host) && file_.admin_token.empty())
            fail("admin_listen",
                 fmt::format("'{}' is no loopback address, expected one, or admin_token as well", file_.admin_listen));
    }

    [[noreturn]] void fail(const std::string& path, const std::string& message) const { places_.fail(path, message); }

    template <class Item> void refuse_duplicate_names(const std::vector<Item>& items, const std::string& list) const
    {
        for (std::size_t i = 0; i < items.size(); ++i) {
            const auto first = index_of(items, items[i].name);
            if (first < i)
                fail(fmt::format("{}[{}].name", list, i),
                     fmt::format("duplicate name '{}', expected another than that of {}[{}]", items[i].name, list,
                                 first));
        }
    }

    /// `value` must not exceed `limit`. A default is lowered silently; a configured value is an error.
    template <class T> void fit(const std::string& path, T& value, const std::string& limit_path, const T& limit) const
    {
        if (value <= limit) return;
        if (places_.contains(path))
            fail(path, fmt::format("{} is more than {} ({}), expected at most that", config::Scalar<T>::format(value),
                                   limit_path, config::Scalar<T>::format(limit)));
        value = limit;
    }

    std::uint16_t shifted(std::uint16_t port) const
    {
        if (port + file_.port_offset > 65535)
            fail("port_offset",
                 fmt::format("port {} + {} is more than 65535, expected a smaller offset", port, file_.port_offset));
        return static_cast<std::uint16_t>(port + file_.port_offset);
    }

    void shift_ports()
    {
        if (file_.port_offset == 0) return;
        if (file_.listen.port != 0) file_.listen.port = shifted(file_.listen.port);
        auto operators = operator_listen(file_.admin_listen).value();
        if (operators.port != 0)
            file_.admin_listen = config::format_host_port({operators.host, shifted(operators.port)});
        for (auto& backend : file_.backends) {
            auto address = config::parse_http_origin(backend.url);
            if (!address || !is_loopback(address->host)) continue;
            address->port = shifted(address->port);
            shift_probe(backend);
            backend.url = "http://" + config::format_host_port(*address);
        }
        file_.port_offset = 0;
    }

    /// Of a backend on this machine. The port that its pool says is that of other machines, too.
    void shift_probe(BackendConfig& backend) const
    {
        for (const auto& pool : file_.pools) {
            if (backend.probe.port != 0) break;
            const bool names = pool.backends.empty() || std::find(pool.backends.begin(), pool.backends.end(),
                                                                  backend.name) != pool.backends.end();
            if (names) backend.probe.port = pool.probe.port;
        }
        if (backend.probe.port != 0) backend.probe.port = shifted(backend.probe.port);
    }

    void backends()
    {
        refuse_duplicate_names(file_.backends, "backends");
        for (std::size_t i = 0; i < file_.backends.size(); ++i) {
            auto& backend = file_.backends[i];
            set_address(backend);
            backend.source = places_.of(fmt::format("backends[{}].url", i));
            attempt([&] { names(backend, i); });
            attempt([&] { check_probe(backend.probe, fmt::format("backends[{}].probe", i), places_); });
        }
    }

    void names(const BackendConfig& backend, std::size_t index) const
    {
        const auto path = fmt::format("backends[{}]", index);
        if (!backend.socket.empty() && (backend.resolve != Resolve::any || backend.resolve_interval > Duration::zero()))
            fail(path + (backend.resolve != Resolve::any ? ".resolve" : ".resolve_interval"),
                 "has no effect on a Unix socket, which has no name to look up");
        if (backend.resolve_interval > Duration::zero() && backend.resolve_interval < seconds(1))
            fail(path + ".resolve_interval", "is less than 1s, expected 0s or at least 1s");
        if (backend.resolve == Resolve::any) return;
        boost::system::error_code is_name;
        boost::asio::ip::make_address(backend.host, is_name);
        if (!is_name)
            fail(path + ".resolve", fmt::format("the host of '{}' is an address, expected a name", backend.url));
        if (backend.resolve == Resolve::srv && backend.port != 80)
            fail(path + ".resolve", fmt::format("'{}' has a port, expected none: an SRV record names it", backend.url));
    }

    void pools()
    {
        if (file_.pools.empty()) file_.pools.emplace_back();
        attempt([&] { refuse_duplicate_names(file_.pools, "pools"); });
        for (std::size_t i = 0; i < file_.pools.size(); ++i)
            attempt([&] { pool(file_.pools[i], fmt::format("pools[{}]", i)); });
        if (errors_.empty()) probes();
    }

    /// A backend in several pools is probed as the first of them says.
    void probes()
    {
        std::set<std::string> probed;
        for (const auto& pool : file_.pools)
            for (const auto& name : pool.backends) {
                if (!probed.insert(name).second) continue;
                const auto i = index_of(file_.backends, name);
                attempt([&] {
                    check_probes_together(file_.backends[i].probe, fmt::format("backends[{}]", i), pool.probe, places_);
                });
            }
    }

    void pool(PoolSettings& pool, const std::string& path)
    {
        const auto known = names_of(file_.backends);
        if (pool.backends.empty()) pool.backends = known;
        for (std::size_t i = 0; i < pool.backends.size(); ++i) {
            const auto& name = pool.backends[i];
            const auto here = fmt::format("{}.backends[{}]", path, i);
            if (std::find(known.begin(), known.end(), name) == known.end())
                fail(here, config::unknown_name("backend", name, known));
            if (std::find(pool.backends.begin(), pool.backends.end(), name) !=
                pool.backends.begin() + static_cast<std::ptrdiff_t>(i))
                fail(here, fmt::format("duplicate backend '{}', expected it once", name));
        }
        if (pool.weights.empty())
            for (const auto& name : pool.backends)
                pool.weights.push_back(file_.backends[index_of(file_.backends, name)].weight);
        if (pool.weights.size() != pool.backends.size())
            fail(path + ".weights", fmt::format("{} weights for {} backends, expected one each", pool.weights.size(),
                                                pool.backends.size()));
        check_probe(pool.probe, path + ".probe", places_);
        fit(path + ".probe.fast_interval", pool.probe.fast_interval, path + ".probe.interval", pool.probe.interval);
        fit(path + ".probe.slow", pool.probe.slow, path + ".probe.timeout", pool.probe.timeout);
        fit(path + ".failback.hold_down", pool.failback.hold_down, path + ".failback.hold_down_max",
            pool.failback.hold_down_max);
        sticky(pool, path + ".sticky");
    }

    void sticky(const PoolSettings& pool, const std::string& path) const
    {
        const StickyConfig& sticky = pool.sticky;
        if (sticky.cookie.empty()) return;
        if (pool.policy == Policy::failover)
            fail(path + ".cookie", "together with policy failover, which sends all clients to one backend; expected "
                                   "another policy, or no cookie");
        if (sticky.max_age % seconds(1) != Duration::zero())
            fail(path + ".max_age",
                 fmt::format("{} is no whole number of seconds", config::Scalar<Duration>::format(sticky.max_age)));
        // Browsers ignore such a cookie without a word.
        if (!sticky.secure && (sticky.cookie.starts_with("__Host-") || sticky.cookie.starts_with("__Secure-")))
            fail(path + ".cookie",
                 fmt::format("browsers accept the name '{}' only with `secure: true`", sticky.cookie));
    }

    void routes()
    {
        attempt([&] { complete(file_.routes, names_of(file_.pools), read_error_page, places_); });
        if (!errors_.empty()) return;
        attempt([&] { default_routes(); });
    }

    void default_routes()
    {
        if (file_.routes.empty()) add_route("", "/", Builtin::none);
        if (file_.pages) {
            add_route("/health", "", Builtin::health);
            add_route("/status", "", Builtin::status);
            add_route("/metrics", "", Builtin::metrics);
            add_route("/events", "", Builtin::events);
            add_route("/logs", "", Builtin::logs);
        }
        // Where operators' requests are not taken they are refused: an application must not get them instead.
        if (file_.pages || file_.admin) add_route("", "/admin", Builtin::admin);
    }

    /// Unless the file has a route for the same path. A dynamic one does not count: once it is replaced, what is added
    /// here must be there.
    void add_route(const std::string& path, const std::string& prefix, Builtin builtin)
    {
        const auto& wanted = path.empty() ? prefix : path;
        for (std::size_t i = 0; i < file_.routes.size(); ++i) {
            const auto& route = file_.routes[i];
            if (!route.query.empty() || !route.header.empty()) continue;
            if (!route.dynamic && (route.path == wanted || route.prefix == wanted)) return;
            if (route.dynamic && route.path == path && route.prefix == prefix)
                fail(fmt::format("routes[{}].dynamic", i),
                     fmt::format("'{}' is a built-in page, expected a route that is not dynamic", wanted));
        }
        RouteSettings route;
        route.path = path;
        route.prefix = prefix;
        route.builtin = builtin;
        if (builtin == Builtin::none) route.pool = file_.pools.front().name;
        file_.routes.push_back(std::move(route));
        if (builtin != Builtin::none && file_.pages) file_.default_pages.push_back(wanted);
    }

    ConfigFile& file_;
    const config::Places& places_;
    std::vector<std::string> errors_;
};

} // namespace

void finish(ConfigFile& file, const config::Places& places)
{
    Completion(file, places).run();
}

std::vector<std::string> without_effect(const ConfigFile& file, const config::Places& places)
{
    std::vector<std::string> out;
    const auto warn = [&](const std::string& path, const std::string& message) {
        out.push_back(places.describe(path, message));
    };
    // Equal weights are what --print-config writes of a file without any.
    const auto differ = [](const std::vector<unsigned>& weights) {
        return std::adjacent_find(weights.begin(), weights.end(), std::not_equal_to<>()) != weights.end();
    };
    if (file.proxy_protocol && file.trusted_proxies.empty())
        warn("proxy_protocol", "no client may send a PROXY header: trusted_proxies is empty");
    std::set<std::string> weighted; // backends of a pool whose policy uses weights
    std::set<std::string> used;
    for (std::size_t i = 0; i < file.pools.size(); ++i) {
        const auto& pool = file.pools[i];
        const auto path = fmt::format("pools[{}]", i);
        if (pool.sticky.cookie.empty() && pool.sticky != StickyConfig{})
            warn(path + ".sticky", "no effect without a name, expected `cookie` as well");
        const bool is_routed = std::any_of(file.routes.begin(), file.routes.end(),
                                           [&](const RouteSettings& route) { return route.pool == pool.name; });
        if (!is_routed) warn(path, fmt::format("no route uses the pool '{}'; it is only probed", pool.name));
        used.insert(pool.backends.begin(), pool.backends.end());
        if (pool.policy != Policy::failover)
            weighted.insert(pool.backends.begin(), pool.backends.end());
        else if (places.contains(path + ".weights") && differ(pool.weights))
            warn(path + ".weights", "no effect with policy failover: the order of the backends decides");
    }
    for (std::size_t i = 0; i < file.backends.size(); ++i) {
        const auto& name = file.backends[i].name;
        const auto path = fmt::format("backends[{}]", i);
        if (used.count(name) == 0)
            warn(path, fmt::format("no pool uses the backend '{}'", name));
        else if (weighted.count(name) == 0 && file.backends[i].weight != BackendConfig{}.weight)
            warn(path + ".weight", "no effect with policy failover: the order of the backends decides");
    }
    return out;
}

Config to_config(const ConfigFile& file)
{
    Config out;
    out.listen_host = file.listen.host;
    out.listen_port = file.listen.port;
    out.listen_source = file.listen_source;
    out.workers = file.workers;
    out.access_log = file.access_log;
    out.forwarded = file.forwarded;
    out.trusted_proxies = file.trusted_proxies;
    out.proxy_protocol = file.proxy_protocol;
    out.log_traffic = file.log_traffic;
    out.admin = file.admin;
    out.admin_listen = operator_listen(file.admin_listen).value();
    out.admin_token = file.admin_token;
    out.admin_hosts = file.admin_hosts;
    out.admin_origins = file.admin_origins;
    out.default_pages = file.default_pages;
    out.resolvers = file.resolvers;
    out.backends = file.backends;
    out.timeouts = file.timeouts;
    out.limits = file.limits;
    for (const auto& settings : file.pools) {
        PoolConfig pool;
        pool.name = settings.name;
        pool.policy = settings.policy;
        for (const auto& name : settings.backends)
            pool.backends.push_back(static_cast<BackendIndex>(index_of(file.backends, name)));
        pool.weights = settings.weights;
        pool.probe = settings.probe;
        pool.failback = settings.failback;
        pool.quarantine = settings.quarantine;
        pool.passive = settings.passive;
        pool.retry = settings.retry;
        pool.park = settings.park;
        pool.sticky = settings.sticky;
        out.pools.push_back(std::move(pool));
    }
    const auto pools = names_of(file.pools);
    for (const auto& settings : file.routes) out.routes.push_back(to_config(settings, pools, file.timeouts));
    out.stated_routes = file.routes;
    return out;
}

Config load_config(const std::string& yaml, const std::string& name)
{
    return to_config(config::from_yaml<ConfigFile>(yaml, name));
}

} // namespace hotspare::balancer
