// A second attempt beside one that stays silent.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

/// The first hedge delay: ten times the floor.
constexpr Duration hedge_delay = milliseconds(200);

void wait_for_hedge(ExchangeWorld& world)
{
    world.pass(hedge_delay + milliseconds(4));
}

/// A request is at `a`, and its hedge at `b`.
void race(ExchangeWorld& world, const std::string& bytes = get())
{
    world.client_sends(bytes);
    wait_for_hedge(world);
    ASSERT_EQ(world.connections(b), 1U);
    ASSERT_EQ(world.asked(b), world.asked(a));
}

void ends(ExchangeWorld& world, BackendIndex backend)
{
    world.at(backend).finishes();
    world.run();
}

TEST(ExchangeHedge, ASilentAttemptGetsARivalAndTheFirstAnswerWins)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.pass(hedge_delay - milliseconds(4));
    EXPECT_EQ(world.connections(b), 0U);
    world.pass(milliseconds(8));
    EXPECT_EQ(world.asked(b), "GET");
    world.answer(b, ok("from b"));
    EXPECT_EQ(world.saw(), "200 from b");
    EXPECT_EQ(world.trail(), "a outpaced, b+ answered");
    EXPECT_EQ(world.fates(), "a reset, b pooled");
    EXPECT_EQ(world.evidence(), "a outpaced");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1, hedges 1, saved hedge 1");
}

TEST(ExchangeHedge, TheOriginalMayStillWin)
{
    ExchangeWorld world;
    race(world);
    world.answer(a, ok("from a"));
    EXPECT_EQ(world.saw(), "200 from a");
    EXPECT_EQ(world.trail(), "a answered, b+ outpaced");
    EXPECT_EQ(world.fates(), "a pooled, b reset");
    EXPECT_EQ(world.evidence(), "a success");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1, hedges 1");
}

TEST(ExchangeHedge, NotEveryRequestMayRunTwice)
{
    struct Case {
        std::string bytes;
        bool hedged;
    };
    for (const Case& one : {Case{get(), true}, Case{request("HEAD"), true}, Case{request("OPTIONS"), true},
                            Case{put(), false}, Case{request("DELETE"), false}, Case{post(), false},
                            Case{request("POST", "Idempotency-Key: 1\r\n", "work"), true},
                            Case{request("PUT", "Idempotency-Key: 1\r\n", "work"), true},
                            Case{request("POST", "Idempotency-Key:\r\n", "work"), false},
                            Case{request("POST", "Idempotency-Key: 1\r\n", std::string(70 * 1024, 'x')), false},
                            Case{get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), false}}) {
        ExchangeWorld world;
        world.client_sends(one.bytes);
        world.pass(seconds(3));
        EXPECT_EQ(world.connections(b), one.hedged ? 1U : 0U) << one.bytes.substr(0, 60);
    }
}

TEST(ExchangeHedge, TheRouteMayNotMakeARequestRunTwice)
{
    Config config = exchange_config();
    config.routes[0].repeatable = true;
    ExchangeWorld world(config);
    world.client_sends(post());
    wait_for_hedge(world);
    EXPECT_EQ(world.connections(b), 0U);
    ends(world, a);
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangeHedge, AFailureOfTheOriginalLeavesTheMatterToTheHedge)
{
    ExchangeWorld world;
    race(world);
    ends(world, a);
    EXPECT_EQ(world.saw(), "");
    world.answer(b, ok("from b"));
    EXPECT_EQ(world.saw(), "200 from b");
    EXPECT_EQ(world.trail(), "a reset, b+ answered");
    EXPECT_EQ(world.evidence(), "a reset, a diverted");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1, hedges 1, saved hedge 1");
}

TEST(ExchangeHedge, AFailureOfTheHedgeLeavesTheMatterToTheOriginal)
{
    ExchangeWorld world;
    race(world);
    ends(world, b);
    EXPECT_EQ(world.saw(), "");
    world.answer(a, ok("from a"));
    EXPECT_EQ(world.saw(), "200 from a");
    EXPECT_EQ(world.trail(), "a answered, b+ reset");
    EXPECT_EQ(world.evidence(), "a success");
}

