// How far one request goes that its backends fail on: the budget, the number of attempts, the second backend that
// breaks, and the one that is spared because it did not read the request.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

void ends(ExchangeWorld& world, BackendIndex backend)
{
    world.at(backend).finishes();
    world.run();
}

void resets(ExchangeWorld& world, BackendIndex backend)
{
    world.at(backend).breaks();
    world.run();
}

std::string detail(const ExchangeWorld& world)
{
    const auto answers = world.answers();
    return answers.empty() ? "" : answers.back().body;
}

/// `backend` works again; what waits for it is let go at the pool's pace.
void returns(ExchangeWorld& world, BackendIndex backend)
{
    world.comes_back(backend);
    world.pass(2 * DeadlineWheel::tick);
}

/// The last good probes are so old that what a request meets counts at once.
void age_probes(ExchangeWorld& world)
{
    world.pass(seconds(1));
}

TEST(ExchangeBroken, WithoutABudgetNothingIsRepeated)
{
    Config config = exchange_config();
    config.pools[0].retry.budget_ratio = config.pools[0].retry.budget_per_second = 0;
    ExchangeWorld world(config);
    world.client_sends(get());
    ends(world, a);
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_NE(detail(world).find("the retry budget is spent"), std::string::npos);
    EXPECT_EQ(world.counts(), "requests 1, 5xx 1, budget_exhausted 1, lost budget 1");
    EXPECT_EQ(world.evidence(), "a reset, a uncompared");
}

TEST(ExchangeBroken, WithoutABudgetAFailingStatusIsPassedOn)
{
    Config config = exchange_config();
    config.pools[0].retry.budget_ratio = config.pools[0].retry.budget_per_second = 0;
    ExchangeWorld world(config);
    world.client_sends(get());
    world.answer(a, response(503, "busy"));
    EXPECT_EQ(world.saw(), "503 busy");
    EXPECT_EQ(world.trail(), "a answered");
    EXPECT_EQ(world.counts(), "requests 1, 5xx 1");
}

TEST(ExchangeBroken, AFailingStatusIsPassedOnWhereNoOtherBackendIsLeft)
{
    ExchangeWorld world;
    world.leaves({b});
    world.client_sends(get());
    world.answer(a, response(503, "busy"));
    EXPECT_EQ(world.saw(), "503 busy");
    EXPECT_EQ(world.trail(), "a answered");
    EXPECT_EQ(world.evidence(), "");
}

TEST(ExchangeBroken, TheLastOfSeveralFailingStatusesIsPassedOn)
{
    ExchangeWorld world(exchange_config(3));
    world.client_sends(get());
    world.answer(a, response(500, "one"));
    world.answer(b, response(502, "two"));
    world.answer(c, response(503, "three"));
    EXPECT_EQ(world.saw(), "503 three");
    EXPECT_EQ(world.trail(), "a failing_status, b failing_status, c answered");
    EXPECT_EQ(world.fates(), "a pooled, b pooled, c pooled");
    EXPECT_EQ(world.evidence(), "");
}

TEST(ExchangeBroken, ARequestIsSentAsOftenAsItsPoolAllows)
{
    Config config = exchange_config(3);
    config.pools[0].retry.attempts = 2;
    ExchangeWorld world(config);
    world.client_sends(get());
    world.answer(a, response(503, "one"));
    world.answer(b, response(503, "two"));
    EXPECT_EQ(world.saw(), "503 two");
    EXPECT_EQ(world.trail(), "a failing_status, b answered");
    EXPECT_EQ(world.connections(c), 0U);
}

TEST(ExchangeBroken, TheSecondBackendThatDiesOfARequestIsTheLast)
{
    ExchangeWorld world(exchange_config(3));
    world.client_sends(get());
    ends(world, a);
    ends(world, b);
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_NE(detail(world).find("a second backend failed on it"), std::string::npos);
    EXPECT_EQ(world.trail(), "a reset, b reset");
    EXPECT_EQ(world.connections(c), 0U);
    EXPECT_EQ(world.evidence(), "a reset");
    EXPECT_EQ(world.counts(), "requests 1, 5xx 1, retries 1, lost no_backend 1");
}

