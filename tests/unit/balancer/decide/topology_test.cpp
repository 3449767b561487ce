#include "balancer/decide/topology.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

using Use = Slot::Use;

BackendConfig backend(std::string name, std::uint16_t port = 80)
{
    BackendConfig config;
    config.name = std::move(name);
    config.host = "10.0.0.1";
    config.port = port;
    config.url = "http://10.0.0.1:" + std::to_string(port);
    return config;
}

/// One pool with all `names`, and every path to it.
Config config_of(const std::vector<std::string>& names, const std::string& pool_name = "default")
{
    Config config;
    PoolConfig& pool = config.pools.emplace_back();
    pool.name = pool_name;
    for (const std::string& name : names) {
        pool.backends.push_back(static_cast<BackendIndex>(config.backends.size()));
        pool.weights.push_back(1);
        config.backends.push_back(backend(name));
    }
    config.routes.emplace_back().prefix = "/";
    return config;
}

SlotSet everything()
{
    SlotSet all;
    all.backends.set();
    all.pools.set();
    return all;
}

std::vector<std::string> names(const Topology& topology)
{
    std::vector<std::string> all;
    for (const BackendIndex b : topology.present_backends) all.push_back(topology.backends[b].name);
    return all;
}

TEST(Topology, ABackendsOwnProbeSettingsGoBeforeThoseOfItsPool)
{
    ProbeConfig pool;
    pool.path = "/pool";
    pool.headers = {"A: b"};
    pool.port = 81;
    EXPECT_EQ(probe_of(pool, {}), pool);
    const ProbeConfig own =
        probe_of(pool, {.path = "/own", .method = "HEAD", .host = "h", .headers = {"C: d"}, .port = 82});
    EXPECT_EQ(own.path, "/own");
    EXPECT_EQ(own.method, "HEAD");
    EXPECT_EQ(own.host, "h");
    EXPECT_EQ(own.headers, std::vector<std::string>{"C: d"});
    EXPECT_EQ(own.port, 82);
    EXPECT_EQ(own.interval, pool.interval);
}

TEST(Topology, TheFirstOneHasTheSlotsOfTheConfiguration)
{
    const auto first = first_topology(config_of({"a", "b"}));
    EXPECT_EQ(first->generation, 1U);
    EXPECT_EQ(first->present_backends, (std::vector<BackendIndex>{0, 1}));
    EXPECT_EQ(first->backends[1].name, "b");
    EXPECT_EQ(first->find_backend("b"), 1);
    EXPECT_EQ(first->find_pool("default"), 0);
    EXPECT_EQ(first->routes.match("/x")->pool, 0);
}

TEST(Topology, TheSameConfigurationChangesNothing)
{
    const auto first = first_topology(config_of({"a", "b"}));
    auto wanted = config_of({"a", "b"});
    wanted.backends[0].source = "another line of the file";
    const auto change = next_topology(first, wanted, {});
    EXPECT_EQ(change->topology, first);
    EXPECT_TRUE(change->said.empty());
}

TEST(Topology, WhatStaysKeepsItsSlotWhateverTheOrder)
{
    const auto first = first_topology(config_of({"a", "b", "c"}));
    const auto change = next_topology(first, config_of({"c", "d", "a"}), {});
    const Topology& next = *change->topology;
    EXPECT_EQ(next.generation, 2U);
    EXPECT_EQ(next.find_backend("a"), 0);
    EXPECT_EQ(next.find_backend("c"), 2);
    EXPECT_EQ(next.find_backend("d"), 3);
    EXPECT_EQ(next.find_backend("b"), std::nullopt);
    EXPECT_EQ(next.pools[0].backends, (std::vector<BackendIndex>{2, 3, 0}));
    EXPECT_EQ(next.backend_slots[1].use, Use::retired);
    EXPECT_EQ(next.backends[1].name, "b") << "requests that began before still name it";
    EXPECT_TRUE(next.same_backend(*first, 0));
    EXPECT_EQ(change->said, (std::vector<std::string>{"backend 'd' added (http://10.0.0.1:80)", "backend 'b' removed",
                                                      "pool 'default' has c, d, a"}));
}

TEST(Topology, ARetiredSlotIsNotTakenBeforeItIsReleased)
{
    const auto first = first_topology(config_of({"a", "b"}));
    const auto second = next_topology(first, config_of({"a"}), everything())->topology;
    const auto third = next_topology(second, config_of({"a", "c"}), {})->topology;
    EXPECT_EQ(third->find_backend("c"), 2);
    const auto fourth = next_topology(third, config_of({"a", "c", "d"}), everything())->topology;
    EXPECT_EQ(fourth->find_backend("d"), 1);
    EXPECT_FALSE(fourth->same_backend(*third, 1));
    EXPECT_TRUE(fourth->same_backend(*third, 2));
}

