#include "balancer/attempt.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

namespace hotspare::balancer {
namespace {

const TimePoint now{std::chrono::hours(1)};

resilience::RetryBudget rich()
{
    return {1.0, 1000};
}
resilience::RetryBudget broke()
{
    return {0.0, 0.0};
}

constexpr RequestFacts get{.hedgeable = true, .repeatable = true};
constexpr RequestFacts put{.hedgeable = false, .repeatable = true};
constexpr RequestFacts post{.hedgeable = false, .repeatable = false};

TEST(AttemptLedger, ARefusedRequestGoesElsewhereWhateverItsMethodAndBudget)
{
    for (const RequestFacts facts : {get, put, post}) {
        AttemptLedger ledger(facts);
        auto budget = broke();
        const auto id = ledger.begin(0, false, false, now);
        EXPECT_EQ(ledger.failed(id, Outcome::refused, now, budget).move, Move::elsewhere);
        EXPECT_TRUE(ledger.tried(0));
        EXPECT_FALSE(ledger.tried(1));
    }
}

TEST(AttemptLedger, ARequestWhoseBodyIsGoneStillMovesWhileNothingWasSent)
{
    AttemptLedger ledger(post);
    auto budget = broke();
    const auto id = ledger.begin(0, false, false, now);
    EXPECT_EQ(ledger.failed(id, Outcome::refused, now, budget).move, Move::elsewhere);
}

TEST(AttemptLedger, ASentPostIsNeverSentAgain)
{
    AttemptLedger ledger(post);
    auto budget = rich();
    const auto id = ledger.begin(0, false, false, now);
    ledger.sent(id);
    const Verdict verdict = ledger.failed(id, Outcome::reset, now, budget);
    EXPECT_EQ(verdict.move, Move::give_up);
    EXPECT_EQ(verdict.reason, Reason::not_repeatable);
}

TEST(AttemptLedger, NotEvenOnAStaleConnection)
{
    AttemptLedger ledger(post);
    auto budget = rich();
    const auto id = ledger.begin(0, true, false, now);
    ledger.sent(id);
    EXPECT_EQ(ledger.failed(id, Outcome::reset, now, budget).move, Move::give_up);
}

TEST(AttemptLedger, ASentGetOrPutIsSentElsewhere)
{
    for (const RequestFacts facts : {get, put}) {
        AttemptLedger ledger(facts);
        auto budget = rich();
        const auto id = ledger.begin(0, false, false, now);
        ledger.sent(id);
        EXPECT_EQ(ledger.failed(id, Outcome::reset, now, budget).move, Move::elsewhere);
    }
}

TEST(AttemptLedger, RepeatingASentRequestDrawsOnTheBudget)
{
    AttemptLedger ledger(get);
    auto budget = broke();
    const auto id = ledger.begin(0, false, false, now);
    ledger.sent(id);
    const Verdict verdict = ledger.failed(id, Outcome::reset, now, budget);
    EXPECT_EQ(verdict.move, Move::give_up);
    EXPECT_EQ(verdict.reason, Reason::budget);
}

TEST(AttemptLedger, LeavingABackendThatWentDownIsFree)
{
    AttemptLedger ledger(get);
    auto budget = broke();
    const auto id = ledger.begin(0, false, false, now);
    ledger.sent(id);
    EXPECT_TRUE(ledger.may_move(id));
    EXPECT_EQ(ledger.failed(id, Outcome::moved, now, budget).move, Move::elsewhere);
}

TEST(AttemptLedger, AStaleConnectionEarnsOneFreeTryOnAFreshOne)
{
    AttemptLedger ledger(get);
    auto budget = broke();
    auto id = ledger.begin(0, true, false, now);
    ledger.sent(id);
    EXPECT_EQ(ledger.failed(id, Outcome::reset, now, budget).move, Move::fresh);
    id = ledger.begin(0, false, false, now);
    ledger.sent(id);
    EXPECT_EQ(ledger.failed(id, Outcome::reset, now, budget).move, Move::give_up);
}

TEST(AttemptLedger, APartlyAnsweredRequestIsCutOff)
{
    AttemptLedger ledger(get);
    auto budget = rich();
    const auto id = ledger.begin(0, false, false, now);
    ledger.sent(id);
    ledger.answering(id, 200);
    EXPECT_EQ(ledger.failed(id, Outcome::reset, now, budget).move, Move::abort);
}

TEST(AttemptLedger, ABodyBeyondTheReplayBufferCannotBeSentTwice)
{
    AttemptLedger ledger(put);
    auto budget = rich();
    const auto id = ledger.begin(0, false, false, now);
    ledger.sent(id);
    ledger.body_gone();
    const Verdict verdict = ledger.failed(id, Outcome::reset, now, budget);
    EXPECT_EQ(verdict.move, Move::give_up);
    EXPECT_EQ(verdict.reason, Reason::body_gone);
}

TEST(AttemptLedger, AnAttemptThatFailsBesideARunningOneWaitsForIt)
{
    AttemptLedger ledger(get);
    auto budget = rich();
    const auto first = ledger.begin(0, false, false, now);
    ledger.sent(first);
    const auto second = ledger.begin(1, false, true, now);
    ledger.sent(second);
    EXPECT_EQ(ledger.failed(first, Outcome::reset, now, budget).move, Move::wait);
    EXPECT_EQ(ledger.failed(second, Outcome::reset, now, budget).move, Move::elsewhere);
}

TEST(AttemptLedger, OnlySafeRequestsAreHedgedAndOnlyOnceAtATime)
{
    for (const RequestFacts facts : {put, post}) {
        AttemptLedger ledger(facts);
        ledger.sent(ledger.begin(0, false, false, now));
        EXPECT_FALSE(ledger.may_hedge());
    }
    AttemptLedger ledger(get);
    ledger.sent(ledger.begin(0, false, false, now));
    EXPECT_TRUE(ledger.may_hedge());
    ledger.begin(1, false, true, now);
    EXPECT_FALSE(ledger.may_hedge());
}

TEST(AttemptLedger, ANewRoundMayTryEveryBackendAgain)
{
    AttemptLedger ledger(get);
    auto budget = rich();
    ledger.failed(ledger.begin(0, false, false, now), Outcome::refused, now, budget);
    ledger.new_round();
    EXPECT_FALSE(ledger.tried(0));
}

/// Whatever happens in whatever order: a request that must not be repeated is handed to at most one backend.
TEST(AttemptLedger, NoSequenceOfFailuresSendsAPostTwice)
{
    test::check_property(2000, [] {
        AttemptLedger ledger(post);
        auto budget = rich();
        int executions = 0;
        bool running = true;
        while (running && !ledger.exhausted()) {
            const auto id =
                ledger.begin(*rc::gen::inRange<BackendIndex>(0, 3), *rc::gen::arbitrary<bool>(), false, now);
            if (*rc::gen::arbitrary<bool>()) {
                ledger.sent(id);
                ++executions;
            }
            if (*rc::gen::arbitrary<bool>()) ledger.body_gone();
            if (*rc::gen::arbitrary<bool>()) ledger.new_round();
            const auto outcome =
                *rc::gen::element(Outcome::refused, Outcome::reset, Outcome::timed_out, Outcome::moved,
                                  Outcome::malformed, Outcome::failing_status, Outcome::connect_timeout);
            const Verdict verdict = ledger.failed(id, outcome, now, budget);
            running = verdict.move == Move::elsewhere || verdict.move == Move::fresh;
        }
        RC_ASSERT(executions <= 1);
    });
}

/// Retries can never exceed what the budget grants, and attempts never their limit.
TEST(AttemptLedger, AttemptsAreBounded)
{
    test::check_property(2000, [] {
        AttemptLedger ledger(get);
        auto budget = rich();
        std::size_t attempts = 0;
        for (;;) {
            const auto id = ledger.begin(0, true, false, now);
            ++attempts;
            ledger.sent(id);
            const Verdict verdict = ledger.failed(id, Outcome::reset, now, budget);
            if (verdict.move != Move::elsewhere && verdict.move != Move::fresh) break;
            ledger.new_round();
        }
        RC_ASSERT(attempts <= AttemptLedger::max_attempts);
    });
}

} // namespace
} // namespace hotspare::balancer
