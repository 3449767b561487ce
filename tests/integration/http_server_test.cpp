// http::Server on a real socket, driven by a client that sends exactly the bytes it is told to.
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/http/stream.hpp"

#include "tests/support/raw_client.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/web_socket.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/packaged_task.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hotspare::http {
namespace TEST_FILE {

using test::Answer;
using test::RawClient;

/// A server on a thread of its own, with routes that exercise it.
class HttpServerTest : public testing::Test {
protected:
    static ServerOptions options()
    {
        ServerOptions out;
        out.limits.head = {.request_line = 200, .head = 1000, .fields = 10};
        out.limits.body = 1000;
        return out;
    }

    void start(ServerOptions options = HttpServerTest::options())
    {
        const auto seen = [this](const Exchange& exchange) { last_status_ = exchange.status; };
        options.on_exchange = seen;
        router_.add(verb::get, "/hello", [](const Request&) { return text_response(200, "hello"); });
        router_.add(verb::post, "/echo", [](const Request& request) { return text_response(200, request.body()); });
        router_.add(verb::post, "/trailer", [](const Request& request) {
            return text_response(200, std::string(request.header("X-Trailer")));
        });
        router_.add(verb::get, "/throw", [](const Request&) -> Response { throw std::runtime_error("on purpose"); });
        router_.add(verb::get, "/wait", Handler([this](const Request& request) { return wait(request); }));
        router_.add(verb::get, "/events", [this](const Request&) {
            return Response(EventStream{[this](std::shared_ptr<Outbox> outbox) { outbox_ = std::move(outbox); }});
        });
        router_.add(verb::get, "/socket", [this](const Request&) {
            return Response(WebSocket{[this](std::shared_ptr<Outbox> outbox) { outbox_ = std::move(outbox); },
                                      [this](std::string message) { outbox_->send("you said " + message); }});
        });
        router_.add(verb::get, "/raw", [](const Request&) { return Response(RawSession(garble)); });
        server_ = std::make_unique<Server>(
            context_, [this](Request& request) { return router_.dispatch(request); }, std::move(options));
        ASSERT_TRUE(server_->listen({asio::ip::make_address("127.0.0.1"), 0}));
        port_ = server_->endpoint().port();
        thread_ = std::thread([this] { context_.run(); });
    }

    ~HttpServerTest() override
    {
        if (!thread_.joinable()) return;
        if (!drained_) drain(milliseconds(0));
        work_.reset();
        thread_.join();
        server_.reset();
    }

    /// Runs `call` on the server's thread and returns what it returns.
    template <class Call> auto on_server(Call call)
    {
        return asio::post(context_, std::packaged_task<std::invoke_result_t<Call>()>(std::move(call))).get();
    }

    void drain(Duration grace)
    {
        drained_ = true;
        asio::co_spawn(context_, server_->drain(grace), asio::use_future).get();
    }

    bool send_to_stream(const std::string& message)
    {
        return on_server([&] { return outbox_ && outbox_->send(message); });
    }
    bool stream_open()
    {
        return on_server([&] { return outbox_ && !outbox_->closed(); });
    }

    asio::awaitable<Response> wait(const Request&)
    {
        waiting_ = true;
        co_await gate_.async_wait(asio::as_tuple(asio::use_awaitable));
        co_return text_response(200, "waited");
    }
    static asio::awaitable<void> garble(tcp::socket& socket)
    {
        co_await asio::async_write(socket, asio::buffer("not http", 8), asio::use_awaitable);
    }

    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    asio::steady_timer gate_{context_, TimePoint::max()}; ///< cancel it to let /wait answer
    std::atomic<bool> waiting_ = false;
    std::atomic<unsigned> last_status_ = 0;
    Router router_;
    std::shared_ptr<Outbox> outbox_; ///< touched on the server's thread
    std::unique_ptr<Server> server_;
    std::uint16_t port_ = 0;
    std::thread thread_;
    bool drained_ = false;
};

TEST_F(HttpServerTest, ServesManyRequestsOnOneConnection)
{
    start();
    RawClient client(port_);
    for (int i = 0; i < 3; ++i) {
        client.send("GET /hello HTTP/1.1\r\nHost: a\r\nX-Request-Id: id-" + std::to_string(i) + "\r\n\r\n");
        const auto answer = client.read_response();
        ASSERT_TRUE(answer.complete());
        EXPECT_EQ(answer.status(), 200);
        EXPECT_EQ(answer.message.body, "hello");
        EXPECT_EQ(answer.message.header("X-Request-Id"), "id-" + std::to_string(i));
        EXPECT_TRUE(answer.message.header("Date"));
    }
}

TEST_F(HttpServerTest, TakesLaterMinorVersionsAndAbsoluteTargets)
{
    start();
    RawClient client(port_);
    for (const std::string line :
         {"GET /hello HTTP/1.9", "GET http://a/hello HTTP/1.1", "GET HTTP://a:80/hello?x={|} HTTP/1.2"}) {
        client.send(line + "\r\nHost: a\r\n\r\n");
        EXPECT_EQ(client.read_response().message.body, "hello") << line;
    }
    client.send("GET http://a?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(client.read_response().status(), 404) << "the path is /, which this server does not have";
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder)
{
    start();
    RawClient client(port_);
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
                "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo");
    EXPECT_EQ(client.read_response().message.body, "one");
    EXPECT_EQ(client.read_response().message.body, "two");
    EXPECT_TRUE(client.closed_by_peer());
}

TEST_F(HttpServerTest, UnderstandsARequestThatArrivesByteByByte)
{
    start();
    RawClient client(port_);
    client.send_sliced(
        "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n2;x=y\r\n t\r\n0\r\n\r\n");
    EXPECT_EQ(client.read_response().message.body, "one t");
}

TEST_F(HttpServerTest, DropsTrailers)
{
    start();
    RawClient client(port_);
    client.send("POST /trailer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: evil\r\n\r\n");
    const auto answer = client.read_response();
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.message.body, "");
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody)
{
    start();
    RawClient client(port_);
    client.send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    const auto head = client.read_response(test::patience, true);
    EXPECT_EQ(head.message.header("Content-Length"), "5");
    EXPECT_EQ(client.read_response().message.body, "hello");
}

