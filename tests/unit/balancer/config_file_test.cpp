#include "balancer/config_file.hpp"
#include "common/process/system.hpp"
#include "tests/support/own_files.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <sstream>

namespace hotspare::balancer {
namespace TEST_FILE {

constexpr auto two_backends = R"(
backends:
  - {name: primary, url: "http://127.0.0.1:5001"}
  - {name: spare, url: "http://127.0.0.1:5002"}
)";

std::string error_of(const std::string& yaml)
{
    try {
        load_config(yaml, "f.yaml");
    } catch (const UsageError& e) {
        return e.what();
    }
    return "accepted";
}

/// What the command line makes of it, in the order file, environment, flags.
ConfigFile load(const std::string& yaml, const std::map<std::string, std::string>& environment,
                const std::vector<std::pair<std::string, std::vector<std::string>>>& given)
{
    ConfigFile file;
    config::Loader loader(file);
    if (!yaml.empty()) loader.load(yaml, "f.yaml");
    loader.apply_environment([&](const std::string& name) -> std::optional<std::string> {
        const auto it = environment.find(name);
        return it == environment.end() ? std::nullopt : std::optional(it->second);
    });
    for (const auto& [name, values] : given)
        for (const auto& flag : loader.available_flags())
            if (flag.name == name) loader.apply(flag, values, "--" + name);
    loader.complete();
    return file;
}

std::string error_of_flags(const std::string& yaml,
                           const std::vector<std::pair<std::string, std::vector<std::string>>>& given)
{
    try {
        load(yaml, {}, given);
    } catch (const UsageError& e) {
        return e.what();
    }
    return "accepted";
}

const RouteConfig* route_for(const Config& config, const std::string& path_or_prefix)
{
    for (const auto& route : config.routes)
        if (route.path == path_or_prefix || route.prefix == path_or_prefix) return &route;
    return nullptr;
}

std::vector<std::string> warnings_of(const std::string& yaml)
{
    ConfigFile file;
    config::Loader loader(file);
    loader.load(yaml, "f.yaml");
    loader.complete();
    return loader.warnings();
}

TEST(BalancerConfig, what_has_no_effect_is_warned_of)
{
    EXPECT_TRUE(warnings_of(two_backends).empty());
    const std::string backends = "backends:\n  - {name: a, url: http://h:1, weight: 2}\n"
                                 "  - {name: b, url: http://h:2}\n  - {name: c, url: http://h:3}\n";
    const auto found = warnings_of(backends + "pools:\n  - {name: one, backends: [a, b], weights: [1, 2]}\n"
                                              "  - {name: two, policy: random, backends: [b]}\n");
    ASSERT_EQ(found.size(), 4U);
    EXPECT_EQ(found[0], "f.yaml:6:44: pools[0].weights: no effect with policy failover: the order of the backends "
                        "decides");
    EXPECT_EQ(found[1], "f.yaml:7:5: pools[1]: no route uses the pool 'two'; it is only probed");
    EXPECT_EQ(found[2], "f.yaml:2:40: backends[0].weight: no effect with policy failover: the order of the backends "
                        "decides");
    EXPECT_EQ(found[3], "f.yaml:4:5: backends[2]: no pool uses the backend 'c'");
    EXPECT_TRUE(warnings_of(backends + "pools:\n  - {name: one, policy: random}\n").empty());
}

TEST(BalancerConfig, names_may_stand_for_several_backends)
{
    const Config config = load_config(R"(
resolvers: ["127.0.0.1:5353", "10.0.0.1", "fd00::1", "[fd00::1]:53"]
backends:
  - {name: a, url: "http://a.example:8080", resolve: each, resolve_interval: 5s}
  - {name: b, url: "http://_http._tcp.example", resolve: srv}
  - {name: c, url: "http://c.example"}
)");
    EXPECT_EQ(config.resolvers.size(), 4U);
    EXPECT_EQ(config.backends[0].resolve, Resolve::each);
    EXPECT_EQ(config.backends[0].resolve_interval, seconds(5));
    EXPECT_EQ(config.backends[1].resolve, Resolve::srv);
    EXPECT_EQ(config.backends[2].resolve, Resolve::any);
    EXPECT_EQ(config.backends[2].resolve_interval, Duration::zero());
}

TEST(BalancerConfig, what_cannot_be_looked_up_is_refused)
{
    const auto backend = [](const std::string& rest) { return error_of("backends: [{name: a, url: " + rest + "}]"); };
    EXPECT_EQ(backend("\"http://10.0.0.1:80\", resolve: each"),
              "f.yaml:1:58: backends[0].resolve: the host of 'http://10.0.0.1:80' is an address, expected a name");
    EXPECT_EQ(backend("\"http://_http._tcp.example:8080\", resolve: srv"),
              "f.yaml:1:70: backends[0].resolve: 'http://_http._tcp.example:8080' has a port, expected none: an SRV "
              "record names it");
    EXPECT_EQ(backend("\"http://a.example\", resolve_interval: 20ms"),
              "f.yaml:1:65: backends[0].resolve_interval: is less than 1s, expected 0s or at least 1s");
    for (const std::string server : {"ns.example", "127.0.0.1:0", "127.0.0.1:", ""})
        EXPECT_NE(error_of("resolvers: [\"" + server + "\"]" + two_backends).find("resolvers"), std::string::npos)
            << server;
}

TEST(BalancerConfig, connections_to_a_backend_may_be_limited)
{
    const Config config = load_config("backends: [{name: a, url: http://h:1, max_connections: 7}, {name: b, url: "
                                      "http://h:2}]");
    EXPECT_EQ(config.backends[0].max_connections, 7U);
    EXPECT_EQ(config.backends[1].max_connections, 0U) << "no limit";
    EXPECT_NE(error_of("backends: [{name: a, url: http://h:1, max_connections: -1}]").find("max_connections"),
              std::string::npos);
}

TEST(BalancerConfig, nothing_is_warned_of_that_print_config_wrote)
{
    ConfigFile file;
    config::Loader loader(file);
    loader.load(two_backends, "f.yaml");
    loader.complete();
    const auto printed = loader.print();
    EXPECT_NE(printed.find("weight"), std::string::npos) << printed;
    EXPECT_EQ(warnings_of(printed), std::vector<std::string>());
}

TEST(BalancerConfig, all_errors_are_named_at_once)
{
    try {
        load_config(std::string(two_backends) + "pools:\n  - {name: one, backends: [nine]}\n"
                                                "  - {name: two, weights: [1]}\n"
                                                "access_log: /no/such/folder/access.log\n",
                    "f.yaml");
        ADD_FAILURE() << "accepted";
    } catch (const UsageError& e) {
        ASSERT_EQ(e.messages.size(), 3U) << e.what();
        EXPECT_NE(e.messages[0].find("unknown backend 'nine'"), std::string::npos) << e.messages[0];
        EXPECT_NE(e.messages[1].find("1 weights for 2 backends"), std::string::npos) << e.messages[1];
        EXPECT_NE(e.messages[2].find("the folder '/no/such/folder' does not exist"), std::string::npos)
            << e.messages[2];
    }
}

TEST(BalancerConfig, two_backends_are_enough)
{
    const auto config = load_config(two_backends);
    EXPECT_EQ(config.listen_host, "127.0.0.1");
    EXPECT_EQ(config.listen_port, 5000);
    ASSERT_EQ(config.backends.size(), 2U);
    EXPECT_EQ(config.backends[1].name, "spare");
    EXPECT_EQ(config.backends[1].host, "127.0.0.1");
    EXPECT_EQ(config.backends[1].port, 5002);
    EXPECT_EQ(config.backends[1].source, "config:4:24");
    ASSERT_EQ(config.pools.size(), 1U);
    EXPECT_EQ(config.pools[0].name, "default");
    EXPECT_EQ(config.pools[0].policy, Policy::failover);
    EXPECT_EQ(config.pools[0].backends, (std::vector<BackendIndex>{0, 1}));
    EXPECT_EQ(config.pools[0].weights, (std::vector<unsigned>{1, 1}));
    EXPECT_EQ(config.routes.size(), 7U);
    EXPECT_EQ(route_for(config, "/")->builtin, Builtin::none);
    EXPECT_EQ(route_for(config, "/")->prefix, "/");
    EXPECT_EQ(route_for(config, "/health")->builtin, Builtin::health);
    EXPECT_EQ(route_for(config, "/status")->builtin, Builtin::status);
    EXPECT_EQ(route_for(config, "/metrics")->builtin, Builtin::metrics);
    EXPECT_EQ(route_for(config, "/events")->builtin, Builtin::events);
    EXPECT_EQ(route_for(config, "/logs")->builtin, Builtin::logs);
    EXPECT_EQ(route_for(config, "/admin")->prefix, "/admin");
}

TEST(BalancerConfig, trusted_proxies_are_addresses_and_networks)
{
    const auto config =
        load_config(std::string(two_backends) +
                    "trusted_proxies: [10.0.0.0/8, 192.0.2.1, '2001:db8::/32', '::ffff:172.16.0.0/108']\n"
                    "proxy_protocol: true\n");
    std::vector<std::string> read;
    for (const auto& network : config.trusted_proxies) read.push_back(network.to_string());
    EXPECT_EQ(read, (std::vector<std::string>{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "172.16.0.0/12"}));
    EXPECT_TRUE(config.proxy_protocol);
    EXPECT_TRUE(load_config(two_backends).trusted_proxies.empty());
    EXPECT_FALSE(load_config(two_backends).proxy_protocol);

    EXPECT_EQ(error_of("trusted_proxies: [10.0.0.0/8, 10.0.0.1/8]\n"),
              "f.yaml:1:31: trusted_proxies[1]: '10.0.0.1/8' is not valid, expected 10.0.0.0/8, whose bits behind the "
              "prefix are 0, or 10.0.0.1 for the one address");
    EXPECT_EQ(
        error_of("trusted_proxies: [lb.example]\n"),
        "f.yaml:1:19: trusted_proxies[0]: 'lb.example' is not valid, expected an IP address, or a network such as "
        "10.0.0.0/8 or 2001:db8::/32");
    EXPECT_EQ(error_of(std::string("trusted_proxies: [") +
                       [] {
                           std::string many;
                           for (int i = 0; i <= 1000; ++i) many += "::1, ";
                           return many;
                       }() +
                       "]\n")
                  .find("f.yaml:1:18: trusted_proxies: the list is not allowed, expected at most 1000"),
              0U);

    EXPECT_TRUE(load(two_backends, {}, {{"proxy-protocol", {"true"}}}).proxy_protocol);
}

TEST(BalancerConfig, a_proxy_protocol_without_trusted_proxies_is_warned_of)
{
    EXPECT_EQ(
        warnings_of(std::string(two_backends) + "proxy_protocol: true\n"),
        std::vector<std::string>{"f.yaml:5:17: proxy_protocol: no client may send a PROXY header: trusted_proxies "
                                 "is empty"});
}

TEST(BalancerConfig, probes_are_asked_as_the_pool_says_and_the_backend)
{
    const std::string backends = "backends: [{name: a, url: \"http://127.0.0.1:1\", probe: {path: /own, port: 9}},"
                                 " {name: b, url: \"http://127.0.0.1:2\"}]\n";
    const auto probe = [&](const std::string& keys) {
        return backends + "pools: [{name: p, probe: {" + keys + "}}]\n";
    };
    const auto config = load_config(probe("method: HEAD, host: \"app.example:8080\", headers: [\"A: b\"], port: 81"));
    EXPECT_EQ(config.pools[0].probe.method, "HEAD");
    EXPECT_EQ(config.pools[0].probe.host, "app.example:8080");
    EXPECT_EQ(config.pools[0].probe.headers, std::vector<std::string>{"A: b"});
    EXPECT_EQ(config.pools[0].probe.port, 81);
    EXPECT_EQ(config.backends[0].probe, (OwnProbe{.path = "/own", .port = 9}));
    EXPECT_EQ(config.backends[1].probe, OwnProbe());

    const auto of = [&](const std::string& keys) { return error_of(probe(keys)); };
    EXPECT_NE(of("method: HEAD, expect_body: x")
                  .find("pools[0].probe.expect_body: together with the method HEAD, whose response has no body"),
              std::string::npos);
    EXPECT_NE(of("method: HEAD, expect_json_field: a=b").find("pools[0].probe.expect_json_field: together with"),
              std::string::npos);
    EXPECT_NE(of("method: CONNECT").find("expected a request method other than CONNECT"), std::string::npos);
    EXPECT_NE(of("port: 65536").find("pools[0].probe.port"), std::string::npos);
    EXPECT_NE(of("host: \"a b\"").find("expected HOST or HOST:PORT"), std::string::npos);
    EXPECT_NE(of("headers: [\"Host: x\"]").find("pools[0].probe.headers: the field Host is what `host` says"),
              std::string::npos);
    EXPECT_NE(of("headers: [\"Content-Length: 1\"]").find("'Content-Length' is not the name of a header field that"),
              std::string::npos);
    EXPECT_NE(of("headers: [hush]").find("a field has no colon"), std::string::npos);
    EXPECT_EQ(of("headers: [hush]").find("hush"), std::string::npos) << "it may be a secret";
    EXPECT_NE(error_of("backends: [{name: a, url: \"http://h\", probe: {method: HEAD}}]\n"
                       "pools: [{name: p, probe: {expect_body: x}}]\n")
                  .find("backends[0].probe.method: HEAD has no response body, but the pool's probe has `expect_body`"),
              std::string::npos);
}

TEST(BalancerConfig, a_port_offset_shifts_the_ports_of_probes_on_this_machine)
{
    const auto file = load("backends: [{name: a, url: \"http://127.0.0.1:1\", probe: {port: 9}},"
                           " {name: b, url: \"http://127.0.0.1:2\"}, {name: c, url: \"http://10.0.0.1:2\"}]\n"
                           "pools: [{name: p, probe: {port: 81}}]\n",
                           {}, {{"port-offset", {"1000"}}});
    EXPECT_EQ(file.backends[0].probe.port, 1009);
    EXPECT_EQ(file.backends[1].probe.port, 1081);
    EXPECT_EQ(file.backends[2].probe.port, 0);
    EXPECT_EQ(file.pools[0].probe.port, 81) << "for what is on other machines";
}

TEST(BalancerConfig, a_backend_may_be_a_unix_socket)
{
    const Config config = load_config("backends: [{name: a, url: 'unix:/run/app.sock'}]\n");
    EXPECT_EQ(config.backends[0].socket, "/run/app.sock");
    EXPECT_EQ(config.backends[0].host, "localhost");
    EXPECT_EQ(config.backends[0].url, "unix:/run/app.sock");
}

TEST(BalancerConfig, a_backend_says_which_proxy_header_it_expects)
{
    const auto config =
        load_config("backends:\n  - {name: a, url: http://h:1, proxy_protocol: v2}\n"
                    "  - {name: b, url: http://h:2, proxy_protocol: v1}\n"
                    "  - {name: c, url: http://h:3, proxy_protocol: off}\n  - {name: d, url: http://h:4}\n");
    std::vector<ProxyVersion> versions;
    for (const auto& backend : config.backends) versions.push_back(backend.proxy_protocol);
    EXPECT_EQ(versions, (std::vector{ProxyVersion::v2, ProxyVersion::v1, ProxyVersion::off, ProxyVersion::off}));
    EXPECT_NE(error_of("backends:\n  - {name: a, url: http://h:1, proxy_protocol: v3}\n").find("f.yaml:2:48: "),
              std::string::npos);
}

TEST(BalancerConfig, the_flag_for_the_probe_path_is_for_every_pool)
{
    const auto file = "backends: [{name: a, url: 'http://x'}, {name: b, url: 'http://y'}]\n"
                      "pools: [{name: one, backends: [a]}, {name: two, backends: [b], probe: {path: /ping}}]\n"
                      "routes: [{prefix: /, pool: one}, {prefix: /two, pool: two}]";
    const auto config = to_config(load(file, {}, {{"probe-path", {"/ready?deep=1"}}}));
    ASSERT_EQ(config.pools.size(), 2U);
    for (const auto& pool : config.pools) EXPECT_EQ(pool.probe.path, "/ready?deep=1") << pool.name;
    const auto alone = to_config(load("", {}, {{"backend", {"a=http://x"}}, {"probe-path", {"/ready"}}}));
    ASSERT_EQ(alone.pools.size(), 1U);
    EXPECT_EQ(alone.pools[0].probe.path, "/ready");
}

TEST(BalancerConfig, flags_alone_are_enough)
{
    const auto config = to_config(load("", {},
                                       {{"listen", {"127.0.0.1:5100"}},
                                        {"workers", {"2"}},
                                        {"backend", {"primary=http://127.0.0.1:5001", "spare=http://[::1]:5002"}},
                                        {"policy", {"random"}},
                                        {"access-log", {"-"}}}));
    EXPECT_EQ(config.listen_port, 5100);
    EXPECT_EQ(config.listen_source, "--listen");
    EXPECT_EQ(config.workers, 2U);
    EXPECT_EQ(config.access_log, "-");
    ASSERT_EQ(config.backends.size(), 2U);
    EXPECT_EQ(config.backends[1].host, "::1");
    EXPECT_EQ(config.backends[1].source, "--backend");
    EXPECT_EQ(config.pools[0].policy, Policy::random);
    EXPECT_EQ(config.pools[0].backends.size(), 2U);
}

TEST(BalancerConfig, the_environment_can_say_the_same)
{
    const auto config = to_config(
        load("listen: 127.0.0.1:1111", {{"PORT", "5300"}, {"HOTSPARE_BACKEND", "a=http://a,b=http://b:81"}}, {}));
    EXPECT_EQ(config.listen_port, 5300);
    EXPECT_EQ(config.listen_source, "PORT");
    ASSERT_EQ(config.backends.size(), 2U);
    EXPECT_EQ(config.backends[0].port, 80);
    EXPECT_EQ(config.backends[1].port, 81);
}

TEST(BalancerConfig, the_flag_for_the_port_beats_that_for_the_address)
{
    const auto file = load(two_backends, {{"PORT", "1"}}, {{"port", {"0"}}, {"listen", {"10.0.0.1:2"}}});
    EXPECT_EQ(to_config(file).listen_host, "10.0.0.1");
    EXPECT_EQ(to_config(load(two_backends, {}, {{"listen", {"10.0.0.1:2"}}, {"port", {"3"}}})).listen_port, 3);
}

TEST(BalancerConfig, an_offset_shifts_what_is_on_this_machine)
{
    const std::string yaml =
        "listen: 127.0.0.1:5000\nbackends:\n"
        "  - {name: a, url: 'http://127.0.0.1:5001'}\n  - {name: b, url: 'http://localhost:5002/'}\n"
        "  - {name: c, url: 'http://[::1]:5003'}\n  - {name: d, url: 'http://10.0.0.1:5004'}\n";
    const auto config = to_config(load(yaml, {}, {{"port-offset", {"1000"}}}));
    EXPECT_EQ(config.listen_port, 6000);
    EXPECT_EQ(config.backends[0].port, 6001);
    EXPECT_EQ(config.backends[0].url, "http://127.0.0.1:6001");
    EXPECT_EQ(config.backends[1].port, 6002);
    EXPECT_EQ(config.backends[2].url, "http://[::1]:6003");
    EXPECT_EQ(config.backends[3].port, 5004);
    const auto operators = load(yaml, {}, {{"port-offset", {"1000"}}, {"admin-listen", {"127.0.0.1:5009"}}});
    EXPECT_EQ(to_config(operators).admin_listen.port, 6009);
    EXPECT_EQ(to_config(load(yaml, {}, {{"port-offset", {"1000"}}, {"port", {"0"}}})).listen_port, 0)
        << "any free port stays that";
    EXPECT_EQ(error_of_flags(yaml, {{"port-offset", {"60533"}}}),
              "--port-offset: port 5003 + 60533 is more than 65535, expected a smaller offset");
}

TEST(BalancerConfig, pools_and_routes_refer_by_name)
{
    const auto config = load_config(R"(
backends:
  - {name: a, url: "http://a", weight: 3}
  - {name: b, url: "http://b"}
  - {name: c, url: "http://c"}
pools:
  - name: web
    policy: round_robin
    backends: [c, a]
  - name: api
    backends: [b, c]
    weights: [1, 5]
    probe: {path: "/ready?full=1", interval: 2s, expect_status: [200, 300-399], expect_json_field: status=healthy}
    failback: {mode: manual}
routes:
  - {prefix: /api, pool: api, rewrite: /v1}
  - {path: /front, repeatable: true, timeout: 1800ms}
  - {path: /health, pool: api}
admin: true
)");
    EXPECT_EQ(config.pools[0].backends, (std::vector<BackendIndex>{2, 0}));
    EXPECT_EQ(config.pools[0].weights, (std::vector<unsigned>{1, 3}));
    EXPECT_EQ(config.pools[1].weights, (std::vector<unsigned>{1, 5}));
    EXPECT_EQ(config.pools[1].probe.interval, seconds(2));
    ASSERT_EQ(config.pools[1].probe.expect_status.size(), 2U);
    EXPECT_TRUE(config.pools[1].probe.expect_status[1].contains(399));
    EXPECT_FALSE(config.pools[1].probe.expect_status[0].contains(201));
    EXPECT_EQ(config.pools[1].failback.mode, FailbackMode::manual);
    EXPECT_EQ(route_for(config, "/api")->pool, 1);
    EXPECT_EQ(route_for(config, "/api")->rewrite, "/v1");
    EXPECT_EQ(route_for(config, "/front")->pool, 0);
    EXPECT_TRUE(route_for(config, "/front")->repeatable);
    EXPECT_FALSE(route_for(config, "/api")->repeatable) << "not configured";
    EXPECT_EQ(route_for(config, "/front")->timeout, milliseconds(1800));
    EXPECT_EQ(route_for(config, "/api")->timeout, seconds(30)) << "timeouts.request";
    EXPECT_EQ(route_for(config, "/health")->builtin, Builtin::none) << "the file's route wins over the admin end point";
    EXPECT_NE(route_for(config, "/status"), nullptr);
    EXPECT_EQ(route_for(config, "/"), nullptr) << "routes that are given are what is served";
}

TEST(BalancerConfig, the_built_in_pages_can_be_left_out)
{
    const auto config = load_config(std::string(two_backends) + "pages: false");
    ASSERT_EQ(config.routes.size(), 1U);
    EXPECT_EQ(config.routes[0].prefix, "/");
    EXPECT_TRUE(config.default_pages.empty());
}

TEST(BalancerConfig, operators_requests_are_off_and_refused_unless_asked_for)
{
    const auto config = load_config(two_backends);
    EXPECT_FALSE(config.admin);
    EXPECT_EQ(route_for(config, "/admin")->builtin, Builtin::admin) << "no backend gets them instead";
    EXPECT_TRUE(load_config(std::string(two_backends) + "admin: true").admin);
    const auto alone = load_config(std::string(two_backends) + "pages: false\nadmin: true");
    ASSERT_EQ(alone.routes.size(), 2U);
    EXPECT_EQ(alone.routes[1].prefix, "/admin");
}

TEST(BalancerConfig, names_the_pages_that_it_adds_to_the_routes)
{
    EXPECT_EQ(load_config(two_backends).default_pages,
              (std::vector<std::string>{"/health", "/status", "/metrics", "/events", "/logs", "/admin"}));
    const auto some = load_config(std::string(two_backends) +
                                  "routes: [{prefix: /admin}, {path: /health, builtin: health}, {prefix: /}]");
    EXPECT_EQ(some.default_pages, (std::vector<std::string>{"/status", "/metrics", "/events", "/logs"}));
    EXPECT_EQ(route_for(some, "/admin")->builtin, Builtin::none) << "the application's own";
}

TEST(BalancerConfig, defaults_give_way_to_what_is_written)
{
    const auto config = load_config(std::string(two_backends) + "pools: [{probe: {interval: 50ms, timeout: 20ms}}]\n"
                                                                "timeouts: {request: 200ms}\nlimits: {header: 4KiB}");
    EXPECT_EQ(config.pools[0].probe.fast_interval, milliseconds(50));
    EXPECT_EQ(config.pools[0].probe.slow, milliseconds(20));
    EXPECT_EQ(config.timeouts.connect, milliseconds(200));
    EXPECT_EQ(config.limits.request_line, 4096U);
}

TEST(BalancerConfig, every_mistake_is_named_with_its_place)
{
    const std::string head = "backends: [{name: a, url: 'http://a'}, {name: b, url: 'http://b'}]\n";
    const std::vector<std::pair<std::string, std::string>> table{
        {"",
         "f.yaml:1:1: backends: missing, expected 1 to 256 backends, as the key `backends` or as --backend NAME=URL"},
        {"backends: []", "f.yaml:1:11: backends: an empty list is not allowed, expected 1 to 256 backends, as the key "
                         "`backends` or as --backend NAME=URL"},
        {"backends: [{name: a, url: 'unix:app.sock'}]",
         "f.yaml:1:27: backends[0].url: 'unix:app.sock' is not allowed, expected http://HOST[:PORT] without a path, or "
         "unix:/PATH of a socket"},
        {"backends: [{name: a, url: 'unix:/a', resolve: each}]",
         "f.yaml:1:47: backends[0].resolve: has no effect on a Unix socket, which has no name to look up"},
        {"backends: [{name: a}]", "f.yaml:1:12: backends[0].url: missing, expected http://HOST[:PORT] without a path, "
                                  "or unix:/PATH of a socket"},
        {"backends: [{name: A, url: 'http://a'}]", "f.yaml:1:19: backends[0].name: 'A' is not allowed, expected a name "
                                                   "of 1 to 64 lower-case letters, digits, _ and -"},
        {"backends: [{name: a, url: 'https://a'}]",
         "f.yaml:1:27: backends[0].url: 'https://a' is not allowed, expected http://HOST[:PORT] without a path, or "
         "unix:/PATH of a socket"},
        {"backends: [{name: a, url: 'http://a/x'}]",
         "f.yaml:1:27: backends[0].url: 'http://a/x' is not allowed, expected http://HOST[:PORT] without a path, or "
         "unix:/PATH of a socket"},
        {"backends: [{name: a, url: 'http://a', weight: 0}]",
         "f.yaml:1:47: backends[0].weight: '0' is not allowed, expected a whole number from 1 to 1000"},
        {"backends:\n- {name: a, url: 'http://a'}\n- {name: a, url: 'http://b'}",
         "f.yaml:3:10: backends[1].name: duplicate name 'a', expected another than that of backends[0]"},
        {head + "pools: [{name: x, backends: [a, c]}]",
         "f.yaml:2:33: pools[0].backends[1]: unknown backend 'c', expected one of: a, b"},
        {head + "pools: [{name: x, backends: [a, a]}]",
         "f.yaml:2:33: pools[0].backends[1]: duplicate backend 'a', expected it once"},
        {head + "pools: [{name: x}, {name: x}]",
         "f.yaml:2:27: pools[1].name: duplicate name 'x', expected another than that of pools[0]"},
        {head + "pools: [{weights: [1]}]",
         "f.yaml:2:19: pools[0].weights: 1 weights for 2 backends, expected one each"},
        {head + "pools: [{weights: [1, 0]}]",
         "f.yaml:2:19: pools[0].weights: the list is not allowed, expected numbers from 1 to 1000"},
        {head + "pools: [{policy: roundrobin}]",
         "f.yaml:2:18: pools[0].policy: unknown word 'roundrobin', did you mean 'round_robin'? expected failover | "
         "round_robin | random | least_connections"},
        {head + "pools: [{probe: {fall: 0}}]",
         "f.yaml:2:24: pools[0].probe.fall: '0' is not allowed, expected a whole number from 1 to 1000"},
        {head + "pools: [{probe: {interval: 0s}}]",
         "f.yaml:2:28: pools[0].probe.interval: '0s' is not allowed, expected a duration"},
        {head + "pools: [{probe: {fast_interval: 1s}}]", "f.yaml:2:33: pools[0].probe.fast_interval: 1s is more than "
                                                         "pools[0].probe.interval (500ms), expected at most that"},
        {head + "pools: [{probe: {path: health}}]", "f.yaml:2:24: pools[0].probe.path: 'health' is not allowed, "
                                                    "expected a path that starts with '/', without blanks"},
        {head + "pools: [{probe: {path: \"/a\\r\\nX: y\"}}]",
         "f.yaml:2:24: pools[0].probe.path: '/a\\x0d\\x0aX: y' is not allowed, expected a path"},
        {head + "pools: [{probe: {expect_status: [99]}}]",
         "f.yaml:2:34: pools[0].probe.expect_status[0]: '99' is not valid, expected an HTTP status or a range of them"},
        {head + "pools: [{probe: {expect_status: [300-200]}}]",
         "f.yaml:2:34: pools[0].probe.expect_status[0]: '300-200' is not valid"},
        {head + "pools: [{probe: {expect_status: []}}]",
         "f.yaml:2:33: pools[0].probe.expect_status: an empty list is not allowed"},
        {head + "pools: [{probe: {expect_json_field: status}}]",
         "f.yaml:2:37: pools[0].probe.expect_json_field: 'status' is not allowed, expected FIELD=VALUE"},
        {head + "pools: [{sticky: {cookie: SID}}]",
         "f.yaml:2:27: pools[0].sticky.cookie: together with policy failover, which sends all clients to one backend; "
         "expected another policy, or no cookie"},
        {head + "pools: [{policy: random, sticky: {cookie: 'a b'}}]",
         "f.yaml:2:43: pools[0].sticky.cookie: 'a b' is not allowed, expected at most 64 letters, digits and"},
        {head + "pools: [{policy: random, sticky: {cookie: __Host-s}}]",
         "f.yaml:2:43: pools[0].sticky.cookie: browsers accept the name '__Host-s' only with `secure: true`"},
        {head + "pools: [{policy: random, sticky: {cookie: s, max_age: 1500ms}}]",
         "f.yaml:2:55: pools[0].sticky.max_age: 1500ms is no whole number of seconds"},
        {head + "routes: [{path: /x, pool: defualt}]",
         "f.yaml:2:27: routes[0].pool: unknown pool 'defualt', did you mean 'default'? expected one of: default"},
        {head + "routes: [{path: x}]",
         "f.yaml:2:17: routes[0].path: 'x' is not allowed, expected a path that starts with '/'"},
        {head + "routes: [{pool: default}]", "f.yaml:2:10: routes[0]: expected either `path` or `prefix`"},
        {head + "routes: [{path: /x, prefix: /y}]", "f.yaml:2:10: routes[0]: expected either `path` or `prefix`"},
        {head + "routes: [{path: /x, builtin: health, pool: default}]",
         "f.yaml:2:44: routes[0].pool: together with `builtin`, expected one of the two"},
        {head + "routes: [{path: /x, builtin: helth}]",
         "f.yaml:2:30: routes[0].builtin: unknown word 'helth', did you mean 'health'?"},
        {head + "routes: [{path: /x, builtin: health, repeatable: true}]",
         "f.yaml:2:50: routes[0].repeatable: together with `builtin`, expected none"},
        {head + "routes: [{path: /x, builtin: health, timeout: 1s}]",
         "f.yaml:2:47: routes[0].timeout: together with `builtin`, expected none"},
        {head + "routes: [{path: /x}, {path: /x}]", "f.yaml:2:22: routes[1]: a second route for '/x', expected one"},
        {head + "timeouts: {connect: 0s}", "f.yaml:2:21: timeouts.connect: '0s' is not allowed, expected a duration"},
        {head + "timeouts: {connect: 1m}",
         "f.yaml:2:21: timeouts.connect: 1m is more than timeouts.request (30s), expected at most that"},
        {head + "timeouts: {request: 5}", "f.yaml:2:21: timeouts.request: '5' is not valid, expected a duration"},
        {head + "limits: {header: 8kb}", "f.yaml:2:18: limits.header: '8kb' is not valid, expected a size"},
        {head + "limits: {header: 2MiB}", "f.yaml:2:18: limits.header: '2MiB' is not allowed, expected a size"},
        {head + "admin_hosts: [Balancer]",
         "f.yaml:2:14: admin_hosts: the list is not allowed, expected names or addresses in lower case"},
        {head + "admin_origins: [console.example]",
         "f.yaml:2:16: admin_origins: the list is not allowed, expected http://HOST[:PORT] or https://HOST[:PORT]"},
        {head + "admin_origins: [\"https://console.example/\"]",
         "f.yaml:2:16: admin_origins: the list is not allowed, expected http://HOST[:PORT] or https://HOST[:PORT]"},
        {head + "limits: {fields: 129}",
         "f.yaml:2:18: limits.fields: '129' is not allowed, expected a whole number from 1 to 128"},
        {head + "workers: 1000", "f.yaml:2:10: workers: '1000' is not allowed, expected a whole number from 0 to 256"},
        {head + "lissen: 127.0.0.1:1", "f.yaml:2:1: unknown key 'lissen', did you mean 'listen'?"},
    };
    for (const auto& [yaml, message] : table) EXPECT_EQ(error_of(yaml).substr(0, message.size()), message) << yaml;
}

TEST(BalancerConfig, a_file_that_stands_for_too_much_is_refused_soon)
{
    const auto repeated = [](std::string text, std::string_view what, int times) {
        for (int i = 0; i < times; ++i) text += what;
        return text + "]";
    };
    const std::string backends = "backends: [{name: a, url: \"http://a\"}]\n";
    const auto bomb = backends + repeated("pools: [&p {weights: ", repeated("[1", ",1", 2000), 1);
    EXPECT_NE(error_of(repeated(bomb.substr(0, bomb.size() - 1) + "}", ", *p", 20'000)).find("value 100001"),
              std::string::npos);

    EXPECT_EQ(error_of(backends + repeated("pools: [{name: p}", ", {name: p}", 256)).substr(0, 42),
              "f.yaml:2:8: pools: the list is not allowed");
    std::string routes = backends + "routes:\n";
    for (int i = 0; i < 10'001; ++i) routes += "  - {path: /" + std::to_string(i) + "}\n";
    EXPECT_EQ(error_of(routes), "f.yaml:3:3: routes: the list is not allowed, expected at most 10000 routes");
}

TEST(BalancerConfig, mistakes_in_flags_name_the_flag)
{
    EXPECT_EQ(error_of_flags("", {{"backend", {"http://127.0.0.1:1"}}}).substr(0, 71),
              "--backend: 'http://127.0.0.1:1' is not valid, expected NAME=URL with a ");
    EXPECT_EQ(error_of_flags("", {{"backend", {"a=http://x", "a=http://y"}}}),
              "--backend: duplicate name 'a', expected another than that of backends[0]");
    EXPECT_EQ(error_of_flags("", {}),
              "backends: missing, expected 1 to 256 backends, as the key `backends` or as --backend NAME=URL");
    EXPECT_EQ(error_of_flags(two_backends, {{"policy", {"best"}}}),
              "--policy: unknown word 'best', expected failover | round_robin | random | least_connections");
    for (const char* workers : {"-1", "257", "99999999999"})
        EXPECT_EQ(error_of_flags(two_backends, {{"workers", {workers}}}),
                  "--workers: '" + std::string(workers) + "' is not allowed, expected a whole number from 0 to 256");
    EXPECT_EQ(error_of_flags(two_backends, {{"workers", {"two"}}}),
              "--workers: 'two' is not valid, expected a whole number from 0 to 256");
    EXPECT_EQ(error_of_flags(two_backends, {{"port", {"65536"}}}),
              "--port: '65536' is out of range, expected a whole number from 0 to 65535");
    EXPECT_EQ(error_of_flags("backends: [{name: x, url: 'http://x'}]\npools: [{backends: [x]}]",
                             {{"backend", {"y=http://y"}}}),
              "f.yaml:2:21: pools[0].backends[0]: unknown backend 'x', expected one of: y");
}

// --- Printing --------------------------------------------------------------------------------------------------------

Duration any_duration(Duration least)
{
    return std::max(least,
                    Duration(*rc::gen::inRange<std::int64_t>(0, 86'400'000'000'000) >> *rc::gen::inRange(0, 40)));
}

ConfigFile any_file()
{
    ConfigFile file;
    file.listen = {*rc::gen::element<std::string>("127.0.0.1", "::1", "example.org"),
                   *rc::gen::arbitrary<std::uint16_t>()};
    file.workers = *rc::gen::inRange(0U, 257U);
    file.access_log = *rc::gen::element<std::string>("", "-", "/tmp/x y.log", "null", "a: b # c");
    file.forwarded = *rc::gen::arbitrary<bool>();
    if (*rc::gen::arbitrary<bool>()) file.admin_hosts = {"balancer.internal", "fd00::1"};
    if (*rc::gen::arbitrary<bool>()) file.admin_origins = {"https://console.example:8443", "http://[::1]:3000"};
    file.admin = *rc::gen::arbitrary<bool>();
    file.pages = *rc::gen::arbitrary<bool>();
    const int backends = *rc::gen::inRange(1, 6);
    for (int i = 0; i < backends; ++i) {
        BackendConfig backend;
        backend.name = fmt::format("b{}", i);
        backend.url = *rc::gen::element<std::string>("http://127.0.0.1:81", "http://[::1]:1", "http://h", "http://h/");
        backend.weight = *rc::gen::inRange(1U, 1001U);
        file.backends.push_back(backend);
    }
    const int pools = *rc::gen::inRange(0, 3);
    for (int i = 0; i < pools; ++i) {
        PoolSettings pool;
        pool.name = fmt::format("p{}", i);
        pool.policy =
            *rc::gen::element(Policy::failover, Policy::round_robin, Policy::random, Policy::least_connections);
        for (int b = 0; b < backends; ++b)
            if (*rc::gen::arbitrary<bool>()) pool.backends.push_back(fmt::format("b{}", b));
        if (*rc::gen::arbitrary<bool>()) pool.weights.assign(pool.backends.size(), *rc::gen::inRange(1U, 1001U));
        pool.probe.path = *rc::gen::element<std::string>("/", "/health?x=1", "/%20~");
        pool.probe.interval = any_duration(milliseconds(1));
        pool.probe.timeout = any_duration(milliseconds(1));
        pool.probe.slow = any_duration(milliseconds(1));
        pool.probe.jitter = *rc::gen::inRange(0, 501) / 1000.0;
        pool.probe.fall = *rc::gen::inRange(1U, 1001U);
        const unsigned first = *rc::gen::inRange(100U, 600U);
        pool.probe.expect_status = {{first, *rc::gen::inRange(first, 600U)}, {200, 200}};
        pool.probe.expect_body = *rc::gen::element<std::string>("", "ok", "\"a\": [1]", "~", "\n\t", "é");
        pool.probe.expect_json_field = *rc::gen::element<std::string>("", "status=ok", "a=b=c", "a=");
        pool.failback.mode = *rc::gen::element(FailbackMode::automatic, FailbackMode::manual);
        pool.failback.hold_down = any_duration(Duration::zero());
        pool.quarantine.failure_limit = *rc::gen::inRange(0U, 100U);
        pool.retry.statuses.clear();
        pool.retry.replay_buffer = *rc::gen::inRange<std::size_t>(0, 64 << 20);
        pool.retry.budget_ratio = *rc::gen::inRange(0, 1000) / 11.0;
        pool.retry.hedge = *rc::gen::arbitrary<bool>();
        pool.park.timeout = any_duration(Duration::zero());
        file.pools.push_back(std::move(pool));
    }
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
        RouteSettings route;
        (*rc::gen::arbitrary<bool>() ? route.path : route.prefix) =
            *rc::gen::element<std::string>("/a", "/health", "/admin") + std::to_string(i);
        if (*rc::gen::arbitrary<bool>())
            route.builtin = *rc::gen::element(Builtin::health, Builtin::logs, Builtin::proxy_health);
        else
            route.rewrite = *rc::gen::element<std::string>("", "/x/y");
        if (route.builtin == Builtin::none) {
            route.repeatable = *rc::gen::arbitrary<bool>();
            route.timeout = any_duration(Duration::zero());
        }
        file.routes.push_back(std::move(route));
    }
    file.timeouts.request = any_duration(milliseconds(1));
    file.timeouts.drain = any_duration(Duration::zero());
    file.limits.body = *rc::gen::arbitrary<std::uint64_t>();
    return file;
}

RC_GTEST_PROP(BalancerConfig, what_is_printed_loads_back_to_the_same_whole, ())
{
    ConfigFile file = any_file();
    finish(file, config::Places());
    const auto printed = config::to_yaml(file);
    RC_LOG() << printed;
    const auto loaded = config::from_yaml<ConfigFile>(printed, "printed");
    RC_ASSERT(config::to_yaml(loaded) == printed);
    const auto before = to_config(file);
    const auto after = to_config(loaded);
    RC_ASSERT(after.admin_hosts == before.admin_hosts);
    RC_ASSERT(after.admin_origins == before.admin_origins);
    RC_ASSERT(after.admin == before.admin);
    RC_ASSERT(after.backends.size() == before.backends.size());
    for (std::size_t i = 0; i < before.pools.size(); ++i) {
        RC_ASSERT(after.pools[i].backends == before.pools[i].backends);
        RC_ASSERT(after.pools[i].weights == before.pools[i].weights);
        RC_ASSERT(after.pools[i].probe.interval == before.pools[i].probe.interval);
        RC_ASSERT(after.pools[i].probe.expect_body == before.pools[i].probe.expect_body);
        RC_ASSERT(after.pools[i].retry.budget_ratio == before.pools[i].retry.budget_ratio);
    }
    RC_ASSERT(after.routes.size() == before.routes.size());
    for (std::size_t i = 0; i < before.routes.size(); ++i) {
        RC_ASSERT(after.routes[i].repeatable == before.routes[i].repeatable);
        RC_ASSERT(after.routes[i].timeout == before.routes[i].timeout);
    }
    RC_ASSERT(after.limits.body == before.limits.body);
}

RC_GTEST_PROP(BalancerConfig, no_text_does_harm, ())
{
    const auto piece = rc::gen::element<std::string>("backends", "pools", "routes", "probe", "name", "url", "path",
                                                     ": ", "\n", "  ", "- ", "[", "]", "{", "}", ", ", "a", "http://a",
                                                     "/x", "1s", "*a", "&a ", "\"", "<<");
    std::string yaml;
    for (const auto& part : *rc::gen::container<std::vector<std::string>>(piece)) yaml += part;
    const auto message = error_of(yaml);
    RC_ASSERT((message == "accepted" || message.starts_with("f.yaml:")));
}

// --- The files that are shipped --------------------------------------------------------------------------------------

std::string shipped(const std::string& name)
{
    std::ifstream file(test::source_file("config/" + name));
    EXPECT_TRUE(file.is_open()) << name;
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

class ShippedSystem : public testing::TestWithParam<const char*> {};

TEST_P(ShippedSystem, balancer_and_daemons_agree_about_the_ports)
{
    const std::string name = GetParam();
    const auto config = load_config(shipped(name + ".yaml"), name + ".yaml");
    const auto system = process::read_system(test::source_file("config/" + name + ".system.yaml"));
    std::map<std::string, std::string> arguments;
    for (const auto& daemon : system.daemons) arguments[daemon.name] = daemon.arguments;
    EXPECT_GE(arguments.size(), config.backends.size() + 1);
    EXPECT_NE(arguments["balancer"].find("--config ${config}/" + name + ".yaml --port-offset ${port:0}"),
              std::string::npos);
    const auto balancer = std::find_if(system.daemons.begin(), system.daemons.end(),
                                       [](const auto& daemon) { return daemon.name == "balancer"; });
    ASSERT_NE(balancer, system.daemons.end());
    EXPECT_EQ(balancer->listen, fmt::format("{}:${{port:{}}}", config.listen_host, config.listen_port));
    for (const auto& backend : config.backends) {
        if (backend.name == "monitor") continue; // its port is in its own file
        EXPECT_NE(arguments[backend.name].find(fmt::format("--port ${{port:{}}} ", backend.port)), std::string::npos)
            << backend.name;
    }
}

INSTANTIATE_TEST_SUITE_P(All, ShippedSystem, testing::Values("failover", "reverse-proxy", "load-balancer", "versions"),
                         [](const auto& parameter) {
                             std::string name = parameter.param;
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

TEST(ShippedFiles, hold_what_their_systems_need)
{
    EXPECT_EQ(load_config(shipped("failover.yaml")).listen_port, 5000);
    const auto proxy = load_config(shipped("reverse-proxy.yaml"));
    EXPECT_EQ(proxy.listen_port, 8021);
    EXPECT_EQ(route_for(proxy, "/proxy/health")->builtin, Builtin::proxy_health);
    EXPECT_EQ(route_for(proxy, "/proxy/data")->rewrite, "/api/data");
    EXPECT_EQ(route_for(proxy, "/proxy/fail")->rewrite, "/fail");
    EXPECT_EQ(route_for(proxy, "/proxy/recover")->rewrite, "/recover");
    EXPECT_EQ(route_for(proxy, "/log")->builtin, Builtin::logs);
    EXPECT_EQ(route_for(proxy, "/logs")->builtin, Builtin::logs);
    EXPECT_EQ(route_for(proxy, "/health")->builtin, Builtin::none);
    const auto random = load_config(shipped("load-balancer.yaml"));
    EXPECT_EQ(random.listen_port, 8080);
    EXPECT_EQ(random.pools[0].policy, Policy::random);
    // A creation is answered within 2 s, its way back included, and has the 1.5 s that an order_service may take.
    for (const auto* gateway : {"gateway.yaml", "gateway-scaled.yaml"}) {
        const auto config = load_config(shipped(gateway));
        EXPECT_LE(route_for(config, "/create_order")->timeout, milliseconds(1800)) << gateway;
        EXPECT_GE(route_for(config, "/create_order")->timeout, milliseconds(1600)) << gateway;
    }
    const auto versions = load_config(shipped("versions.yaml"));
    EXPECT_EQ(versions.pools[0].quarantine.failure_limit, 5U);
    EXPECT_EQ(versions.pools[0].quarantine.failure_window, seconds(10));
    EXPECT_EQ(versions.pools[0].quarantine.cooldown, seconds(15));
}

TEST(BalancerConfig, a_route_says_more_than_its_pool)
{
    const auto config = load_config(std::string(two_backends) + R"(
routes:
  - {prefix: /api, attempts: 1, hedge: false, body_idle: 5s, set_request_headers: ["X-Tenant: blue"],
     remove_response_headers: [Server]}
  - {prefix: /old, redirect: "https://new.example", redirect_status: 301}
  - {prefix: /}
)");
    const auto* api = route_for(config, "/api");
    EXPECT_EQ(api->attempts, 1U);
    EXPECT_FALSE(api->hedge);
    EXPECT_EQ(api->body_idle, seconds(5));
    EXPECT_EQ(api->request_headers.added, "X-Tenant: blue\r\n");
    EXPECT_EQ(api->response_headers.removed, std::vector<std::string>{"Server"});
    EXPECT_EQ(route_for(config, "/old")->redirect, "https://new.example");
    EXPECT_EQ(route_for(config, "/old")->redirect_status, 301U);
    EXPECT_TRUE(route_for(config, "/")->request_headers.empty());
    EXPECT_TRUE(route_for(config, "/")->hedge);
}

TEST(BalancerConfig, a_route_that_contradicts_itself_is_refused)
{
    const auto of = [](const std::string& route) {
        return error_of(std::string("backends: [{name: a, url: \"http://h\"}]\nroutes:\n  - ") + route + "\n");
    };
    EXPECT_EQ(of("{prefix: /, redirect: /x, pool: default}"),
              "f.yaml:3:37: routes[0].pool: together with `redirect`, expected one of the two");
    EXPECT_EQ(
        of("{prefix: /, redirect: /x, redirect_status: 304}"),
        "f.yaml:3:48: routes[0].redirect_status: 304 is no redirect with a new place, expected 301, 302, 303, 307 or "
        "308");
    for (const auto* place : {"//evil.example", "x", "http://", "https:///x", "/a?b", "/a#b", "javascript:alert(1)"})
        EXPECT_NE(of(fmt::format("{{prefix: /, redirect: \"{}\"}}", place)).find("routes[0].redirect"),
                  std::string::npos)
            << place;
    EXPECT_EQ(of("{prefix: /, set_request_headers: [\"Host: x\"]}"),
              "f.yaml:3:38: routes[0].set_request_headers: the field Host is written by the balancer itself");
    EXPECT_EQ(of("{path: /s, builtin: status, attempts: 1}"),
              "f.yaml:3:43: routes[0].attempts: together with `builtin`, expected none");
    for (const std::string key :
         {"rewrite: /x", "repeatable: true", "timeout: 1s", "body_idle: 1s", "attempts: 1", "hedge: false",
          "set_request_headers: ['A: b']", "remove_request_headers: [A]", "set_response_headers: ['A: b']",
          "remove_response_headers: [A]", "error_page: /dev/null"})
        for (const std::string instead : {"builtin: status", "redirect: /x"}) {
            const std::string said = of("{path: /s, " + instead + ", " + key + "}");
            EXPECT_NE(said.find(fmt::format("routes[0].{}: together with `{}`, expected none",
                                            key.substr(0, key.find(':')), instead.substr(0, instead.find(':')))),
                      std::string::npos)
                << said;
        }
    EXPECT_EQ(of("{prefix: /, redirect_status: 301}"),
              "f.yaml:3:34: routes[0].redirect_status: without `redirect`, expected both or none");
    EXPECT_EQ(of("{prefix: /admin, dynamic: true}"),
              "f.yaml:3:31: routes[0].dynamic: '/admin' is a built-in page, expected a route that is not dynamic");
    EXPECT_NE(of("{prefix: /, error_page: /no/such/page.html}").find("routes[0].error_page: cannot read the file"),
              std::string::npos);
}

TEST(BalancerConfig, routes_for_one_path_may_ask_for_different_requests)
{
    const auto config = load_config(std::string(two_backends) + R"(
routes:
  - {prefix: /, query: "v=2"}
  - {prefix: /, header: "X-Canary:  yes "}
  - {prefix: /, query: debug, header: X-Canary}
  - {prefix: /}
  - {path: /status, header: X-Canary}
)");
    EXPECT_EQ(config.routes[0].query, (NamedValue{.name = "v", .value = "2"}));
    EXPECT_EQ(config.routes[1].header, (NamedValue{.name = "X-Canary", .value = "yes"}));
    EXPECT_EQ(config.routes[2].query, (NamedValue{.name = "debug", .any = true}));
    EXPECT_EQ(config.routes[2].header, (NamedValue{.name = "X-Canary", .any = true}));
    const auto is_page = [](const RouteConfig& route) { return route.builtin == Builtin::status; };
    EXPECT_EQ(std::count_if(config.routes.begin(), config.routes.end(), is_page), 1) << "for those without the field";
    const auto of = [](const std::string& routes) {
        return error_of("backends: [{name: a, url: \"http://h\"}]\nroutes: " + routes + "\n");
    };
    EXPECT_NE(of("[{prefix: /, query: a=b}, {prefix: /, query: a=b}]").find("a second route for '/'"),
              std::string::npos);
    EXPECT_NE(of("[{prefix: /, query: \"=b\"}]").find("expected NAME=VALUE or NAME"), std::string::npos);
    EXPECT_NE(of("[{prefix: /, header: \"X Y: b\"}]").find("expected NAME: VALUE or NAME"), std::string::npos);
}

TEST(BalancerConfig, operators_may_have_a_door_of_their_own)
{
    const auto with = [](const std::string& keys) {
        return std::string("backends: [{name: a, url: \"http://h\"}]\n") + keys + "\n";
    };
    const std::string token = "0123456789abcdef";
    EXPECT_EQ(load_config(with("admin_listen: unix:/run/hotspare.sock")).admin_listen,
              (OperatorListen{.socket = "/run/hotspare.sock"}));
    EXPECT_EQ(load_config(with("admin_listen: 127.0.0.1:5009")).admin_listen,
              (OperatorListen{.host = "127.0.0.1", .port = 5009}));
    EXPECT_EQ(load_config(with("admin_listen: 0.0.0.0:5009\nadmin_token: " + token)).admin_token, token);
    EXPECT_EQ(error_of(with("admin_listen: 0.0.0.0:5009")),
              "f.yaml:2:15: admin_listen: '0.0.0.0:5009' is no loopback address, expected one, or admin_token as well");
    EXPECT_NE(error_of(with("admin_listen: localhost")).find("expected unix:PATH or ADDRESS:PORT"), std::string::npos);
    EXPECT_NE(error_of(with("admin_token: short")).find("16 to 256 letters"), std::string::npos);
    EXPECT_EQ(error_of(with("admin_token: short")).find("'short'"), std::string::npos) << "it is a secret";
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
