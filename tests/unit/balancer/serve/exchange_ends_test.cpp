// Ends that an exchange must notice, and what its answers say about the connection.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

namespace hotspare::balancer {
namespace TEST_FILE {

// The write of an answer of the balancer's own fails: the exchange has ended, and must say so.
TEST(ExchangeClient, OneThatIsGoneBeforeItIsRefusedIsForgotten)
{
    ExchangeWorld world;
    world.connect_client().sends("GET / HTTP/1.1\r\n\r\n");
    world.client().breaks();
    world.run();
    world.pass(seconds(120));
    EXPECT_EQ(world.sessions(), 0U);
    EXPECT_FALSE(world.client().open());
}

TEST(ExchangeClient, OneWithABodyThatIsGoneBeforeItsRequestIsGivenUpIsForgotten)
{
    ExchangeWorld world;
    world.leaves({a, b});
    world.client_sends(put());
    world.client().breaks();
    world.run();
    world.pass(seconds(120));
    EXPECT_EQ(world.sessions(), 0U);
    EXPECT_EQ(world.counts(), "requests 1, aborted 1, lost no_backend 1");
}

// A hedge of which no byte was sent costs nothing; the request waits on for a backend that is silent, while another
// one is free.
TEST(ExchangeHedge, AHedgeThatIsRefusedIsFollowedByAnother)
{
    ExchangeWorld world(exchange_config(3));
    world.door(b, Door::refusing);
    world.client_sends(get());
    world.pass(milliseconds(204));
    EXPECT_EQ(world.connections(b), 1U);
    world.pass(seconds(1));
    world.answer(c, ok("from c"));
    EXPECT_EQ(world.saw(), "200 from c");
    EXPECT_EQ(world.trail(), "a outpaced, b+ refused, c+ answered");
    EXPECT_EQ(world.evidence(), "a outpaced, b refused, b diverted");
}

// RFC 9112 §9.3: to an HTTP/1.0 client a connection persists only if the answer says so. Without either it waits for
// the end, which comes after timeouts.client_idle.
TEST(ExchangeClient, OneOfHttp10IsToldThatItsConnectionPersistsAlsoByOwnAnswers)
{
    Config config = exchange_config();
    config.routes[0].prefix = "/x";
    ExchangeWorld world(config);
    world.client_sends("GET /y HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
    const auto answers = world.answers();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].status(), 404);
    EXPECT_TRUE(answers[0].lists("Connection", "keep-alive") || world.client().got_end());
}

// RFC 9110 §10.1.1: a final answer instead of a 100 says whether the connection is closed.
TEST(ExchangeEarlyAnswer, InsteadOfAContinueSaysThatTheConnectionEnds)
{
    ExchangeWorld world;
    world.client_sends(request("PUT", "Expect: 100-continue\r\nContent-Length: 4\r\n"));
    world.answer(a, response(417, "no"));
    EXPECT_EQ(world.saw(), "417 no; end");
    EXPECT_TRUE(world.answers().at(0).lists("Connection", "close"));
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
