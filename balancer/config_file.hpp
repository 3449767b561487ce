// What a file, the environment and flags can say about the balancer, and how that becomes a Config.
//
// The file names pools and backends; a Config holds their indices, parsed addresses, and everything that a shorter file
// left to be understood: one pool `default` of all backends where none is given, every path to the first pool where no
// route is, the built-in pages. Names are not resolved and ports not bound here; that is the start of the daemon.
//
// Used once, by main() through run_app(); see common/config.hpp for the three functions that it looks for.
#pragma once

#include "balancer/config.hpp"
#include "balancer/config_routes.hpp"
#include "common/config.hpp"

#include <string>
#include <vector>

namespace hotspare::balancer {

struct PoolSettings {
    std::string name = "default";
    Policy policy = Policy::failover;
    std::vector<std::string> backends; ///< names; empty = all, in order
    std::vector<unsigned> weights;     ///< parallel to backends; empty = the backends' own
    ProbeConfig probe;
    FailbackConfig failback;
    QuarantineConfig quarantine;
    PassiveConfig passive;
    RetryConfig retry;
    ParkConfig park;
    StickyConfig sticky;
};

struct ConfigFile {
    config::HostPort listen{"127.0.0.1", 5000};
    unsigned workers = 0;
    std::string access_log;
    bool forwarded = false;
    TrustedProxies trusted_proxies;
    bool proxy_protocol = false;
    bool log_traffic = false;
    bool pages = true; ///< add the built-in pages that the routes leave free
    bool admin = false;
    std::string admin_listen; ///< "unix:PATH", ADDRESS:PORT, or nothing
    std::string admin_token;
    std::vector<std::string> admin_hosts;
    std::vector<std::string> admin_origins;
    std::vector<std::string> resolvers;
    std::vector<BackendConfig> backends;
    std::vector<PoolSettings> pools;
    std::vector<RouteSettings> routes;
    TimeoutConfig timeouts;
    LimitConfig limits;

    unsigned port_offset = 0;               ///< flag only: added to the ports of `listen` and of all loopback backends
    std::string listen_source;              ///< where the address to listen on was given
    std::vector<std::string> default_pages; ///< what finish() added for `pages`
};

void fields(config::Fields& field, ConfigFile& file);
void flags(config::Flags& list, ConfigFile& file);

/// Fills in what was left to be understood, so that to_config() cannot fail and --print-config shows the whole; checks
/// what spans several keys and that the access log's folder exists. Doing it again changes nothing.
void finish(ConfigFile& file, const config::Places& places);

/// What a finished file says without effect: a pool without a route, weights that no policy uses.
std::vector<std::string> without_effect(const ConfigFile& file, const config::Places& places);

/// Of a finished file.
Config to_config(const ConfigFile& file);

/// A Config from YAML alone. Throws UsageError naming `name`:line:column.
Config load_config(const std::string& yaml, const std::string& name = "config");

} // namespace hotspare::balancer
