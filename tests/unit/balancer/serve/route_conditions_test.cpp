#include "balancer/serve/route_conditions.hpp"

#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

bool meets(const RouteConfig& route, const std::string& target, const std::string& fields = {})
{
    const std::string text = "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
    RequestHead head;
    EXPECT_FALSE(parse_request(text, LimitConfig{}, head)) << target;
    return RequestConditions(head).met(route);
}

TEST(RouteConditions, AQueryParameterIsComparedAsItIsDecoded)
{
    const RouteConfig route{.prefix = "/", .query = {.name = "tenant", .value = "a b"}};
    for (const auto* target :
         {"/?tenant=a+b", "/?tenant=a%20b", "/x?y=1&tenant=a%20b&z", "/?%74enant=a+b", "/?tenant=other&tenant=a+b"})
        EXPECT_TRUE(meets(route, target)) << target;
    for (const auto* target : {"/", "/?", "/?tenant", "/?tenant=", "/?tenant=a", "/?tenant=a+b+c", "/?xtenant=a+b",
                               "/?tenant=a%2", "/tenant=a+b", "/?Tenant=a+b"})
        EXPECT_FALSE(meets(route, target)) << target;
    const RouteConfig any{.prefix = "/", .query = {.name = "v", .any = true}};
    EXPECT_TRUE(meets(any, "/?v"));
    EXPECT_TRUE(meets(any, "/?v=3"));
    EXPECT_FALSE(meets(any, "/?w=v"));
}

TEST(RouteConditions, AHeaderFieldIsFoundInAnyLineAndCase)
{
    const RouteConfig route{.prefix = "/", .header = {.name = "X-Canary", .value = "yes"}};
    EXPECT_TRUE(meets(route, "/", "x-canary:   yes\r\n"));
    EXPECT_TRUE(meets(route, "/", "X-Canary: no\r\nX-Canary: yes\r\n"));
    EXPECT_FALSE(meets(route, "/", "X-Canary: Yes\r\n"));
    EXPECT_FALSE(meets(route, "/", "X-Canary: yes, no\r\n"));
    EXPECT_FALSE(meets(route, "/"));
    const RouteConfig any{.prefix = "/", .header = {.name = "X-Canary", .any = true}};
    EXPECT_TRUE(meets(any, "/", "X-Canary:\r\n"));
    const RouteConfig both{
        .prefix = "/", .query = {.name = "v", .any = true}, .header = {.name = "X-Canary", .any = true}};
    EXPECT_FALSE(meets(both, "/?v"));
    EXPECT_FALSE(meets(both, "/", "X-Canary: 1\r\n"));
    EXPECT_TRUE(meets(both, "/?v", "X-Canary: 1\r\n"));
}

TEST(RouteConditions, ARequestGoesToThePoolWhoseConditionItMeets)
{
    Config config = exchange_config();
    config.pools.push_back(config.pools[0]);
    config.pools[0].backends = {a};
    config.pools[0].weights = {1};
    config.pools[1].name = "canary";
    config.pools[1].backends = {b};
    config.pools[1].weights = {1};
    RouteConfig canary = config.routes.front();
    canary.header = {.name = "X-Canary", .value = "yes"};
    canary.pool = 1;
    config.routes.push_back(canary);
    ExchangeWorld world(config);
    world.client_sends(get("X-Canary: yes\r\n"));
    world.answer(b, ok("canary"));
    world.client_sends(get());
    world.answer(a, ok("stable"));
    EXPECT_EQ(world.saw(), "200 canary; 200 stable");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
