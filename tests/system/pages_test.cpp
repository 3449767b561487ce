// The built-in pages of a running balancer: what they take of it, and what takes them.
#include "tests/support/eventually.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace hotspare::test {
namespace {

std::size_t open_descriptors(pid_t pid)
{
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd"))
        ++count;
    return count;
}

TEST(Pages, StreamsCountAsClientConnections)
{
    Origin origin("primary");
    const auto balancer =
        Balancer::configured("backends: [{name: primary, url: \"" + origin.url() + "\"}]\nlimits: {connections: 4}\n");
    ASSERT_TRUE(balancer.wait_for("primary", "healthy"));
    std::vector<std::unique_ptr<RawClient>> clients;
    std::size_t streams = 0;
    for (int i = 0; i < 40; ++i) {
        auto client = std::make_unique<RawClient>(balancer.port());
        client->send(format_request("GET", "/events"));
        const bool open = client->read_some(4096).find("200 OK") != std::string::npos;
        if (!open) continue; // closed: its worker has four
        ++streams;
        clients.push_back(std::move(client));
    }
    EXPECT_LE(streams, 8U) << "four for each of two workers";
    EXPECT_GE(streams, 2U);
    clients.clear();
    EXPECT_TRUE(eventually([&] { return get(balancer.port(), "/x").status() == 200; })) << "who leaves makes room";
}

TEST(Pages, RequestsWithBodiesThatNeverComeDoNotUseUpDescriptors)
{
    Origin origin("primary");
    Process::Options options;
    options.descriptors = 256;
    Balancer balancer({{"primary", origin.port()}}, {}, options);
    ASSERT_TRUE(balancer.wait_for("primary", "healthy"));
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 300; ++i) {
        clients.push_back(std::make_unique<RawClient>(balancer.port()));
        clients.back()->send("GET /status HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
        ASSERT_LT(open_descriptors(balancer.process().pid()), 240U);
    }
    // They stay, and wait for nothing that would come.
    for (int i = 0; i < 4; ++i)
        EXPECT_EQ(request(balancer.port(), "GET", "/x", {}, {}, milliseconds(3000)).status(), 200) << i;
    EXPECT_TRUE(balancer.wait_for("primary", "healthy")) << "a page is served again a moment later";
    EXPECT_TRUE(eventually([&] { return open_descriptors(balancer.process().pid()) < 100; }));
}

TEST(Pages, AreNamedAtStartWithTheSettingThatTurnsThemOff)
{
    Origin origin("primary");
    Balancer balancer({{"primary", origin.port()}});
    const auto line = balancer.process().wait_line("pages: false");
    ASSERT_TRUE(line) << balancer.process().description();
    for (const auto* path : {"/health", "/status", "/metrics", "/events", "/logs", "/admin", "admin: true"})
        EXPECT_NE(line->find(path), std::string::npos) << path << " is not in " << *line;
    const Answer refused = post(balancer.port(), "/admin/backends/primary/drain");
    EXPECT_EQ(refused.status(), 403);
    EXPECT_NE(refused.json().value("error", "").find("`admin: true`"), std::string::npos) << refused.message.body;
    EXPECT_EQ(origin.seen(), 0U);
}

TEST(Pages, OfAnApplicationAreItsOwnWhereTheBalancersAreOff)
{
    Origin origin("primary");
    Balancer balancer({{"primary", origin.port()}}, {"--pages=false"});
    for (const auto* path : {"/health", "/status", "/metrics", "/events", "/logs", "/admin", "/admin/users"}) {
        const Answer answer = get(balancer.port(), path);
        EXPECT_EQ(answer.status(), 200) << path;
        EXPECT_EQ(answer.message.header("X-Served-By"), "primary") << path;
    }
    EXPECT_EQ(balancer.process().err().find("pages: false"), std::string::npos) << "there is nothing to name";
}

} // namespace
} // namespace hotspare::test
