// Answers that come before their request is complete.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

std::string post_head(std::size_t length)
{
    return request("POST", "Content-Length: " + std::to_string(length) + "\r\n");
}

TEST(ExchangeEarlyAnswer, GoesOutAtOnceAndTheRestIsReadAndDropped)
{
    ExchangeWorld world;
    world.client_sends(post_head(100) + "part");
    world.answer(a, response(401, "who", "Connection: close\r\n"));
    EXPECT_EQ(world.saw(), "401 who; end");
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_EQ(world.trail(), "a answered");
    EXPECT_TRUE(world.client().open()); // it lingers
    world.client_sends(std::string(96, 'x'));
    EXPECT_EQ(world.client().unread(), 0U);
    world.client().finishes();
    world.run();
    EXPECT_TRUE(world.client().closed());
    EXPECT_EQ(world.evidence(), "a success");
}

TEST(ExchangeEarlyAnswer, OfWhichMoreIsToComeLetsTheUploadGoOn)
{
    ExchangeWorld world;
    world.client_sends(post_head(8) + "part");
    world.answer(a, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    EXPECT_EQ(world.saw(), "200 hel~");
    world.client_sends("rest");
    EXPECT_EQ(world.asked(a), "POST partrest");
    world.answer(a, "lo");
    EXPECT_EQ(world.saw(), "200 hello");
    // Both are whole: the connections of either side live on.
    EXPECT_EQ(world.fates(), "a pooled");
    world.client_sends(get());
    world.answer(a, ok("next"));
    EXPECT_EQ(world.saw(), "200 hello; 200 next");
}

TEST(ExchangeEarlyAnswer, AHeadThatPromisedMoreThanTheClientMayStillHaveIsNotBelied)
{
    ExchangeWorld world;
    world.client_sends(post_head(8) + "part");
    world.answer(a, ok());
    // The head went out before it was clear that the body would not be read: the end says it.
    EXPECT_EQ(world.saw(), "200 hello; end");
    world.client_sends("rest" + get());
    EXPECT_EQ(world.connections(a), 1U);
    EXPECT_EQ(world.saw(), "200 hello; end");
}

TEST(ExchangeEarlyAnswer, WhatTheBackendDoesNotTakeIsDroppedWhileItsAnswerGoesOut)
{
    ExchangeWorld world;
    world.client_sends(post_head(300 * 1024));
    world.client().takes(0);
    world.at(a).sends("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nno go");
    world.at(a).breaks();
    world.client().sends_in_pieces(std::string(300 * 1024, 'x'), 16 * 1024);
    world.run();
    EXPECT_EQ(world.client().unread(), 0U);
    world.client().takes_all();
    world.run();
    EXPECT_EQ(world.saw(), "403 no go");
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_EQ(world.counts(), "requests 1, 4xx 1");
    world.trail();
    EXPECT_EQ(world.logged.bytes_in, 300U * 1024);
    EXPECT_EQ(world.logged.bytes_out, world.client().got().size());
    // The whole request was read: another may follow.
    world.client_sends(get());
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "403 no go; 200 hello");
}

TEST(ExchangeEarlyAnswer, TheUploadIsDroppedAlsoWhileTheAnswerStillComes)
{
    ExchangeWorld world;
    world.client_sends(post_head(300 * 1024));
    world.client().takes(0);
    world.at(a).sends_in_pieces(response(403, std::string(100 * 1024, 'n')), 4096);
    world.at(a).breaks();
    world.client().sends_in_pieces(std::string(300 * 1024, 'x'), 16 * 1024);
    world.run();
    EXPECT_EQ(world.client().unread(), 0U);
    EXPECT_LE(world.plane.relay_memory.held(), 160U * 1024);
    world.client().takes_all();
    world.run();
    EXPECT_EQ(world.answers().at(0).body_bytes, 100U * 1024);
    EXPECT_EQ(world.fates(), "a reset");
}

