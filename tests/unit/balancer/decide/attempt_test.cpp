#include "balancer/decide/attempt.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

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
    EXPECT_EQ(ledger.failed(first, Outcome::failing_status, now, budget).move, Move::wait);
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

TEST(AttemptLedger, ANewRoundMayTryAgainWhatWasNotSent)
{
    AttemptLedger ledger(get);
    auto budget = rich();
    ledger.failed(ledger.begin(0, false, false, now), Outcome::refused, now, budget);
    ledger.new_round();
    EXPECT_FALSE(ledger.tried(0));
}

TEST(AttemptLedger, NoRoundGoesBackToABackendThatWasSentTheRequest)
{
    for (const Outcome outcome : {Outcome::reset, Outcome::timed_out, Outcome::malformed, Outcome::failing_status,
                                  Outcome::moved, Outcome::outpaced, Outcome::cancelled}) {
        AttemptLedger ledger(get);
        auto budget = rich();
        const auto id = ledger.begin(0, false, false, now);
        ledger.sent(id);
        ledger.failed(id, outcome, now, budget);
        ledger.new_round();
        EXPECT_TRUE(ledger.tried(0)) << to_string(outcome);
        EXPECT_TRUE(ledger.sent_to(0)) << to_string(outcome);
        EXPECT_FALSE(ledger.tried(1)) << to_string(outcome);
    }
}

TEST(AttemptLedger, TheSecondBackendThatBreaksIsTheLast)
{
    AttemptLedger ledger(get);
    auto budget = rich();
    auto id = ledger.begin(0, false, false, now);
    ledger.sent(id);
    EXPECT_EQ(ledger.failed(id, Outcome::reset, now, budget).move, Move::elsewhere);
    id = ledger.begin(1, false, false, now);
    ledger.sent(id);
    const Verdict verdict = ledger.failed(id, Outcome::reset, now, budget);
    EXPECT_EQ(verdict.move, Move::give_up);
    EXPECT_EQ(verdict.reason, Reason::breaks_backends);
}

TEST(AttemptLedger, AResponseThatIsNotHttpIsTheLast)
{
    AttemptLedger ledger(get);
    auto budget = rich();
    const auto id = ledger.begin(0, false, false, now);
    ledger.sent(id);
    const Verdict verdict = ledger.failed(id, Outcome::malformed, now, budget);
    EXPECT_EQ(verdict.move, Move::give_up);
    EXPECT_EQ(verdict.reason, Reason::malformed);
}

TEST(AttemptLedger, SilenceAndFailingStatusesBreakNoBackend)
{
    for (const Outcome outcome : {Outcome::timed_out, Outcome::failing_status, Outcome::moved}) {
        AttemptLedger ledger(get);
        auto budget = rich();
        for (BackendIndex backend = 0; backend < 5; ++backend) {
            const auto id = ledger.begin(backend, false, false, now);
            ledger.sent(id);
            EXPECT_EQ(ledger.failed(id, outcome, now, budget).move, Move::elsewhere) << to_string(outcome);
        }
    }
}

/// The connection from the pool was not stale: its server died of the request, and refuses now.
TEST(AttemptLedger, ABackendThatRefusesAfterAResetOfItsPooledConnectionHasBroken)
{
    AttemptLedger ledger(get);
    auto budget = rich();
    auto id = ledger.begin(0, true, false, now);
    ledger.sent(id);
    EXPECT_EQ(ledger.failed(id, Outcome::reset, now, budget).move, Move::fresh);
    id = ledger.begin(0, false, false, now);
    EXPECT_EQ(ledger.failed(id, Outcome::refused, now, budget).move, Move::elsewhere);
    ledger.new_round();
    EXPECT_TRUE(ledger.tried(0));
    id = ledger.begin(1, true, false, now);
    ledger.sent(id);
    EXPECT_EQ(ledger.failed(id, Outcome::reset, now, budget).reason, Reason::breaks_backends);
}

/// All backends are killed at once: the first with the request on a pooled connection, the second while the request
/// waits unread in its kernel.
TEST(AttemptLedger, ARequestThatTheSecondBackendDidNotReadWaitsForIt)
{
    AttemptLedger ledger(get);
    auto budget = rich();
    const auto reset_unread = [&](BackendIndex backend, bool reused) {
        const auto id = ledger.begin(backend, reused, false, now);
        ledger.sent(id);
        ledger.unread(id);
        return ledger.failed(id, Outcome::reset, now, budget);
    };
    EXPECT_EQ(reset_unread(0, true).move, Move::fresh);
    EXPECT_EQ(ledger.failed(ledger.begin(0, false, false, now), Outcome::refused, now, budget).move, Move::elsewhere);
    EXPECT_EQ(reset_unread(1, false).move, Move::elsewhere);
    ledger.new_round();
    EXPECT_TRUE(ledger.tried(0));
    EXPECT_FALSE(ledger.tried(1)) << "it may get the request when it has returned";
    EXPECT_EQ(reset_unread(1, false).reason, Reason::breaks_backends) << "but once";
}