TEST(ExchangeBroken, ARequestThatWasSentToEveryBackendIsNotParked)
{
    ExchangeWorld world(exchange_config(1));
    world.client_sends(get());
    ends(world, a);
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_NE(detail(world).find("no other backend is left to try"), std::string::npos);
    EXPECT_EQ(world.trail(), "a reset");
}

TEST(ExchangeBroken, RefusalsAreNotCountedAsFailuresOfTheRequest)
{
    ExchangeWorld world(exchange_config(4));
    world.door(a, Door::refusing);
    world.door(b, Door::refusing);
    world.door(c, Door::refusing);
    world.client_sends(post());
    world.answer(3, ok("from d"));
    EXPECT_EQ(world.saw(), "200 from d");
    EXPECT_EQ(world.trail(), "a refused, b refused, c refused, d answered");
    EXPECT_EQ(world.evidence(), "a refused, a diverted, b refused, b diverted, c refused, c diverted, d success");
}

TEST(ExchangeBroken, OneThatWasSentAndThenRefusedElsewhereIsStillNotRepeatedIfItIsAPost)
{
    ExchangeWorld world(exchange_config(3));
    world.warm(a);
    world.at(a).goes_unnoticed();
    world.at(a).finishes();
    world.door(b, Door::refusing);
    world.client_sends(post());
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_EQ(world.connections(b) + world.connections(c), 0U);
}

// -------------------------------------------------------------------------------------------------------------- unread

TEST(ExchangeBroken, ABackendThatDidNotReadARequestGetsItOnceItWasDown)
{
    ExchangeWorld world;
    age_probes(world);
    world.client_sends(get());
    resets(world, a);
    resets(world, b);
    EXPECT_EQ(world.saw(), "");
    world.goes_down(b);
    world.goes_down(a);
    world.pass(milliseconds(500));
    EXPECT_EQ(world.fates(), "a reset, b reset");
    returns(world, a);
    world.answer(a, ok("again"));
    EXPECT_EQ(world.saw(), "200 again");
    EXPECT_EQ(world.trail(), "a reset, b reset, a answered");
    EXPECT_EQ(world.evidence(), "a success, a reset");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1, retries 2, saved park 1");
}

TEST(ExchangeBroken, OnlyTheFirstBackendThatDidNotReadItIsSpared)
{
    ExchangeWorld world;
    age_probes(world);
    world.client_sends(get());
    resets(world, a);
    resets(world, b);
    world.goes_down(a);
    world.goes_down(b);
    returns(world, b);
    world.pass(milliseconds(100));
    EXPECT_EQ(world.connections(b), 1U);
    EXPECT_EQ(world.saw(), "");
    returns(world, a);
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangeBroken, ABackendThatResetOnPurposeDoesNotGetTheRequestAgain)
{
    ExchangeWorld world;
    age_probes(world);
    world.client_sends(get());
    resets(world, a);
    resets(world, b);
    EXPECT_EQ(world.saw(), "");
    // It passes a probe that started later, without having been down.
    world.pass(milliseconds(100));
    returns(world, a);
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_EQ(world.trail(), "a reset, b reset");
    EXPECT_EQ(world.connections(a), 1U);
}

TEST(ExchangeBroken, ThatTheOtherOneWasDownBeforeChangesNothing)
{
    ExchangeWorld world;
    world.goes_down(b);
    returns(world, b);
    age_probes(world);
    world.client_sends(get());
    resets(world, a);
    resets(world, b);
    world.pass(milliseconds(100));
    returns(world, a);
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_EQ(world.connections(a), 1U);
}

