// The balancer's settings as one typed value: defaults here, overridden by the YAML file, then the environment, then
// flags. Every default is meant to be right for the common case; the reason for a number stands beside it.
//
// Filled and validated before any thread starts, immutable afterwards, so every thread may read it.
#pragma once

#include "balancer/decide/header_edits.hpp"
#include "balancer/decide/proxy_protocol.hpp"
#include "balancer/decide/routing.hpp"
#include "balancer/decide/sticky.hpp"
#include "balancer/decide/trusted.hpp"
#include "common/clock.hpp"
#include "common/http/head.hpp"
#include "common/http/status_range.hpp"

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace hotspare::balancer {

/// Upper bounds of the slots of backends and of pools, those included that removed ones still hold: sets of them are
/// fixed storage.
constexpr std::size_t most_backends = 256;
constexpr std::size_t most_pools = 256;
using BackendSet = std::bitset<most_backends>;
/// The same of RetryConfig::attempts.
constexpr unsigned most_attempts = 16;

using http::StatusRange;

/// What the addresses of a backend's name are.
enum class Resolve : std::uint8_t {
    any,  ///< ways to one server, each as good as another
    each, ///< one server each
    srv,  ///< the name is that of a service (RFC 2782), each of whose records is one server
};

/// Of a member that an operator's request names: what the configuration says of the same server.
constexpr unsigned limit_as_configured = std::numeric_limits<unsigned>::max();

/// What a backend has of its own of the ProbeConfig of its pool; what is empty or 0 it has not.
struct OwnProbe {
    std::string path{};
    std::string method{};
    std::string host{};
    std::vector<std::string> headers{};
    std::uint16_t port = 0;

    bool operator==(const OwnProbe&) const = default;
};

/// A server that answers requests. Pools refer to it by name, so several pools may share one.
struct BackendConfig {
    std::string name;
    std::string url;         ///< http://host:port, nothing behind the port; or unix:path
    std::string socket{};    ///< from url: the path of a Unix socket; empty: none
    std::string host;        ///< from url
    std::uint16_t port = 80; ///< from url
    unsigned weight = 1;
    unsigned max_connections = 0;                    ///< in use at once, of all workers together; 0 = no limit
    ProxyVersion proxy_protocol = ProxyVersion::off; ///< in front of each connection to it
    Resolve resolve = Resolve::any;
    Duration resolve_interval{}; ///< between two lookups of the name; 0 = by its TTL
    OwnProbe probe{};
    /// Of `host`, where each of its addresses is a backend of its own: this one's.
    std::string address{};
    std::string service{}; ///< the one whose SRV record this backend is
    /// Where `url` was given (file:line:column, flag or variable), for errors found only at start.
    std::string source{};
};

/// The heartbeat. With the defaults a backend that stops answering is declared down after at most
/// interval + timeout + fast_interval + timeout = 1.4 s by the monitor alone; live traffic notices far sooner.
struct ProbeConfig {
    std::string path = "/health";
    std::string method = "GET";
    std::string host{};                 ///< the Host field; empty = the backend's host and port
    std::vector<std::string> headers{}; ///< "NAME: VALUE" each
    std::uint16_t port = 0;             ///< 0 = the backend's
    Duration interval = milliseconds(500);
    Duration fast_interval = milliseconds(100); ///< while a status is in doubt; a fifth of it while no backend works
    Duration timeout = milliseconds(400);
    Duration slow = milliseconds(300); ///< a good answer slower than this makes the backend degraded
    double jitter = 0.1;               ///< +-10 %, so that several balancers do not probe in step
    unsigned fall = 2;
    unsigned rise = 2;
    std::vector<StatusRange> expect_status{{200, 299}};
    std::string expect_body;       ///< substring of the body; empty = any
    std::string expect_json_field; ///< "status=healthy": a top-level field and its value; empty = any

    bool operator==(const ProbeConfig&) const = default;
};

enum class FailbackMode : std::uint8_t { automatic, manual };

struct FailbackConfig {
    FailbackMode mode = FailbackMode::automatic;
    Duration hold_down = seconds(1);      ///< doubled per flap ...
    Duration hold_down_max = seconds(60); ///< ... up to this; halved for each such period without a flap
    Duration slow_start = Duration::zero();

    bool operator==(const FailbackConfig&) const = default;
};

/// Version failover (v1 -> v2 -> v3): off while failure_limit is 0.
struct QuarantineConfig {
    unsigned failure_limit = 0;
    Duration failure_window = seconds(10);
    Duration cooldown = seconds(15);

    bool operator==(const QuarantineConfig&) const = default;
};

struct PassiveConfig {
    StatusRange failing_status{500, 599};
    /// Requests that failed here and succeeded elsewhere, less two for each that succeeded here, that mark a backend
    /// degraded. One that fails a third of its requests practically never gets there.
    unsigned degrade_after = 20;
    double outlier_factor = 5; ///< mean latency this many times that of its peers marks it degraded

    bool operator==(const PassiveConfig&) const = default;
};

struct RetryConfig {
    /// Count as failures of an attempt when the request may be replayed (docs/decisions/0003).
    std::vector<StatusRange> statuses{{500, 500}, {502, 504}};
    unsigned attempts = 8; ///< times one request is sent, hedges included; attempts of which no byte was sent are free
    double budget_ratio = 0.2;     ///< retries and hedges per request ...
    double budget_per_second = 10; ///< ... plus this many, so that a quiet service may retry too
    std::size_t replay_buffer = 64 * 1024;
    bool hedge = true;
    Duration hedge_floor = milliseconds(20);
    double hedge_factor = 3; ///< hedge after this multiple of the recent p99

    bool operator==(const RetryConfig&) const = default;
};

struct ParkConfig {
    Duration timeout = seconds(2);
    std::size_t limit = 1024;           ///< requests per worker
    unsigned release_per_second = 2000; ///< pace of the release, so that a server that returns is not met by a wall

    bool operator==(const ParkConfig&) const = default;
};

struct PoolConfig {
    std::string name;
    Policy policy = Policy::failover;
    std::vector<BackendIndex> backends; ///< order = priority under `failover`
    std::vector<unsigned> weights;      ///< parallel to backends
    bool by_request = false;            ///< an operator's request says which backends and weights these are
    ProbeConfig probe;
    FailbackConfig failback;
    QuarantineConfig quarantine;
    PassiveConfig passive;
    RetryConfig retry;
    ParkConfig park;
    StickyConfig sticky; ///< none under `failover`

    bool operator==(const PoolConfig&) const = default;
};

enum class Builtin : std::uint8_t {
    none,
    health,
    status,
    metrics,
    events,
    logs,
    admin,        ///< /admin and the requests below it
    proxy_health, ///< {"active":...,"url":...,"status":...}
};

/// A query parameter or a header field that a request must have; no name: none.
struct NamedValue {
    std::string name{};
    std::string value{};
    bool any = false; ///< whatever its value is

    bool operator==(const NamedValue&) const = default;
};

struct RouteConfig {
    std::string path{};   ///< exact match; empty when `prefix` is set
    std::string prefix{}; ///< "/data" matches /data, /data/x and /data?q but not /database
    NamedValue query{};   ///< decoded
    NamedValue header{};
    std::string rewrite{};   ///< replaces the matched part of the path; empty = unchanged
    bool repeatable = false; ///< what is asked here may be sent again whatever its method, though not hedged
    Duration timeout{};      ///< as TimeoutConfig::request, which it is if the file does not say otherwise
    Duration body_idle{};    ///< as TimeoutConfig::body_idle, which it is if the file does not say otherwise
    unsigned attempts = 0;   ///< as RetryConfig::attempts of its pool, in the same way
    bool hedge = true;       ///< as far as RetryConfig::hedge allows
    HeaderEdits request_headers{};
    HeaderEdits response_headers{};
    std::string error_page{}; ///< HTML, in place of the problem document of an answer of 500 to 599; empty = none
    std::string redirect{};   ///< answered with this, in place of the matched part of the path; empty = not
    unsigned redirect_status = 308;
    Builtin builtin = Builtin::none;
    PoolIndex pool = 0;   ///< when builtin is none and nothing is redirected
    bool dynamic = false; ///< operators' requests may replace it

    bool operator==(const RouteConfig&) const = default;
};

/// A route as a file or a request says it, which a RouteConfig is made from.
struct RouteSettings {
    std::string path;
    std::string prefix;
    std::string query;  ///< NAME=VALUE, or NAME alone
    std::string header; ///< "NAME: VALUE", or NAME alone
    std::string rewrite;
    bool repeatable = false;
    Duration timeout{};    ///< 0 = timeouts.request
    Duration body_idle{};  ///< 0 = timeouts.body_idle
    unsigned attempts = 0; ///< 0 = the pool's
    bool hedge = true;
    std::vector<std::string> set_request_headers, remove_request_headers;
    std::vector<std::string> set_response_headers, remove_response_headers;
    std::string error_page;      ///< a file
    std::string error_page_html; ///< that it held when finish() read it
    std::string redirect;
    unsigned redirect_status = 308;
    Builtin builtin = Builtin::none;
    std::string pool;     ///< empty = the first one
    bool dynamic = false; ///< operators' requests may replace it

    bool operator==(const RouteSettings&) const = default;
};

struct TimeoutConfig {
    Duration connect = seconds(1);
    /// For everything between a request and its response's header: parking, attempts, hedges, but not the arrival of
    /// the request's body. An attempt that uses it up is evidence against its backend.
    Duration request = seconds(30);
    Duration header = seconds(10);      ///< first byte of a request header to its last (408)
    Duration body_idle = seconds(30);   ///< longest silence inside a body, either side
    Duration client_idle = seconds(60); ///< keep-alive connection between requests
    Duration upstream_idle = seconds(30);
    Duration tunnel_idle = std::chrono::hours(1);
    Duration tunnel_drain = seconds(30); ///< what a tunnel has left once its backend is removed
    Duration drain = seconds(10);        ///< SIGTERM to forced close
    /// From the moment at which a new process serves to the forced close of what the old one still has.
    Duration upgrade_drain = std::chrono::hours(1);

    bool operator==(const TimeoutConfig&) const = default;
};

/// A head is parsed into fixed storage for this many fields: an upper bound of LimitConfig::fields.
constexpr std::size_t most_fields = 128;

struct LimitConfig {
    std::size_t request_line = 8 * 1024;         ///< 414
    std::size_t header = 16 * 1024;              ///< 431; request line included
    std::size_t fields = 100;                    ///< 431
    std::uint64_t body = 0;                      ///< 413; 0 = unlimited
    std::uint64_t relay_memory = 256 << 20;      ///< held for bodies by all workers together; see RelayMemory
    std::uint64_t access_log_backlog = 16 << 20; ///< bytes of access log records that wait to be written
    std::size_t connections = 0;                 ///< per worker; 0 = what the descriptor limit allows
    std::size_t upstream_idle_per_backend = 256; ///< per worker

    bool operator==(const LimitConfig&) const = default;
};

/// The part of the limits that the reader of heads needs.
inline http::HeadLimits head_limits(const LimitConfig& limits) noexcept
{
    return {.request_line = limits.request_line, .head = limits.header, .fields = limits.fields};
}

/// Where operators' requests are taken apart from the clients' port: a Unix socket, or an address.
struct OperatorListen {
    std::string socket{}; ///< path; empty: none
    std::string host{};   ///< an IP address; empty: none
    std::uint16_t port = 0;

    bool operator==(const OperatorListen&) const = default;
};

struct Config {
    std::string listen_host = "127.0.0.1";
    std::uint16_t listen_port = 5000; ///< 0 = any free port, printed at start
    std::string listen_source{};      ///< where the address was given, as BackendConfig::source; empty = the default
    unsigned workers = 0;             ///< 0 = one per core
    std::string access_log;           ///< empty = off; "-" = standard output; else a file
    bool forwarded = false;           ///< also set `Forwarded` (RFC 7239)
    TrustedProxies trusted_proxies;   ///< peers whose word about their clients counts
    bool proxy_protocol = false;      ///< these send a PROXY header in front of each connection
    bool log_traffic = false; ///< tell the readers of /logs of each request and each change of the active backend
    bool admin = false;       ///< take operators' requests on the clients' port; else /admin is 403
    OperatorListen admin_listen;
    std::string admin_token; ///< every operator's request over TCP must carry it; empty = none is asked for
    /// What http::GuardSettings says of both lists.
    std::vector<std::string> admin_hosts;
    std::vector<std::string> admin_origins;
    std::vector<std::string> default_pages; ///< paths of built-in pages that no route asked for
    std::vector<std::string> resolvers;     ///< name servers, as http::Resolver::Settings::servers
    std::vector<BackendConfig> backends;
    std::vector<PoolConfig> pools;
    std::vector<RouteConfig> routes; ///< the longest match wins; empty in the file = all paths to the first pool
    std::vector<RouteSettings> stated_routes{}; ///< parallel to routes: what each was made from
    bool dynamic_by_request = false;            ///< an operator's request says which routes are the dynamic ones
    TimeoutConfig timeouts;
    LimitConfig limits;
};

} // namespace hotspare::balancer