TEST(AttemptLedger, ABackendThatResetsConnectionsOnPurposeDoesNotGetTheRequestAgain)
{
    AttemptLedger ledger(get);
    auto budget = rich();
    for (const BackendIndex backend : {BackendIndex{0}, BackendIndex{1}}) {
        const auto id = ledger.begin(backend, false, false, now);
        ledger.sent(id);
        ledger.unread(id);
        EXPECT_EQ(ledger.failed(id, Outcome::reset, now, budget).move, Move::elsewhere);
    }
    ASSERT_EQ(ledger.spared(), BackendIndex{0}) << "one at most";
    EXPECT_FALSE(ledger.sent_to(0));
    EXPECT_TRUE(ledger.sent_to(1));
    ledger.deny_spared();
    ledger.new_round();
    EXPECT_TRUE(ledger.tried(0));
    EXPECT_TRUE(ledger.sent_to(0));
}

TEST(AttemptLedger, AHedgeIsNotSentOnceABackendHasBroken)
{
    AttemptLedger ledger(get);
    auto budget = rich();
    auto id = ledger.begin(0, false, false, now);
    ledger.sent(id);
    ledger.failed(id, Outcome::reset, now, budget);
    ledger.sent(ledger.begin(1, false, false, now));
    EXPECT_FALSE(ledger.may_hedge());
}

TEST(AttemptLedger, A408FromBeforeTheRequestSendsItAgainWhateverItsMethod)
{
    for (const RequestFacts facts : {get, put, post}) {
        AttemptLedger ledger(facts, 1);
        auto budget = broke();
        auto id = ledger.begin(0, true, false, now);
        ledger.sent(id);
        ASSERT_TRUE(ledger.may_be_stale(id));
        EXPECT_EQ(ledger.failed(id, Outcome::stale, now, budget).move, Move::fresh);
        EXPECT_FALSE(ledger.sent_to(0));
        id = ledger.begin(0, false, false, now);
        ledger.sent(id);
        EXPECT_FALSE(ledger.may_be_stale(id)) << "on a new connection it is an answer";
    }
}

TEST(AttemptLedger, A408IsAnAnswerWhereTheBodyCannotBeSentAgain)
{
    AttemptLedger ledger(post);
    const auto id = ledger.begin(0, true, false, now);
    ledger.sent(id);
    ledger.body_gone();
    EXPECT_FALSE(ledger.may_be_stale(id));
}

TEST(AttemptLedger, OnlyAttemptsThatWereSentCount)
{
    AttemptLedger ledger(get, 2);
    auto budget = rich();
    for (int round = 0; round < 1000; ++round) {
        for (const BackendIndex backend : {0, 1, 2}) {
            const auto id = ledger.begin(backend, false, false, now);
            ASSERT_EQ(ledger.failed(id, Outcome::refused, now, budget).move, Move::elsewhere);
        }
        ledger.new_round();
    }
    auto id = ledger.begin(0, false, false, now);
    ledger.sent(id);
    EXPECT_EQ(ledger.failed(id, Outcome::failing_status, now, budget).move, Move::elsewhere);
    id = ledger.begin(1, false, false, now);
    ledger.sent(id);
    EXPECT_FALSE(ledger.may_hedge());
    EXPECT_EQ(ledger.failed(id, Outcome::failing_status, now, budget).reason, Reason::attempts);
    // What was sent stays in the trail, and the latest of the rest.
    EXPECT_EQ(ledger.trail().size(), AttemptLedger::trail_size);
    EXPECT_EQ(ledger.trail().back().backend, 1);
    EXPECT_EQ(ledger.trail().back().outcome, Outcome::failing_status);
}

TEST(AttemptLedger, AHedgeCountsAsAnAttempt)
{
    AttemptLedger one(get, 1);
    one.sent(one.begin(0, false, false, now));
    EXPECT_FALSE(one.may_hedge());
    AttemptLedger two(get, 2);
    two.sent(two.begin(0, false, false, now));
    EXPECT_TRUE(two.may_hedge());
}

/// Every end that an attempt can have, at every stage, for every kind of request, alone or beside another.
TEST(AttemptLedger, EveryEndOfAnAttemptHasItsMove)
{
    for (const RequestFacts facts : {get, put, post})
        for (const Stage stage : {Stage::not_sent, Stage::sent, Stage::answered})
            for (const bool reused : {false, true})
                for (const bool body_gone : {false, true})
                    for (const bool beside : {false, true})
                        for (const Outcome outcome :
                             {Outcome::refused, Outcome::connect_timeout, Outcome::reset, Outcome::timed_out,
                              Outcome::malformed, Outcome::failing_status, Outcome::moved}) {
                            AttemptLedger ledger(facts);
                            auto budget = rich();
                            const auto id = ledger.begin(0, reused, false, now);
                            if (stage != Stage::not_sent) ledger.sent(id);
                            if (body_gone) ledger.body_gone();
                            if (stage == Stage::answered) ledger.answering(id, 200);
                            if (beside) ledger.begin(1, false, true, now);
                            const Move move = ledger.failed(id, outcome, now, budget).move;
                            const bool reset_in_pool = reused && outcome == Outcome::reset;
                            Move expected = Move::elsewhere;
                            if (stage == Stage::answered)
                                expected = Move::abort;
                            else if (beside)
                                expected = Move::wait;
                            else if (stage == Stage::not_sent)
                                expected = reset_in_pool ? Move::fresh : Move::elsewhere;
                            else if (!facts.repeatable || body_gone || outcome == Outcome::malformed)
                                expected = Move::give_up;
                            else if (reset_in_pool)
                                expected = Move::fresh;
                            EXPECT_EQ(move, expected)
                                << to_string(outcome) << " at stage " << static_cast<int>(stage) << ", reused "
                                << reused << ", body gone " << body_gone << ", beside another " << beside;
                        }
}

