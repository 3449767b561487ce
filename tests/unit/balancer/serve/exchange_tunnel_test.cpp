// After a 101: bytes pass both ways.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

const std::string handshake = get("Connection: Upgrade\r\nUpgrade: websocket\r\n");
const std::string switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

void open_tunnel(ExchangeWorld& world)
{
    world.client_sends(handshake);
    world.answer(a, switched);
    ASSERT_EQ(world.answers().size(), 1U);
    ASSERT_EQ(world.answers().at(0).status(), 101);
    world.client().take_got();
    world.at(a).take_got();
}

TEST(ExchangeTunnel, BytesPassBothWays)
{
    ExchangeWorld world;
    open_tunnel(world);
    world.client_sends("ping");
    EXPECT_EQ(world.at(a).got(), "ping");
    world.answer(a, "pong");
    EXPECT_EQ(world.client().got(), "pong");
    world.client_sends("again");
    EXPECT_EQ(world.at(a).got(), "pingagain");
    EXPECT_EQ(world.evidence(), "a success");
}

TEST(ExchangeTunnel, WhatCameWithTheHandshakeGoesFirst)
{
    ExchangeWorld world;
    world.client_sends(handshake + "early");
    EXPECT_EQ(world.asked(a), "GET");
    world.answer(a, switched + "first");
    EXPECT_NE(world.client().got().find("\r\n\r\nfirst"), std::string::npos);
    EXPECT_TRUE(world.at(a).got().ends_with("\r\n\r\nearly"));
}

TEST(ExchangeTunnel, TheClientsEndIsPassedOnAndTheBackendMayFinish)
{
    ExchangeWorld world;
    open_tunnel(world);
    world.client().sends("bye");
    world.client().finishes();
    world.run();
    EXPECT_EQ(world.at(a).got(), "bye");
    EXPECT_TRUE(world.at(a).got_end());
    EXPECT_TRUE(world.client().open());
    world.pass(milliseconds(400));
    world.answer(a, "bye too");
    world.at(a).finishes();
    world.run();
    EXPECT_EQ(world.client().got(), "bye too");
    EXPECT_TRUE(world.client().got_end());
    EXPECT_EQ(world.fates(), "a closed");
    EXPECT_EQ(world.trail(), "a answered");
    EXPECT_EQ(world.counts(), "requests 1, 1xx 1");
}

TEST(ExchangeTunnel, TheBackendsEndIsPassedOnAndTheClientMayFinish)
{
    ExchangeWorld world;
    open_tunnel(world);
    world.at(a).sends("bye");
    world.at(a).finishes();
    world.run();
    EXPECT_EQ(world.client().got(), "bye");
    EXPECT_TRUE(world.client().got_end());
    world.client_sends("bye too");
    EXPECT_EQ(world.at(a).got(), "bye too");
    world.client().finishes();
    world.run();
    EXPECT_EQ(world.fates(), "a closed");
    EXPECT_TRUE(world.client().closed());
}

TEST(ExchangeTunnel, ASideThatHasFinishedLeavesTheOtherAMoment)
{
    for (const bool client_first : {true, false}) {
        ExchangeWorld world;
        open_tunnel(world);
        (client_first ? world.client() : world.at(a)).finishes();
        world.run();
        world.pass(milliseconds(490));
        EXPECT_EQ(world.fates(), "a open");
        world.pass(milliseconds(15));
        EXPECT_EQ(world.fates(), "a reset");
        EXPECT_TRUE(world.client().got_end());
        EXPECT_FALSE(world.client().was_reset());
    }
}

TEST(ExchangeTunnel, ASilentOneEndsAtLast)
{
    Config config = exchange_config();
    config.timeouts.tunnel_idle = seconds(10);
    ExchangeWorld world(config);
    open_tunnel(world);
    world.pass(seconds(9));
    world.client_sends("still there");
    world.pass(seconds(9));
    EXPECT_EQ(world.fates(), "a open");
    world.pass(seconds(1) + milliseconds(4));
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_TRUE(world.client().got_end());
    EXPECT_EQ(world.evidence(), "a success");
}

