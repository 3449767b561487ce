#include "balancer/control/change_requests.hpp"

#include "balancer/config_file.hpp"
#include "common/http/problem.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

TEST(ChangeRequests, MembersAreReadInTheirOrder)
{
    const auto members = read_members(R"({"backends":[
        {"name":"last","url":"http://10.0.0.1:80","order":9},
        {"name":"first","url":"http://[::1]:8080","weight":7,"order":-1},
        {"name":"second","url":"http://example.com","max_connections":3},
        {"name":"third","url":"http://example.com"}]})");
    ASSERT_TRUE(members) << members.error().detail;
    std::vector<std::string> names;
    for (const BackendConfig& member : *members) names.push_back(member.name);
    EXPECT_EQ(names, (std::vector<std::string>{"first", "second", "third", "last"}));
    EXPECT_EQ((*members)[0].host, "::1");
    EXPECT_EQ((*members)[0].port, 8080);
    EXPECT_EQ((*members)[0].weight, 7U);
    EXPECT_EQ((*members)[1].port, 80);
    EXPECT_EQ((*members)[1].max_connections, 3U);
    EXPECT_EQ((*members)[2].max_connections, limit_as_configured);
    EXPECT_TRUE(read_members(R"({"backends":[]})")->empty());
}

TEST(ChangeRequests, WhatIsWrongIsNamed)
{
    const std::vector<std::pair<std::string, std::string>> cases{
        {R"([])", ""},
        {R"({})", "backends"},
        {R"({"backends":{}})", "backends"},
        {R"({"backends":[],"pool":"x"})", "pool"},
        {R"({"backends":[1]})", "backends[0]"},
        {R"({"backends":[{"url":"http://a"}]})", "backends[0].name"},
        {R"({"backends":[{"name":"a"}]})", "backends[0].url"},
        {R"({"backends":[{"name":"A b","url":"http://a"}]})", "backends[0].name"},
        {R"({"backends":[{"name":"a","url":"https://a"}]})", "backends[0].url"},
        {R"({"backends":[{"name":"a","url":"http://a/path"}]})", "backends[0].url"},
        {R"({"backends":[{"name":"a","url":7}]})", "backends[0].url"},
        {R"({"backends":[{"name":"a","url":"http://a","weight":0}]})", "backends[0].weight"},
        {R"({"backends":[{"name":"a","url":"http://a","weight":1.5}]})", "backends[0].weight"},
        {R"({"backends":[{"name":"a","url":"http://a","weight":18446744073709551615}]})", "backends[0].weight"},
        {R"({"backends":[{"name":"a","url":"http://a","order":"1"}]})", "backends[0].order"},
        {R"({"backends":[{"name":"a","url":"http://a","max_connections":-1}]})", "backends[0].max_connections"},
        {R"({"backends":[{"name":"a","url":"http://a","color":1}]})", "backends[0].color"},
        {R"({"backends":[{"name":"a","url":"http://a"},{"name":"a","url":"http://b"}]})", "backends[1].name"}};
    for (const auto& [body, field] : cases) {
        const auto members = read_members(body);
        ASSERT_FALSE(members) << body;
        EXPECT_EQ(members.error().status, 422U) << body;
        EXPECT_EQ(members.error().member("field"), field) << body;
    }
    EXPECT_EQ(read_members("{").error().status, 400U);
}

Topology topology_of(const std::string& routes)
{
    return *first_topology(load_config("backends: [{name: a, url: \"http://10.0.0.1:80\"}]\n"
                                       "pools: [{name: web}, {name: api}]\npages: false\nroutes:\n" +
                                       routes));
}

TEST(ChangeRequests, RoutesAreReadAsInTheConfiguration)
{
    const auto routes = read_routes(
        R"({"routes":[{"prefix":"/a","header":"X-Canary: yes","pool":"api","timeout":"2s","attempts":1,"hedge":false,
            "set_request_headers":["Authorization: Bearer x"],"dynamic":true},
            {"path":"/old","redirect":"/new","redirect_status":301},{"prefix":"/b"}]})",
        topology_of("  - {prefix: /}\n"));
    ASSERT_TRUE(routes) << routes.error().detail;
    ASSERT_EQ(routes->size(), 3U);
    const RouteSettings& first = (*routes)[0];
    EXPECT_EQ(first.timeout, seconds(2));
    EXPECT_EQ(first.attempts, 1U);
    EXPECT_FALSE(first.hedge);
    EXPECT_EQ(first.set_request_headers, std::vector<std::string>{"Authorization: Bearer x"});
    EXPECT_EQ((*routes)[1].redirect_status, 301U);
    EXPECT_EQ((*routes)[2].pool, "web") << "the first one";
    EXPECT_TRUE((*routes)[2].dynamic);
}

TEST(ChangeRequests, WhatIsWrongWithRoutesIsNamed)
{
    const Topology topology = topology_of("  - {prefix: /}\n");
    const std::vector<std::array<std::string, 3>> cases{
        {R"([])", "", "the body is not an object with 'routes'"},
        {R"({})", "routes", "the field 'routes' is missing"},
        {R"({"routes":{}})", "routes", "routes: an object, expected a list"},
        {R"({"routes":[],"pools":[]})", "pools", "pools: unknown key 'pools', expected one of: routes"},
        {R"({"routes":[1]})", "routes[0]", "routes[0]: 1, expected an object"},
        {R"({"routes":[{"prefix":"/"},{"prefx":"/"}]})", "routes[1].prefx",
         "routes[1].prefx: unknown key 'prefx', did you mean 'prefix'?"},
        {R"({"routes":[{"prefix":"a"}]})", "routes[0].prefix",
         "routes[0].prefix: 'a' is not allowed, expected a path that starts with '/'"},
        {R"({"routes":[{"prefix":7}]})", "routes[0].prefix", "routes[0].prefix: 7, expected a text"},
        {R"({"routes":[{"prefix":"/a","attempts":"1"}]})", "routes[0].attempts",
         "routes[0].attempts: '1', expected a whole number"},
        {R"({"routes":[{"prefix":"/a","attempts":1.5}]})", "routes[0].attempts",
         "routes[0].attempts: '1.5' is not valid, expected a whole number from 0 to 16"},
        {R"({"routes":[{"prefix":"/a","hedge":"no"}]})", "routes[0].hedge",
         "routes[0].hedge: 'no', expected true or false"},
        {R"({"routes":[{"prefix":"/a","timeout":2}]})", "routes[0].timeout",
         "routes[0].timeout: 2, expected a duration such as 500ms or 2s"},
        {R"({"routes":[{"prefix":"/a","timeout":null}]})", "routes[0].timeout",
         "routes[0].timeout: null, expected a duration such as 500ms or 2s"},
        {R"({"routes":[{"prefix":"/a"},{"prefix":"/a"}]})", "routes[1]",
         "routes[1]: a second route for '/a', expected one"},
        {R"({"routes":[{"prefix":"/a","pool":"wbe"}]})", "routes[0].pool",
         "routes[0].pool: unknown pool 'wbe', did you mean 'web'? expected one of: web, api"},
        {R"({"routes":[{"prefix":"/a","redirect":"/b","timeout":"1s"}]})", "routes[0].timeout",
         "routes[0].timeout: together with `redirect`, expected none"},
        {R"({"routes":[{"prefix":"/a","set_request_headers":["Authorization: ***"]}]})",
         "routes[0].set_request_headers[0]", "has the placeholder ***"},
        {R"({"routes":[{"prefix":"/a","dynamic":false}]})", "routes[0].dynamic",
         "the field 'routes[0].dynamic' is false, expected true"}};
    for (const auto& [body, field, said] : cases) {
        const auto routes = read_routes(body, topology);
        ASSERT_FALSE(routes) << body;
        EXPECT_EQ(routes.error().status, 422U) << body;
        EXPECT_EQ(routes.error().member("field"), field) << body;
        EXPECT_NE(routes.error().detail.find(said), std::string::npos) << routes.error().detail;
    }
    EXPECT_EQ(read_routes("{", topology).error().status, 400U);
}

// What is given out is what may come back.
TEST(ChangeRequests, RoutesAreGivenOutInTheirOrderWithTheKeysThatWereSet)
{
    const Topology topology = topology_of(R"(
  - {prefix: /, pool: api}
  - {prefix: /a, query: "v=2", timeout: 2s, hedge: false, attempts: 3, set_request_headers: ["X-Key: geheim"], dynamic: true}
  - {path: /old, redirect: /new, redirect_status: 301}
)");
    const auto shown = routes_json(topology);
    EXPECT_EQ(shown["generation"], 1);
    EXPECT_EQ(shown["source"], "configuration");
    EXPECT_EQ(shown["routes"].dump(),
              R"([{"path":"/old","redirect":"/new","redirect_status":301},)"
              R"({"prefix":"/a","query":"v=2","timeout":"2s","attempts":3,"hedge":false,)"
              R"("set_request_headers":["X-Key: ***"],"pool":"web","dynamic":true},{"prefix":"/","pool":"api"}])");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
