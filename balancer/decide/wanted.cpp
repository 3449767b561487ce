#include "balancer/decide/wanted.hpp"

#include "balancer/config_routes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace hotspare::balancer {
namespace {

bool says_the_same(const std::vector<BackendConfig>& a, const std::vector<BackendConfig>& b)
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const BackendConfig& x, const BackendConfig& y) {
        return x.name == y.name && x.url == y.url && x.weight == y.weight && x.resolve == y.resolve;
    });
}

std::vector<RouteSettings> dynamic_of(const Config& config)
{
    std::vector<RouteSettings> out;
    std::copy_if(config.stated_routes.begin(), config.stated_routes.end(), std::back_inserter(out),
                 [](const RouteSettings& route) { return route.dynamic; });
    return out;
}

/// Whatever the files of their error pages hold.
bool says_the_same(const std::vector<RouteSettings>& a, const std::vector<RouteSettings>& b)
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](RouteSettings x, const RouteSettings& y) {
        x.error_page_html = y.error_page_html;
        return x == y;
    });
}

const PoolConfig* find_pool(const Config& config, std::string_view name)
{
    const auto it = std::find_if(config.pools.begin(), config.pools.end(),
                                 [name](const PoolConfig& pool) { return pool.name == name; });
    return it != config.pools.end() ? &*it : nullptr;
}

/// What a server expects in front of its connections and of its probes, and how many connections it takes, does not
/// depend on who has named it: a request that does not say means the server that the configuration knows.
void complete(BackendConfig& member, const Config& configuration)
{
    const auto known =
        std::find_if(configuration.backends.begin(), configuration.backends.end(), [&](const BackendConfig& backend) {
            return backend.name == member.name && backend.host == member.host && backend.port == member.port;
        });
    const bool is_known = known != configuration.backends.end();
    if (is_known) {
        member.proxy_protocol = known->proxy_protocol;
        member.probe = known->probe;
    }
    if (member.max_connections == limit_as_configured) member.max_connections = is_known ? known->max_connections : 0;
}

} // namespace

/// With the weights that they have in it.
std::vector<BackendConfig> Wanted::members_of(const Config& config, const PoolConfig& pool)
{
    std::vector<BackendConfig> members;
    for (std::size_t i = 0; i < pool.backends.size(); ++i) {
        members.push_back(config.backends[pool.backends[i]]);
        if (i < pool.weights.size()) members.back().weight = pool.weights[i];
    }
    return members;
}

Wanted::Replaced Wanted::read_again(Config configuration)
{
    configuration_ = std::move(configuration);
    Replaced over;
    if (routes_ && !routes_hold()) {
        routes_.reset();
        over.routes = true;
    }
    for (auto it = requests_.begin(); it != requests_.end();) {
        const PoolConfig* const pool = find_pool(configuration_, it->first);
        if (pool != nullptr && says_the_same(members_of(configuration_, *pool), it->second.instead_of)) {
            ++it;
            continue;
        }
        over.pools.push_back(it->first);
        it = requests_.erase(it);
    }
    return over;
}

void Wanted::set_members(const std::string& pool, std::vector<BackendConfig> members)
{
    requests_[pool] = {.instead_of = members_of(configuration_, *find_pool(configuration_, pool)),
                       .members = std::move(members)};
}

/// The configuration says of the dynamic routes what it said when the request came, and agrees with those of that.
bool Wanted::routes_hold() const
{
    Config all = configuration_;
    return says_the_same(dynamic_of(configuration_), routes_->instead_of) && add_routes(all);
}

Requests Wanted::requests() const
{
    Requests out{.members = {}, .routes = routes_};
    for (const auto& [pool, request] : requests_) out.members.push_back({pool, request.instead_of, request.members});
    return out;
}

Wanted::Replaced Wanted::restore(const Requests& requests)
{
    Replaced over;
    for (const MembersRequest& request : requests.members) {
        const PoolConfig* const pool = find_pool(configuration_, request.pool);
        if (pool != nullptr && says_the_same(members_of(configuration_, *pool), request.instead_of))
            requests_[request.pool] = {.instead_of = request.instead_of, .members = request.members};
        else
            over.pools.push_back(request.pool);
    }
    routes_ = requests.routes;
    if (routes_ && !routes_hold()) {
        routes_.reset();
        over.routes = true;
    }
    return over;
}

void Wanted::set_routes(std::vector<RouteSettings> routes)
{
    for (RouteSettings& route : routes) route.dynamic = true;
    routes_ = {.instead_of = dynamic_of(configuration_), .routes = std::move(routes)};
}

