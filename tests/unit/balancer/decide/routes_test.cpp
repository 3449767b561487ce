#include "balancer/decide/routes.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

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

TEST(RouteTable, ARewriteAndTheRestMeetInOneSlash)
{
    struct Case {
        const char* prefix;
        const char* rewrite;
        const char* target;
        const char* sent;
    };
    for (const Case& c :
         {Case{"/static", "/", "/static/a.css?v=1", "/a.css?v=1"}, Case{"/static", "/", "/static", "/"},
          Case{"/static", "/", "/static?q", "/?q"}, Case{"/static", "/", "/static/", "/"},
          Case{"/static/", "/", "/static/a", "/a"}, Case{"/static/", "/files", "/static/a", "/files/a"},
          Case{"/static", "/files/", "/static/a", "/files/a"}, Case{"/static", "/files/", "/static//a", "/files//a"},
          Case{"/static/", "/files", "/static/?q", "/files?q"}, Case{"/", "/app", "/a/b", "/app/a/b"},
          Case{"/", "/app", "/", "/app"}, Case{"/", "/app/", "/?q", "/app/?q"}}) {
        std::string scratch;
        EXPECT_EQ(RouteTable::rewrite(prefix(c.prefix, 0, c.rewrite), c.target, scratch), c.sent)
            << c.prefix << " -> " << c.rewrite;
    }
}

TEST(DotSegments, AreResolvedAsServersDo)
{
    struct Case {
        const char* path;
        const char* plain;
        const char* lenient;
    };
    for (const Case& c : {Case{"/a/b", "/a/b", "/a/b"},
                          Case{"/a/./b", "/a/b", "/a/b"},
                          Case{"/a/../b", "/b", "/b"},
                          Case{"/a/%2e%2E/b", "/b", "/b"},
                          Case{"/a/.%2e/b", "/b", "/b"},
                          Case{"/a/%2e/b", "/a/b", "/a/b"},
                          Case{"/../../b", "/b", "/b"},
                          Case{"/a/b/..", "/a/", "/a/"},
                          Case{"/a/.", "/a/", "/a/"},
                          Case{"/..", "/", "/"},
                          Case{"/a//../b", "/a/b", "/b"},
                          Case{"/a/...", "/a/...", "/a/..."},
                          Case{"/a/.b", "/a/.b", "/a/.b"},
                          Case{"/a/..%2fb", "/a/..%2fb", "/b"},
                          Case{"/a%2f..%2Fb", "/a%2f..%2Fb", "/b"},
                          Case{"/a/..\\b", "/a/..\\b", "/b"},
                          Case{"/a/%2e%2e%5cb", "/a/%2e%2e%5cb", "/b"},
                          Case{"/a/..;x=1/b", "/a/..;x=1/b", "/b"},
                          Case{"/a/%252e%252e/b", "/a/%252e%252e/b", "/a/%252e%252e/b"},
                          Case{"/%2e", "/", "/"},
                          Case{"/a%2", "/a%2", "/a%2"}}) {
        EXPECT_EQ(resolve_dot_segments(c.path), c.plain) << c.path;
        EXPECT_EQ(resolve_dot_segments(c.path, Resolving::lenient), c.lenient) << c.path;
    }
    for (const char* path : {"/a/b.html", "/.well-known/x", "/a%20b", "/a..b/c", "/...", "/x%2Fy"})
        EXPECT_FALSE(has_dot_segment(path)) << path;
}

TEST(RouteTable, IsABoundaryForDotSegments)
{
    const RouteTable table({prefix("/public", 0), prefix("/old", 1, "/new"), exact("/health", 2)});
    const auto leaves = [&](std::string_view path) { return table.leaves(table.match(path), path); };
    for (const char* path :
         {"/public/../admin", "/public/%2e%2e/admin", "/public/.%2E/admin", "/public/..", "/public/x/../../health",
          "/public/..%2fadmin", "/public/..\\admin", "/public/..;/admin", "/public//../../admin", "/x/../public",
          "/x/../health", "/old/../new", "/old/x/../../old/y", "/old/../old/y"})
        EXPECT_TRUE(leaves(path)) << path;
    for (const char* path : {"/public", "/public/a.b/c", "/public/x/../y", "/public/./x", "/public/../public/x",
                             "/old/x/../y", "/old/./y", "/public/x%2Fy", "/nowhere/../else", "/public/..."})
        EXPECT_FALSE(leaves(path)) << path;

    const RouteTable everything({prefix("/", 0)});
    for (const char* path : {"/a/../b", "/../..", "/%2e%2e/x", "/a/..%5cb"})
        EXPECT_FALSE(everything.leaves(everything.match(path), path)) << path;
    const RouteTable below({prefix("/", 0, "/app")});
    EXPECT_TRUE(below.leaves(below.match("/../secret"), "/../secret")) << "out of what the rewrite stands for";
    EXPECT_FALSE(below.leaves(below.match("/a/../b"), "/a/../b"));
}

