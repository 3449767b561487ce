// What the balancer does with one request and its connections on both sides when a server or a client behaves as real
// ones do on bad days: a request that kills servers, bytes that belong to no request, an answer in the middle of an
// upload, peers that leave without a word.
#include "tests/support/fleet.hpp"
#include "tests/support/gate.hpp"
#include "tests/support/manual_origin.hpp"
#include "tests/support/origin.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sys/socket.h>

#include <array>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using Break = Reply::Break;
using End = ManualOrigin::Call::End;

std::string sized(std::string_view body)
{
    return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.size(), body);
}

// --- A request that breaks servers -----------------------------------------------------------------------------------

class Poison : public testing::Test {
protected:
    /// All servers answer requests for /poison with `reply`.
    void poison(const Reply& reply)
    {
        for (Origin& origin : origins_)
            origin.script([reply](const Message& m) { return m.target() == "/poison" ? reply : Reply::text("fine"); });
    }

    /// A balancer in front of the first `count` servers that sends a request `attempts` times at most.
    Balancer front(std::size_t count, unsigned attempts = 8)
    {
        std::string yaml = "backends:\n";
        for (std::size_t i = 0; i < count; ++i)
            yaml += fmt::format("  - {{name: b{}, url: 'http://127.0.0.1:{}'}}\n", i, origins_[i].port());
        yaml += fmt::format("pools:\n  - {{name: all, retry: {{attempts: {}, hedge: false}}}}\n", attempts);
        auto balancer = Balancer::configured(yaml);
        for (std::size_t i = 0; i < count; ++i)
            EXPECT_TRUE(balancer.wait_for(fmt::format("b{}", i), "healthy")) << balancer.status();
        return balancer;
    }

    /// How often each server has received the request.
    std::vector<std::size_t> executed() const
    {
        std::vector<std::size_t> times;
        for (const Origin& origin : origins_) times.push_back(origin.executed("p"));
        return times;
    }

    static Answer ask(const Balancer& balancer)
    {
        return request(balancer.port(), "GET", "/poison", {{"X-Test-Id", "p"}});
    }

    std::array<Origin, 4> origins_;
};

TEST_F(Poison, ReachesTwoServersOnceEach)
{
    for (const Break how : {Break::reset_unanswered, Break::close_unanswered}) {
        poison(Reply::broken(how));
        const Balancer balancer = front(4);
        EXPECT_EQ(ask(balancer).status(), 502);
        EXPECT_EQ(executed(), (std::vector<std::size_t>{1, 1, 0, 0}));
        for (Origin& origin : origins_) origin.forget();
    }
}

TEST_F(Poison, IsNotParkedForServersThatHaveHadIt)
{
    poison(Reply::broken(Break::reset_unanswered));
    for (const std::size_t servers : {1U, 2U}) {
        const Balancer balancer = front(servers);
        const TimePoint start = Clock::now();
        EXPECT_EQ(ask(balancer).status(), 502);
        EXPECT_LT(Clock::now() - start, seconds(1)) << "it waited for a server that it must not have again";
        for (std::size_t i = 0; i < servers; ++i) EXPECT_EQ(origins_[i].executed("p"), 1U);
        for (Origin& origin : origins_) origin.forget();
    }
}

TEST_F(Poison, AnAnswerThatIsNotHttpIsAskedForOnce)
{
    Reply garbage;
    garbage.raw = "garbage\r\n\r\n";
    poison(garbage);
    const Balancer balancer = front(4);
    EXPECT_EQ(ask(balancer).status(), 502);
    EXPECT_EQ(executed(), (std::vector<std::size_t>{1, 0, 0, 0}));
}

