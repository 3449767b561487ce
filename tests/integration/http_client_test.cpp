// http::fetch against peers that misbehave: every failure has its own name. http::Client, which keeps connections.
#include "common/http/client.hpp"
#include "common/task_group.hpp"

#include "tests/support/manual_origin.hpp"
#include "tests/support/one_shot_peer.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/socket.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>

namespace hotspare::http {
namespace TEST_FILE {

using test::OneShotPeer;
using End = OneShotPeer::End;

tcp::endpoint endpoint_of(const OneShotPeer& peer)
{
    return {asio::ip::make_address("127.0.0.1"), peer.port()};
}

result<Response> fetch_from(const tcp::endpoint& endpoint, FetchOptions options = {}, verb method = verb::get)
{
    asio::io_context context;
    auto answer = asio::co_spawn(context, fetch(endpoint, make_request(method, "/health"), options), asio::use_future);
    context.run();
    return answer.get();
}

result<Response> fetch_from(const std::string& answer, End end, FetchOptions options = {}, verb method = verb::get)
{
    OneShotPeer peer(answer, end);
    return fetch_from(endpoint_of(peer), options, method);
}

TEST(Fetch, ReturnsTheResponse)
{
    const auto response = fetch_from("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nX-A: b\r\n\r\nno", End::close);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->result_int(), 503u);
    EXPECT_EQ(response->body(), "no");
    EXPECT_EQ(response->header("X-A"), "b");
}

TEST(Fetch, UnderstandsEveryFraming)
{
    EXPECT_EQ(
        fetch_from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", End::hold)->body(),
        "ab");
    EXPECT_EQ(fetch_from("HTTP/1.0 200 OK\r\n\r\nall of it", End::close)->body(), "all of it");
    EXPECT_EQ(fetch_from("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", End::hold, {}, verb::head)->result_int(),
              200u);
    EXPECT_EQ(fetch_from("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", End::hold)->result_int(),
              204u);
}

TEST(Fetch, ReadsASloppyServerAsTheBalancerDoes)
{
    for (const std::string text :
         {"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
          "HTTP/1.2 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0\t\r\n\r\n"}) {
        const auto answer = fetch_from(text, End::hold);
        ASSERT_TRUE(answer) << text << answer.error().message();
        EXPECT_EQ(answer->result_int(), 200U) << text;
        EXPECT_EQ(answer->body(), "ok") << text;
    }
    EXPECT_EQ(fetch_from("HTTP/1.1 999 Denied\r\n\r\nno", End::close)->body(), "no");
    EXPECT_EQ(fetch_from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", End::hold).error(),
              errc::malformed);
    EXPECT_EQ(fetch_from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok", End::hold).error(),
              errc::malformed);
}

TEST(Fetch, GoesToTheFirstOfSeveralAddressesThatTakesIt)
{
    OneShotPeer peer("HTTP/1.1 204 No Content\r\n\r\n", End::hold);
    const auto closed = test::bind_loopback(0);
    const std::vector<tcp::endpoint> addresses{{asio::ip::make_address("127.0.0.1"), test::local_port(closed)},
                                               endpoint_of(peer)};
    asio::io_context context;
    tcp::endpoint connected;
    auto answer =
        asio::co_spawn(context, fetch(addresses, make_request(verb::get, "/"), {}, &connected), asio::use_future);
    context.run();
    ASSERT_TRUE(answer.get());
    EXPECT_EQ(connected, addresses[1]);

    context.restart();
    auto none = asio::co_spawn(context, fetch(std::vector<tcp::endpoint>{}, make_request(verb::get, "/"), {}, nullptr),
                               asio::use_future);
    context.run();
    EXPECT_EQ(none.get().error(), asio::error::host_not_found);
}

TEST(Fetch, TellsItsFailuresApart)
{
    const FetchOptions hasty{.deadline = milliseconds(50)};
    EXPECT_EQ(fetch_from("", End::hold, hasty).error(), errc::timed_out);
    EXPECT_EQ(fetch_from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", End::hold, hasty).error(), errc::timed_out);
    EXPECT_EQ(fetch_from("", End::close).error(), errc::closed_early);
    EXPECT_EQ(fetch_from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", End::close).error(), errc::closed_early);
    EXPECT_EQ(fetch_from("", End::reset).error(), asio::error::connection_reset);
    EXPECT_EQ(fetch_from("SSH-2.0-OpenSSH\r\n", End::close).error(), errc::malformed);
    EXPECT_EQ(fetch_from("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", End::close).error(), errc::malformed);
    EXPECT_EQ(fetch_from("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", End::hold, {.max_body = 10}).error(),
              errc::too_large);
    EXPECT_EQ(fetch_from("HTTP/1.1 200 OK\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n", End::hold).error(),
              errc::too_large);
}

TEST(Fetch, SaysRefused)
{
    const auto not_listening = test::bind_loopback(0);
    const tcp::endpoint endpoint(asio::ip::make_address("127.0.0.1"), test::local_port(not_listening));
    EXPECT_EQ(fetch_from(endpoint).error(), asio::error::connection_refused);
}

TEST(Fetch, SaysCancelledWhenItsTaskIs)
{
    OneShotPeer peer("", End::hold);
    asio::io_context context;
    TaskGroup tasks(context);
    std::optional<result<Response>> outcome;
    struct Probe {
        static asio::awaitable<void> run(tcp::endpoint endpoint, std::optional<result<Response>>& outcome)
        {
            outcome = co_await fetch(endpoint, make_request(verb::get, "/"), {});
        }
    };
    tasks.spawn("probe", Probe::run(endpoint_of(peer), outcome));
    asio::steady_timer soon(context, milliseconds(20));
    soon.async_wait([&](error_code) { tasks.cancel(); });
    context.run();
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->error(), errc::cancelled);
}

TEST(Fetch, SendsAWholeRequest)
{
    std::string received;
    {
        OneShotPeer peer("HTTP/1.1 204 No Content\r\n\r\n", End::hold);
        asio::io_context context;
        auto answer = asio::co_spawn(
            context, fetch(endpoint_of(peer), make_request(verb::post, "/fail?x=y", "{}", "application/json")),
            asio::use_future);
        context.run();
        ASSERT_TRUE(answer.get());
        received = peer.received();
    }
    EXPECT_TRUE(received.starts_with("POST /fail?x=y HTTP/1.1\r\n")) << received;
    EXPECT_NE(received.find("Host: 127.0.0.1:"), std::string::npos) << received;
    EXPECT_NE(received.find("Content-Length: 2\r\n"), std::string::npos) << received;
    EXPECT_TRUE(received.ends_with("\r\n\r\n{}")) << received;
}

/// A Client, and an event loop that runs until the call is done.
class Caller {
public:
    explicit Caller(std::uint16_t port) : client_({asio::ip::make_address("127.0.0.1"), port}) {}

    result<Response> post(std::string body = "x", Duration deadline = seconds(10))
    {
        context_.restart();
        auto request = make_request(verb::post, "/work", std::move(body));
        auto answer =
            asio::co_spawn(context_, client_.send(std::move(request), {.deadline = deadline}), asio::use_future);
        context_.run();
        return answer.get();
    }

private:
    asio::io_context context_; ///< outlives the connections that the client keeps
    Client client_;
};

TEST(Client, KeepsItsConnection)
{
    test::Origin origin;
    Caller caller(origin.port());
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(caller.post());
    EXPECT_EQ(origin.connections(), 1U);
    EXPECT_EQ(origin.executed_by_method("POST"), 5U);
}

TEST(Client, DoesNotKeepWhatTheServerCloses)
{
    test::Origin origin("origin", [](const test::Message&) {
        test::Reply reply;
        reply.close = true;
        return reply;
    });
    Caller caller(origin.port());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(caller.post());
    EXPECT_EQ(origin.connections(), 3U);
}

TEST(Client, DoesNotTakeForItsAnswerWhatCameBeforeItsRequest)
{
    const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    test::ManualOrigin origin;
    Caller caller(origin.port());
    auto answer = std::async(std::launch::async, [&] { return caller.post(); });
    const auto first = origin.next();
    ASSERT_TRUE(first && first.send(ok));
    ASSERT_TRUE(answer.get());
    ASSERT_TRUE(first.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"));
    answer = std::async(std::launch::async, [&] { return caller.post(); });
    const auto second = origin.next(seconds(5));
    if (second) second.send(ok);
    const auto response = answer.get();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->body(), "ok");
}

TEST(Client, SendsOnceMoreWhereAKeptConnectionHadEnded)
{
    // Unanswered, and only on a connection that had served before: as if the server closed it in that very moment.
    auto served = std::make_shared<std::atomic<int>>(0);
    test::Origin origin("origin", [served](const test::Message&) {
        return ++*served == 2 ? test::Reply::broken(test::Reply::Break::close_unanswered) : test::Reply::text("ok");
    });
    Caller caller(origin.port());
    ASSERT_TRUE(caller.post());
    ASSERT_TRUE(caller.post());
    EXPECT_EQ(origin.connections(), 2U);
    EXPECT_EQ(origin.executed_by_method("POST"), 3U);
}

TEST(Client, SurvivesARestartOfTheServer)
{
    test::Origin origin;
    Caller caller(origin.port());
    ASSERT_TRUE(caller.post());
    origin.stop();
    EXPECT_EQ(caller.post().error(), asio::error::connection_refused);
    origin.start();
    EXPECT_TRUE(caller.post());
}

TEST(Client, FailsWhereAFreshConnectionEnds)
{
    test::Origin origin("origin",
                        [](const test::Message&) { return test::Reply::broken(test::Reply::Break::close_unanswered); });
    Caller caller(origin.port());
    EXPECT_EQ(caller.post().error(), errc::closed_early);
    EXPECT_EQ(origin.executed_by_method("POST"), 1U) << "it does not try for ever";
}

TEST(Client, HasOneDeadlineOverEverythingAndSendsNothingMoreAfterIt)
{
    auto served = std::make_shared<std::atomic<int>>(0);
    test::Origin origin("origin", [served](const test::Message&) {
        return ++*served == 2 ? test::Reply::broken(test::Reply::Break::hang) : test::Reply::text("ok");
    });
    Caller caller(origin.port());
    ASSERT_TRUE(caller.post());
    EXPECT_EQ(caller.post("x", milliseconds(100)).error(), errc::timed_out);
    EXPECT_EQ(origin.executed_by_method("POST"), 2U);
    EXPECT_TRUE(caller.post()) << "on a connection of its own: the late answer must not be taken for another's";
}

} // namespace TEST_FILE
} // namespace hotspare::http
