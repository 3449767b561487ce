// Requests of a pool in maintenance.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

constexpr const char* browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

TEST(ExchangeMaintenance, ARequestIsAnsweredAtOnceAndNotLost)
{
    for (const auto& bytes : {get(), put(), post()}) {
        ExchangeWorld world;
        world.closes({.message = "new disks"});
        world.client_sends(bytes);
        EXPECT_EQ(world.saw().substr(0, 11), "503 problem");
        const auto answer = world.answers().at(0);
        EXPECT_EQ(answer.header("Retry-After"), "60");
        EXPECT_NE(answer.body.find("\"error\":\"the service is under maintenance: new disks\""), std::string::npos)
            << answer.body;
        EXPECT_EQ(world.trail(), "");
        EXPECT_EQ(world.counts(), "requests 1, 5xx 1");
        EXPECT_EQ(world.connections(a) + world.connections(b), 0U);
    }
}

TEST(ExchangeMaintenance, ABrowserGetsAPage)
{
    ExchangeWorld world;
    world.closes({.message = "new disks"});
    world.client_sends(get(browser));
    world.client_sends(get("Accept: */*;q=0.1\r\naccept: text/html\r\n"));
    world.client_sends(get("Accept: */*\r\n"));
    const auto answers = world.answers();
    ASSERT_EQ(answers.size(), 3U) << "the connection is kept";
    for (const std::size_t i : {0, 1}) {
        EXPECT_EQ(answers[i].status(), 503);
        EXPECT_EQ(answers[i].header("Content-Type"), "text/html; charset=utf-8");
        EXPECT_EQ(answers[i].header("Retry-After"), "60");
        EXPECT_NE(answers[i].body.find("<p>new disks</p>"), std::string::npos) << answers[i].body;
    }
    EXPECT_EQ(answers[2].header("Content-Type"), "application/problem+json");
}

TEST(ExchangeMaintenance, HeadGetsTheFieldsOfThePage)
{
    ExchangeWorld world;
    world.closes({});
    world.client_sends(request("HEAD", browser));
    const auto answers = world.answers({"HEAD"});
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].header("Content-Type"), "text/html; charset=utf-8");
    EXPECT_EQ(answers[0].body, "");
}

TEST(ExchangeMaintenance, ParkedRequestsAreAnsweredWhenItBegins)
{
    Config config = exchange_config();
    config.pools[0].park.release_per_second = 1; // they need not be paced
    ExchangeWorld world(config);
    world.leaves({a, b});
    for (int i = 0; i < 5; ++i) world.connect_client().sends(i == 0 ? get(browser) : get());
    world.pass(milliseconds(500));
    EXPECT_EQ(world.counters.pools[0].parked.value(), 5);
    world.closes({.message = "new disks"});
    EXPECT_EQ(world.counters.pools[0].parked.value(), 0);
    EXPECT_EQ(world.answers({}, 0).at(0).header("Content-Type"), "text/html; charset=utf-8");
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(world.answers({}, i).at(0).status(), 503) << i;
    EXPECT_EQ(world.counts(), "requests 5, 5xx 5");
}

TEST(ExchangeMaintenance, AParkedRequestThatWasRefusedBeforeIsAnsweredToo)
{
    ExchangeWorld world;
    world.door(a, Door::refusing);
    world.door(b, Door::refusing);
    world.client_sends(post());
    EXPECT_EQ(world.saw(), "");
    world.closes({});
    EXPECT_EQ(world.answers().at(0).status(), 503);
    EXPECT_EQ(world.trail(), "a refused, b refused");
    EXPECT_EQ(world.counts(), "requests 1, 5xx 1, retries 2");
}

TEST(ExchangeMaintenance, WhatIsInFlightIsFinished)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.closes({});
    EXPECT_EQ(world.saw(), "");
    world.client_sends(get());
    world.answer(a, ok());
    ASSERT_EQ(world.answers().size(), 2U);
    EXPECT_EQ(world.answers().at(0).status(), 200);
    EXPECT_EQ(world.answers().at(1).status(), 503) << "pipelined behind it";
}

TEST(ExchangeMaintenance, RequestsAreServedAgainWhenOneBackendReturns)
{
    ExchangeWorld world;
    world.closes({});
    world.client_sends(get());
    world.comes_back(b);
    world.client_sends(get());
    world.answer(b, ok());
    ASSERT_EQ(world.answers().size(), 2U);
    EXPECT_EQ(world.answers().at(1).status(), 200);
    EXPECT_EQ(world.counts(), "requests 2, 2xx 1, 5xx 1");
}

TEST(ExchangeMaintenance, ABodyThatIsNotReadEndsTheConnection)
{
    ExchangeWorld world;
    world.closes({});
    world.client_sends(request("POST", "Content-Length: 100000\r\n"));
    EXPECT_EQ(world.answers().at(0).status(), 503);
    EXPECT_TRUE(world.answers().at(0).lists("Connection", "close"));
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
