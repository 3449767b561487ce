#include "balancer/decide/wanted.hpp"

#include "balancer/config_file.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

constexpr const char* two_pools = R"(
backends:
  - {name: a, url: "http://10.0.0.1:80"}
  - {name: b, url: "http://10.0.0.2:80"}
  - {name: c, url: "http://10.0.0.3:80"}
pools:
  - {name: web, backends: [a, b]}
  - {name: api, backends: [b, c]}
)";

BackendConfig member(const std::string& name, const std::string& host, unsigned weight = 1)
{
    BackendConfig backend;
    backend.name = name;
    backend.host = host;
    backend.url = "http://" + host + ":80";
    backend.weight = weight;
    return backend;
}

/// "web: x y(3)": each pool with its members.
std::string shown(const Config& config)
{
    std::string text;
    for (const PoolConfig& pool : config.pools) {
        text += (text.empty() ? "" : "; ") + pool.name + (pool.by_request ? "!:" : ":");
        for (std::size_t i = 0; i < pool.backends.size(); ++i) {
            text += ' ' + config.backends[pool.backends[i]].name;
            if (pool.weights[i] != 1) text += '(' + std::to_string(pool.weights[i]) + ')';
        }
    }
    text += " |";
    for (const BackendConfig& backend : config.backends) text += ' ' + backend.name;
    return text;
}

TEST(Wanted, IsTheConfigurationAsLongAsNothingElseIsAskedFor)
{
    EXPECT_EQ(shown(*Wanted(load_config(two_pools)).combined()), "web: a b; api: b c | a b c");
}

TEST(Wanted, ARequestReplacesTheMembersOfItsPoolAlone)
{
    Wanted wanted(load_config(two_pools));
    wanted.set_members("web", {member("x", "10.0.0.9", 3), member("b", "10.0.0.2")});
    EXPECT_EQ(shown(*wanted.combined()), "web!: x(3) b; api: b c | b c x") << "a was a member of that pool only";
    wanted.set_members("web", {});
    EXPECT_EQ(shown(*wanted.combined()), "web!:; api: b c | b c");
}

// A request does not say it, and the server would refuse every connection.
TEST(Wanted, AServerThatTheConfigurationKnowsKeepsItsProxyProtocol)
{
    Config config = load_config(two_pools);
    config.backends[1].proxy_protocol = ProxyVersion::v2;
    Wanted wanted(config);
    wanted.set_members("web", {member("b", "10.0.0.2"), member("x", "10.0.0.9")});
    const auto all = wanted.combined();
    for (const BackendConfig& backend : all->backends)
        EXPECT_EQ(backend.proxy_protocol, backend.name == "b" ? ProxyVersion::v2 : ProxyVersion::off) << backend.name;
}

TEST(Wanted, RequestsHoldInTheNextProcessUnlessItsConfigurationSaysSomethingElseOfThePool)
{
    Wanted before(load_config(two_pools));
    before.set_members("web", {member("x", "10.0.0.9", 3)});
    before.set_members("api", {member("b", "10.0.0.2")});
    std::string yaml = two_pools;
    yaml.replace(yaml.find("[b, c]"), 6, "[c, b]");
    Wanted after(load_config(yaml));
    EXPECT_EQ(after.restore(before.requests()).pools, std::vector<std::string>{"api"});
    EXPECT_EQ(shown(*after.combined()), "web!: x(3); api: c b | b c x");
    yaml.replace(yaml.find("web"), 3, "www");
    Wanted renamed(load_config(yaml));
    EXPECT_EQ(renamed.restore(before.requests()).pools, (std::vector<std::string>{"api", "web"}));
    EXPECT_EQ(shown(*renamed.combined()), "www: a b; api: c b | a b c");
}

TEST(Wanted, ARequestOutlivesAConfigurationThatSaysTheSameOfItsPool)
{
    Wanted wanted(load_config(two_pools));
    wanted.set_members("web", {member("x", "10.0.0.9")});
    std::string elsewhere = two_pools;
    elsewhere.replace(elsewhere.find("[b, c]"), 6, "[c]");
    EXPECT_EQ(wanted.read_again(load_config(elsewhere)), Wanted::Replaced());
    EXPECT_EQ(shown(*wanted.combined()), "web!: x; api: c | c x");
}

