// Backends by name: what becomes of requests while a name moves from one server to another.
#include "tests/support/dns_server.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/load.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <csignal>
#include <string>

namespace hotspare::test {
namespace TEST_FILE {

std::string port_of(const Backend& backend)
{
    return std::to_string(backend.port());
}

TEST(Names, NoRequestIsLostWhileANameMovesToAnotherServer)
{
    const TempDir dir;
    const std::string data = (dir.path() / "data.db").string();
    Backend old("primary", data);
    Process successor(binary("spare"), {"--host", "127.0.0.2", "--port", port_of(old), "--data", data});
    successor.wait_ready();
    DnsServer names;
    names.a("web.example", {"127.0.0.1"}, seconds(1));
    Balancer balancer =
        Balancer::configured("resolvers: [\"" + names.address() +
                             "\"]\nbackends: [{name: web, url: \"http://web.example.:" + port_of(old) + "\"}]\n");
    ASSERT_TRUE(balancer.wait_for("web", "healthy")) << balancer.status();

    LoadPlan plan;
    plan.port = balancer.port();
    plan.rate = 100;
    plan.duration = seconds(4);
    plan.target = "/";
    const LoadResult result = run_load(plan, {{milliseconds(500), [&] {
                                                   names.a("web.example", {"127.0.0.2"}, seconds(1));
                                                   ASSERT_TRUE(balancer.process().wait_line("resolves to 127.0.0.2"))
                                                       << balancer.process().description();
                                                   // What it has begun it ends, as a server that is replaced does.
                                                   old.process().signal(SIGTERM);
                                               }}});
    EXPECT_EQ(result.failed(), 0U) << result.summary();
    EXPECT_NE(get(balancer.port(), "/").message.body.find("spare"), std::string::npos);
    EXPECT_EQ(balancer.status_of("web"), "healthy");
}

TEST(Names, EachAddressOfANameServesAndOneThatLeavesTheNameIsLeftWithoutALostRequest)
{
    const TempDir dir;
    const std::string data = (dir.path() / "data.db").string();
    Backend first("primary", data);
    Process second(binary("spare"), {"--host", "127.0.0.2", "--port", port_of(first), "--data", data});
    second.wait_ready();
    DnsServer names;
    names.a("web.example", {"127.0.0.1", "127.0.0.2"}, seconds(1));
    Balancer balancer =
        Balancer::configured("resolvers: [\"" + names.address() +
                             "\"]\nbackends: [{name: web, url: \"http://web.example.:" + port_of(first) +
                             "\", resolve: each}]\npools: [{name: default, policy: round_robin}]\n");
    ASSERT_TRUE(balancer.wait_for("web-1", "healthy")) << balancer.status();
    ASSERT_TRUE(balancer.wait_for("web-2", "healthy")) << balancer.status();

    LoadPlan plan;
    plan.port = balancer.port();
    plan.rate = 100;
    plan.duration = seconds(4);
    plan.target = "/";
    const LoadResult result =
        run_load(plan, {{milliseconds(500), [&] {
                             names.a("web.example", {"127.0.0.2"}, seconds(1));
                             ASSERT_TRUE(eventually([&] { return balancer.status_of("web-1").empty(); }))
                                 << balancer.status();
                             first.process().signal(SIGTERM);
                         }}});
    EXPECT_EQ(result.failed(), 0U) << result.summary();
    EXPECT_GT(result.served_by("web-1"), 0U);
    EXPECT_GT(result.served_by("web-2"), result.total() / 2);
    EXPECT_EQ(balancer.status_of("web-2"), "healthy");
}

TEST(Names, ABackendWhoseNameDoesNotExistIsDownWithThatCauseUntilItDoes)
{
    Origin origin("web");
    DnsServer names;
    Balancer balancer = Balancer::configured(
        "resolvers: [\"" + names.address() +
        "\"]\nbackends: [{name: web, url: \"http://web.example.:" + std::to_string(origin.port()) + "\"}]\n");
    ASSERT_TRUE(balancer.wait_for("web", "down")) << balancer.status();
    EXPECT_NE(balancer.status().dump().find("the name 'web.example.' does not resolve"), std::string::npos)
        << balancer.status();
    names.a("web.example", {"127.0.0.1"});
    EXPECT_TRUE(balancer.wait_for("web", "healthy")) << balancer.status();
}

TEST(Names, ABackendThatIsAddedIsNotJudgedBeforeItsNameHasBeenLookedUp)
{
    const Origin first("first"), second("second");
    DnsServer names;
    names.a("web.example", {"127.0.0.1"});
    names.delay(milliseconds(400));
    Balancer balancer = Balancer::configured("resolvers: [\"" + names.address() + "\"]\nadmin: true\n" +
                                             "backends: [{name: first, url: \"" + first.url() + "\"}]\n");
    ASSERT_TRUE(balancer.wait_for("first", "healthy")) << balancer.status();
    const nlohmann::json members = {
        {"backends",
         {{{"name", "first"}, {"url", first.url()}},
          {{"name", "second"}, {"url", "http://web.example.:" + std::to_string(second.port())}}}}};
    ASSERT_EQ(request(balancer.port(), "PUT", "/admin/pools/default/backends", {}, members.dump()).status(), 200);
    ASSERT_TRUE(balancer.wait_for("second", "healthy")) << balancer.status();
    EXPECT_EQ(balancer.metric("hotspare_backend_transitions_total{backend=\"second\",to=\"down\"}"), 0)
        << balancer.process().description();
}

} // namespace TEST_FILE
} // namespace hotspare::test