TEST_F(HttpServerTest, ServesHttp10)
{
    start();
    RawClient closing(port_);
    closing.send("GET /hello HTTP/1.0\r\n\r\n");
    EXPECT_EQ(closing.read_response().message.body, "hello");
    EXPECT_TRUE(closing.closed_by_peer());
    RawClient keeping(port_);
    keeping.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(keeping.read_response().message.header("Connection"), "keep-alive");
    keeping.send("GET /hello HTTP/1.0\r\n\r\n");
    EXPECT_EQ(keeping.read_response().message.body, "hello");
}

TEST_F(HttpServerTest, AsksForTheBodyWhenTheClientWaitsForThat)
{
    start();
    RawClient client(port_);
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(client.read_some(100), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("one");
    EXPECT_EQ(client.read_response().message.body, "one");

    RawClient too_big(port_);
    too_big.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(too_big.read_response().status(), 413);
}

TEST_F(HttpServerTest, RefusesWhatIsNotARequest)
{
    start();
    const std::vector<std::pair<std::string, int>> cases{
        {"GET /hello HTTP/1.1\r\n\r\n", 400},
        {"GET /hello HTTP/1.1\nHost: a\n\n", 400},
        {"GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;k=\"v\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 9\n", 400},
        {"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET https://a/hello HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /hello HTTP/1,1\r\nHost: a\r\n\r\n", 400},
        {"GET /hello HTTP/1.1\r\nHost: :80\r\n\r\n", 400},
        {"hello world\r\n", 400},
        {std::string(100, 'M'), 501},
        {"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"GET /hello HTTP/3.0\r\nHost: a\r\n\r\n", 505},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417},
        {"GET /" + std::string(300, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nX: " + std::string(1000, 'x') + "\r\n\r\n", 431},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'x'), 413},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + std::string(2000, 'x') +
             "\r\n0\r\n\r\n",
         413},
        {"\x16\x03\x01\x02", 400},
    };
    for (const auto& [bytes, status] : cases) {
        RawClient client(port_);
        client.send(bytes);
        const auto answer = client.read_response();
        EXPECT_EQ(answer.status(), status) << bytes.substr(0, 60);
        EXPECT_EQ(answer.message.header("Content-Type"), "application/problem+json");
        EXPECT_EQ(answer.message.header("Connection"), "close");
        EXPECT_EQ(answer.json()["error"], answer.json()["detail"]);
        EXPECT_FALSE(answer.json()["request_id"].get<std::string>().empty());
        EXPECT_TRUE(client.closed_by_peer());
    }
}

TEST_F(HttpServerTest, AnswerOf413ReachesAClientThatKeepsSending)
{
    start();
    RawClient client(port_);
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n");
    client.send(std::string(8'000'000, 'x'));
    EXPECT_EQ(client.read_response().status(), 413);
}

TEST_F(HttpServerTest, TurnsAnExceptionInto500AndGoesOn)
{
    start();
    RawClient client(port_);
    client.send("GET /throw HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    const auto failed = client.read_response();
    EXPECT_EQ(failed.status(), 500);
    EXPECT_EQ(failed.message.body.find("on purpose"), std::string::npos) << "what went wrong inside is for the log";
    EXPECT_EQ(client.read_response().message.body, "hello");
}

TEST_F(HttpServerTest, GivesUpOnASlowHeaderAndBody)
{
    auto slow = options();
    slow.timeouts.header = slow.timeouts.body = milliseconds(50);
    start(slow);
    RawClient header(port_), body(port_);
    header.send("GET /hello HT");
    EXPECT_EQ(header.read_response().status(), 408);
    body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\no");
    EXPECT_EQ(body.read_response().status(), 408);
}

TEST_F(HttpServerTest, ClosesAnIdleConnectionWithoutAWord)
{
    auto impatient = options();
    impatient.timeouts.idle = milliseconds(200);
    start(impatient);
    bool closed = false;
    EXPECT_EQ(RawClient(port_).read_until_close(test::patience, &closed), "");
    EXPECT_TRUE(closed);
    RawClient used(port_);
    used.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(used.read_response().status(), 200);
    EXPECT_EQ(used.read_until_close(test::patience, &closed), "");
    EXPECT_TRUE(closed);
}

TEST_F(HttpServerTest, AnswersAClientThatClosedItsSendingSide)
{
    start();
    RawClient client(port_);
    client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    client.finish_sending();
    EXPECT_EQ(client.read_response().message.body, "hello");
}

TEST_F(HttpServerTest, HandsTheSocketToARawSession)
{
    start();
    RawClient client(port_);
    client.send("GET /raw HTTP/1.1\r\nHost: a\r\n\r\n");
    bool closed = false;
    EXPECT_EQ(client.read_until_close(test::patience, &closed), "not http");
    EXPECT_TRUE(closed);
}

TEST_F(HttpServerTest, StreamsEvents)
{
    start();
    RawClient client(port_);
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(test::eventually([&] { return stream_open(); }));
    ASSERT_TRUE(send_to_stream(format_event("1", "x", "one")));
    on_server([&] {
        outbox_->close();
        return true;
    });
    const auto text = client.read_until_close(test::patience);
    EXPECT_TRUE(text.starts_with("HTTP/1.1 200 OK\r\n")) << text;
    EXPECT_NE(text.find("Content-Type: text/event-stream\r\n"), std::string::npos);
    EXPECT_TRUE(text.ends_with("\r\n\r\nid: 1\nevent: x\ndata: one\n\n")) << text;
}

TEST_F(HttpServerTest, NoticesThatASubscriberLeft)
{
    start();
    {
        RawClient client(port_);
        client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
        ASSERT_TRUE(test::eventually([&] { return stream_open(); }));
    }
    EXPECT_TRUE(test::eventually([&] { return !stream_open(); }));
    EXPECT_FALSE(send_to_stream("late"));
}

TEST_F(HttpServerTest, SendsHeartbeatsOnASilentStream)
{
    auto lively = options();
    lively.timeouts.heartbeat = milliseconds(10);
    start(lively);
    RawClient client(port_);
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    std::string text;
    EXPECT_TRUE(test::eventually([&] {
        text += client.read_some(1000);
        return text.ends_with(":\n\n:\n\n");
    }));
}

TEST_F(HttpServerTest, DropsASubscriberThatDoesNotRead)
{
    auto small = options();
    small.limits.stream_backlog = 300'000;
    start(small);
    RawClient client(port_, 4096);
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(test::eventually([&] { return stream_open(); }));
    EXPECT_TRUE(test::eventually([&] { return !send_to_stream(std::string(200'000, 'x')); }));
    EXPECT_FALSE(stream_open());
}

TEST_F(HttpServerTest, TalksOverAWebSocket)
{
    start();
    test::WebSocketClient client(port_, "a", "/socket");
    client.send("hi");
    EXPECT_EQ(client.read(), "you said hi");
    ASSERT_TRUE(send_to_stream("news"));
    EXPECT_EQ(client.read(), "news");
    client.close();
    EXPECT_TRUE(test::eventually([&] { return !stream_open(); }));
}

TEST_F(HttpServerTest, AsksForAnUpgradeWhenAWebSocketIsMerelyRead)
{
    start();
    const auto answer = test::get(port_, "/socket");
    EXPECT_EQ(answer.status(), 426);
    EXPECT_EQ(answer.message.header("Upgrade"), "websocket");
}

TEST_F(HttpServerTest, ServesOneRequestOnAnAdoptedConnection)
{
    start();
    const auto listener = test::listen_loopback(0);
    RawClient client(test::local_port(listener));
    const int accepted = ::accept(listener.get(), nullptr, nullptr);
    ASSERT_GE(accepted, 0);
    on_server([&] {
        server_->adopt({.descriptor = accepted, .already_read = "GET /hello HT", .dispatch = [this](Request& request) {
                            return router_.dispatch(request);
                        }});
        return true;
    });
    client.send("TP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    const auto answer = client.read_response();
    EXPECT_EQ(answer.message.body, "hello");
    EXPECT_EQ(answer.message.header("Connection"), "close");
    EXPECT_TRUE(client.closed_by_peer());
}

TEST_F(HttpServerTest, LeavesTheBodyOfAnAdoptedConnectionAloneIfTold)
{
    start();
    const auto listener = test::listen_loopback(0);
    for (const auto* framing : {"Content-Length: 5", "Transfer-Encoding: chunked"}) {
        RawClient client(test::local_port(listener));
        const int accepted = ::accept(listener.get(), nullptr, nullptr);
        on_server([&] {
            server_->adopt({.descriptor = accepted,
                            .already_read = fmt::format("GET /hello HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", framing),
                            .dispatch =
                                [this](Request& request) {
                                    EXPECT_TRUE(request.body_unread);
                                    return router_.dispatch(request);
                                },
                            .read_body = false});
            return true;
        });
        const auto answer = client.read_response();
        EXPECT_EQ(answer.message.body, "hello") << "without waiting for what does not come";
        EXPECT_EQ(answer.message.header("Connection"), "close");
    }
}

TEST_F(HttpServerTest, StreamsEventsOnAnAdoptedConnection)
{
    start();
    const auto listener = test::listen_loopback(0);
    RawClient client(test::local_port(listener));
    const int accepted = ::accept(listener.get(), nullptr, nullptr);
    on_server([&] {
        server_->adopt({.descriptor = accepted,
                        .already_read = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n",
                        .dispatch = [this](Request& request) { return router_.dispatch(request); }});
        return true;
    });
    ASSERT_TRUE(test::eventually([&] { return stream_open(); }));
    ASSERT_TRUE(send_to_stream("data: x\n\n"));
    drain(seconds(10));
    EXPECT_TRUE(client.read_until_close(test::patience).ends_with("data: x\n\n"));
}

TEST_F(HttpServerTest, RefusesWhileSuspendedAndComesBackOnTheSamePort)
{
    start();
    RawClient idle(port_);
    idle.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_EQ(idle.read_response().status(), 200);
    on_server([&] {
        server_->suspend();
        return true;
    });
    EXPECT_TRUE(idle.closed_by_peer());
    EXPECT_THROW(RawClient{port_}, std::system_error);
    ASSERT_TRUE(on_server([&] { return server_->resume().has_value(); }));
    EXPECT_EQ(test::get(port_, "/hello").status(), 200);
}

TEST_F(HttpServerTest, SaysSoWhenItsPortWasTakenMeanwhile)
{
    start();
    on_server([&] {
        server_->suspend();
        return true;
    });
    {
        const auto thief = test::listen_loopback(port_);
        EXPECT_FALSE(on_server([&] { return server_->resume().has_value(); }));
    }
    EXPECT_TRUE(on_server([&] { return server_->resume().has_value(); }));
}

TEST_F(HttpServerTest, DrainFinishesWhatIsInFlight)
{
    start();
    RawClient busy(port_), idle(port_);
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(test::eventually([&] { return waiting_.load(); }));
    drained_ = true;
    auto drained = asio::co_spawn(context_, server_->drain(seconds(30)), asio::use_future);
    EXPECT_TRUE(idle.closed_by_peer());
    EXPECT_THROW(RawClient{port_}, std::system_error);
    on_server([&] { return gate_.cancel(); });
    const auto answer = busy.read_response();
    EXPECT_EQ(answer.message.body, "waited");
    EXPECT_EQ(answer.message.header("Connection"), "close");
    drained.get();
}

TEST_F(HttpServerTest, DrainCutsWhatTakesTooLong)
{
    start();
    RawClient busy(port_);
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(test::eventually([&] { return waiting_.load(); }));
    drain(milliseconds(20));
    EXPECT_FALSE(busy.read_response().complete());
}

TEST_F(HttpServerTest, AcceptsNoMoreThanItsLimit)
{
    auto few = options();
    few.limits.connections = 2;
    start(few);
    auto first = std::make_unique<RawClient>(port_);
    RawClient second(port_), third(port_);
    first->send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    second.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(first->read_response().status(), 200);
    EXPECT_EQ(second.read_response().status(), 200);
    third.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(third.read_some(10, milliseconds(50)), "") << "it waits in the backlog";
    first.reset();
    EXPECT_EQ(third.read_response().status(), 200);
}

TEST_F(HttpServerTest, SurvivesRunningOutOfDescriptors)
{
    start();
    // The client connects while the server's thread is held, so that no descriptor is left when it comes to accept.
    std::promise<void> go_on;
    asio::post(context_, [&] { go_on.get_future().wait(); });
    RawClient client(port_);
    client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{0, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    go_on.set_value();
    EXPECT_EQ(client.read_some(10, milliseconds(50)), "");
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(client.read_response().status(), 200);
}

} // namespace TEST_FILE
} // namespace hotspare::http
