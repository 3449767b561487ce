#include "balancer/control/change_requests.hpp"

#include <gtest/gtest.h>

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
        {"name":"second","url":"http://example.com"},
        {"name":"third","url":"http://example.com"}]})");
    ASSERT_TRUE(members) << members.error().detail;
    std::vector<std::string> names;
    for (const BackendConfig& member : *members) names.push_back(member.name);
    EXPECT_EQ(names, (std::vector<std::string>{"first", "second", "third", "last"}));
    EXPECT_EQ((*members)[0].host, "::1");
    EXPECT_EQ((*members)[0].port, 8080);
    EXPECT_EQ((*members)[0].weight, 7U);
    EXPECT_EQ((*members)[1].port, 80);
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

} // namespace TEST_FILE
} // namespace hotspare::balancer