/// Those of the request in place of the dynamic ones.
boost::system::result<void, std::string> Wanted::add_routes(Config& all) const
{
    if (!routes_) return {};
    const auto conflict = [](std::string why) -> boost::system::result<void, std::string> {
        return {boost::system::in_place_error, std::move(why)};
    };
    std::vector<std::string> pools;
    for (const PoolConfig& pool : all.pools) pools.push_back(pool.name);
    std::set<MatchKey> fixed;
    std::map<std::string, std::string, std::less<>> pages; // as they were read last
    all.routes.clear();
    all.stated_routes.clear();
    for (std::size_t i = 0; i < configuration_.stated_routes.size(); ++i) {
        const RouteSettings& route = configuration_.stated_routes[i];
        if (!route.error_page.empty()) pages[route.error_page] = route.error_page_html;
        if (route.dynamic) continue;
        fixed.insert(match_key(route));
        all.routes.push_back(configuration_.routes[i]);
        all.stated_routes.push_back(route);
    }
    for (std::size_t i = 0; i < routes_->routes.size(); ++i) {
        RouteSettings route = routes_->routes[i];
        if (fixed.contains(match_key(route)))
            return conflict(
                fmt::format("routes[{}] is for the same requests as the route for '{}', which is not dynamic", i,
                            route.path + route.prefix));
        const bool needs_pool = route.builtin == Builtin::none && route.redirect.empty();
        if (needs_pool && find_pool(all, route.pool) == nullptr)
            return conflict(fmt::format("routes[{}].pool: there is no pool '{}' any more", i, route.pool));
        if (!route.error_page.empty()) {
            const auto page = pages.find(route.error_page);
            if (page == pages.end())
                return conflict(fmt::format("routes[{}].error_page: no route of the configuration has this one", i));
            route.error_page_html = page->second;
        }
        all.routes.push_back(to_config(route, pools, all.timeouts));
        all.stated_routes.push_back(std::move(route));
    }
    if (all.routes.size() > most_routes)
        return conflict(fmt::format("{} routes together, expected at most {}", all.routes.size(), most_routes));
    all.dynamic_by_request = true;
    return {};
}

boost::system::result<Config, std::string> Wanted::combined() const
{
    Config all = configuration_;
    if (auto added = add_routes(all); !added) return {boost::system::in_place_error, std::move(added.error())};
    if (requests_.empty()) return all;
    all.backends.clear();

    // A limit that a request sets is the server's, in whatever pool.
    std::map<std::string, unsigned> limits;
    for (const auto& [pool, request] : requests_)
        for (const BackendConfig& member : request.members) {
            if (member.max_connections == limit_as_configured) continue;
            const auto [said, is_new] = limits.try_emplace(member.name, member.max_connections);
            if (!is_new && said->second != member.max_connections)
                return {boost::system::in_place_error,
                        fmt::format("the backend '{}' has max_connections {} in pool '{}' and {} in another",
                                    member.name, member.max_connections, pool, said->second)};
        }

    /// Adds the backend unless it is there; nothing if its name stands for another address.
    const auto add = [&](BackendConfig backend) -> std::optional<BackendIndex> {
        if (const auto said = limits.find(backend.name); said != limits.end()) backend.max_connections = said->second;
        const auto same = std::find_if(all.backends.begin(), all.backends.end(),
                                       [&](const BackendConfig& other) { return other.name == backend.name; });
        if (same != all.backends.end() && same->url != backend.url) return std::nullopt;
        const auto index = static_cast<BackendIndex>(same - all.backends.begin());
        if (same == all.backends.end()) all.backends.push_back(backend);
        return index;
    };
    // In the configuration's order as far as it goes; what no pool of it names was probed before, and still is.
    for (std::size_t b = 0; b < configuration_.backends.size(); ++b) {
        bool replaced = false, kept = false;
        for (const PoolConfig& pool : configuration_.pools) {
            const bool names = std::find(pool.backends.begin(), pool.backends.end(), b) != pool.backends.end();
            (requests_.contains(pool.name) ? replaced : kept) |= names;
        }
        if (kept || !replaced) add(configuration_.backends[b]);
    }
    for (PoolConfig& pool : all.pools) {
        const auto request = requests_.find(pool.name);
        const auto members = request != requests_.end() ? request->second.members : members_of(configuration_, pool);
        pool.by_request = request != requests_.end();
        pool.backends.clear();
        pool.weights.clear();
        for (BackendConfig member : members) {
            complete(member, configuration_);
            const auto index = add(member);
            if (!index)
                return {boost::system::in_place_error,
                        fmt::format("the backend '{}' has another address in another pool than {}", member.name,
                                    member.url)};
            pool.backends.push_back(*index);
            pool.weights.push_back(member.weight);
        }
    }
    if (all.backends.size() > most_backends)
        return {boost::system::in_place_error, fmt::format("{} backends in all pools together, expected at most {}",
                                                           all.backends.size(), most_backends)};
    return all;
}

std::vector<std::string> needs_restart(const Config& running, const Config& wanted)
{
    std::vector<std::string> names;
    const auto compare = [&names](const char* name, const auto& a, const auto& b) {
        if (a != b) names.emplace_back(name);
    };
    compare("listen", std::pair(running.listen_host, running.listen_port),
            std::pair(wanted.listen_host, wanted.listen_port));
    compare("workers", running.workers, wanted.workers);
    compare("proxy_protocol", running.proxy_protocol, wanted.proxy_protocol);
    compare("access_log", running.access_log, wanted.access_log);
    compare("log_traffic", running.log_traffic, wanted.log_traffic);
    compare("admin", running.admin, wanted.admin);
    compare("admin_listen", running.admin_listen, wanted.admin_listen);
    compare("admin_token", running.admin_token, wanted.admin_token);
    compare("admin_hosts", running.admin_hosts, wanted.admin_hosts);
    compare("admin_origins", running.admin_origins, wanted.admin_origins);
    compare("resolvers", running.resolvers, wanted.resolvers);
    compare("limits.relay_memory", running.limits.relay_memory, wanted.limits.relay_memory);
    compare("limits.access_log_backlog", running.limits.access_log_backlog, wanted.limits.access_log_backlog);
    return names;
}

} // namespace hotspare::balancer
