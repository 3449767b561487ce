// Whose fault it was: a slow or silent client must never be held against a healthy server, nor a server's silence be
// blamed on the client, and one client's habits must not cost another its answer.
#include "tests/support/fleet.hpp"
#include "tests/support/gate.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <latch>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

constexpr std::uint64_t mebibyte = 1024 * 1024;

/// Two origins, the first behind a gate, and a balancer in front of them.
class Blame : public testing::Test {
protected:
    explicit Blame(std::vector<std::string> flags = {})
        : balancer_({{"primary", gate_.port()}, {"spare", spare_.port()}}, std::move(flags))
    {
    }

    void SetUp() override
    {
        ASSERT_TRUE(balancer_.wait_for("primary", "healthy")) << balancer_.status();
        ASSERT_TRUE(balancer_.wait_for("spare", "healthy")) << balancer_.status();
    }

    std::uint16_t port() const { return balancer_.port(); }

    std::string served_by() const { return get(port(), "/who").message.header("X-Served-By").value_or("none"); }

    double lost(const std::string& reason) const
    {
        return balancer_.metric("hotspare_requests_lost_total{pool=\"default\",reason=\"" + reason + "\"}");
    }

    Origin primary_{"primary"}, spare_{"spare"};
    Gate gate_{primary_.port()};
    Balancer balancer_;
};

class BlameImpatient : public Blame {
protected:
    BlameImpatient() : Blame({"--timeouts-request", "1s", "--timeouts-body-idle", "1500ms"}) {}
};

TEST_F(BlameImpatient, ALongUploadIsNotTakenForSilence)
{
    RawClient client(port());
    client.send("PUT /x HTTP/1.1\r\nHost: a\r\nX-Test-Id: long\r\nContent-Length: 1000\r\n\r\n");
    // Byte by byte, each once the last has arrived, for longer than a request may take.
    std::uint64_t sent = 0;
    for (const TimePoint end = Clock::now() + milliseconds(2500); sent < 999 && Clock::now() < end; ++sent) {
        ASSERT_TRUE(client.send("x"));
        ASSERT_TRUE(eventually([&] { return primary_.body_bytes_received() > sent; }, patience, milliseconds(10)));
    }
    client.send(std::string(1000 - sent, 'x'));
    const Answer answer = client.read_response();
    EXPECT_EQ(answer.status(), 200) << answer.message.head << answer.message.body;
    EXPECT_EQ(primary_.executed("long") + spare_.executed("long"), 1U);
    EXPECT_EQ(lost("deadline"), 0);
    EXPECT_EQ(served_by(), "primary");
}

TEST_F(BlameImpatient, AClientThatDoesNotReadIsNotTheServersFault)
{
    primary_.script([](const Message& request) {
        Reply reply;
        if (request.target() == "/endless") reply.pattern = 1ULL << 30;
        return reply;
    });
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 5; ++i) {
        clients.push_back(std::make_unique<RawClient>(port(), 4096));
        clients.back()->send(format_request("GET", "/endless"));
    }
    ASSERT_TRUE(eventually([&] { return balancer_.status().value("connections", -1) == 1; })) << "they are given up";
    EXPECT_EQ(lost("truncated"), 0);
    EXPECT_EQ(served_by(), "primary");
}

class BlameStalled : public Blame {
protected:
    BlameStalled() : Blame({"--timeouts-body-idle", "1s"}) {}
};