TEST(ExchangeHedge, BothMayBreakInEitherOrder)
{
    for (const bool original_first : {true, false}) {
        ExchangeWorld world(exchange_config(3));
        race(world);
        ends(world, original_first ? a : b);
        EXPECT_EQ(world.saw(), "");
        ends(world, original_first ? b : a);
        EXPECT_EQ(world.saw(), "502 problem");
        EXPECT_EQ(world.trail(), "a reset, b+ reset");
        EXPECT_EQ(world.fates(), "a reset, b reset");
        EXPECT_EQ(world.evidence(), "a reset");
        EXPECT_EQ(world.counts(), "requests 1, 5xx 1, hedges 1, lost no_backend 1");
    }
}

TEST(ExchangeHedge, AFailingStatusOfOneWaitsForTheOther)
{
    for (const bool original_first : {true, false}) {
        const BackendIndex first = original_first ? a : b;
        const BackendIndex second = original_first ? b : a;
        ExchangeWorld world;
        race(world);
        world.answer(first, response(503, "busy"));
        EXPECT_EQ(world.saw(), "");
        world.answer(second, ok());
        EXPECT_EQ(world.saw(), "200 hello");
        EXPECT_EQ(world.trail(), original_first ? "a failing_status, b+ answered" : "a answered, b+ failing_status");
        EXPECT_EQ(world.fates(), "a pooled, b pooled");
        EXPECT_EQ(world.evidence(), original_first ? "a diverted" : "a success");
    }
}

TEST(ExchangeHedge, TheSecondFailingStatusIsPassedOn)
{
    for (const bool original_first : {true, false}) {
        ExchangeWorld world;
        race(world);
        world.answer(original_first ? a : b, response(503, "first"));
        world.answer(original_first ? b : a, response(502, "second"));
        EXPECT_EQ(world.saw(), "502 second");
        EXPECT_EQ(world.evidence(), "");
        EXPECT_EQ(world.counts(), "requests 1, 5xx 1, hedges 1");
    }
}

TEST(ExchangeHedge, AfterBothHaveFailedAThirdIsAsked)
{
    ExchangeWorld world(exchange_config(3));
    race(world);
    world.answer(a, response(503, "one"));
    world.answer(b, response(503, "two"));
    world.answer(c, ok("from c"));
    EXPECT_EQ(world.saw(), "200 from c");
    EXPECT_EQ(world.trail(), "a failing_status, b+ failing_status, c answered");
    EXPECT_EQ(world.evidence(), "a diverted");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1, retries 1, hedges 1, saved retry 1");
}

TEST(ExchangeHedge, NoMoreThanTwoRunAtOnce)
{
    ExchangeWorld world(exchange_config(3));
    race(world);
    world.pass(seconds(5));
    EXPECT_EQ(world.connections(c), 0U);
    ends(world, b);
    world.pass(seconds(10));
    // One has broken: two at once could become three.
    EXPECT_EQ(world.connections(c), 0U);
}

TEST(ExchangeHedge, ARefusedHedgeLeavesTheMatterToTheOriginal)
{
    ExchangeWorld world;
    world.door(b, Door::refusing);
    world.client_sends(get());
    wait_for_hedge(world);
    EXPECT_EQ(world.connections(b), 1U);
    world.answer(a, ok());
    EXPECT_EQ(world.trail(), "a answered, b+ refused");
    EXPECT_EQ(world.evidence(), "a success, b refused, b diverted");
}

TEST(ExchangeHedge, AHedgeMayTakeAConnectionFromThePool)
{
    ExchangeWorld world;
    world.warm(b);
    world.client_sends(get());
    wait_for_hedge(world);
    world.answer(b, ok("from b"));
    EXPECT_EQ(world.trail(), "a outpaced, b+* answered");
    EXPECT_EQ(world.connections(b), 1U);
}

TEST(ExchangeHedge, AHedgeOnADeadConnectionIsNotTriedAgainWhileTheOriginalRuns)
{
    ExchangeWorld world;
    world.warm(b);
    world.client_sends(get());
    world.at(b).goes_unnoticed();
    wait_for_hedge(world);
    ends(world, b);
    EXPECT_EQ(world.connections(b), 1U);
    world.answer(a, ok());
    EXPECT_EQ(world.trail(), "a answered, b+* reset");
    EXPECT_EQ(world.evidence(), "a success");
}