TEST(Topology, WhatComesBackBeforeThatHasItsSlotAgain)
{
    const auto first = first_topology(config_of({"a", "b"}));
    const auto second = next_topology(first, config_of({"a"}), {})->topology;
    const auto third = next_topology(second, config_of({"a", "b"}), {})->topology;
    EXPECT_EQ(third->find_backend("b"), 1);
    EXPECT_TRUE(third->same_backend(*first, 1));
    EXPECT_EQ(third->backend_slots[1].since, 3U) << "what was released in generation 2 is in use again";
}

TEST(Topology, ANameThatMovesIsAnotherBackend)
{
    const auto first = first_topology(config_of({"a", "b"}));
    auto wanted = config_of({"a", "b"});
    wanted.backends[1] = backend("b", 81);
    const auto change = next_topology(first, wanted, {});
    EXPECT_EQ(change->topology->find_backend("b"), 2);
    EXPECT_EQ(change->topology->backend_slots[1].use, Use::retired);
    EXPECT_EQ(change->said.front(), "backend 'b' moved from http://10.0.0.1:80 to http://10.0.0.1:81");
}

TEST(Topology, PoolsHaveSlotsToo)
{
    auto config = config_of({"a"}, "one");
    const auto first = first_topology(config);
    const auto second = next_topology(first, config_of({"a"}, "two"), {});
    EXPECT_EQ(second->topology->find_pool("two"), 1);
    EXPECT_EQ(second->topology->pool_slots[0].use, Use::retired);
    EXPECT_EQ(second->topology->routes.match("/")->pool, 1);
    EXPECT_EQ(second->said,
              (std::vector<std::string>{"pool 'two' added with a", "pool 'one' removed", "routes changed: 1 now"}));
}

TEST(Topology, SaysWhichSettingsChange)
{
    const auto first = first_topology(config_of({"a", "b"}));
    auto wanted = config_of({"a", "b"});
    wanted.pools[0].weights = {3, 1};
    wanted.pools[0].probe.interval = seconds(9);
    wanted.pools[0].retry.hedge = false;
    wanted.timeouts.request = seconds(1);
    wanted.limits.body = 7;
    wanted.forwarded = true;
    EXPECT_EQ(next_topology(first, wanted, {})->said,
              (std::vector<std::string>{"pool 'default' has a (weight 3), b", "pool 'default': probe, retry changed",
                                        "timeouts changed", "limits changed", "Forwarded is set"}));
}

TEST(Topology, WhoIsTrustedAndWhoIsSentAProxyHeaderCanChange)
{
    const auto first = first_topology(config_of({"a", "b"}));
    auto wanted = config_of({"a", "b"});
    wanted.trusted_proxies = {*Network::parse("10.0.0.0/8"), *Network::parse("::1")};
    wanted.backends[0].proxy_protocol = ProxyVersion::v1;
    wanted.backends[1].proxy_protocol = ProxyVersion::v2;
    const auto change = next_topology(first, wanted, {});
    EXPECT_EQ(change->said, (std::vector<std::string>{"backend 'a': PROXY header of version 1",
                                                      "backend 'b': PROXY header of version 2",
                                                      "trusted proxies changed: 2 addresses and networks now"}));
    EXPECT_EQ(change->topology->trusted_proxies, wanted.trusted_proxies);
    EXPECT_TRUE(change->topology->same_backend(*first, 0)) << "it is the same server";
    EXPECT_EQ(next_topology(change->topology, config_of({"a", "b"}), {})->said,
              (std::vector<std::string>{"backend 'a': no PROXY header", "backend 'b': no PROXY header",
                                        "trusted proxies changed: 0 addresses and networks now"}));
}

TEST(Topology, ConnectionLimitsCanChange)
{
    const auto first = first_topology(config_of({"a", "b"}));
    auto wanted = config_of({"a", "b"});
    wanted.backends[0].max_connections = 5;
    const auto change = next_topology(first, wanted, {});
    EXPECT_EQ(change->said, (std::vector<std::string>{"backend 'a': at most 5 connections"}));
    EXPECT_TRUE(change->topology->same_backend(*first, 0)) << "it is the same server";
    EXPECT_EQ(next_topology(change->topology, config_of({"a", "b"}), {})->said,
              (std::vector<std::string>{"backend 'a': no connection limit"}));
}

