// Requests that no backend can take at the moment.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

std::int64_t parked(const ExchangeWorld& world)
{
    return world.counters.pools.find(0)->parked.value();
}

TEST(ExchangePark, ARequestWaitsUntilABackendReturns)
{
    for (const auto& bytes : {get(), post()}) {
        ExchangeWorld world;
        world.leaves({a, b});
        world.client_sends(bytes);
        world.pass(milliseconds(700));
        EXPECT_EQ(world.saw(), "");
        EXPECT_EQ(parked(world), 1);
        world.comes_back(b);
        EXPECT_EQ(parked(world), 0);
        world.answer(b, ok());
        EXPECT_EQ(world.saw(), "200 hello");
        EXPECT_EQ(world.trail(), "b answered");
        EXPECT_EQ(world.evidence(), "b success");
        EXPECT_EQ(world.counts(), "requests 1, 2xx 1, saved park 1");
    }
}

TEST(ExchangePark, PatienceLastsUntilJustBeforeItsEnd)
{
    ExchangeWorld world;
    world.leaves({a, b});
    world.client_sends(get());
    world.pass(milliseconds(1999));
    EXPECT_EQ(world.saw(), "");
    world.comes_back(a);
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangePark, WhenPatienceEndsTheClientIsToldToTryAgain)
{
    ExchangeWorld world;
    world.leaves({a, b});
    world.client_sends(get());
    world.pass(milliseconds(2004));
    EXPECT_EQ(world.saw(), "503 problem");
    EXPECT_EQ(world.answers().at(0).header("Retry-After"), "1");
    EXPECT_EQ(world.trail(), "");
    EXPECT_EQ(world.counts(), "requests 1, 5xx 1, lost no_backend 1");
    EXPECT_EQ(world.connections(a) + world.connections(b), 0U);
}

TEST(ExchangePark, TheTimeOfTheRequestEndsItsPatienceToo)
{
    Config config = exchange_config();
    config.routes[0].timeout = seconds(1);
    ExchangeWorld world(config);
    world.leaves({a, b});
    world.client_sends(get());
    world.pass(milliseconds(999));
    EXPECT_EQ(world.saw(), "");
    world.pass(milliseconds(5));
    EXPECT_EQ(world.saw(), "503 problem");
}

TEST(ExchangePark, WhatWasRefusedEverywhereWaitsAndGoesBackToTheSameBackend)
{
    ExchangeWorld world;
    world.door(a, Door::refusing);
    world.door(b, Door::refusing);
    world.client_sends(post());
    EXPECT_EQ(world.saw(), "");
    EXPECT_EQ(world.fates(), "a reset, b reset");
    world.door(a, Door::open);
    world.pass(milliseconds(300));
    world.comes_back(a);
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a refused, b refused, a answered");
    EXPECT_EQ(world.evidence(), "a success, a refused, b refused, b diverted");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1, retries 2, saved park 1");
}

TEST(ExchangePark, AllStaysTogetherCountAgainstOnePatience)
{
    ExchangeWorld world(exchange_config(1));
    world.door(a, Door::refusing);
    world.client_sends(get());
    for (int i = 0; i < 3; ++i) {
        world.pass(milliseconds(600));
        EXPECT_EQ(world.saw(), "") << i;
        world.comes_back(a);
        world.pass(milliseconds(5));
    }
    world.pass(milliseconds(190));
    EXPECT_EQ(world.saw(), "503 problem");
    EXPECT_EQ(world.trail(), "a refused, a refused, a refused, a refused");
}

TEST(ExchangePark, AReleasedRequestHasTheRestOfItsTime)
{
    Config config = exchange_config();
    config.routes[0].timeout = seconds(3);
    ExchangeWorld world(config);
    world.leaves({a, b});
    world.client_sends(get());
    world.pass(milliseconds(1500));
    world.comes_back(a);
    world.pass(milliseconds(1490));
    EXPECT_EQ(world.saw(), "");
    world.pass(milliseconds(20));
    EXPECT_EQ(world.saw(), "504 problem");
    EXPECT_EQ(world.trail(), "a timed_out");
    EXPECT_EQ(world.evidence(), "a timed_out");
}

TEST(ExchangePark, AFullLotTakesNoMore)
{
    Config config = exchange_config();
    config.pools[0].park.limit = 1;
    ExchangeWorld world(config);
    world.leaves({a, b});
    world.client_sends(get());
    world.connect_client().sends(get());
    world.run();
    EXPECT_EQ(world.saw({}, 0), "");
    EXPECT_EQ(world.saw({}, 1), "503 problem");
}

TEST(ExchangePark, ThePlaceOfAClientThatLeftIsFree)
{
    Config config = exchange_config();
    config.pools[0].park.limit = 1;
    ExchangeWorld world(config);
    world.leaves({a, b});
    world.client_sends(get());
    world.client().breaks();
    world.run();
    EXPECT_EQ(world.saw({}, 0), "reset");
    world.connect_client().sends(get());
    world.run();
    EXPECT_EQ(world.saw({}, 1), "");
    world.comes_back(a);
    world.answer(a, ok());
    EXPECT_EQ(world.saw({}, 1), "200 hello");
    EXPECT_EQ(world.counts(), "requests 2, aborted 1, 2xx 1, saved park 1");
}

TEST(ExchangePark, AHalfCloseIsNoAbort)
{
    ExchangeWorld world;
    world.leaves({a, b});
    world.client_sends(get());
    world.client().finishes();
    world.run();
    EXPECT_EQ(world.saw(), "");
    world.comes_back(a);
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello; end");
}

TEST(ExchangePark, ReleaseIsPaced)
{
    Config config = exchange_config(1);
    config.pools[0].park.release_per_second = 100;
    ExchangeWorld world(config);
    world.leaves({a});
    for (int i = 0; i < 5; ++i) world.connect_client().sends(get());
    world.run();
    EXPECT_EQ(parked(world), 5);
    world.pass(milliseconds(100));
    world.comes_back(a);
    EXPECT_EQ(world.connections(a), 1U);
    world.pass(milliseconds(30)); // one every 10 ms, at the next tick of the wheel
    EXPECT_EQ(world.connections(a), 3U);
    EXPECT_EQ(parked(world), 2);
    world.pass(milliseconds(50));
    EXPECT_EQ(world.connections(a), 5U);
    EXPECT_EQ(parked(world), 0);
}

// Connect first: what was not read can still go anywhere, however large it is.
TEST(ExchangePark, TheBodyOfAWaitingRequestStaysWithItsClient)
{
    ExchangeWorld world;
    world.leaves({a, b});
    const std::string body(200 * 1024, 'x');
    world.client_sends(request("POST", "Content-Length: 204800\r\n"));
    world.client().sends_in_pieces(body, 10000);
    world.run();
    EXPECT_EQ(world.client().unread(), body.size());
    world.comes_back(a);
    EXPECT_EQ(world.client().unread(), 0U);
    EXPECT_EQ(world.request_at(a).body, body);
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangePark, ASecondRequestBehindAWaitingOneIsAnsweredAfterIt)
{
    ExchangeWorld world;
    world.leaves({a, b});
    world.client_sends(get());
    world.client_sends(get());
    world.comes_back(a);
    world.answer(a, ok("one"));
    world.answer(a, ok("two"));
    EXPECT_EQ(world.saw(), "200 one; 200 two");
    EXPECT_EQ(world.counts(), "requests 2, 2xx 2, saved park 1");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