TEST(ExchangeHedge, WithoutABudgetThereIsNone)
{
    Config config = exchange_config();
    config.pools[0].retry.budget_ratio = config.pools[0].retry.budget_per_second = 0;
    ExchangeWorld world(config);
    world.client_sends(get());
    world.pass(seconds(3));
    EXPECT_EQ(world.connections(b), 0U);
    world.answer(a, ok());
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1");
}

TEST(ExchangeHedge, WithOneAttemptAllowedThereIsNone)
{
    Config config = exchange_config();
    config.pools[0].retry.attempts = 1;
    ExchangeWorld world(config);
    world.client_sends(get());
    world.pass(seconds(3));
    EXPECT_EQ(world.connections(b), 0U);
}

TEST(ExchangeHedge, ItComesLaterWhereNoBackendWasFreeAtFirst)
{
    ExchangeWorld world;
    world.leaves({b});
    world.client_sends(get());
    wait_for_hedge(world);
    EXPECT_EQ(world.connections(b), 0U);
    world.comes_back(b);
    world.pass(hedge_delay + milliseconds(50));
    EXPECT_EQ(world.asked(b), "GET");
}

TEST(ExchangeHedge, AConnectionThatIsNotMadeInThatTimeIsGivenUpAtNoCost)
{
    ExchangeWorld world;
    world.door(a, Door::silent);
    world.client_sends(get());
    wait_for_hedge(world);
    EXPECT_EQ(world.fates(), "a reset, b open");
    world.answer(b, ok());
    EXPECT_EQ(world.trail(), "a connect_timeout, b answered");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1, retries 1, saved retry 1");
}

TEST(ExchangeHedge, WithoutAnotherBackendAConnectionHasItsFullTime)
{
    ExchangeWorld world(exchange_config(1));
    world.door(a, Door::silent);
    world.client_sends(get());
    world.pass(milliseconds(990));
    EXPECT_EQ(world.fates(), "a open");
    world.pass(milliseconds(15));
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_EQ(world.evidence(), "a refused");
    EXPECT_EQ(world.saw(), ""); // it is parked
    world.pass(seconds(2));
    EXPECT_EQ(world.saw(), "503 problem");
    EXPECT_EQ(world.trail(), "a connect_timeout");
}

TEST(ExchangeHedge, TheClockStartsWhenTheRequestIsComplete)
{
    ExchangeWorld world;
    const std::string bytes = request("POST", "Idempotency-Key: 1\r\n", "work");
    world.client_sends(bytes.substr(0, bytes.size() - 1));
    world.pass(seconds(2));
    EXPECT_EQ(world.connections(b), 0U);
    world.client_sends("k");
    world.pass(hedge_delay - milliseconds(4));
    EXPECT_EQ(world.connections(b), 0U);
    world.pass(milliseconds(8));
    EXPECT_EQ(world.asked(b), "POST work");
}

TEST(ExchangeHedge, ABackendThatGoesDownLeavesTheMatterToTheOther)
{
    ExchangeWorld world;
    race(world);
    world.goes_down(a);
    EXPECT_EQ(world.fates(), "a reset, b open");
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a moved, b+ answered");
    EXPECT_EQ(world.evidence(), "");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1, hedges 1, saved hedge 1");
}

