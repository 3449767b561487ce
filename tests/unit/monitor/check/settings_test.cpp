#include "monitor/check/settings.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

// Settings that hold a list of targets, as the daemon's do.
namespace hotspare::monitor_settings_test {

struct Settings {
    std::vector<monitor::TargetSettings> targets;
};

static void fields(config::Fields& field, Settings& s)
{
    field("targets", s.targets, "what is checked", {monitor::is_target_list, monitor::a_target_list});
}

static void finish(Settings& s, const config::Places& places)
{
    monitor::finish_targets(s.targets, places, "targets");
}

} // namespace hotspare::monitor_settings_test

namespace hotspare::monitor {
namespace TEST_FILE {

using Settings = monitor_settings_test::Settings;

Settings read(const std::string& yaml)
{
    return config::from_yaml<Settings>(yaml, "m.yaml");
}

/// The message with which it is refused.
std::string refusal(const std::string& yaml)
{
    try {
        read(yaml);
    } catch (const UsageError& e) {
        return e.what();
    }
    return "accepted";
}

TEST(CheckSettings, ReadsEveryKindOfTarget)
{
    const auto s = read(R"(
targets:
  - name: shop
    url: http://shop.example:8080/ready?deep=1
    method: POST
    headers: [{name: Authorization, value: Bearer x}]
    body: '{}'
    expect_status: [200, 300-302]
    expect_body: ok
    expect_json_field: status=healthy
    interval: 30s
    timeout: 3s
    slow: 500ms
    confirm_down: 2
    confirm_up: 4
  - {name: database, tcp: '[::1]:5432'}
  - {name: lb, balancer: http://127.0.0.1:5000, operate: true, pools: [default, api]}
  - {name: backup, push: 0123456789abcdef, interval: 24h, grace: 1h}
)");
    ASSERT_EQ(s.targets.size(), 4U);
    EXPECT_EQ(s.targets[0].kind(), CheckKind::http);
    EXPECT_EQ(s.targets[0].headers[0].value, "Bearer x");
    EXPECT_EQ(s.targets[0].expect_status[1].last, 302U);
    EXPECT_EQ(s.targets[0].confirm_up, 4U);
    EXPECT_EQ(s.targets[0].confirm_degraded, 1U);
    EXPECT_EQ(s.targets[1].kind(), CheckKind::tcp);
    EXPECT_EQ(s.targets[1].interval, seconds(10));
    EXPECT_EQ(s.targets[1].confirm_down, 3U);
    EXPECT_EQ(s.targets[2].kind(), CheckKind::balancer);
    EXPECT_TRUE(s.targets[2].operate);
    EXPECT_EQ(s.targets[2].pools, (std::vector<std::string>{"default", "api"}));
    EXPECT_FALSE(s.targets[0].operate);
    EXPECT_EQ(s.targets[3].kind(), CheckKind::push);
    EXPECT_EQ(s.targets[3].confirm_down, 1U) << "the grace forgives already";

    const auto again = read(config::to_yaml(s)).targets;
    ASSERT_EQ(again.size(), 4U);
    for (std::size_t i = 0; i < again.size(); ++i) {
        EXPECT_EQ(again[i].name, s.targets[i].name);
        EXPECT_EQ(again[i].kind(), s.targets[i].kind());
        EXPECT_EQ(again[i].interval, s.targets[i].interval);
        EXPECT_EQ(again[i].confirm_down, s.targets[i].confirm_down);
        EXPECT_EQ(again[i].operate, s.targets[i].operate);
        EXPECT_EQ(again[i].pools, s.targets[i].pools);
    }
}

TEST(CheckSettings, PrintsNoSecret)
{
    auto s = read(R"(
targets:
  - name: api
    url: http://api/health?key=s3cret
    method: POST
    headers: [{name: Authorization, value: Bearer s3cret}]
    body: '{"password":"s3cret"}'
  - {name: lb, balancer: "http://lb/status?key=s3cret"}
  - {name: job, push: s3cret-s3cret-s3cret}
)");
    const auto printed = config::Loader(s).print();
    EXPECT_EQ(printed.find("s3cret"), std::string::npos) << printed;
    EXPECT_NE(printed.find("http://api/health?***"), std::string::npos) << printed;
    EXPECT_NE(printed.find("push: \"***\""), std::string::npos) << printed;
}

TEST(CheckSettings, LowersADefaultTimeoutToTheInterval)
{
    EXPECT_EQ(read("targets: [{name: a, tcp: 'h:1', interval: 1s}]").targets[0].timeout, seconds(1));
    EXPECT_EQ(read("targets: [{name: a, tcp: 'h:1', interval: 1s, timeout: 2s}]").targets[0].timeout, seconds(2))
        << "what is due meanwhile is skipped";
}

TEST(CheckSettings, RefusesWhatIsWrongWithItsPlace)
{
    const struct {
        std::string yaml, said;
    } cases[]{
        {"targets: [{name: a}]", "m.yaml:1:11: targets[0]: the target 'a' has nothing to check"},
        {"targets: [{name: a, tcp: 'h:1', url: 'http://h'}]", "several checks"},
        {"targets: [{name: a, tcp: 'h:1'}, {name: a, tcp: 'h:2'}]", "targets[1].name: duplicate name 'a'"},
        {"targets: [{name: A b, tcp: 'h:1'}]", "a name of 1 to 64"},
        {"targets: [{name: a, url: 'ftp://h'}]", "http://HOST"},
        {"targets: [{name: a, url: 'http://user:pw@h/x'}]", "http://HOST"},
        {"targets: [{name: a, url: 'http://h/x#y'}]", "http://HOST"},
        {"targets: [{name: a, url: 'http://h:0/'}]", "http://HOST"},
        {"targets: [{name: a, tcp: 'h'}]", "HOST:PORT"},
        {"targets: [{name: a, tcp: 'h:0'}]", "HOST:PORT"},
        {"targets: [{name: a, tcp: 'h:1', timout: 1s}]", "did you mean 'timeout'"},
        {"targets: [{name: a, tcp: 'h:1', method: PUT}]", "targets[0].method: has no effect on a tcp check"},
        {"targets: [{name: a, tcp: 'h:1', health_word: true}]", "targets[0].health_word: has no effect on a tcp check"},
        {"targets: [{name: a, tcp: 'h:1', interval: 1s, doubt_interval: 2s}]",
         "targets[0].doubt_interval: 2s is more than interval (1s)"},
        {"targets: [{name: a, tcp: 'h:1', doubt_interval: 1ms}]", "targets[0].doubt_interval: 1ms is too short"},
        {"targets: [{name: a, push: 0123456789abcdef, doubt_interval: 1s}]",
         "targets[0].doubt_interval: has no effect on a push check"},
        {"targets: [{name: a, tcp: 'h:1', grace: 1s}]", "targets[0].grace: has no effect on a tcp check"},
        {"targets: [{name: a, push: 0123456789abcdef, slow: 1s}]", "targets[0].slow: has no effect on a push check"},
        {"targets: [{name: a, url: 'http://h', method: 'GET /'}]", "a request method"},
        {"targets: [{name: a, url: 'http://h', headers: [{name: Content-Length, value: 1}]}]", "does not frame"},
        {"targets: [{name: a, url: 'http://h', headers: [{name: X, value: \"a\\r\\nb\"}]}]", "control characters"},
        {"targets: [{name: a, url: 'http://h', expect_status: []}]", "at least one status"},
        {"targets: [{name: a, url: 'http://h', expect_status: [99]}]", "an HTTP status"},
        {"targets: [{name: a, url: 'http://h', interval: 1ms}]", "from 100ms"},
        {"targets: [{name: a, url: 'http://h', confirm_down: 0}]", "from 1"},
        {"targets: [{name: a, url: 'http://h', slow: 20s}]", "targets[0].slow"},
        {"targets: [{name: a, push: 0123456789abcdef}, {name: b, push: 0123456789abcdef}]",
         "targets[1].push: duplicate token"},
        {"targets: [{name: a, tcp: 'h:1', operate: true}]", "targets[0].operate: has no effect on a tcp check"},
        {"targets: [{name: a, balancer: 'http://h', pools: [x]}]",
         "targets[0].pools: has no effect without `operate: true`"},
        {"targets: [{name: a, balancer: 'http://h', operate: true, pools: [x, x]}]", "distinct names"},
    };
    for (const auto& [yaml, said] : cases) {
        const auto message = refusal(yaml);
        EXPECT_NE(message.find(said), std::string::npos) << yaml << "\n" << message;
        EXPECT_NE(message.find("m.yaml:1:"), std::string::npos) << message;
    }
}

TEST(CheckSettings, ShowsNoSecretInAMessage)
{
    EXPECT_EQ(refusal("targets: [{name: a, push: hunter2}]").find("hunter2"), std::string::npos);
    EXPECT_EQ(refusal("targets: [{name: a, url: 'http://u:hunter2@h'}]").find("hunter2"), std::string::npos);
}

TEST(CheckSettings, TakesAUrlApart)
{
    const auto url = parse_http_url("http://[::1]:81?x=1");
    ASSERT_TRUE(url);
    EXPECT_EQ(url->origin, (config::HostPort{"::1", 81}));
    EXPECT_EQ(url->target, "/?x=1");
    EXPECT_EQ(parse_http_url("http://h")->target, "/");
    EXPECT_EQ(parse_http_url("http://h/a/b")->origin.port, 80);
    EXPECT_FALSE(parse_http_url("https://h/"));
    EXPECT_FALSE(parse_http_url("http:///x"));
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