TEST(ExchangeEarlyAnswer, NothingOfADroppedBodyIsTakenForARequest)
{
    ExchangeWorld world;
    const std::string smuggled = get();
    world.client_sends(post_head(smuggled.size()));
    world.client().takes(0);
    world.at(a).sends(response(403, "no"));
    world.at(a).breaks();
    world.run();
    world.client().sends(smuggled);
    world.run();
    world.client().takes_all();
    world.run();
    EXPECT_EQ(world.saw(), "403 no");
    EXPECT_EQ(world.connections(a), 1U);
    world.client_sends(request("DELETE"));
    EXPECT_EQ(world.asked(a), "DELETE");
    world.answer(a, ok("gone"));
    EXPECT_EQ(world.saw(), "403 no; 200 gone");
}

TEST(ExchangeEarlyAnswer, DroppedChunksMustBeValidAllTheSame)
{
    ExchangeWorld world;
    world.client_sends(request("POST", "Transfer-Encoding: chunked\r\n") + chunk("part"));
    world.client().takes(0);
    world.at(a).sends(response(403, "no"));
    world.at(a).breaks();
    world.run();
    world.client_sends("zz\r\n");
    EXPECT_EQ(world.saw(), "reset");
    EXPECT_EQ(world.counts(), "requests 1, aborted 1");
}

TEST(ExchangeEarlyAnswer, AClientThatEndsItsUploadThenHasGone)
{
    ExchangeWorld world;
    world.client_sends(post_head(100) + "part");
    world.client().takes(0);
    world.at(a).sends(response(403, "no"));
    world.at(a).breaks();
    world.run();
    world.client().finishes();
    world.run();
    EXPECT_EQ(world.saw(), "reset");
    EXPECT_EQ(world.counts(), "requests 1, aborted 1");
}

TEST(ExchangeEarlyAnswer, LetsTheClientUploadAsLongAsItMakesProgress)
{
    ExchangeWorld world;
    world.client_sends(post_head(100));
    world.answer(a, response(403, "no"));
    for (int i = 0; i < 5; ++i) {
        world.pass(seconds(20));
        EXPECT_TRUE(world.client().open());
        world.client_sends("x");
    }
    world.pass(seconds(31));
    EXPECT_TRUE(world.client().closed());
    EXPECT_EQ(world.saw(), "403 no; end");
}

TEST(ExchangeEarlyAnswer, ToARequestThatIsReadToItsEndLingersBriefly)
{
    ExchangeWorld world;
    world.client_sends(get("Connection: close\r\n"));
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello; end");
    world.pass(milliseconds(1990));
    EXPECT_TRUE(world.client().open());
    world.pass(milliseconds(15));
    EXPECT_TRUE(world.client().closed());
}

TEST(ExchangeEarlyAnswer, AFailingStatusDuringAnUploadIsTriedElsewhereIfItMayBe)
{
    ExchangeWorld world;
    world.client_sends(request("PUT", "Content-Length: 8\r\n") + "part");
    world.answer(a, response(503, "busy"));
    EXPECT_EQ(world.fates(), "a reset, b open"); // its request is not whole
    world.client_sends("rest");
    EXPECT_EQ(world.asked(b), "PUT partrest");
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangeEarlyAnswer, OfItsOwnDoesNotKeepTheConnectionEither)
{
    ExchangeWorld world;
    world.client_sends(post_head(100) + "part");
    world.at(a).breaks();
    world.run();
    EXPECT_EQ(world.saw(), "502 problem; end");
    EXPECT_NE(world.client().got().find("Connection: close\r\n"), std::string::npos);
}

TEST(ExchangeEarlyAnswer, WhoseBodyIsCutCutsTheClient)
{
    ExchangeWorld world;
    world.client_sends(post_head(100) + "part");
    world.answer(a, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    world.at(a).finishes();
    world.run();
    EXPECT_EQ(world.saw(), "200 hel~; reset");
    EXPECT_EQ(world.counts(), "requests 1, aborted 1, lost truncated 1");
}

TEST(ExchangeEarlyAnswer, BeyondTheReplayBufferTheUploadGoesOnBesideIt)
{
    ExchangeWorld world;
    const std::string body(300 * 1024, 'x');
    world.client_sends(post_head(body.size()));
    world.client().sends_in_pieces(body.substr(0, 100 * 1024), 16 * 1024);
    world.run();
    world.answer(a, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    world.client().sends_in_pieces(body.substr(100 * 1024), 16 * 1024);
    world.run();
    EXPECT_EQ(world.request_at(a).body, body);
    world.answer(a, "lo");
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.fates(), "a pooled");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