/// Whatever happens in whatever order: a request that must not be repeated is handed to at most one backend.
TEST(AttemptLedger, NoSequenceOfFailuresSendsAPostTwice)
{
    test::check_property(2000, [] {
        AttemptLedger ledger(post);
        auto budget = rich();
        int executions = 0;
        bool running = true;
        for (int step = 0; running && step < 40; ++step) {
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

/// A request that may be repeated, with hedges, rounds of waiting and every failure, as the proxy drives the ledger.
TEST(AttemptLedger, NoBackendGetsARequestAgainAndNoFleetDiesOfOne)
{
    test::check_property(3000, [] {
        const auto limit = *rc::gen::inRange<unsigned>(1, most_attempts + 1);
        const auto backends = *rc::gen::inRange<BackendIndex>(1, 24);
        AttemptLedger ledger(get, limit);
        auto budget = rich();

        struct Running {
            AttemptLedger::Id id;
            BackendIndex backend;
            bool sent = false;
        };
        std::vector<Running> running;
        std::map<BackendIndex, int> sends; ///< those that a backend may have seen
        std::set<BackendIndex> broken;
        std::size_t unread_sends = 0; ///< of which the backend has seen nothing
        bool free_retry_used = false, spared = false;
        std::size_t begun = 0;
        const auto start = [&](BackendIndex backend, bool reused, bool hedge) {
            running.push_back({ledger.begin(backend, reused, hedge, now), backend});
            ++begun;
        };
        const auto pick = [&]() -> std::optional<BackendIndex> {
            for (BackendIndex b = 0; b < backends; ++b)
                if (!ledger.tried(b)) return b;
            return std::nullopt;
        };

        start(0, *rc::gen::arbitrary<bool>(), false);
        for (int step = 0; step < 200 && !running.empty(); ++step) {
            auto& attempt = running[*rc::gen::inRange<std::size_t>(0, running.size())];
            const int dice = *rc::gen::inRange(0, 4);
            if (dice == 0 && !attempt.sent) {
                ledger.sent(attempt.id);
                attempt.sent = true;
                ++sends[attempt.backend];
                continue;
            }
            if (dice == 1) {
                if (const auto other = pick(); other && ledger.may_hedge()) start(*other, false, true);
                continue;
            }
            if (dice == 2) continue;

            const Running ended = attempt;
            running.erase(running.begin() + (&attempt - running.data()));
            auto outcome = ended.sent ? *rc::gen::element(Outcome::reset, Outcome::malformed, Outcome::timed_out,
                                                          Outcome::failing_status, Outcome::moved, Outcome::stale)
                                      : *rc::gen::element(Outcome::refused, Outcome::connect_timeout, Outcome::reset);
            if (outcome == Outcome::stale && !ledger.may_be_stale(ended.id)) outcome = Outcome::failing_status;
            if (outcome == Outcome::stale) --sends[ended.backend];
            const bool unread = ended.sent && outcome == Outcome::reset && *rc::gen::arbitrary<bool>();
            if (unread) ledger.unread(ended.id);
            const Verdict verdict = ledger.failed(ended.id, outcome, now, budget);
            if (verdict.move == Move::fresh && outcome == Outcome::reset && ended.sent) {
                RC_ASSERT(!free_retry_used);
                free_retry_used = true;
                --sends[ended.backend];
            } else if (unread && !spared) {
                spared = true;
                --sends[ended.backend];
                ++unread_sends;
            } else if (ended.sent && outcome == Outcome::reset) {
                RC_ASSERT(broken.insert(ended.backend).second);
            }
            switch (verdict.move) {
            case Move::fresh: start(ended.backend, false, false); break;
            case Move::elsewhere: {
                auto next = pick();
                if (!next) {
                    ledger.new_round();
                    next = pick();
                }
                if (next) start(*next, *rc::gen::arbitrary<bool>(), false);
                break;
            }
            default: break;
            }
        }
        std::size_t total = 0;
        for (const auto& [backend, times] : sends) {
            RC_ASSERT(times <= 1);
            total += static_cast<std::size_t>(times);
        }
        RC_ASSERT(total + unread_sends <= limit);
        RC_ASSERT(broken.size() <= AttemptLedger::most_broken);
        RC_ASSERT(ledger.trail().size() == std::min(begun, AttemptLedger::trail_size));
        RC_ASSERT(std::is_sorted(ledger.trail().begin(), ledger.trail().end(),
                                 [](const Attempt& a, const Attempt& b) { return a.id < b.id; }));
    });
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
