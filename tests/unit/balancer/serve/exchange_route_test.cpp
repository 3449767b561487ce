// What a route says of its requests, beside the pool that they go to.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

Config with_route(const RouteConfig& route)
{
    Config config = exchange_config();
    const auto timeout = config.routes.front().timeout;
    config.routes.front() = route;
    config.routes.front().timeout = timeout;
    return config;
}

TEST(ExchangeRoute, NoAttemptsButOneSendsNothingTwice)
{
    ExchangeWorld world(with_route({.prefix = "/", .attempts = 1}));
    world.client_sends(get());
    world.answer(a, response(503));
    EXPECT_EQ(world.connections(b), 0U);
    EXPECT_EQ(world.saw(), "503") << "that of the backend";
}

TEST(ExchangeRoute, MayRefuseHedges)
{
    ExchangeWorld world(with_route({.prefix = "/", .hedge = false}));
    world.client_sends(get());
    world.pass(seconds(3));
    EXPECT_EQ(world.connections(b), 0U);
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangeRoute, HasAPatienceOfItsOwnForBodies)
{
    ExchangeWorld world(with_route({.prefix = "/", .body_idle = milliseconds(200)}));
    world.client_sends(get());
    world.answer(a, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    world.pass(milliseconds(190));
    EXPECT_EQ(world.saw(), "200 hello~");
    world.pass(milliseconds(20));
    EXPECT_EQ(world.saw(), "200 hello~; reset");
}

TEST(ExchangeRoute, ChangesFieldsOnTheirWayToTheBackendAndBack)
{
    RouteConfig route{.prefix = "/"};
    route.request_headers = *HeaderEdits::parse({"X-Tenant: blue"}, {"Cookie"});
    route.response_headers = *HeaderEdits::parse({"Cache-Control: no-store"}, {"Server"});
    ExchangeWorld world(with_route(route));
    world.client_sends(get("cookie: a=1\r\nX-Tenant: red\r\nx-tenant: green\r\nX-Kept: 1\r\n"));
    const auto asked = world.request_at(a);
    EXPECT_EQ(asked.header("Cookie"), std::nullopt);
    EXPECT_EQ(asked.header("X-Tenant"), "blue");
    EXPECT_EQ(asked.head.find("red"), std::string::npos);
    EXPECT_EQ(asked.head.find("green"), std::string::npos);
    EXPECT_EQ(asked.header("X-Kept"), "1");
    world.answer(a, response(200, "hello", "Server: nginx\r\nCache-Control: max-age=60\r\nETag: \"1\"\r\n"));
    const auto got = world.answers().at(0);
    EXPECT_EQ(got.header("Server"), std::nullopt);
    EXPECT_EQ(got.header("Cache-Control"), "no-store");
    EXPECT_EQ(got.header("ETag"), "\"1\"");
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangeRoute, ShowsItsErrorPageToPeopleAndProblemsToPrograms)
{
    const std::string page = "<h1>We are sorry</h1>";
    for (const bool person : {true, false}) {
        ExchangeWorld world(with_route({.prefix = "/", .error_page = page}));
        world.door(a, Door::refusing);
        world.door(b, Door::refusing);
        world.client_sends(get(person ? "Accept: text/html,*/*;q=0.8\r\n" : "Accept: application/json\r\n"));
        world.pass(seconds(40));
        const auto got = world.answers().at(0);
        EXPECT_GE(got.status(), 502);
        EXPECT_EQ(got.header("Content-Type"), person ? "text/html; charset=utf-8" : "application/problem+json");
        EXPECT_EQ(got.body == page, person) << got.body;
        EXPECT_EQ(got.header("Content-Security-Policy"), std::nullopt) << "the page may have pictures";
    }
    ExchangeWorld world(with_route({.prefix = "/", .error_page = page}));
    world.client_sends(post());
    world.answer(a, response(500, "of the backend"));
    EXPECT_EQ(world.saw(), "500 of the backend");
}

TEST(ExchangeRoute, RedirectsWithoutABackend)
{
    RouteConfig route{.prefix = "/old"};
    route.redirect = "https://new.example/app";
    ExchangeWorld world(with_route(route));
    world.client_sends("GET /old/a/b?c=d HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto got = world.answers().at(0);
    EXPECT_EQ(got.status(), 308);
    EXPECT_EQ(got.header("Location"), "https://new.example/app/a/b?c=d");
    EXPECT_EQ(got.header("Content-Length"), "0");
    EXPECT_EQ(world.upstreams(), 0U);
    world.client_sends("GET /old HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(world.answers().at(1).header("Location"), "https://new.example/app") << "on the same connection";
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