TEST(Wanted, AConfigurationThatSaysSomethingElseOfItsPoolReplacesTheRequest)
{
    for (const auto& [what, with] : std::vector<std::pair<std::string, std::string>>{
             {"[a, b]", "[b, a]"}, {"10.0.0.1:80", "10.0.0.1:81"}, {"name: web", "name: site"}}) {
        Wanted wanted(load_config(two_pools));
        wanted.set_members("web", {member("x", "10.0.0.9")});
        std::string other = two_pools;
        other.replace(other.find(what), what.size(), with);
        EXPECT_EQ(wanted.read_again(load_config(other)).pools, (std::vector<std::string>{"web"})) << with;
        EXPECT_EQ(shown(*wanted.combined()).find('x'), std::string::npos) << with;
    }
}

TEST(Wanted, OneNameHasOneAddress)
{
    Wanted wanted(load_config(two_pools));
    wanted.set_members("web", {member("c", "10.0.0.99")});
    const auto all = wanted.combined();
    ASSERT_FALSE(all);
    EXPECT_EQ(all.error(), "the backend 'c' has another address in another pool than http://10.0.0.99:80");
}

TEST(Wanted, TooManyBackendsTogetherAreRefused)
{
    Wanted wanted(load_config(two_pools));
    std::vector<BackendConfig> many;
    for (std::size_t i = 0; i < most_backends; ++i) many.push_back(member("m" + std::to_string(i), "10.0.0.9"));
    wanted.set_members("web", many);
    EXPECT_EQ(wanted.combined().error(), "258 backends in all pools together, expected at most 256");
}

constexpr const char* with_routes = R"(
backends: [{name: a, url: "http://10.0.0.1:80"}]
pools: [{name: web}, {name: api}]
routes:
  - {prefix: /fixed, header: "X-Canary: yes", pool: api}
  - {prefix: /one, dynamic: true}
  - {prefix: /}
  - {path: /two, pool: api, dynamic: true}
pages: false
)";

RouteSettings route(const std::string& prefix, const std::string& pool = "web")
{
    RouteSettings settings;
    settings.prefix = prefix;
    settings.pool = pool;
    return settings;
}

/// "/fixed:1 /:0": the routes with their pools, the dynamic ones with a star.
std::string shown_routes(const Config& config)
{
    std::string text;
    for (const RouteConfig& one : config.routes)
        text +=
            (text.empty() ? "" : " ") + one.path + one.prefix + (one.dynamic ? "*:" : ":") + std::to_string(one.pool);
    return text + (config.dynamic_by_request ? " !" : "");
}

TEST(Wanted, ARequestReplacesTheDynamicRoutes)
{
    Wanted wanted(load_config(with_routes));
    EXPECT_EQ(shown_routes(*wanted.combined()), "/fixed:1 /one*:0 /:0 /two*:1");
    wanted.set_routes({route("/three", "api"), route("/one", "api")});
    EXPECT_EQ(shown_routes(*wanted.combined()), "/fixed:1 /:0 /three*:1 /one*:1 !");
    ASSERT_EQ(wanted.combined()->stated_routes.size(), 4U);
    EXPECT_EQ(wanted.combined()->stated_routes[2].prefix, "/three");
    wanted.set_routes({});
    EXPECT_EQ(shown_routes(*wanted.combined()), "/fixed:1 /:0 !");
}

TEST(Wanted, ARequestCannotReplaceARouteThatIsNotDynamic)
{
    Wanted wanted(load_config(with_routes));
    RouteSettings same = route("/fixed");
    same.header = "x-canary:yes";
    wanted.set_routes({route("/ok"), same});
    EXPECT_EQ(wanted.combined().error(),
              "routes[1] is for the same requests as the route for '/fixed', which is not dynamic");
    same.header = "x-canary: no";
    wanted.set_routes({same, route("/fixed")});
    EXPECT_TRUE(wanted.combined()) << "these are for other requests";
    wanted.set_routes({route("/x", "gone")});
    EXPECT_EQ(wanted.combined().error(), "routes[0].pool: there is no pool 'gone' any more");
}