TEST_F(Poison, IsSentAsOftenAsConfigured)
{
    poison(Reply::text("out of order", 503));
    for (const unsigned attempts : {1U, 3U}) {
        const Balancer balancer = front(4, attempts);
        const Answer answer = ask(balancer);
        EXPECT_EQ(answer.status(), 503);
        EXPECT_EQ(answer.message.body, "out of order");
        std::size_t all = 0;
        for (const std::size_t times : executed()) all += times;
        EXPECT_EQ(all, attempts);
        for (Origin& origin : origins_) origin.forget();
    }
}

TEST_F(Poison, TheInterimAnswersOfAFailedAttemptReachNoClient)
{
    Reply reply;
    for (int i = 0; i < 8; ++i) reply.raw += "HTTP/1.1 100 Continue\r\n\r\n";
    reply.raw += "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    poison(reply);
    const Balancer all_broken = front(4);
    Answer answer = ask(all_broken);
    EXPECT_EQ(answer.status(), 502);
    EXPECT_EQ(answer.message.interim, std::vector<int>{});

    origins_[1].script([](const Message&) {
        Reply good = Reply::text("good");
        good.before = "HTTP/1.1 103 Early Hints\r\n\r\n";
        return good;
    });
    const Balancer one_broken = front(2);
    answer = ask(one_broken);
    EXPECT_EQ(answer.message.body, "good");
    EXPECT_EQ(answer.message.interim, std::vector<int>{103});
}

// --- Connections to servers ------------------------------------------------------------------------------------------

class Attempts : public testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(balancer_.wait_for("primary", "healthy")) << balancer_.status(); }

    std::uint16_t port() const { return balancer_.port(); }

    /// The balancer stands still while `during` runs, and finds all that has happened at once.
    template <class During> void suspended(During during)
    {
        ASSERT_TRUE(balancer_.process().signal(SIGSTOP));
        const std::string stat = fmt::format("/proc/{}/stat", balancer_.process().pid());
        ASSERT_TRUE(eventually([&] {
            std::ifstream file(stat);
            std::string pid, name, state;
            return file >> pid >> name >> state && state == "T";
        }));
        during();
        ASSERT_TRUE(balancer_.process().signal(SIGCONT));
    }

    ManualOrigin origin_;
    Balancer balancer_{{{"primary", origin_.port()}}};
};

TEST_F(Attempts, WhatCameBeforeARequestIsNotItsAnswer)
{
    const std::vector<std::string> foreign{sized("foreign"),
                                           "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", "\r\n", ""};
    for (const std::string method : {"GET", "POST"}) {
        for (const std::string& bytes : foreign) {
            SCOPED_TRACE(method + " after: " + bytes);
            RawClient client(port());
            client.send(format_request("GET", "/one"));
            const auto first = origin_.next();
            ASSERT_TRUE(first && first.send(sized("one")));
            EXPECT_EQ(client.read_response().message.body, "one");
            suspended([&] {
                client.send(format_request(method, "/two"));
                EXPECT_TRUE(bytes.empty() ? ::shutdown(first.socket.get(), SHUT_WR) == 0 : first.send(bytes));
            });
            const auto second = origin_.next();
            ASSERT_TRUE(second && second.send(sized("two"))) << "the request went out on the old connection";
            EXPECT_EQ(client.read_response().message.body, "two");
        }
    }
}

TEST_F(Attempts, A408OnAReusedConnectionSendsTheRequestAgain)
{
    for (const std::string method : {"GET", "POST"}) {
        SCOPED_TRACE(method);
        RawClient client(port());
        client.send(format_request("GET", "/one"));
        const auto first = origin_.next();
        ASSERT_TRUE(first && first.send(sized("one")));
        EXPECT_EQ(client.read_response().message.body, "one");

        client.send(format_request(method, "/two"));
        ASSERT_TRUE(wait_readable(first.socket, Clock::now() + patience));
        const std::string timeout = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        ASSERT_TRUE(first.send(timeout));
        const auto second = origin_.next();
        ASSERT_TRUE(second && second.send(timeout));
        EXPECT_EQ(client.read_response().status(), 408) << "on a new connection it is the server's answer";
    }
}

