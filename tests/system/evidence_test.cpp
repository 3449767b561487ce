// What is no evidence against a server: requests that end because of their client, of a limit of ours, or of a stream
// that owes nothing by a deadline, and requests that fail on every server alike.
//
// One probe is sent at the start. After it every probe fails, and the next is due in a minute, so that a server stays
// healthy only if no request brings a probe forward; one worker, so that the next request shows whether the one before
// made it pass a server over.
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

class Evidence : public testing::Test {
protected:
    void SetUp() override
    {
        ASSERT_TRUE(balancer_.wait_for("primary", "healthy")) << balancer_.status();
        ASSERT_TRUE(balancer_.wait_for("spare", "healthy")) << balancer_.status();
        for (Origin* origin : {&primary_, &spare_})
            origin->probe_script([](const Message&) { return Reply::text("no", 500); });
    }

    std::uint16_t port() const { return balancer_.port(); }

    /// Of the server with this place in /status: probes that have ended.
    unsigned probes(std::size_t server) const
    {
        return balancer_.status()["backends"][server]["probes"]["total"].get<unsigned>();
    }

    /// But for the one that asks.
    bool no_clients() const
    {
        return eventually([&] { return balancer_.status().value("connections", -1) == 1; });
    }

    void expect_no_evidence() const
    {
        const Answer answer = get(port(), "/who");
        EXPECT_EQ(answer.status(), 200) << answer.message.body;
        EXPECT_EQ(answer.message.header("X-Served-By"), "primary");
        const auto status = balancer_.status();
        for (const auto& server : status["backends"]) {
            EXPECT_EQ(server["probes"]["total"], 1) << server;
            EXPECT_EQ(server["status"], "healthy") << server;
        }
        EXPECT_EQ(status["failovers"], 0);
    }

    static Reply answer(const Message& request)
    {
        Reply reply;
        if (request.target() == "/silent") reply.break_at = Reply::Break::hang;
        if (request.target() == "/dies") reply.break_at = Reply::Break::close_unanswered;
        if (request.target() == "/large-head") reply.headers = {{"X-Large", std::string(80'000, 'x')}};
        if (request.target() == "/stream") {
            reply.framing = Reply::Framing::none; // a body that never begins
            reply.headers = {{"Transfer-Encoding", "chunked"}};
        }
        return reply;
    }

    std::vector<std::string> flags() const
    {
        const auto file = (dir_.path() / "balancer.yaml").string();
        std::ofstream(file) << "timeouts: {request: 1s, body_idle: 1s}\n"
                               "pools: [{name: default, probe: {interval: 1m, timeout: 300ms}}]\n";
        return {"--config", file, "--workers", "1"};
    }

    TempDir dir_;
    Origin primary_{"primary", answer}, spare_{"spare", answer};
    Balancer balancer_{{{"primary", primary_.port()}, {"spare", spare_.port()}}, flags()};
};

TEST_F(Evidence, AClientThatLeavesItsRequestIsNone)
{
    for (const auto* method : {"GET", "POST"}) {
        const std::size_t before = primary_.seen();
        std::vector<std::unique_ptr<RawClient>> clients;
        for (int i = 0; i < 4; ++i) {
            clients.push_back(std::make_unique<RawClient>(port()));
            clients.back()->send(format_request(method, "/silent", {{"Connection", "close"}}));
        }
        ASSERT_TRUE(eventually([&] { return primary_.seen() == before + 4; }));
        clients.clear();
    }
    // A request that is half-closed is awaited until it times out; whether its client is still there does not show.
    RawClient client(port());
    client.send(format_request("POST", "/silent"));
    client.finish_sending();
    EXPECT_EQ(client.read_response().status(), 504);
    expect_no_evidence();
}

TEST_F(Evidence, AClientThatBreaksOffItsUploadIsNone)
{
    for (int i = 0; i < 4; ++i) {
        const std::size_t before = primary_.seen();
        RawClient client(port());
        client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx");
        ASSERT_TRUE(eventually([&] { return primary_.seen() > before; }));
    }
    ASSERT_TRUE(no_clients());
    expect_no_evidence();
}

TEST_F(Evidence, ARequestThatEveryServerLeavesUnansweredIsNone)
{
    EXPECT_EQ(get(port(), "/silent").status(), 504);
    EXPECT_EQ(spare_.seen(), 1U) << "it was asked as well";
    expect_no_evidence();
}

TEST_F(Evidence, AnAnswerOverOurLimitIsNone)
{
    EXPECT_EQ(get(port(), "/large-head").status(), 502);
    expect_no_evidence();
}

TEST_F(Evidence, AStreamThatIsSilentIsNone)
{
    RawClient client(port());
    client.send(format_request("GET", "/stream"));
    ASSERT_NE(client.read_some(1000).find("200"), std::string::npos);
    ASSERT_TRUE(no_clients()) << "it is given up";
    expect_no_evidence();
}

TEST_F(Evidence, ARequestThatFailsJudgesOnlyTheServerThatItWasSentToFirst)
{
    EXPECT_EQ(get(port(), "/dies").status(), 502);
    EXPECT_EQ(spare_.seen(), 1U) << "it was moved there";
    ASSERT_TRUE(eventually([&] { return probes(0) > 3; })) << "the first is asked whether it works";
    EXPECT_EQ(probes(1), 1U);
    EXPECT_EQ(balancer_.status_of("spare"), "healthy");
}

TEST(EvidenceOfThree, APageThatFailsOnTwoServersOfThreeJudgesNone)
{
    const auto script = [](const Message& request) {
        return request.target() == "/dies" ? Reply::broken(Reply::Break::close_unanswered) : Reply::text("ok");
    };
    Origin first("first", script), second("second", script), third("third", script);
    Balancer balancer({{"first", first.port()}, {"second", second.port()}, {"third", third.port()}});
    for (const auto* name : {"first", "second", "third"}) ASSERT_TRUE(balancer.wait_for(name, "healthy"));
    for (int i = 0; i < 60; ++i) ASSERT_EQ(get(balancer.port(), "/dies").status(), 502);
    const auto status = balancer.status();
    EXPECT_EQ(status["failovers"], 0);
    for (const auto& server : status["backends"]) EXPECT_EQ(server["status"], "healthy") << server;
}

} // namespace TEST_FILE
} // namespace hotspare::test
