// Requests in progress while backends, pools and routes change.

#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

namespace hotspare::balancer {
namespace TEST_FILE {

/// exchange_config() without the backend.
Config without(const Config& config, BackendIndex gone)
{
    Config less = config;
    less.backends.erase(less.backends.begin() + gone);
    PoolConfig& pool = less.pools[0];
    pool.backends.clear();
    pool.weights.clear();
    for (std::size_t i = 0; i < less.backends.size(); ++i) {
        pool.backends.push_back(static_cast<BackendIndex>(i));
        pool.weights.push_back(1);
    }
    return less;
}

TEST(ExchangeTopology, ARequestEndsAtTheBackendThatWasRemovedMeanwhile)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.reconfigure(without(world.config, a));
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a answered");
    EXPECT_EQ(world.fates(), "a closed") << "its connection is of no more use";
    world.client_sends(get());
    world.answer(b, ok("from b"));
    EXPECT_EQ(world.saw(), "200 hello; 200 from b");
}

TEST(ExchangeTopology, IdleConnectionsToWhatIsRemovedAreClosedAndOthersKept)
{
    ExchangeWorld world;
    world.warm(a);
    world.warm(b);
    world.reconfigure(without(world.config, a));
    EXPECT_EQ(world.fates(), "a closed, b pooled");
}

TEST(ExchangeTopology, ARequestThatFailsAtARemovedBackendGoesToOneThatIsThere)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.reconfigure(without(world.config, a));
    world.at(a).breaks();
    world.run();
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a reset, b answered");
}

TEST(ExchangeTopology, ARequestOfARemovedPoolMayStillBeSentToItsBackends)
{
    ExchangeWorld world;
    world.client_sends(get());
    Config other = world.config;
    other.pools[0].name = "other";
    world.reconfigure(other);
    EXPECT_FALSE(world.unused().pools[0]) << "the request began in it";
    world.at(a).breaks();
    world.run();
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_TRUE(world.unused().pools[0]);
}

TEST(ExchangeTopology, ASlotIsUsedUntilItsRequestHasEnded)
{
    ExchangeWorld world;
    EXPECT_TRUE(world.unused().backends[a]);
    world.client_sends(get());
    EXPECT_FALSE(world.unused().backends[a]);
    world.reconfigure(without(world.config, a));
    Config with_new = without(world.config, a);
    BackendConfig fresh = with_new.backends[0];
    fresh.name = "fresh";
    fresh.host = "elsewhere";
    with_new.backends.push_back(fresh);
    with_new.pools[0].backends.push_back(1);
    with_new.pools[0].weights.push_back(1);
    world.reconfigure(with_new);
    world.answer(a, ok());
    EXPECT_EQ(world.trail(), "a answered") << "the log names the backend that answered, not one in its place";
    EXPECT_TRUE(world.unused().backends[a]);
}

TEST(ExchangeTopology, SettingsOfARequestAreThoseThatItBeganWith)
{
    ExchangeWorld world;
    world.client_sends(get());
    Config hasty = world.config;
    hasty.routes[0].timeout = milliseconds(1);
    hasty.timeouts.body_idle = milliseconds(1);
    world.reconfigure(hasty);
    world.pass(seconds(1));
    EXPECT_EQ(world.saw(), "");
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangeTopology, RoutesHoldFromTheNextRequestOn)
{
    ExchangeWorld world;
    Config other = world.config;
    other.routes[0].prefix = "/elsewhere";
    world.client_sends(get());
    world.answer(a, ok());
    world.reconfigure(other);
    world.client_sends(get());
    EXPECT_EQ(world.saw(), "200 hello; 404 problem");
}

constexpr const char* switching =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

TEST(ExchangeTopology, ATunnelToARemovedBackendEndsInAWhile)
{
    ExchangeWorld world;
    world.config.timeouts.tunnel_drain = seconds(5);
    world.client_sends(get("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    world.answer(a, switching);
    ASSERT_EQ(world.saw(), "101");
    world.reconfigure(without(world.config, a));
    for (int second = 0; second < 4; ++second) { // however busy it is
        world.client_sends("x");
        world.pass(seconds(1));
    }
    EXPECT_EQ(world.fates(), "a open");
    world.pass(milliseconds(1100));
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_TRUE(world.unused().backends[a]);
}

TEST(ExchangeTopology, ATunnelToABackendThatStaysIsNotTouched)
{
    ExchangeWorld world;
    world.config.timeouts.tunnel_drain = seconds(5);
    world.client_sends(get("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    world.answer(a, switching);
    ASSERT_EQ(world.saw(), "101");
    world.reconfigure(without(world.config, b));
    world.reconfigure(world.config);
    world.pass(seconds(60));
    EXPECT_EQ(world.fates(), "a open");
    world.client_sends("still here");
    EXPECT_TRUE(world.at(a).got().ends_with("still here"));
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
