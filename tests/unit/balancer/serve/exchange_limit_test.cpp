// Requests at backends whose connections are limited.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

Config limited(std::vector<unsigned> limits, Policy policy = Policy::round_robin)
{
    Config config = exchange_config(limits.size());
    config.pools[0].policy = policy;
    config.pools[0].retry.hedge = false;
    for (std::size_t i = 0; i < limits.size(); ++i) config.backends[i].max_connections = limits[i];
    return config;
}

/// Sends a GET of its own connection; returns the client's number.
std::size_t send(ExchangeWorld& world, std::size_t number, const std::string& bytes = get())
{
    world.connect_client().sends(bytes);
    world.run();
    return number;
}

std::int64_t parked(const ExchangeWorld& world)
{
    return world.counters.pools.find(0)->parked.value();
}

ConnectionLimits::Occupancy at(const ExchangeWorld& world, BackendIndex backend)
{
    return world.limits.occupancy(backend);
}

TEST(ExchangeLimit, ARequestBeyondTheLimitWaitsUntilAConnectionIsGivenBack)
{
    ExchangeWorld world(limited({1}));
    send(world, 0);
    send(world, 1);
    send(world, 2);
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 1, .in_use = 1, .waiting = 2}));
    EXPECT_EQ(parked(world), 2);
    EXPECT_EQ(world.connections(a), 1U);
    world.answer(a, ok("first"));
    EXPECT_EQ(world.saw({}, 0), "200 first");
    EXPECT_EQ(parked(world), 1);
    world.answer(a, ok("second"));
    EXPECT_EQ(world.saw({}, 1), "200 second") << "first come, first served";
    EXPECT_EQ(world.saw({}, 2), "");
    world.answer(a, ok("third"));
    EXPECT_EQ(world.saw({}, 2), "200 third");
    EXPECT_EQ(world.connections(a), 1U) << "an idle connection does not count: it is used again";
    EXPECT_EQ(world.counts(), "requests 3, 2xx 3") << "waiting at a limit is no failure that was saved";
}

TEST(ExchangeLimit, AnotherBackendWithRoomIsTaken)
{
    for (const Policy policy : {Policy::round_robin, Policy::random, Policy::least_connections}) {
        ExchangeWorld world(limited({1, 0}, policy));
        for (std::size_t i = 0; i < 6; ++i) send(world, i);
        EXPECT_EQ(at(world, a).waiting, 0U);
        EXPECT_EQ(world.plane.active[a] + world.plane.active[b], 6U);
        EXPECT_LE(world.plane.active[a], 1U);
    }
}

TEST(ExchangeLimit, ASpareTakesNoOverflowOfTheActiveBackend)
{
    ExchangeWorld world(limited({1, 0}, Policy::failover));
    world.routing.pools[0].candidates[1].tier = Tier::fallback;
    world.publish();
    send(world, 0);
    send(world, 1);
    EXPECT_EQ(world.connections(b), 0U);
    EXPECT_EQ(at(world, a).waiting, 1U);
    world.goes_down(a);
    EXPECT_EQ(world.connections(b), 2U) << "it serves once the other one is down, also those that wait";
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 1, .in_use = 0, .waiting = 0}));
}

TEST(ExchangeLimit, ADegradedBackendTakesNoOverflowEither)
{
    ExchangeWorld world(limited({1, 0}));
    world.routing.pools[0].candidates[1].tier = Tier::fallback;
    world.publish();
    send(world, 0);
    send(world, 1);
    EXPECT_EQ(world.connections(b), 0U);
    EXPECT_EQ(at(world, a).waiting, 1U);
}

TEST(ExchangeLimit, PatienceEndsWithTheReason)
{
    ExchangeWorld world(limited({1}));
    send(world, 0);
    send(world, 1);
    world.pass(milliseconds(1999));
    EXPECT_EQ(world.saw({}, 1), "");
    world.pass(milliseconds(5));
    EXPECT_EQ(world.saw({}, 1), "503 problem");
    const test::Message answer = world.answers({}, 1).at(0);
    EXPECT_EQ(answer.header("Retry-After"), "1");
    EXPECT_EQ(nlohmann::json::parse(answer.body)["error"], "the backend 'a' is at its connection limit");
    EXPECT_EQ(at(world, a).waiting, 0U);
    EXPECT_EQ(world.counts(), "requests 2, 5xx 1, lost connection_limit 1");
}

