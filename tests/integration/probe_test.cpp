// One probe over real sockets, against servers that misbehave.
#include "common/probe/probe.hpp"
#include "common/task_group.hpp"

#include "tests/support/one_shot_peer.hpp"
#include "tests/support/socket.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <sys/socket.h>

namespace hotspare::probe {
namespace TEST_FILE {

using asio::ip::tcp;
using test::OneShotPeer;
using Peer = OneShotPeer::End;
using End = Result::End;

tcp::endpoint local(std::uint16_t port)
{
    return {asio::ip::make_address("127.0.0.1"), port};
}

asio::awaitable<void> store(Question question, Expectation expected, std::optional<Result>& out)
{
    out = co_await ask(std::move(question), std::move(expected));
}

Result ended(Question question, Expectation expected = {}, std::optional<Duration> cancel_after = {})
{
    asio::io_context context;
    TaskGroup tasks(context);
    std::optional<Result> result;
    tasks.spawn("probe", store(std::move(question), std::move(expected), result));
    asio::steady_timer soon(context);
    if (cancel_after) {
        soon.expires_after(*cancel_after);
        soon.async_wait([&](error_code) { tasks.cancel(); });
    }
    context.run();
    return result.value();
}

Result ended(const OneShotPeer& peer, Duration timeout = seconds(10), Expectation expected = {})
{
    return ended({.addresses = {local(peer.port())}, .origin = {"127.0.0.1", peer.port()}, .timeout = timeout},
                 std::move(expected));
}

constexpr auto good = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"status\":\"good\"}";

TEST(Probe, AsksAndJudges)
{
    std::string asked;
    {
        OneShotPeer peer(good, Peer::hold);
        const auto result = ended({.addresses = {local(peer.port())}, .origin = {"a.example", 80}, .path = "/ready?x"},
                                  {.body = "good", .json_field = "status=good"});
        EXPECT_EQ(result.end, End::judged);
        EXPECT_EQ(result.verdict.outcome, ProbeOutcome::ok);
        EXPECT_EQ(result.verdict.detail, "200 OK");
        EXPECT_EQ(result.body, "{\"status\":\"good\"}");
        EXPECT_EQ(result.connected, local(peer.port()));
        EXPECT_GT(result.latency, Duration::zero());
        asked = peer.received();
    }
    EXPECT_TRUE(asked.starts_with("GET /ready?x HTTP/1.1\r\n")) << asked;
    EXPECT_NE(asked.find("Host: a.example\r\n"), std::string::npos) << asked;
}

TEST(Probe, SendsTheMethodFieldsAndBodyThatItIsGiven)
{
    std::string asked;
    {
        OneShotPeer peer(good, Peer::hold);
        const auto result = ended({.addresses = {local(peer.port())},
                                   .origin = {"a.example", 80},
                                   .method = "PUT",
                                   .fields = {{"X-A", "1"}, {"X-A", "2"}, {"host", "b.example"}},
                                   .body = "ping"});
        EXPECT_EQ(result.verdict.outcome, ProbeOutcome::ok);
        asked = peer.received();
    }
    EXPECT_TRUE(asked.starts_with("PUT /health HTTP/1.1\r\n")) << asked;
    for (const char* part :
         {"X-A: 1\r\n", "X-A: 2\r\n", "Host: b.example\r\n", "Content-Length: 4\r\n", "\r\n\r\nping"})
        EXPECT_NE(asked.find(part), std::string::npos) << part << asked;
    EXPECT_EQ(asked.find("a.example"), std::string::npos) << asked;
}

asio::awaitable<void> store_connect(std::vector<tcp::endpoint> addresses, Duration timeout, std::optional<Result>& out)
{
    out = co_await connect(std::move(addresses), timeout);
}

TEST(Probe, SendsAPreambleInFrontOfTheRequest)
{
    std::string asked;
    {
        OneShotPeer peer(good, Peer::hold);
        const auto result = ended({.addresses = {local(peer.port())},
                                   .origin = {"a.example", 80},
                                   .preamble = std::string("PROXY UNKNOWN\r\n\0", 16)});
        EXPECT_EQ(result.verdict.outcome, ProbeOutcome::ok);
        asked = peer.received();
    }
    EXPECT_TRUE(asked.starts_with(std::string("PROXY UNKNOWN\r\n\0GET /health HTTP/1.1\r\n", 38))) << asked;
}

TEST(Probe, ConnectsToTheFirstAddressThatTakesIt)
{
    const auto connected = [](std::vector<tcp::endpoint> addresses, std::size_t descriptors = 0) {
        asio::io_context context;
        TaskGroup tasks(context);
        std::optional<Result> result;
        tasks.spawn("probe", store_connect(std::move(addresses), seconds(20), result));
        rlimit before{};
        ::getrlimit(RLIMIT_NOFILE, &before);
        const rlimit bound{.rlim_cur = descriptors, .rlim_max = before.rlim_max};
        if (descriptors == 0) ::setrlimit(RLIMIT_NOFILE, &bound);
        context.run();
        ::setrlimit(RLIMIT_NOFILE, &before);
        return result.value();
    };
    const auto listener = test::listen_loopback(0);
    const auto closed = test::bind_loopback(0);
    const auto open = local(test::local_port(listener));
    const auto shut = local(test::local_port(closed));
    const auto result = connected({shut, open}, 100);
    EXPECT_EQ(result.end, End::judged);
    EXPECT_EQ(result.verdict.outcome, ProbeOutcome::ok);
    EXPECT_EQ(result.connected, open);
    EXPECT_EQ(connected({shut}, 100).verdict.detail, "Connection refused");
    EXPECT_EQ(connected({}, 100).verdict.outcome, ProbeOutcome::refused);
    EXPECT_EQ(connected({open}).end, End::hindered) << "without a descriptor";
}

TEST(Probe, NamesEveryOutcome)
{
    struct Case {
        std::string answer;
        Peer end;
        ProbeOutcome outcome;
        std::string detail;
    };
    const std::string long_field(20'000, 'x');
    const std::vector<Case> cases{
        {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Peer::hold, ProbeOutcome::failing,
         "503 Service Unavailable"},
        {"HTTP/1.1 200 OK\r\nX: " + long_field + "\r\n\r\n", Peer::hold, ProbeOutcome::failing, ""},
        {"SSH-2.0-OpenSSH\r\n", Peer::close, ProbeOutcome::malformed, ""},
        {"", Peer::reset, ProbeOutcome::reset, "Connection reset by peer"},
        {"", Peer::close, ProbeOutcome::reset, ""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Peer::close, ProbeOutcome::reset, ""},
    };
    for (const auto& [answer, end, outcome, detail] : cases) {
        OneShotPeer peer(answer, end);
        const auto result = ended(peer);
        EXPECT_EQ(result.end, End::judged);
        EXPECT_EQ(result.verdict.outcome, outcome) << answer.substr(0, 40) << result.verdict.detail;
        EXPECT_FALSE(result.verdict.detail.empty());
        EXPECT_EQ(result.connected, local(peer.port()));
        if (!detail.empty()) {
            EXPECT_EQ(result.verdict.detail, detail);
        }
    }
}

TEST(Probe, NamesARefusalAndWhatTakesTooLong)
{
    const auto closed = test::bind_loopback(0);
    const auto refused = ended({.addresses = {local(test::local_port(closed))}, .origin = {"127.0.0.1", 1}});
    EXPECT_EQ(refused.verdict.outcome, ProbeOutcome::refused);
    EXPECT_EQ(refused.verdict.detail, "Connection refused");
    EXPECT_FALSE(refused.connected);
    EXPECT_FALSE(refused.body);

    for (const auto* answer : {"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"}) {
        OneShotPeer peer(answer, Peer::hold);
        const auto late = ended(peer, milliseconds(50));
        EXPECT_EQ(late.verdict.outcome, ProbeOutcome::timed_out);
        EXPECT_EQ(late.verdict.detail, "no answer within 50ms");
        EXPECT_TRUE(late.connected);
        EXPECT_GE(late.latency, milliseconds(50));
    }
}

TEST(Probe, GoesToTheFirstAddressThatTakesIt)
{
    const auto closed = test::bind_loopback(0);
    OneShotPeer peer(good, Peer::hold);
    const auto result =
        ended({.addresses = {local(test::local_port(closed)), local(peer.port())}, .origin = {"a.example", 80}});
    EXPECT_EQ(result.verdict.outcome, ProbeOutcome::ok);
    EXPECT_EQ(result.connected, local(peer.port()));

    const auto none = ended({.addresses = {}, .origin = {"a.example", 80}});
    EXPECT_EQ(none.end, End::judged);
    EXPECT_EQ(none.verdict.outcome, ProbeOutcome::refused) << "a name without an address";
}

TEST(Probe, SaysCancelledWhenItsTaskIs)
{
    OneShotPeer peer("", Peer::hold);
    const auto result =
        ended({.addresses = {local(peer.port())}, .origin = {"127.0.0.1", 80}}, {}, Duration(milliseconds(20)));
    EXPECT_EQ(result.end, End::cancelled);
}

TEST(Probe, DoesNotBlameTheServerForADescriptorThatWeLack)
{
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    asio::io_context context;
    TaskGroup tasks(context);
    std::optional<Result> result;
    // An address to probe, and no descriptor to do it with.
    tasks.spawn("probe", store({.addresses = {local(9)}, .origin = {"127.0.0.1", 9}}, {}, result));
    const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    context.run();
    ::setrlimit(RLIMIT_NOFILE, &before);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->end, End::hindered) << result->verdict.detail;
    EXPECT_FALSE(result->hindrance.empty());
}

TEST(Probe, SpeaksToAnAddressOfIpv6)
{
    asio::io_context context;
    error_code error;
    tcp::acceptor acceptor(context);
    const tcp::endpoint any_port(asio::ip::make_address("::1"), 0);
    acceptor.open(tcp::v6(), error);
    if (!error) acceptor.bind(any_port, error);
    if (error) GTEST_SKIP() << "no IPv6 on this machine";
    acceptor.listen();
    const auto endpoint = acceptor.local_endpoint();
    std::string asked;
    std::thread server([&] {
        tcp::socket socket(context);
        acceptor.accept(socket);
        asked.resize(4096);
        asked.resize(socket.read_some(asio::buffer(asked)));
        socket.send(asio::buffer(std::string(good)));
    });
    const auto result = ended({.addresses = {endpoint}, .origin = {"::1", endpoint.port()}});
    server.join();
    EXPECT_EQ(result.verdict.outcome, ProbeOutcome::ok) << result.verdict.detail;
    EXPECT_NE(asked.find("Host: [::1]:" + std::to_string(endpoint.port()) + "\r\n"), std::string::npos) << asked;
}

} // namespace TEST_FILE
} // namespace hotspare::probe