TEST(ExchangeBroken, WhileThatIsOpenTheRequestWaitsOn)
{
    ExchangeWorld world(exchange_config(3));
    age_probes(world);
    world.leaves({c});
    world.client_sends(get());
    resets(world, a);
    resets(world, b);
    // Another backend returns: a has neither been down nor passed a probe, and two have broken.
    returns(world, c);
    world.pass(milliseconds(100));
    EXPECT_EQ(world.connections(c), 0U);
    EXPECT_EQ(world.connections(a), 1U);
    EXPECT_EQ(world.saw(), "");
    world.goes_down(a);
    returns(world, a);
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangeBroken, AfterOneBackendThatDidNotReadItAnotherIsTriedFirst)
{
    ExchangeWorld world(exchange_config(3));
    age_probes(world);
    world.client_sends(get());
    resets(world, a);
    ends(world, b);
    EXPECT_EQ(world.connections(c), 0U);
    world.goes_down(a);
    returns(world, a);
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a reset, b reset, a answered");
}

// It was only moved there, but what it has not read did not break it: the reset speaks for itself.
TEST(ExchangeBroken, AResetOfWhatWasNotReadIsEvidenceAlsoAgainstTheSecondBackend)
{
    ExchangeWorld world;
    age_probes(world);
    world.client_sends(get());
    ends(world, a);
    resets(world, b);
    EXPECT_EQ(world.evidence(), "a reset, b reset");
    EXPECT_EQ(world.saw(), "");
    world.goes_down(b);
    returns(world, b);
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a reset, b reset, b answered");
}

TEST(ExchangeBroken, ASecondEndOfStreamIsNoEvidenceAgainstTheBackendThatTheRequestWasMovedTo)
{
    ExchangeWorld world;
    age_probes(world);
    world.client_sends(get());
    resets(world, a);
    ends(world, b);
    EXPECT_EQ(world.evidence(), "a reset");
}

TEST(ExchangeBroken, ARequestWithABodyIsNotHeldBack)
{
    ExchangeWorld world(exchange_config(3));
    age_probes(world);
    world.client_sends(put());
    resets(world, a);
    resets(world, b);
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_EQ(world.connections(c), 0U);
}

TEST(ExchangeBroken, NorIsOneOfWhoseAnswerSomethingHasCome)
{
    for (const char* bytes : {"HTTP/1.1 2", "HTTP/1.1 103 Hints\r\n\r\n"}) {
        ExchangeWorld world(exchange_config(3));
        age_probes(world);
        world.client_sends(get());
        world.answer(a, bytes);
        resets(world, a);
        world.answer(b, bytes);
        resets(world, b);
        EXPECT_EQ(world.saw(), "502 problem") << bytes;
        EXPECT_EQ(world.connections(c), 0U);
    }
}

TEST(ExchangeBroken, APostThatWasNotReadIsNotRepeatedEither)
{
    ExchangeWorld world;
    age_probes(world);
    world.client_sends(request("POST"));
    resets(world, a);
    EXPECT_EQ(world.saw(), "502 problem");
}

TEST(ExchangeBroken, WhatWaitsForItsBackendIsToldOfMaintenance)
{
    ExchangeWorld world;
    age_probes(world);
    world.client_sends(get());
    resets(world, a);
    resets(world, b);
    EXPECT_EQ(world.saw(), "");
    world.closes({});
    EXPECT_EQ(world.answers().at(0).status(), 503);
    EXPECT_EQ(world.answers().at(0).header("Retry-After"), "60");
    EXPECT_EQ(world.counts(), "requests 1, 5xx 1, retries 2");
}

TEST(ExchangeBroken, WhatWaitsForItsBackendWaitsNoLongerThanAnyOther)
{
    ExchangeWorld world;
    age_probes(world);
    world.client_sends(get());
    resets(world, a);
    resets(world, b);
    world.goes_down(a);
    world.pass(milliseconds(1990));
    EXPECT_EQ(world.saw(), "");
    world.pass(milliseconds(20));
    EXPECT_EQ(world.saw(), "503 problem");
    EXPECT_EQ(world.counts(), "requests 1, 5xx 1, retries 2, lost no_backend 1");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