TEST(ExchangeLimit, AFullLotTakesNoMore)
{
    Config config = limited({1, 1});
    config.pools[0].park.limit = 1;
    ExchangeWorld world(config);
    for (std::size_t i = 0; i < 4; ++i) send(world, i);
    EXPECT_EQ(world.saw({}, 2), "");
    EXPECT_EQ(world.saw({}, 3), "503 problem");
    EXPECT_EQ(nlohmann::json::parse(world.answers({}, 3).at(0).body)["error"],
              "each of the 2 backends that could take the request is at its connection limit, and too many requests "
              "wait already");
    world.client(2).breaks();
    world.run();
    EXPECT_EQ(parked(world), 0);
    send(world, 4);
    EXPECT_EQ(world.saw({}, 4), "") << "the place of one that left is free";
}

TEST(ExchangeLimit, WhatAnotherWorkerGivesBackAdmitsARequestHere)
{
    ExchangeWorld world(limited({1}));
    Admission elsewhere;
    ASSERT_TRUE(world.limits.admit(a, elsewhere));
    send(world, 0);
    EXPECT_EQ(world.connections(a), 0U);
    elsewhere.give_back();
    world.run();
    world.answer(a, ok());
    EXPECT_EQ(world.saw({}, 0), "200 hello");
}

// Each way in which an exchange ends gives its connection back, once: the world's end checks that nothing is left.
TEST(ExchangeLimit, EveryEndGivesTheConnectionBack)
{
    const auto next_is_served = [](ExchangeWorld& world) {
        const std::size_t before = world.upstreams();
        world.connect_client().sends(get());
        world.run();
        EXPECT_EQ(world.upstreams(), before + 1);
        EXPECT_EQ(at(world, a).in_use, 1U);
    };
    {
        SCOPED_TRACE("the client aborts");
        ExchangeWorld world(limited({1}));
        send(world, 0);
        world.client(0).breaks();
        world.run();
        next_is_served(world);
    }
    {
        SCOPED_TRACE("the backend breaks the response off");
        ExchangeWorld world(limited({1}));
        send(world, 0, post());
        world.answer(a, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        world.at(a).breaks();
        world.run();
        EXPECT_EQ(at(world, a).in_use, 0U);
    }
    {
        SCOPED_TRACE("the time is over");
        ExchangeWorld world(limited({1}));
        send(world, 0);
        world.pass(seconds(31));
        EXPECT_EQ(world.saw({}, 0), "504 problem");
        EXPECT_EQ(at(world, a).in_use, 0U);
    }
    {
        SCOPED_TRACE("an early response while the request is still arriving");
        ExchangeWorld world(limited({1}));
        send(world, 0, request("POST", "Content-Length: 100\r\n") + "part");
        world.answer(a, response(403, "no"));
        EXPECT_EQ(at(world, a).in_use, 0U);
        next_is_served(world);
    }
    {
        SCOPED_TRACE("a refused connection, where no other backend is");
        ExchangeWorld world(limited({1}));
        world.door(a, Door::refusing);
        send(world, 0);
        EXPECT_EQ(at(world, a).in_use, 0U);
    }
    {
        SCOPED_TRACE("no descriptors");
        ExchangeWorld world(limited({1}));
        world.door(a, Door::no_sockets);
        send(world, 0);
        EXPECT_EQ(world.saw({}, 0), "503 problem");
        EXPECT_EQ(at(world, a).in_use, 0U);
    }
}

TEST(ExchangeLimit, ATunnelCountsUntilItEnds)
{
    ExchangeWorld world(limited({1}));
    send(world, 0, get("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    world.answer(a, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    send(world, 1);
    world.pass(seconds(1));
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 1, .in_use = 1, .waiting = 1}));
    world.at(a).finishes();
    world.client(0).finishes();
    world.run();
    EXPECT_EQ(world.connections(a), 2U);
    world.answer(a, ok());
    EXPECT_EQ(world.saw({}, 1), "200 hello");
}

TEST(ExchangeLimit, AStalePooledConnectionIsReplacedUnderTheSameAdmission)
{
    ExchangeWorld world(limited({1}));
    world.warm(a);
    send(world, 1);
    send(world, 2);
    world.at(a).breaks(); // the reused connection, before any answer
    world.run();
    EXPECT_EQ(world.connections(a), 2U);
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 1, .in_use = 1, .waiting = 1}));
    world.answer(a, ok("again"));
    EXPECT_EQ(world.saw({}, 1), "200 again") << "not the one that waited";
}

TEST(ExchangeLimit, AHedgeDoesNotGoToAFullBackend)
{
    Config config = limited({0, 1});
    config.pools[0].retry.hedge = true;
    ExchangeWorld world(config);
    Admission elsewhere;
    ASSERT_TRUE(world.limits.admit(b, elsewhere));
    send(world, 0);
    world.pass(seconds(1));
    EXPECT_EQ(world.connections(b), 0U);
    EXPECT_EQ(at(world, b).waiting, 0U) << "nor does it wait for one";
    elsewhere.give_back();
    world.pass(seconds(2));
    EXPECT_EQ(world.connections(b), 1U);
    world.answer(b, ok());
    EXPECT_EQ(world.saw({}, 0), "200 hello");
    EXPECT_EQ(at(world, b).in_use, 0U);
}

