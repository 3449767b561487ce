// Requests for the balancer's own pages, over scripted streams: the client's connection stays with its session.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

/// /status, /events and /admin are pages, everything else goes to the backends.
Config with_pages()
{
    Config config = exchange_config();
    for (const auto& [path, builtin] : std::vector<std::pair<std::string, Builtin>>{
             {"/status", Builtin::status}, {"/events", Builtin::events}, {"/admin", Builtin::admin}}) {
        RouteConfig page;
        page.path = path;
        page.builtin = builtin;
        config.routes.push_back(page);
    }
    return config;
}

std::string ask(std::string_view path, std::string_view fields = {}, std::string_view method = "GET")
{
    return std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
}

/// As the pages' server answers: it says that its side of the connection ends.
std::string page(std::string_view body = "page")
{
    return response(200, body, "Connection: close\r\n");
}

class PageExchangeTest : public testing::Test {
protected:
    ExchangeWorld world{with_pages()};
};

TEST_F(PageExchangeTest, HandsTheRequestOverAndKeepsTheConnectionForTheNext)
{
    world.client_sends(ask("/status"));
    ASSERT_EQ(world.pages(), 1U);
    EXPECT_EQ(world.page().handover.bytes, ask("/status"));
    EXPECT_EQ(world.page().handover.builtin, Builtin::status);
    EXPECT_EQ(world.page().handover.client, "192.0.2.1");
    world.answer_page(page("one"));
    EXPECT_FALSE(world.page().stream->open());
    EXPECT_FALSE(world.answers().at(0).lists("Connection", "close"));
    EXPECT_FALSE(world.answers().at(0).header("Via")) << "nothing was proxied";

    world.client_sends(get());
    world.answer(a, ok("two"));
    world.client_sends(ask("/status"));
    world.answer_page(page("three"), 1);
    EXPECT_EQ(world.saw(), "200 one; 200 two; 200 three");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1") << "a page belongs to no pool";
}

TEST_F(PageExchangeTest, AnswersPipelinedRequestsInTheirOrder)
{
    world.client_sends(ask("/status") + get() + ask("/status"));
    EXPECT_EQ(world.pages(), 1U);
    EXPECT_EQ(world.upstreams(), 0U) << "the second waits for the first";
    world.answer_page(page("one"));
    world.answer(a, ok("two"));
    world.answer_page(page("three"), 1);
    EXPECT_EQ(world.saw(), "200 one; 200 two; 200 three");
}

TEST_F(PageExchangeTest, PassesTheBodyAndNothingBehindIt)
{
    world.client_sends(ask("/admin", "Content-Length: 4\r\n", "POST") + "bo");
    EXPECT_EQ(world.page().stream->got(), "bo");
    world.client_sends("dy" + ask("/status"));
    EXPECT_EQ(world.page().stream->got(), "body");
    world.answer_page(page("done"));
    EXPECT_EQ(world.pages(), 2U);
    world.answer_page(page("status"), 1);
    EXPECT_EQ(world.saw(), "200 done; 200 status");
}

TEST_F(PageExchangeTest, PassesChunksAsTheyWereMeant)
{
    world.client_sends(ask("/admin", "Transfer-Encoding: chunked\r\n", "POST") + chunk("bo") + chunk("dy") + chunk(""));
    EXPECT_EQ(world.page().stream->got(), chunk("bo") + chunk("dy") + chunk(""));
    world.answer_page(page());
    EXPECT_EQ(world.saw(), "200 page");
}

TEST_F(PageExchangeTest, EndsTheConnectionWhenTheAnswerComesBeforeTheBody)
{
    world.client_sends(ask("/admin", "Content-Length: 100000\r\n", "POST") + "x");
    world.answer_page(response(413, "too large", "Connection: close\r\n"));
    EXPECT_TRUE(world.answers().at(0).lists("Connection", "close"));
    EXPECT_TRUE(world.client().got_end());
    world.pass(seconds(1));
    EXPECT_EQ(world.sessions(), 0U) << "a body that is withheld keeps no connection";
}