TEST_F(BlameStalled, AServerThatDoesNotReadIsNotTheClientsFault)
{
    const auto release = std::make_shared<std::latch>(1); // the server may look at it until it has ended
    primary_.script([release](const Message& request) {
        if (request.target() == "/stuck") release->wait();
        return Reply::text("ok");
    });
    RawClient client(port());
    client.send("POST /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    const std::string piece(mebibyte, 'x');
    while (client.send(piece, milliseconds(200))) {
    }
    const Answer answer = client.read_response();
    release->count_down();
    EXPECT_EQ(answer.status(), 504) << answer.message.head << answer.message.body;
}

TEST_F(Blame, AHedgeDoesNotSwallowTheInvitationToSendTheBody)
{
    gate_.set(Fault::black_hole());
    RawClient client(port());
    client.send("PUT /x HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\nExpect: 100-continue\r\nX-Test-Id: expect\r\n"
                "Content-Length: 4\r\n\r\n");
    std::string head;
    while (head.find("\r\n\r\n") == std::string::npos) {
        const std::string more = client.read_some(1000);
        ASSERT_FALSE(more.empty()) << "neither 100 nor an answer";
        head += more;
    }
    ASSERT_TRUE(head.starts_with("HTTP/1.1 100")) << head;
    client.send("body");
    EXPECT_EQ(client.read_response().status(), 200);
    EXPECT_EQ(spare_.executed("expect"), 1U);
}

TEST_F(Blame, SlowPostsDoNotDelayTheRescueOfAGet)
{
    primary_.script([](const Message& request) {
        Reply reply;
        if (request.method() == "POST") reply.delay = milliseconds(600);
        return reply;
    });
    std::vector<std::thread> posts;
    for (int i = 0; i < 40; ++i) posts.emplace_back([&] { EXPECT_EQ(post(port(), "/slow", "x").status(), 200); });
    for (std::thread& thread : posts) thread.join();
    RawClient client(port());
    for (int i = 0; i < 200; ++i) {
        client.send(format_request("GET", "/quick"));
        ASSERT_EQ(client.read_response().status(), 200);
    }
    gate_.set(Fault::black_hole());
    const TimePoint start = Clock::now();
    client.send(format_request("GET", "/quick"));
    EXPECT_EQ(client.read_response().status(), 200);
    EXPECT_LT(Clock::now() - start, milliseconds(600))
        << "as if it had learnt from the POSTs, or had not hedged at all";
}

TEST_F(Blame, WhatWasPipelinedBeforeAHalfCloseIsAnswered)
{
    RawClient client(port());
    client.send(format_request("GET", "/1") + format_request("GET", "/2") + format_request("GET", "/3"));
    client.finish_sending();
    for (int i = 1; i <= 3; ++i) EXPECT_EQ(client.read_response().status(), 200) << i;
    EXPECT_TRUE(client.closed_by_peer());
}

TEST_F(Blame, AnAnswerBegunBeforeSigtermDoesNotHoldTheProcess)
{
    primary_.script([](const Message&) {
        Reply reply;
        reply.pattern = 16 * mebibyte; // more than sockets hold
        return reply;
    });
    RawClient client(port(), 64 * 1024);
    client.send(format_request("GET", "/large"));
    MessageReader reader(MessageReader::Kind::response);
    reader.feed(client.read_some(1000)); // its head has left without a word of closing
    balancer_.process().signal(SIGTERM);
    ASSERT_TRUE(eventually([&] { return get(port(), "/health").end != Answer::End::complete; }));
    while (!reader.complete()) {
        const std::string more = client.read_some(mebibyte);
        ASSERT_FALSE(more.empty());
        reader.feed(more);
    }
    const auto end = balancer_.process().wait_exit(milliseconds(5000)); // of 10 s that a drain may take
    EXPECT_EQ(end, 0) << balancer_.process().description();
}

TEST_F(BlameStalled, AnEventStreamThatIsSilentForLongerThanBodyIdleIsNoServersFault)
{
    const auto stream = [](const Message& request) {
        Reply reply;
        if (request.target() == "/stream") {
            reply.framing = Reply::Framing::none; // a body that begins later, or never
            reply.headers = {{"Transfer-Encoding", "chunked"}};
        }
        return reply;
    };
    primary_.script(stream);
    spare_.script(stream);
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 24; ++i) {
        clients.push_back(std::make_unique<RawClient>(port()));
        clients.back()->send(format_request("GET", "/stream"));
    }
    for (auto& client : clients) ASSERT_NE(client->read_some(1000).find("HTTP/1.1 200"), std::string::npos);
    ASSERT_TRUE(eventually([&] { return balancer_.status().value("connections", -1) == 1; })) << "they are given up";
    EXPECT_EQ(balancer_.status()["failovers"], 0);
    EXPECT_EQ(served_by(), "primary");
}

TEST_F(Blame, APageThatFailsOnEveryServerMovesNothing)
{
    for (const auto broken : {Reply::Break::close_unanswered, Reply::Break::reset_unanswered}) {
        const auto script = [broken](const Message& request) {
            return request.target() == "/broken" ? Reply::broken(broken) : Reply::text("ok");
        };
        primary_.script(script);
        spare_.script(script);
        for (int i = 0; i < 100; ++i) {
            get(port(), "/broken");
            if (i % 10 != 0) continue;
            ASSERT_EQ(get(port(), "/health").status(), 200);
            ASSERT_EQ(get(port(), "/page").status(), 200);
        }
    }
    EXPECT_EQ(balancer_.status()["failovers"], 0);
    EXPECT_EQ(balancer_.active(), "primary");
}