TEST(ExchangeLimit, TheLoserOfAHedgeGivesItsConnectionBack)
{
    Config config = limited({1, 1}, Policy::failover);
    config.pools[0].retry.hedge = true;
    ExchangeWorld world(config);
    send(world, 0);
    world.pass(seconds(1));
    ASSERT_EQ(world.connections(b), 1U);
    world.answer(b, ok());
    EXPECT_EQ(world.saw({}, 0), "200 hello");
    EXPECT_EQ(at(world, a).in_use, 0U);
    EXPECT_EQ(at(world, b).in_use, 0U);
}

TEST(ExchangeLimit, ARetryWaitsForTheOnlyOtherBackendToo)
{
    ExchangeWorld world(limited({0, 1}));
    world.leaves({b});
    send(world, 0);
    world.comes_back(b);
    Admission elsewhere;
    ASSERT_TRUE(world.limits.admit(b, elsewhere));
    world.answer(a, response(503, "sorry"));
    EXPECT_EQ(world.saw({}, 0), "");
    EXPECT_EQ(at(world, b).waiting, 1U);
    elsewhere.give_back();
    world.run();
    world.answer(b, ok());
    EXPECT_EQ(world.saw({}, 0), "200 hello");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1, retries 1, saved retry 1");
}

TEST(ExchangeLimit, AHigherLimitHoldsAtOnceAndALowerOneForTheNextRequest)
{
    Config config = limited({1});
    ExchangeWorld world(config);
    for (std::size_t i = 0; i < 4; ++i) send(world, i);
    config.backends[0].max_connections = 3;
    world.reconfigure(config);
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 3, .in_use = 3, .waiting = 1}));
    config.backends[0].max_connections = 2;
    world.reconfigure(config);
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 2, .in_use = 3, .waiting = 1}));
    world.connection(a, 0).sends(ok());
    world.run();
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 2, .in_use = 2, .waiting = 1}));
    world.connection(a, 1).sends(ok());
    world.run();
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 2, .in_use = 2, .waiting = 0}));
    config.backends[0].max_connections = 0;
    world.reconfigure(config);
    send(world, 4);
    EXPECT_EQ(world.saw({}, 4), "");
    EXPECT_EQ(world.plane.active[a], 3U);
}

TEST(ExchangeLimit, WhatIsInFlightWhenALimitIsSetCounts)
{
    Config config = limited({0});
    ExchangeWorld world(config);
    send(world, 0);
    config.backends[0].max_connections = 1;
    world.reconfigure(config);
    send(world, 1);
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 1, .in_use = 1, .waiting = 1}));
    world.answer(a, ok());
    EXPECT_EQ(world.saw({}, 0), "200 hello");
    world.answer(a, ok());
    EXPECT_EQ(world.saw({}, 1), "200 hello");
}

TEST(ExchangeLimit, ABackendThatIsRemovedIsWaitedForNoMore)
{
    Config config = limited({1, 1}, Policy::failover);
    ExchangeWorld world(config);
    send(world, 0);
    send(world, 1);
    EXPECT_EQ(at(world, a).waiting, 1U);
    config.backends.erase(config.backends.begin());
    config.pools[0].backends = {0};
    config.pools[0].weights = {1};
    world.reconfigure(config);
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 1, .in_use = 1, .waiting = 0}));
    world.answer(b, ok("from b"));
    EXPECT_EQ(world.saw({}, 1), "200 from b");
    world.answer(a, ok("from a"));
    EXPECT_EQ(world.saw({}, 0), "200 from a");
    EXPECT_EQ(at(world, a).in_use, 0U);
}

TEST(ExchangeLimit, MaintenanceAnswersThoseThatWait)
{
    ExchangeWorld world(limited({1}));
    send(world, 0);
    send(world, 1);
    world.closes({.until = {}, .message = "back soon"});
    EXPECT_EQ(world.saw({}, 1), "503 problem");
    EXPECT_EQ(at(world, a), (ConnectionLimits::Occupancy{.limit = 1, .in_use = 1, .waiting = 0}));
}

TEST(ExchangeLimit, ThePlaceInTheLineIsKeptWhateverTheMonitorSays)
{
    ExchangeWorld world(limited({1}));
    for (std::size_t i = 0; i < 4; ++i) send(world, i);
    for (int i = 0; i < 3; ++i) world.publish();
    for (std::size_t i = 0; i < 4; ++i) {
        world.answer(a, ok(std::to_string(i)));
        EXPECT_EQ(world.saw({}, i), "200 " + std::to_string(i));
        world.publish();
    }
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