TEST(Wanted, RoutesOfARequestOutliveAConfigurationThatAgreesWithThem)
{
    const auto after = [](const std::string& what, const std::string& with) {
        Wanted wanted(load_config(with_routes));
        wanted.set_routes({route("/three", "api")});
        std::string other = with_routes;
        if (!what.empty()) other.replace(other.find(what), what.size(), with);
        const bool replaced = wanted.read_again(load_config(other)).routes;
        return (replaced ? "replaced: " : "") + shown_routes(*wanted.combined());
    };
    EXPECT_EQ(after("", ""), "/fixed:1 /:0 /three*:1 !");
    EXPECT_EQ(after("- {prefix: /}", "- {prefix: /four}"), "/fixed:1 /four:0 /three*:1 !");
    EXPECT_EQ(after("[{name: web}, ", "[{name: more}, {name: web}, "), "replaced: /fixed:2 /one*:0 /:0 /two*:2")
        << "the first pool is another: the configuration's dynamic route has changed";
    EXPECT_EQ(after("prefix: /one, ", "prefix: /one, timeout: 5s, "), "replaced: /fixed:1 /one*:0 /:0 /two*:1");
    EXPECT_EQ(after("- {prefix: /}", "- {prefix: /three}"), "replaced: /fixed:1 /one*:0 /three:0 /two*:1")
        << "a route that is not dynamic has come for the same requests";
}

TEST(Wanted, AnErrorPageOfARequestIsOneThatTheConfigurationHasRead)
{
    Config config = load_config(with_routes);
    RouteSettings& configured = config.stated_routes[1];
    configured.error_page = "/srv/sorry.html";
    configured.error_page_html = "<p>sorry";
    Wanted wanted(config);
    RouteSettings one = route("/three");
    one.error_page = "/srv/sorry.html";
    wanted.set_routes({});
    wanted.set_routes({one});
    EXPECT_EQ(wanted.combined()->routes.back().error_page, "<p>sorry");
    configured.error_page_html = "<p>very sorry";
    EXPECT_FALSE(wanted.read_again(config).routes);
    EXPECT_EQ(wanted.combined()->routes.back().error_page, "<p>very sorry");
    one.error_page = "/etc/passwd";
    wanted.set_routes({one});
    EXPECT_EQ(wanted.combined().error(), "routes[0].error_page: no route of the configuration has this one");
}

TEST(Wanted, ARouteOfARequestFollowsTheTimeoutsOfTheConfiguration)
{
    Wanted wanted(load_config(with_routes));
    wanted.set_routes({route("/three")});
    wanted.read_again(load_config(std::string(with_routes) + "timeouts: {request: 7s}\n"));
    EXPECT_EQ(wanted.combined()->routes.back().timeout, seconds(7));
}

TEST(Wanted, NamesWhatTakesEffectAtARestartOnly)
{
    const Config running = load_config(two_pools);
    EXPECT_TRUE(needs_restart(running, running).empty());
    Config other = running;
    other.listen_port = 1;
    other.workers = 7;
    other.proxy_protocol = true;
    other.trusted_proxies = {*Network::parse("10.0.0.0/8")};
    other.admin = true;
    other.timeouts.request = seconds(3);
    other.resolvers = {"10.0.0.53"};
    EXPECT_EQ(needs_restart(running, other),
              (std::vector<std::string>{"listen", "workers", "proxy_protocol", "admin", "resolvers"}));
}

unsigned limit_of(const Config& config, const std::string& name)
{
    for (const BackendConfig& backend : config.backends)
        if (backend.name == name) return backend.max_connections;
    return 0;
}

TEST(Wanted, AConnectionLimitIsTheConfigurationsUnlessARequestSetsIt)
{
    Config config = load_config(two_pools);
    config.backends[1].max_connections = 5;
    Wanted wanted(config);
    BackendConfig known = member("b", "10.0.0.2"), unknown = member("x", "10.0.0.9");
    known.max_connections = unknown.max_connections = limit_as_configured;
    wanted.set_members("web", {known, unknown});
    EXPECT_EQ(limit_of(*wanted.combined(), "b"), 5U);
    EXPECT_EQ(limit_of(*wanted.combined(), "x"), 0U);
    known.max_connections = 7;
    wanted.set_members("web", {known});
    EXPECT_EQ(limit_of(*wanted.combined(), "b"), 7U) << "in the other pool, too";
    known.max_connections = 8;
    wanted.set_members("api", {known});
    EXPECT_FALSE(wanted.combined()) << "two requests say different limits of one server";
    wanted.set_members("web", {known});
    EXPECT_EQ(limit_of(*wanted.combined(), "b"), 8U);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