TEST(ExchangeTunnel, WhenItsBackendGoesDownTheClientIsToldByTheEnd)
{
    ExchangeWorld world;
    open_tunnel(world);
    world.client().takes(0);
    world.answer(a, "last words");
    world.client().takes_all();
    world.goes_down(a);
    EXPECT_EQ(world.client().got(), "last words");
    EXPECT_TRUE(world.client().got_end());
    EXPECT_FALSE(world.client().was_reset());
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_EQ(world.trail(), "a answered");
}

TEST(ExchangeTunnel, AnotherBackendThatGoesDownChangesNothing)
{
    ExchangeWorld world;
    open_tunnel(world);
    world.goes_down(b);
    world.client_sends("ping");
    EXPECT_EQ(world.at(a).got(), "ping");
}

TEST(ExchangeTunnel, ABrokenSideBreaksTheOther)
{
    for (const bool client_breaks : {true, false}) {
        ExchangeWorld world;
        open_tunnel(world);
        (client_breaks ? world.client() : world.at(a)).breaks();
        world.run();
        EXPECT_EQ(world.fates(), "a reset");
        EXPECT_TRUE(world.client().was_reset());
        EXPECT_EQ(world.counts(), "requests 1, aborted 1");
        EXPECT_EQ(world.evidence(), "a success");
    }
}

TEST(ExchangeTunnel, ASideThatTakesNothingHoldsTheOtherBack)
{
    ExchangeWorld world;
    open_tunnel(world);
    world.at(a).takes(5);
    world.client().sends_in_pieces(std::string(100 * 1024, 'x'), 8192);
    world.run();
    EXPECT_EQ(world.at(a).got(), "xxxxx");
    EXPECT_GE(world.client().unread(), 50U * 1024);
    // The other way is open all the same.
    world.answer(a, "pong");
    EXPECT_EQ(world.client().got(), "pong");
    world.at(a).takes_all();
    world.run();
    EXPECT_EQ(world.at(a).got().size(), 100U * 1024);
}

TEST(ExchangeTunnel, WhatWaitsForABlockedSideComesBeforeTheEnd)
{
    ExchangeWorld world;
    open_tunnel(world);
    world.client().takes(0);
    world.at(a).sends("tail");
    world.at(a).finishes();
    world.run();
    EXPECT_FALSE(world.client().got_end());
    world.client().takes_all();
    world.run();
    EXPECT_EQ(world.client().got(), "tail");
    EXPECT_TRUE(world.client().got_end());
}

TEST(ExchangeTunnel, ARefusedHandshakeIsAnOrdinaryAnswer)
{
    ExchangeWorld world;
    world.client_sends(handshake);
    world.answer(a, response(403, "no"));
    EXPECT_EQ(world.saw(), "403 no");
    EXPECT_EQ(world.fates(), "a pooled");
}

TEST(ExchangeTunnel, AHandshakeThatFailsIsSentElsewhere)
{
    ExchangeWorld world;
    world.client_sends(handshake);
    world.at(a).breaks();
    world.run();
    world.answer(b, switched);
    EXPECT_EQ(world.saw(), "101");
}

TEST(ExchangeTunnel, NothingGetsThroughTheWindowOfAnother)
{
    ExchangeWorld world(exchange_config(), Reading::socket);
    open_tunnel(world);
    world.connect_client().sends(handshake);
    world.run();
    world.answer(a, switched);
    world.client(1).take_got();
    world.at(a).take_got();
    for (int i = 0; i < 3; ++i) {
        world.client(0).sends("zero");
        world.client(1).sends("one");
        world.run();
    }
    EXPECT_EQ(world.connection(a, 0).got(), "zerozerozero");
    EXPECT_EQ(world.connection(a, 1).got(), "oneoneone");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
