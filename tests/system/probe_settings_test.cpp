// What a probe asks with: method, Host, header fields, port, by pool and by backend.
#include "tests/support/eventually.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/temp_dir.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <optional>
#include <string>

namespace hotspare::test {
namespace TEST_FILE {

/// The first request for `target` that arrives there.
std::optional<Message> request_for(const Origin& origin, const std::string& target)
{
    std::optional<Message> found;
    (void)eventually([&] {
        for (const Message& message : origin.requests())
            if (message.target() == target) found = message;
        return found.has_value();
    });
    return found;
}

TEST(ProbeSettings, ThePoolSaysHowItsBackendsAreAskedAndABackendMaySayOtherwise)
{
    Origin primary("primary"), spare("spare");
    Balancer balancer = Balancer::configured(fmt::format(R"(
backends:
  - {{name: primary, url: '{}'}}
  - {{name: spare, url: '{}', probe: {{path: /own, host: spare.example, method: GET, headers: ["X-Key: own"]}}}}
pools:
  - name: default
    probe: {{path: /ready, method: HEAD, host: app.example, headers: ["Authorization: Bearer geheim", "X-Probe: 1"]}}
)",
                                                         primary.url(), spare.url()));
    ASSERT_TRUE(balancer.wait_for("primary", "healthy") && balancer.wait_for("spare", "healthy")) << balancer.status();
    const auto first = request_for(primary, "/ready");
    ASSERT_TRUE(first);
    EXPECT_EQ(first->method(), "HEAD");
    EXPECT_EQ(first->header("Host"), "app.example");
    EXPECT_EQ(first->header("Authorization"), "Bearer geheim");
    EXPECT_EQ(first->header("X-Probe"), "1");
    const auto second = request_for(spare, "/own");
    ASSERT_TRUE(second);
    EXPECT_EQ(second->method(), "GET");
    EXPECT_EQ(second->header("Host"), "spare.example");
    EXPECT_EQ(second->header("X-Key"), "own");
    EXPECT_EQ(second->count("Authorization"), 0U) << "its own fields are in place of those of the pool";
}

TEST(ProbeSettings, APortOfItsOwnIsEvidenceAsAnyOther)
{
    Origin server("server"), health("health");
    Balancer balancer = Balancer::configured(
        fmt::format("backends:\n  - {{name: app, url: '{}', probe: {{port: {}}}}}\n", server.url(), health.port()));
    ASSERT_TRUE(balancer.wait_for("app", "healthy")) << balancer.status();
    EXPECT_EQ(get(balancer.port(), "/x").status(), 200);
    EXPECT_EQ(health.seen(), 0U) << "requests go to the port of the URL";
    health.stop();
    ASSERT_TRUE(balancer.wait_for("app", "down")) << balancer.status();
    EXPECT_EQ(balancer.status()["backends"][0]["last_probe"]["detail"],
              fmt::format("Connection refused (port {})", health.port()));
    health.start();
    EXPECT_TRUE(balancer.wait_for("app", "healthy")) << balancer.status();
}

TEST(ProbeSettings, TheValuesOfHeaderFieldsAreNotPrinted)
{
    const TempDir directory;
    const std::string path = (directory.path() / "balancer.yaml").string();
    std::ofstream(path) << "backends: [{name: a, url: 'http://127.0.0.1:1', probe: {headers: ['X-Key: geheim']}}]\n"
                           "pools: [{name: web, probe: {headers: ['Authorization: Bearer geheim']}}]\n"
                           "routes: [{prefix: /, set_request_headers: ['X-Token: geheim']}]\n";
    const Finished printed = run(binary("balancer"), {"--config", path, "--print-config"});
    EXPECT_EQ(printed.code, 0) << printed.err;
    EXPECT_EQ(printed.out.find("geheim"), std::string::npos) << printed.out;
    for (const char* field : {"\"X-Key: ***\"", "\"Authorization: ***\"", "\"X-Token: ***\""})
        EXPECT_NE(printed.out.find(field), std::string::npos) << printed.out;
}

} // namespace TEST_FILE
} // namespace hotspare::test