TEST_F(Attempts, BytesBehindAnAnswerEndItsConnection)
{
    RawClient client(port());
    client.send(format_request("HEAD", "/one"));
    const auto first = origin_.next();
    // A server that sends a body with an answer to HEAD.
    ASSERT_TRUE(first && first.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"));
    EXPECT_EQ(client.read_response(patience, true).status(), 200);
    client.send(format_request("GET", "/two"));
    const auto second = origin_.next();
    ASSERT_TRUE(second && second.send(sized("two")));
    EXPECT_EQ(client.read_response().message.body, "two");
}

TEST_F(Attempts, AnAnswerThatIsNotWantedAnyMoreIsReset)
{
    for (const std::string& bytes :
         {format_request("GET", "/x"), std::string("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")}) {
        RawClient client(port());
        client.send(bytes);
        const auto call = origin_.next();
        ASSERT_TRUE(call);
        client.reset();
        EXPECT_EQ(call.end(), End::reset) << "FIN would leave our port in TIME_WAIT: " << bytes;
    }
}

// --- Uploads ---------------------------------------------------------------------------------------------------------

TEST_F(Attempts, AnAnswerInTheMiddleOfAnUploadReachesAClientThatGoesOnSending)
{
    // A large one, too: the client, with little room, takes it only when it has sent all.
    for (const std::size_t size : {std::size_t{3}, std::size_t{900'000}}) {
        SCOPED_TRACE(size);
        RawClient client(port(), size < 10 ? 0 : 65536);
        client.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n");
        auto call = origin_.next();
        ASSERT_TRUE(call);
        ASSERT_TRUE(call.send(fmt::format("HTTP/1.1 413 Content Too Large\r\nContent-Length: {}\r\n\r\n", size)));
        std::thread sender([&] {
            (void)call.send(std::string(size, 'x'));
            ::shutdown(call.socket.get(), SHUT_WR);
            (void)call.end();
        });
        // It may pause for longer than the two seconds that a connection lingers whose client owes nothing.
        bool sent = true;
        for (int i = 0; i < 30 && sent; ++i) {
            sent = client.send(std::string(1'000'000, 'b'));
            if (size < 10 && i == 15) stand_still(milliseconds(2500));
        }
        EXPECT_TRUE(sent);
        const Answer answer = client.read_response();
        EXPECT_EQ(answer.status(), 413) << to_string(answer.end);
        EXPECT_TRUE(answer.complete());
        EXPECT_TRUE(client.closed_by_peer());
        sender.join();
    }
}

TEST_F(Attempts, AClientWaitsForOneHundredContinueOnce)
{
    RawClient client(port());
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    const auto call = origin_.next();
    ASSERT_TRUE(call);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(call.send("HTTP/1.1 100 Continue\r\n\r\n"));
    const std::string interim = client.read_some(1000);
    EXPECT_TRUE(interim.starts_with("HTTP/1.1 100 ")) << interim;
    EXPECT_EQ(interim.find("HTTP/1.1", 1), std::string::npos) << interim;
    client.send("body");
    ASSERT_TRUE(call.send(sized("ok")));
    const Answer answer = client.read_response();
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.message.interim, std::vector<int>{}) << "a second 100";
}

// --- Streams and tunnels ---------------------------------------------------------------------------------------------

constexpr auto chunked_head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent\n\r\n";
const std::string upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const std::string switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

TEST_F(Attempts, AClientThatClosesItsEventStreamFreesTheServer)
{
    std::optional<RawClient> client(port());
    client->send(format_request("GET", "/stream"));
    const auto call = origin_.next();
    ASSERT_TRUE(call && call.send(chunked_head));
    ASSERT_NE(client->read_some(1000).find("200"), std::string::npos);
    client.reset(); // closes with FIN; the server has nothing to say that would show it
    const TimePoint start = Clock::now();
    EXPECT_NE(call.end(), End::open);
    EXPECT_LT(Clock::now() - start, seconds(1));
}

TEST_F(Attempts, AClientThatHasHalfClosedGetsItsWholeStream)
{
    RawClient client(port());
    client.send(format_request("GET", "/slow"));
    client.finish_sending();
    const auto call = origin_.next();
    ASSERT_TRUE(call);
    ASSERT_TRUE(call.send(chunked_head));
    EXPECT_EQ(call.end(seconds(1)), End::open);
    ASSERT_TRUE(call.send("0\r\n\r\n"));
    EXPECT_EQ(client.read_response().message.body, "event\n");
}

TEST_F(Attempts, AClientThatHalfClosesJustBeforeItsStreamBeginsGetsTheWholeStream)
{
    for (int i = 0; i < 3; ++i) {
        RawClient client(port());
        client.send(format_request("GET", "/slow"));
        const auto call = origin_.next();
        ASSERT_TRUE(call);
        suspended([&] {
            EXPECT_TRUE(call.send(chunked_head));
            client.finish_sending();
        });
        EXPECT_EQ(call.end(seconds(1)), End::open);
        ASSERT_TRUE(call.send("0\r\n\r\n"));
        EXPECT_EQ(client.read_response().message.body, "event\n");
    }
}

TEST_F(Attempts, AClientThatHalfClosesDuringItsStreamGetsTheRestIfItIsSentSomething)
{
    RawClient client(port());
    client.send(format_request("GET", "/stream"));
    const auto call = origin_.next();
    ASSERT_TRUE(call && call.send(chunked_head));
    ASSERT_NE(client.read_some(1000).find("200"), std::string::npos);
    client.finish_sending();
    // For longer than it would be kept if nothing were sent: what is sent shows that it still reads.
    std::string received;
    for (int i = 0; i < 6; ++i) {
        ASSERT_EQ(call.end(milliseconds(200)), End::open) << i;
        ASSERT_TRUE(call.send("5\r\nagain\r\n")) << i;
        received += client.read_some(1000);
    }
    ASSERT_TRUE(call.send("0\r\n\r\n"));
    received += client.read_until_close(patience);
    std::size_t events = 0;
    for (auto at = received.find("again"); at != received.npos; at = received.find("again", at + 1)) ++events;
    EXPECT_EQ(events, 6U) << received;
    EXPECT_TRUE(received.ends_with("\r\n0\r\n\r\n")) << received;
}

TEST_F(Attempts, AClientThatClosesItsTunnelFreesAServerThatDoesNotListen)
{
    std::optional<RawClient> client(port());
    client->send(upgrade);
    const auto call = origin_.next();
    ASSERT_TRUE(call && call.send(switching));
    ASSERT_EQ(client->read_response().status(), 101);
    client.reset();
    const TimePoint start = Clock::now();
    EXPECT_TRUE(call.was_reset());
    EXPECT_LT(Clock::now() - start, seconds(1));
}

TEST(Tunnel, EndsWhenItsServerGoesDown)
{
    ManualOrigin origin;
    Origin spare("spare");
    Gate gate(origin.port());
    Balancer balancer({{"primary", gate.port()}, {"spare", spare.port()}});
    ASSERT_TRUE(balancer.wait_for("primary", "healthy")) << balancer.status();
    RawClient client(balancer.port());
    client.send(upgrade);
    const auto call = origin.next();
    ASSERT_TRUE(call && call.send(switching + "hello"));
    ASSERT_EQ(client.read_response().status(), 101);
    ASSERT_EQ(client.read_some(5), "hello");
    gate.set(Fault::black_hole());
    EXPECT_TRUE(client.closed_by_peer()) << "a client that only listens cannot notice";
    // The workers learn of it a moment before /status does.
    EXPECT_TRUE(eventually([&] { return balancer.status_of("primary") == "down"; }));
}

} // namespace TEST_FILE
} // namespace hotspare::test
