#include "balancer/routes.hpp"

#include <gtest/gtest.h>

namespace hotspare::balancer {
namespace {

RouteConfig prefix(std::string p, PoolIndex pool, std::string rewrite = {})
{
    return {.path = {},
            .prefix = std::move(p),
            .rewrite = std::move(rewrite),
            .repeatable = false,
            .timeout = {},
            .builtin = Builtin::none,
            .pool = pool};
}
RouteConfig exact(std::string p, PoolIndex pool, std::string rewrite = {})
{
    return {.path = std::move(p),
            .prefix = {},
            .rewrite = std::move(rewrite),
            .repeatable = false,
            .timeout = {},
            .builtin = Builtin::none,
            .pool = pool};
}

TEST(RouteTable, TheLongestMatchWinsAndExactBeatsPrefix)
{
    const RouteTable table({prefix("/", 0), prefix("/data", 1), prefix("/data/deep", 2), exact("/data/deep", 3)});
    EXPECT_EQ(table.match("/")->pool, 0);
    EXPECT_EQ(table.match("/data")->pool, 1);
    EXPECT_EQ(table.match("/data/x")->pool, 1);
    EXPECT_EQ(table.match("/data/deep")->pool, 3);
    EXPECT_EQ(table.match("/data/deep/x")->pool, 2);
}

TEST(RouteTable, APrefixEndsAtASegment)
{
    const RouteTable table({prefix("/data", 1)});
    EXPECT_EQ(table.match("/database"), nullptr);
    EXPECT_EQ(table.match("/dat"), nullptr);
}

TEST(RouteTable, RewriteReplacesWhatMatchedAndKeepsTheRest)
{
    std::string scratch;
    EXPECT_EQ(RouteTable::rewrite(exact("/proxy/data", 0, "/api/data"), "/proxy/data?x=1", scratch), "/api/data?x=1");
    EXPECT_EQ(RouteTable::rewrite(prefix("/old", 0, "/new"), "/old/a/b?q", scratch), "/new/a/b?q");
    EXPECT_EQ(RouteTable::rewrite(prefix("/", 0), "/as/it/is", scratch), "/as/it/is");
}

} // namespace
} // namespace hotspare::balancer
