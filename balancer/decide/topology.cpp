#include "balancer/decide/topology.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace hotspare::balancer {
namespace {

template <class Config>
std::optional<std::uint16_t> find_present(const std::vector<Config>& configs, const std::vector<Slot>& slots,
                                          std::string_view name) noexcept
{
    for (std::size_t i = 0; i < configs.size(); ++i)
        if (slots[i].use == Slot::Use::present && configs[i].name == name) return static_cast<std::uint16_t>(i);
    return std::nullopt;
}

bool is_same(const BackendConfig& a, const BackendConfig& b)
{
    return a.name == b.name && a.host == b.host && a.port == b.port && a.address == b.address && a.socket == b.socket;
}

bool is_same(const PoolConfig& a, const PoolConfig& b)
{
    return a.name == b.name;
}

template <class Config, std::size_t N>
void vacate(std::vector<Config>& configs, std::vector<Slot>& slots, const std::bitset<N>& released)
{
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (slots[i].use != Slot::Use::retired || !released[i]) continue;
        configs[i] = {};
        slots[i] = {};
    }
}

void put(Slot& slot, Slot::Use use, std::uint64_t generation)
{
    if (std::exchange(slot.use, use) != use) slot.since = generation;
}

/// Gives each of `wanted` a slot: the one that it has or still holds, else a vacant one. Those that are not wanted any
/// more retire. Returns the slots in the order of `wanted`; nothing if there are too few.
template <class Config>
std::optional<std::vector<std::uint16_t>> take_slots(const std::vector<Config>& wanted, std::uint64_t generation,
                                                     std::size_t most, std::vector<Config>& configs,
                                                     std::vector<Slot>& slots)
{
    constexpr auto none = std::numeric_limits<std::uint16_t>::max();
    std::vector<std::uint16_t> taken(wanted.size(), none);
    std::vector<bool> kept(slots.size(), false);
    for (std::size_t w = 0; w < wanted.size(); ++w)
        for (std::size_t i = 0; i < slots.size() && taken[w] == none; ++i)
            if (slots[i].use != Slot::Use::vacant && is_same(configs[i], wanted[w])) {
                taken[w] = static_cast<std::uint16_t>(i);
                kept[i] = true;
                put(slots[i], Slot::Use::present, generation);
            }
    for (std::size_t i = 0; i < kept.size(); ++i)
        if (slots[i].use == Slot::Use::present && !kept[i]) put(slots[i], Slot::Use::retired, generation);
    for (std::size_t w = 0; w < wanted.size(); ++w) {
        if (taken[w] == none) {
            const auto vacant = std::find_if(slots.begin(), slots.end(),
                                             [](const Slot& slot) { return slot.use == Slot::Use::vacant; });
            taken[w] = static_cast<std::uint16_t>(vacant - slots.begin());
            if (vacant == slots.end()) {
                if (slots.size() >= most) return std::nullopt;
                slots.emplace_back();
                configs.emplace_back();
            }
            slots[taken[w]] = {.use = Slot::Use::present, .taken = generation, .since = generation};
        }
        configs[taken[w]] = wanted[w];
    }
    return taken;
}

/// One after the other with commas; what follows the first `most` is only counted.
std::string listed(const std::vector<std::string>& names, std::size_t most = 8)
{
    if (names.size() <= most) return fmt::format("{}", fmt::join(names, ", "));
    return fmt::format("{} and {} more",
                       fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(most), ", "),
                       names.size() - most);
}

std::vector<unsigned> weights_of(const PoolConfig& pool, const std::vector<BackendConfig>& backends)
{
    std::vector<unsigned> weights;
    for (std::size_t i = 0; i < pool.backends.size(); ++i)
        weights.push_back(i < pool.weights.size() ? pool.weights[i] : backends[pool.backends[i]].weight);
    return weights;
}