/// Whatever a server makes of the dot segments: what passes stays in its route and below its rewrite.
TEST(RouteTable, NothingThatPassesLeavesItsRoute)
{
    test::check_property(20000, [] {
        static const std::vector<RouteConfig> routes{prefix("/a", 0),        prefix("/a/b", 1), prefix("/b", 2, "/x/y"),
                                                     prefix("/b/", 3, "/z"), exact("/", 4),     exact("/a/c", 5, "/q")};
        static const RouteTable table(routes);
        std::string path;
        for (const auto& piece : *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
                 "/a", "/b", "/c", "/", "/..", "/.", "/%2e%2E", "/.%2e", "%2f", "\\", "..", ".", "/..;v", "%5C", "//")))
            path += piece;
        path.insert(0, "/");
        const RouteConfig* const route = table.match(path);
        if (table.leaves(route, path) || route == nullptr) return;
        std::string scratch;
        const auto sent = RouteTable::rewrite(*route, path, scratch);
        for (const Resolving how : {Resolving::plain, Resolving::lenient}) {
            if (!has_dot_segment(path)) continue;
            const std::string resolved = resolve_dot_segments(path, how);
            RC_ASSERT(table.match(resolved) == route);
            RC_ASSERT(!has_dot_segment(resolve_dot_segments(resolved, how)) || how == Resolving::plain);
            RC_ASSERT(route->rewrite.empty() ||
                      resolve_dot_segments(sent, how).starts_with(std::string_view(route->rewrite)));
        }
    });
}

struct MeetsQueries final : RouteConditions {
    bool met(const RouteConfig& route) const override { return route.header.name.empty(); }
};

TEST(RouteTable, OfRoutesForOnePathThoseWithConditionsComeFirst)
{
    RouteConfig plain = prefix("/data", 0), versioned = prefix("/data", 1), both = prefix("/data", 2);
    versioned.query = {.name = "v", .value = "2"};
    both.query = {.name = "v", .value = "2"};
    both.header = {.name = "X-Canary", .any = true};
    const RouteTable table({plain, versioned, both, prefix("/", 3)});
    const MeetsQueries queries;
    EXPECT_EQ(table.match("/data", &queries)->pool, 1);
    EXPECT_EQ(table.match("/data")->pool, 0);
    EXPECT_EQ(table.match("/other", &queries)->pool, 3);
    EXPECT_FALSE(table.leaves(table.match("/data", &queries), "/data/./x", &queries));
    EXPECT_TRUE(table.leaves(table.match("/data", &queries), "/data/../x", &queries));
}

TEST(Redirect, ReplacesWhatTheRouteMatchedAndLeadsNowhereElse)
{
    RouteConfig route{.prefix = "/old"};
    route.redirect = "/new";
    EXPECT_EQ(RouteTable::redirect(route, "/old"), "/new");
    EXPECT_EQ(RouteTable::redirect(route, "/old?q=1"), "/new?q=1");
    EXPECT_EQ(RouteTable::redirect(route, "/old/a/b?q=1"), "/new/a/b?q=1");
    route.redirect = "/";
    EXPECT_EQ(RouteTable::redirect(route, "/old/a"), "/a");
    for (const auto* target :
         {"/old//evil.example", "/old///evil.example", "/old/\\evil.example", "/old/\\/evil.example"})
        EXPECT_EQ(RouteTable::redirect(route, target), "/evil.example") << target << " is a path, not a server";
    route.prefix = "/";
    route.redirect = "https://other.example";
    EXPECT_EQ(RouteTable::redirect(route, "/a?b"), "https://other.example/a?b");
    EXPECT_EQ(RouteTable::redirect(route, "/"), "https://other.example");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