TEST_F(PageExchangeTest, PassesAContinueOnAndThenTheAnswer)
{
    world.client_sends(ask("/admin", "Content-Length: 4\r\nExpect: 100-continue\r\n", "POST"));
    world.answer_page("HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(world.saw(), "100 ~");
    world.client_sends("body");
    world.answer_page(page());
    EXPECT_EQ(world.saw(), "100 200 page");
}

TEST_F(PageExchangeTest, AStreamEndsWithItsReader)
{
    const std::string stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    for (const bool half_closes : {true, false}) {
        ExchangeWorld own(with_pages());
        own.client_sends(ask("/events"));
        own.answer_page(stream + "data: 1\n\n");
        EXPECT_NE(own.client().got().find("data: 1"), std::string::npos);
        own.pass(std::chrono::hours(1));
        EXPECT_TRUE(own.client().open()) << "its silence is no reason to end it";
        if (half_closes) {
            own.client().finishes();
            own.run();
            EXPECT_TRUE(own.page().stream->got_end()) << "the pages learn it";
            own.page().stream->finishes();
        } else {
            own.client().breaks();
        }
        own.run();
        EXPECT_FALSE(own.page().stream->open());
        own.pass(seconds(5));
        EXPECT_EQ(own.sessions(), 0U);
    }
}

TEST_F(PageExchangeTest, AReaderThatDoesNotReadHoldsTheStreamBack)
{
    world.client_sends(ask("/events"));
    world.answer_page("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    world.client().takes(0);
    for (int i = 0; i < 10; ++i) world.answer_page(std::string(100'000, 'x'));
    EXPECT_GT(world.page().stream->unread(), 500'000U) << "the pages' server sees that its reader is slow";
    world.pass(world.config.timeouts.body_idle + seconds(5));
    EXPECT_EQ(world.sessions(), 0U);
}

TEST_F(PageExchangeTest, BecomesATunnelFor101)
{
    world.client_sends(ask("/events", "Upgrade: websocket\r\nConnection: Upgrade\r\n"));
    world.answer_page("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
    world.client_sends("frame");
    EXPECT_EQ(world.page().stream->got(), "frame");
    EXPECT_TRUE(world.client().got().ends_with("hello"));
    world.page().stream->finishes();
    world.client().finishes();
    world.run();
    world.pass(seconds(5));
    EXPECT_EQ(world.sessions(), 0U);
}

TEST_F(PageExchangeTest, SaysSoWhenThePagesDoNotAnswer)
{
    world.client_sends(ask("/status"));
    world.page().stream->finishes();
    world.run();
    EXPECT_EQ(world.answers().at(0).status(), 503);
    world.client_sends(ask("/status"));
    world.pass(seconds(31));
    EXPECT_EQ(world.answers().at(1).status(), 504);
    world.client_sends(get());
    world.answer(a, ok("goes on"));
    EXPECT_EQ(world.answers().at(2).status(), 200);
}

TEST_F(PageExchangeTest, SaysSoWithoutADescriptor)
{
    world.descriptors_left = false;
    world.client_sends(ask("/status"));
    EXPECT_EQ(world.answers().at(0).status(), 503);
}

TEST_F(PageExchangeTest, GivesUpWhenTheClientIsGone)
{
    world.client_sends(ask("/status"));
    world.client().breaks();
    world.run();
    EXPECT_EQ(world.sessions(), 0U);
    EXPECT_FALSE(world.page().stream->open());
}

TEST_F(PageExchangeTest, WhileTheBalancerEndsNoStreamBegins)
{
    world.plane.draining = true;
    world.client_sends(ask("/events"));
    EXPECT_EQ(world.pages(), 0U);
    EXPECT_EQ(world.answers().at(0).status(), 503);
    EXPECT_TRUE(world.client().got_end());
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