TEST(ExchangeHedge, BothBackendsMayGoDown)
{
    ExchangeWorld world(exchange_config(3));
    race(world);
    for (const BackendIndex backend : {a, b}) {
        ++world.routing.backends[backend].down_count;
        world.routing.pools[0].candidates[backend].tier = Tier::excluded;
    }
    world.publish();
    world.answer(c, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a moved, b+ moved, c answered");
}

TEST(ExchangeHedge, TwoThatAreSilentToTheEndSayNothingAboutTheirBackends)
{
    ExchangeWorld world;
    race(world);
    world.pass(seconds(30));
    EXPECT_EQ(world.saw(), "504 problem");
    EXPECT_EQ(world.trail(), "a timed_out, b+ timed_out");
    EXPECT_EQ(world.fates(), "a reset, b reset");
    EXPECT_EQ(world.evidence(), "");
    EXPECT_EQ(world.counts(), "requests 1, 5xx 1, hedges 1, lost deadline 1");
}

TEST(ExchangeHedge, AClientThatLeavesCancelsBoth)
{
    ExchangeWorld world;
    race(world);
    world.client().breaks();
    world.run();
    EXPECT_EQ(world.trail(), "a cancelled, b+ cancelled");
    EXPECT_EQ(world.fates(), "a reset, b reset");
    EXPECT_EQ(world.evidence(), "");
    EXPECT_EQ(world.counts(), "requests 1, aborted 1, hedges 1");
}

// ------------------------------------------------------------------------------------------------------------- interim

TEST(ExchangeHedge, OfTheLoserNoInterimResponseIsHeard)
{
    ExchangeWorld world;
    race(world);
    world.answer(a, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    world.answer(b, "HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n");
    EXPECT_EQ(world.saw(), "");
    world.answer(b, ok("from b"));
    EXPECT_EQ(world.saw(), "103 200 from b");
    EXPECT_EQ(world.client().got().find("</a>"), std::string::npos);
    EXPECT_NE(world.client().got().find("</b>"), std::string::npos);
}

TEST(ExchangeHedge, InterimResponsesComeBeforeTheirAnswerAndInOrder)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n");
    EXPECT_EQ(world.saw(), "");
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "102 103 200 hello");
}

TEST(ExchangeHedge, InterimResponsesEndNoSilence)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, "HTTP/1.1 103 Early Hints\r\n\r\n");
    wait_for_hedge(world);
    EXPECT_EQ(world.asked(b), "GET");
}

TEST(ExchangeHedge, OfARetriedAttemptNoInterimResponseIsHeard)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(503, "busy"));
    world.answer(b, ok("from b"));
    EXPECT_EQ(world.saw(), "200 from b");
}

TEST(ExchangeHedge, MoreInterimResponsesThanAnyClientWantsAreDropped)
{
    ExchangeWorld world;
    world.client_sends(get());
    const std::string hint = "HTTP/1.1 103 Early Hints\r\nLink: </" + std::string(1000, 'x') + ">\r\n\r\n";
    for (int i = 0; i < 40; ++i) world.answer(a, hint);
    world.answer(a, ok());
    const auto answers = world.answers();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].status(), 200);
    EXPECT_GE(answers[0].interim.size(), 10U);
    EXPECT_LE(answers[0].interim.size(), 17U);
}

TEST(ExchangeHedge, AClientOfHttp10GetsNoInterimResponse)
{
    ExchangeWorld world;
    world.client_sends("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    world.answer(a, "HTTP/1.1 103 Early Hints\r\n\r\n" + ok());
    EXPECT_EQ(world.saw(), "200 hello; end");
}

TEST(ExchangeHedge, ManyFastAnswersBringItForward)
{
    ExchangeWorld world;
    for (int i = 0; i < 20; ++i) {
        world.client_sends(get());
        world.answer(a, ok());
    }
    EXPECT_EQ(world.plane.hedge_delays[0].current(), milliseconds(20));
    world.client_sends(get());
    world.pass(milliseconds(24));
    EXPECT_EQ(world.connections(b), 1U);
}

// What only the slow requests get would say that all are fast.
TEST(ExchangeHedge, TheAnswersOfHedgesDoNotSayHowLongToWait)
{
    ExchangeWorld world;
    for (int i = 0; i < 20; ++i) {
        world.pass(milliseconds(10));
        world.comes_back(a); // whatever races it has lost
        world.client_sends(get());
        world.pass(hedge_delay + milliseconds(4));
        world.answer(b, ok());
        EXPECT_EQ(world.trail().substr(0, 10), "a outpaced");
    }
    EXPECT_EQ(world.answers().size(), 20U);
    EXPECT_EQ(world.plane.hedge_delays[0].current(), hedge_delay);
}

TEST(ExchangeHedge, ARequestThatCouldNotBeHedgedDoesNotSayHowLongToWait)
{
    ExchangeWorld world;
    for (int i = 0; i < 20; ++i) {
        world.client_sends(post());
        world.answer(a, ok());
    }
    EXPECT_EQ(world.plane.hedge_delays[0].current(), hedge_delay);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