std::string members_of(const PoolConfig& pool, const std::vector<BackendConfig>& backends)
{
    std::vector<std::string> names;
    const auto weights = weights_of(pool, backends);
    for (std::size_t i = 0; i < pool.backends.size(); ++i)
        names.push_back(weights[i] == 1 ? backends[pool.backends[i]].name
                                        : fmt::format("{} (weight {})", backends[pool.backends[i]].name, weights[i]));
    return names.empty() ? "no backend" : listed(names);
}

void tell_backends(const Topology& before, const Topology& after, std::vector<std::string>& said)
{
    for (const BackendIndex b : after.present_backends) {
        const BackendConfig& now = after.backends[b];
        const auto earlier = before.find_backend(now.name);
        if (!earlier)
            said.push_back(fmt::format("backend '{}' added ({})", now.name, now.url));
        else if (*earlier != b)
            said.push_back(
                fmt::format("backend '{}' moved from {} to {}", now.name, before.backends[*earlier].url, now.url));
        if (earlier == b && before.backends[b].proxy_protocol != now.proxy_protocol)
            said.push_back(now.proxy_protocol == ProxyVersion::off
                               ? fmt::format("backend '{}': no PROXY header", now.name)
                               : fmt::format("backend '{}': PROXY header of version {}", now.name,
                                             now.proxy_protocol == ProxyVersion::v1 ? 1 : 2));
        if (earlier == b && before.backends[b].max_connections != now.max_connections)
            said.push_back(now.max_connections == 0
                               ? fmt::format("backend '{}': no connection limit", now.name)
                               : fmt::format("backend '{}': at most {} connections", now.name, now.max_connections));
        if (earlier == b &&
            (before.backends[b].resolve != now.resolve || before.backends[b].resolve_interval != now.resolve_interval))
            said.push_back(fmt::format("backend '{}': lookup of its name changed", now.name));
        if (earlier == b && before.backends[b].probe != now.probe)
            said.push_back(fmt::format("backend '{}': its own probe settings changed", now.name));
    }
    for (const BackendIndex b : before.present_backends)
        if (!after.find_backend(before.backends[b].name))
            said.push_back(fmt::format("backend '{}' removed", before.backends[b].name));
}

/// Which groups of settings differ, beside the members.
std::vector<std::string> changed_settings(const PoolConfig& before, const PoolConfig& after)
{
    std::vector<std::string> changed;
    if (before.policy != after.policy) changed.push_back(fmt::format("policy {}", to_string(after.policy)));
    if (before.probe != after.probe) changed.emplace_back("probe");
    if (before.failback != after.failback) changed.emplace_back("failback");
    if (before.quarantine != after.quarantine) changed.emplace_back("quarantine");
    if (before.passive != after.passive) changed.emplace_back("passive");
    if (before.retry != after.retry) changed.emplace_back("retry");
    if (before.park != after.park) changed.emplace_back("park");
    if (before.sticky != after.sticky) changed.emplace_back("sticky");
    return changed;
}

void tell_pools(const Topology& before, const Topology& after, std::vector<std::string>& said)
{
    for (const PoolIndex p : after.present_pools) {
        const PoolConfig& now = after.pools[p];
        const auto members = members_of(now, after.backends);
        if (!before.pool_present(p)) {
            said.push_back(fmt::format("pool '{}' added with {}", now.name, members));
            continue;
        }
        const PoolConfig& earlier = before.pools[p];
        if (earlier.backends != now.backends || weights_of(earlier, before.backends) != weights_of(now, after.backends))
            said.push_back(fmt::format("pool '{}' has {}", now.name, members));
        if (const auto changed = changed_settings(earlier, now); !changed.empty())
            said.push_back(fmt::format("pool '{}': {} changed", now.name, listed(changed)));
    }
    for (const PoolIndex p : before.present_pools)
        if (!after.pool_present(p)) said.push_back(fmt::format("pool '{}' removed", before.pools[p].name));
}

