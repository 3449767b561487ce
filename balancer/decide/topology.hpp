// What can change while the balancer runs, as one immutable value: backends, pools, routes, timeouts, limits. Each
// change makes a new generation of it; what has begun under an older one ends under it.
//
// A backend or a pool has a slot: its index, which everything that is known of it (health, flaps, counters, idle
// connections) is kept by, so that all of that survives a change of everything else. The slot belongs to the name and
// the address: a name that moves to another server gets another slot. What is removed retires: its slot keeps its name
// for the requests that still refer to it, and is vacant only when none does in any worker.
//
// PURE. Made by the monitor's thread; read by any.
#pragma once

#include "balancer/config.hpp"
#include "balancer/decide/routes.hpp"

#include <boost/system/result.hpp>

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

struct Slot {
    enum class Use : std::uint8_t {
        vacant,
        present, ///< in the configuration
        retired, ///< removed from it; requests that began before may still refer to it
    };
    Use use = Use::vacant;
    std::uint64_t taken = 0; ///< generation in which its backend or pool took it: another one is another of them
    std::uint64_t since = 0; ///< generation in which its use began

    bool operator==(const Slot&) const = default;
};

struct Topology {
    std::uint64_t generation = 1;

    std::vector<BackendConfig> backends;        ///< by BackendIndex
    std::vector<Slot> backend_slots;            ///< parallel
    std::vector<PoolConfig> pools;              ///< by PoolIndex
    std::vector<Slot> pool_slots;               ///< parallel
    std::vector<BackendIndex> present_backends; ///< in the configuration's order
    std::vector<PoolIndex> present_pools;       ///< in the configuration's order: the first one is the default

    RouteTable routes;
    std::vector<RouteSettings> stated_routes; ///< what the routes were made from, in the same order
    bool dynamic_by_request = false;          ///< as Config::dynamic_by_request
    TimeoutConfig timeouts;
    LimitConfig limits;
    bool forwarded = false;
    TrustedProxies trusted_proxies;

    /// Whether the slot is of the same backend in both.
    bool same_backend(const Topology& other, BackendIndex backend) const noexcept
    {
        return backend < other.backend_slots.size() && backend < backend_slots.size() &&
               other.backend_slots[backend].taken == backend_slots[backend].taken;
    }
    bool same_pool(const Topology& other, PoolIndex pool) const noexcept
    {
        return pool < other.pool_slots.size() && pool < pool_slots.size() &&
               other.pool_slots[pool].taken == pool_slots[pool].taken;
    }

    bool present(BackendIndex backend) const noexcept
    {
        return backend < backend_slots.size() && backend_slots[backend].use == Slot::Use::present;
    }
    bool pool_present(PoolIndex pool) const noexcept
    {
        return pool < pool_slots.size() && pool_slots[pool].use == Slot::Use::present;
    }

    /// Of those that are present.
    std::optional<BackendIndex> find_backend(std::string_view name) const noexcept;
    std::optional<PoolIndex> find_pool(std::string_view name) const noexcept;
};

/// How a backend with `own` is probed whose pool says `pool`.
ProbeConfig probe_of(ProbeConfig pool, const OwnProbe& own);

/// The first generation of this process, with that number: the slots are the positions in `config`.
std::shared_ptr<const Topology> first_topology(const Config& config, std::uint64_t generation = 1);

struct SlotSet {
    BackendSet backends;
    std::bitset<most_pools> pools;
};

struct TopologyChange {
    std::shared_ptr<const Topology> topology; ///< the one that was there if nothing changes
    std::vector<std::string> said;            ///< what changes, a clause each: "backend 'b' added"; empty = nothing
};

/// The generation after `current` that does what `wanted` says. `released`: retired slots that nothing refers to any
/// more. Fails, with a sentence, while the slots that it needs
/// are held by what was removed before.
boost::system::result<TopologyChange, std::string> next_topology(const std::shared_ptr<const Topology>& current,
                                                                 const Config& wanted, const SlotSet& released);

} // namespace hotspare::balancer
