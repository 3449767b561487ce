// The built-in pages of a running balancer: what they take of it, and what takes them.
#include "tests/support/eventually.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

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

TEST(Pages, LeaveTheConnectionToOtherRequests)
{
    Origin origin("primary");
    Balancer balancer({{"primary", origin.port()}}, {"--admin"});
    ASSERT_TRUE(balancer.wait_for("primary", "healthy"));
    RawClient client(balancer.port());
    const std::string body = R"({"to":"primary"})";
    const std::string failover =
        format_request("POST", "/admin/failover", {{"Content-Type", "application/json"}}, body);
    client.send(format_request("GET", "/status"));
    EXPECT_TRUE(client.read_response().json().contains("pools"));
    client.send(format_request("GET", "/x"));
    EXPECT_EQ(client.read_response().message.header("X-Served-By"), "primary");
    client.send(failover);
    EXPECT_EQ(client.read_response().status(), 200);
    client.send(format_request("HEAD", "/health"));
    EXPECT_EQ(client.read_response(patience, true).status(), 200);

    // Pipelined, in one piece and a byte at a time.
    const std::string all =
        format_request("GET", "/metrics") + failover + format_request("GET", "/x") + format_request("GET", "/health");
    client.send(all);
    client.send_sliced(all);
    for (int round = 0; round < 2; ++round) {
        EXPECT_NE(client.read_response().message.body.find("hotspare_requests_total"), std::string::npos);
        EXPECT_EQ(client.read_response().status(), 200);
        EXPECT_EQ(client.read_response().message.header("X-Served-By"), "primary");
        EXPECT_EQ(client.read_response().json().value("service", ""), "balancer");
    }
    client.send("GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(client.read_response().status(), 200);
    EXPECT_TRUE(client.closed_by_peer()) << "as an HTTP/1.0 client expects";
}

TEST(Pages, EndTheConnectionBehindABodyThatTheyDidNotRead)
{
    Origin origin("primary");
    Balancer balancer({{"primary", origin.port()}}, {"--admin"});
    RawClient client(balancer.port());
    client.send("POST /admin/failover HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{");
    const Answer refused = client.read_response();
    EXPECT_EQ(refused.status(), 413);
    EXPECT_EQ(refused.message.header("Connection"), "close");
    EXPECT_TRUE(client.closed_by_peer());
}

TEST(Pages, StreamsEndWhenTheirReaderLeavesAndWhenTheBalancerEnds)
{
    Origin origin("primary");
    Balancer balancer({{"primary", origin.port()}});
    ASSERT_TRUE(balancer.wait_for("primary", "healthy"));
    // Those of the last /status may still be among them: eight readers take more.
    const auto before = open_descriptors(balancer.process().pid());
    for (const bool half_close : {true, false}) {
        std::vector<std::unique_ptr<RawClient>> readers;
        for (int i = 0; i < 8; ++i) {
            readers.push_back(std::make_unique<RawClient>(balancer.port()));
            readers.back()->send(format_request("GET", "/events"));
            EXPECT_NE(readers.back()->read_some(4096).find("text/event-stream"), std::string::npos);
        }
        EXPECT_GT(open_descriptors(balancer.process().pid()), before);
        for (const auto& reader : readers)
            if (half_close)
                reader->finish_sending();
            else
                reader->reset();
        EXPECT_TRUE(eventually([&] { return open_descriptors(balancer.process().pid()) <= before; })) << half_close;
    }
    RawClient events(balancer.port());
    events.send(format_request("GET", "/events"));
    EXPECT_NE(events.read_some(4096).find("text/event-stream"), std::string::npos);
    balancer.process().signal(SIGTERM);
    bool closed = false;
    events.read_until_close(patience, &closed);
    EXPECT_TRUE(closed);
    EXPECT_EQ(balancer.process().wait_exit(), 0);
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

} // namespace TEST_FILE
} // namespace hotspare::test