std::vector<std::string> differences(const Topology& before, const Topology& after)
{
    std::vector<std::string> said;
    tell_backends(before, after, said);
    tell_pools(before, after, said);
    if (before.routes.routes() != after.routes.routes() || before.stated_routes != after.stated_routes ||
        before.dynamic_by_request != after.dynamic_by_request)
        said.push_back(fmt::format("routes changed: {} now", after.routes.routes().size()));
    if (before.timeouts != after.timeouts) said.emplace_back("timeouts changed");
    if (before.limits != after.limits) said.emplace_back("limits changed");
    if (before.trusted_proxies != after.trusted_proxies)
        said.push_back(
            fmt::format("trusted proxies changed: {} addresses and networks now", after.trusted_proxies.size()));
    if (before.forwarded != after.forwarded)
        said.push_back(fmt::format("Forwarded is {}", after.forwarded ? "set" : "not set any more"));
    return said;
}

} // namespace

std::optional<BackendIndex> Topology::find_backend(std::string_view name) const noexcept
{
    return find_present(backends, backend_slots, name);
}

std::optional<PoolIndex> Topology::find_pool(std::string_view name) const noexcept
{
    return find_present(pools, pool_slots, name);
}

ProbeConfig probe_of(ProbeConfig pool, const OwnProbe& own)
{
    if (!own.path.empty()) pool.path = own.path;
    if (!own.method.empty()) pool.method = own.method;
    if (!own.host.empty()) pool.host = own.host;
    if (!own.headers.empty()) pool.headers = own.headers;
    if (own.port != 0) pool.port = own.port;
    return pool;
}

std::shared_ptr<const Topology> first_topology(const Config& config, std::uint64_t generation)
{
    auto nothing = std::make_shared<Topology>();
    nothing->generation = 0;
    auto first = std::make_shared<Topology>(*next_topology(nothing, config, {})->topology);
    first->generation = generation;
    return first;
}

boost::system::result<TopologyChange, std::string> next_topology(const std::shared_ptr<const Topology>& current,
                                                                 const Config& wanted, const SlotSet& released)
{
    auto next = std::make_shared<Topology>(*current);
    ++next->generation;
    vacate(next->backends, next->backend_slots, released.backends);
    vacate(next->pools, next->pool_slots, released.pools);

    const auto too_many = [](std::string_view what, std::size_t count, std::size_t most) {
        return fmt::format("{} {} do not fit into {} slots while removed ones have requests in flight: try again later",
                           count, what, most);
    };
    auto backends = take_slots(wanted.backends, next->generation, most_backends, next->backends, next->backend_slots);
    if (!backends) return too_many("backends", wanted.backends.size(), most_backends);

    std::vector<PoolConfig> pools = wanted.pools;
    for (PoolConfig& pool : pools)
        for (BackendIndex& backend : pool.backends) backend = (*backends)[backend];
    auto pool_indices = take_slots(pools, next->generation, most_pools, next->pools, next->pool_slots);
    if (!pool_indices) return too_many("pools", pools.size(), most_pools);

    std::vector<RouteConfig> routes = wanted.routes;
    for (RouteConfig& route : routes) {
        if (route.builtin != Builtin::none) continue;
        route.pool = (*pool_indices)[route.pool];
        if (route.attempts == 0) route.attempts = next->pools[route.pool].retry.attempts;
        if (route.body_idle == Duration::zero()) route.body_idle = wanted.timeouts.body_idle;
    }
    next->routes = RouteTable(std::move(routes));
    next->stated_routes = in_match_order(wanted.stated_routes);
    next->dynamic_by_request = wanted.dynamic_by_request;
    next->present_backends = std::move(*backends);
    next->present_pools = std::move(*pool_indices);
    next->timeouts = wanted.timeouts;
    next->limits = wanted.limits;
    next->forwarded = wanted.forwarded;
    next->trusted_proxies = wanted.trusted_proxies;

    auto said = differences(*current, *next);
    if (said.empty() && current->present_backends == next->present_backends &&
        current->present_pools == next->present_pools && current->generation > 0)
        return TopologyChange{.topology = current, .said = {}};
    return TopologyChange{.topology = std::move(next), .said = std::move(said)};
}

} // namespace hotspare::balancer
