// The document that a balancer hands to the process which takes its place.
#include "balancer/control/handed_over.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

TimePoint at(std::int64_t ns)
{
    return TimePoint(std::chrono::nanoseconds(ns));
}

HandedOver example()
{
    HandedOver out;
    out.sockets_held = true;
    out.state.generation = 17;
    out.state.backends.push_back(
        {.name = "primary",
         .url = "http://10.0.0.1:80",
         .address = "10.0.0.1",
         .verdict = {.health = Health::down,
                     .since = at(5'000'000'001),
                     .good_probe_started = at(1),
                     .last_failure = at(4'999'999'999),
                     .last_break = at(3),
                     .recovered = true,
                     .flaps = 4,
                     .last_flap = at(77)},
         .observed = "2 probes in a row failed",
         .since = at(6),
         .cause = "operator",
         .evidence = "put into maintenance by an operator: \"disks\" \xc3\xa9",
         .word = OperatorWord::maintenance,
         .maintenance = Maintenance{.until = WallTime(milliseconds(1'800'000'000'123)), .message = "disks"}});
    out.state.backends.push_back({.name = "spare",
                                  .url = "http://10.0.0.2:80",
                                  .address = "",
                                  .verdict = {.health = Health::healthy},
                                  .observed = "",
                                  .cause = "",
                                  .evidence = "",
                                  .word = OperatorWord::drain,
                                  .maintenance = std::nullopt});
    out.state.pools.push_back(
        {.name = "default",
         .active = "spare",
         .last_active = "primary",
         .preferred = "spare",
         .can_answer = false,
         .fail_open = true,
         .members = {
             {.backend = "primary",
              .quarantined_until = at(99),
              .serving_since = std::nullopt,
              .failures = {at(1), at(2)}},
             {.backend = "spare", .quarantined_until = std::nullopt, .serving_since = at(42), .failures = {}}}});
    BackendConfig member;
    member.name = "x";
    member.url = "http://example.com:8080";
    member.host = "example.com";
    member.port = 8080;
    member.weight = 9;
    member.resolve = Resolve::each;
    out.requests.members.push_back({.pool = "default", .instead_of = {}, .members = {member}});
    RouteSettings route;
    route.prefix = "/shop";
    route.pool = "default";
    route.timeout = milliseconds(1500);
    route.set_request_headers = {"Authorization: Basic c2VjcmV0"};
    route.error_page = "sorry.html";
    route.error_page_html = "<p>sorry</p>";
    route.dynamic = true;
    out.requests.routes = RoutesRequest{.instead_of = {}, .routes = {route}};
    return out;
}

TEST(HandedOver, ComesThroughAsItWas)
{
    const HandedOver before = example();
    const auto after = read_handed_over(to_document(before));
    ASSERT_TRUE(after);
    EXPECT_TRUE(after->state == before.state);
    EXPECT_TRUE(after->sockets_held);
    ASSERT_EQ(after->requests.members.size(), 1U);
    EXPECT_EQ(after->requests.members[0].pool, "default");
    EXPECT_TRUE(after->requests.members[0].instead_of.empty());
    ASSERT_EQ(after->requests.members[0].members.size(), 1U);
    const BackendConfig& member = after->requests.members[0].members[0];
    EXPECT_EQ(member.name, "x");
    EXPECT_EQ(member.url, "http://example.com:8080");
    EXPECT_EQ(member.host, "example.com");
    EXPECT_EQ(member.port, 8080);
    EXPECT_EQ(member.weight, 9U);
    EXPECT_EQ(member.resolve, Resolve::each);
    ASSERT_TRUE(after->requests.routes);
    EXPECT_TRUE(after->requests.routes->instead_of.empty());
    EXPECT_TRUE(after->requests.routes->routes == before.requests.routes->routes);
}

TEST(HandedOver, WhatAnotherVersionDoesNotSayIsAsAtAStart)
{
    const auto read = read_handed_over(
        R"({"later":{"a":[1]},"backends":[{"name":"a","url":"http://h:1","verdict":{"health":"new"}}],)"
        R"("pools":[{"name":"p"}]})");
    ASSERT_TRUE(read);
    ASSERT_EQ(read->state.backends.size(), 1U);
    EXPECT_EQ(read->state.backends[0].verdict.health, Health::unknown);
    EXPECT_EQ(read->state.backends[0].word, std::nullopt);
    ASSERT_EQ(read->state.pools.size(), 1U);
    EXPECT_TRUE(read->state.pools[0].can_answer);
    EXPECT_TRUE(read->requests.members.empty());
}

TEST(HandedOver, IsNothingIfItIsNoSuchDocument)
{
    for (const char* text : {"", "[]", "{", R"({"generation":"x"})", R"({"backends":[{"name":5}]})",
                             R"({"requests":[{"pool":"a","members":[{"name":"b"}]}]})"})
        EXPECT_FALSE(read_handed_over(text)) << text;
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