TEST(Topology, AnotherWayToLookUpANameIsAChangeAndAnotherAddressAnotherBackend)
{
    auto config = config_of({"a", "b"});
    const auto first = first_topology(config);
    config.backends[0].resolve_interval = seconds(5);
    const auto second = next_topology(first, config, {});
    EXPECT_EQ(second->said, (std::vector<std::string>{"backend 'a': lookup of its name changed"}));
    EXPECT_TRUE(second->topology->same_backend(*first, 0));
    config.backends[0].address = "10.0.0.7";
    const auto third = next_topology(second->topology, config, {});
    EXPECT_EQ(*third->topology->find_backend("a"), 2U);
}

TEST(Topology, TheOrderAloneIsAChange)
{
    const auto first = first_topology(config_of({"a", "b"}));
    const auto change = next_topology(first, config_of({"b", "a"}), {});
    EXPECT_EQ(names(*change->topology), (std::vector<std::string>{"b", "a"}));
    EXPECT_EQ(change->said, (std::vector<std::string>{"pool 'default' has b, a"}));
}

TEST(Topology, IsRefusedWhileRemovedBackendsHoldTheSlots)
{
    std::vector<std::string> old, fresh;
    for (std::size_t i = 0; i < most_backends; ++i) {
        old.push_back("old" + std::to_string(i));
        fresh.push_back("new" + std::to_string(i));
    }
    const auto first = first_topology(config_of(old));
    const auto refused = next_topology(first, config_of(fresh), {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), "256 backends do not fit into 256 slots while removed ones have requests in flight: "
                               "try again later");
    const auto less = next_topology(first, config_of({old[0]}), {})->topology;
    EXPECT_TRUE(next_topology(less, config_of(fresh), everything()).has_error())
        << "one of them retires only with this change";
    const auto none = next_topology(less, config_of({}), {})->topology;
    EXPECT_EQ(names(*next_topology(none, config_of(fresh), everything())->topology), fresh);
}

/// A request in progress: where it was sent, under which topology.
struct InFlight {
    std::shared_ptr<const Topology> began;
    BackendIndex backend;
};

// Whatever changes in whatever order while requests come and go: the slot of each request stays that of the backend
// that it was sent to, what stays keeps its slot, and what there is is what the latest configuration says.
RC_GTEST_PROP(TopologyProperty, NoSlotIsReusedWhileARequestRefersToIt, ())
{
    auto topology = first_topology(config_of({"a", "b"}));
    std::vector<InFlight> requests;
    const auto used = [&] {
        SlotSet slots;
        for (const InFlight& request : requests) slots.backends.set(request.backend);
        return slots;
    };
    for (int step = *rc::gen::inRange(1, 60); step > 0; --step) {
        switch (*rc::gen::inRange(0, 3)) {
        case 0:
            if (!topology->present_backends.empty()) {
                const BackendIndex backend = *rc::gen::elementOf(topology->present_backends);
                requests.push_back({topology, backend});
            }
            break;
        case 1:
            if (!requests.empty()) requests.erase(requests.begin() + *rc::gen::inRange<long>(0, std::ssize(requests)));
            break;
        default: {
            const auto wanted_names = *rc::gen::unique<std::vector<std::string>>(
                rc::gen::map(rc::gen::inRange('a', 'h'), [](char c) { return std::string(1, c); }));
            Config wanted = config_of(wanted_names);
            for (BackendConfig& one : wanted.backends)
                one = backend(one.name, *rc::gen::element<std::uint16_t>(80, 81));
            const SlotSet in_use = used();
            const auto change = next_topology(topology, wanted, {.backends = ~in_use.backends, .pools = {}});
            RC_ASSERT(change.has_value());
            const Topology& next = *change->topology;
            RC_ASSERT(names(next) == wanted_names);
            for (std::size_t i = 0; i < wanted.backends.size(); ++i) {
                RC_ASSERT(next.backends[next.present_backends[i]].url == wanted.backends[i].url);
                const auto before = topology->find_backend(wanted_names[i]);
                if (before && topology->backends[*before].port == wanted.backends[i].port)
                    RC_ASSERT(next.find_backend(wanted_names[i]) == before);
            }
            for (const InFlight& request : requests) {
                RC_ASSERT(next.same_backend(*request.began, request.backend));
                RC_ASSERT(next.backends[request.backend].url == request.began->backends[request.backend].url);
            }
            RC_ASSERT(next.backends.size() <= 16 + requests.size());
            topology = change->topology;
        }
        }
    }
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