TEST_F(Blame, AServerThatFailsWhatTheOtherAnswersIsLeftAlthoughItsProbesAreGood)
{
    primary_.script([](const Message&) { return Reply::text("no", 500); });
    for (int i = 0; i < 30; ++i) ASSERT_EQ(get(port(), "/x").status(), 200);
    EXPECT_TRUE(balancer_.wait_active("spare")) << balancer_.status();
}

TEST(BlameOutage, IsReportedUntilSomethingAnswersAlsoWithoutAPageForProbes)
{
    Origin primary("primary"), spare("spare");
    for (Origin* origin : {&primary, &spare})
        origin->probe_script([](const Message&) { return Reply::text("no such page", 404); });
    Balancer balancer({{"primary", primary.port()}, {"spare", spare.port()}});
    ASSERT_TRUE(balancer.wait_for("primary", "unhealthy"));
    ASSERT_TRUE(balancer.wait_for("spare", "unhealthy"));
    EXPECT_EQ(balancer.active(), "primary");
    ASSERT_EQ(get(balancer.port(), "/x").status(), 200);
    ASSERT_TRUE(eventually([&] { return get(balancer.port(), "/health").status() == 200; }));
    primary.stop();
    spare.stop();
    ASSERT_TRUE(eventually([&] { return get(balancer.port(), "/health").status() == 503; }));
    // So it stays while further probes fail.
    std::set<std::string> probes;
    ASSERT_TRUE(eventually([&] {
        EXPECT_EQ(get(balancer.port(), "/health").status(), 503);
        const auto status = balancer.status();
        EXPECT_FALSE(status["fail_open"]);
        probes.insert(status["backends"][0]["last_probe"]["at"]);
        return probes.size() > 5 || HasFailure();
    }));
}

TEST(BlameDescriptors, IdleClientsLeaveOthersWhatTheyNeed)
{
    Origin origin("primary");
    Process::Options options;
    options.descriptors = 80;
    Balancer balancer({{"primary", origin.port()}}, {}, options);
    ASSERT_TRUE(balancer.wait_for("primary", "healthy"));
    origin.script([](const Message&) {
        Reply reply;
        reply.delay = milliseconds(50); // so that all of them need a connection of their own
        return reply;
    });
    std::vector<std::unique_ptr<RawClient>> early;
    for (int i = 0; i < 8; ++i) early.push_back(std::make_unique<RawClient>(balancer.port()));
    std::vector<std::unique_ptr<RawClient>> idle;
    for (int i = 0; i < 200; ++i) idle.push_back(std::make_unique<RawClient>(balancer.port()));
    for (auto& client : early) client->send(format_request("GET", "/x"));
    for (auto& client : early) EXPECT_EQ(client->read_response().status(), 200);
}

TEST(BlameLog, TheLastRequestsBeforeTheEndAreLogged)
{
    Origin origin("primary");
    TempDir dir;
    const std::string file = (dir.path() / "access.log").string();
    Balancer balancer({{"primary", origin.port()}}, {"--access-log", file});
    ASSERT_TRUE(balancer.wait_for("primary", "healthy"));
    for (int i = 0; i < 10; ++i) ASSERT_EQ(get(balancer.port(), "/x").status(), 200);
    EXPECT_EQ(request(balancer.port(), "GET", "/y", {{"Transfer-Encoding", "odd"}}).status(), 400);
    balancer.process().signal(SIGTERM);
    ASSERT_EQ(balancer.process().wait_exit(), 0);
    std::ifstream log(file);
    std::size_t answered = 0;
    std::size_t refused = 0;
    for (std::string line; std::getline(log, line);) {
        const auto record = nlohmann::json::parse(line);
        answered += record["status"] == 200 ? 1 : 0;
        refused += record["status"] == 400 && record["pool"].is_null() ? 1 : 0;
    }
    EXPECT_EQ(answered, 10U);
    EXPECT_EQ(refused, 1U);
}

} // namespace TEST_FILE
} // namespace hotspare::test
