#include "orders/validation_service/work.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace hotspare::orders {
namespace TEST_FILE {

const WallTime epoch_wall{seconds(1'700'000'000)};

/// A worker with a clock and nothing around it.
struct Bench {
    explicit Bench(WorkSettings settings = {}) : work(settings, 1, now) {}

    WallTime wall() const { return epoch_wall + (now - TimePoint{}); }

    /// The order service gives it `count` jobs.
    void lease(std::size_t count, unsigned attempts = 0)
    {
        std::vector<Lease> jobs;
        for (std::size_t i = 0; i < count; ++i)
            jobs.push_back({.what = {"o" + std::to_string(++orders), "x", 1},
                            .epoch = 1,
                            .attempts = attempts,
                            .created = wall()});
        work.leased(std::move(jobs), seconds(30), now);
    }

    void end(CallId id, CallEnd::Kind kind, Duration took = milliseconds(3), std::optional<Duration> retry_after = {})
    {
        now += took;
        work.call_ended(id, {.kind = kind, .text = "as told", .retry_after = retry_after}, now - took, wall() - took,
                        now);
    }

    /// One job, one call, one end: what is reported.
    Settlement outcome(CallEnd::Kind kind, unsigned attempts = 0, std::optional<Duration> retry_after = {})
    {
        lease(1, attempts);
        auto actions = work.next(now);
        EXPECT_EQ(actions.call.size(), 1U);
        end(actions.call.at(0).id, kind, milliseconds(3), retry_after);
        return report();
    }

    Settlement report()
    {
        auto actions = work.next(now);
        EXPECT_EQ(actions.settle.size(), 1U);
        work.settled({Settled::applied}, now);
        return actions.settle.at(0);
    }

    /// Five failed calls open the breaker.
    void open_breaker()
    {
        lease(5);
        for (const auto& call : work.next(now).call) end(call.id, CallEnd::Kind::failed);
        EXPECT_EQ(work.breaker().state(), resilience::BreakerState::open);
        const auto actions = work.next(now);
        work.settled(std::vector<Settled>(actions.settle.size(), Settled::applied), now);
    }

    TimePoint now{seconds(1000)};
    std::size_t orders = 0;
    Work work;
};

TEST(Work, LeasesAsManyAsItCanCall)
{
    Bench b({.concurrency = 3});
    EXPECT_EQ(b.work.next(b.now).lease, 3U);
    EXPECT_EQ(b.work.next(b.now).lease, 0U) << "one request at a time";
    b.lease(2);
    auto actions = b.work.next(b.now);
    EXPECT_EQ(actions.call.size(), 2U);
    EXPECT_EQ(actions.lease, 1U);
    b.work.lease_failed(b.now);
    actions = b.work.next(b.now);
    EXPECT_EQ(actions.lease, 0U);
    EXPECT_GT(actions.wake_at, b.now);
    b.now = actions.wake_at;
    EXPECT_EQ(b.work.next(b.now).lease, 1U) << "after a pause it asks again";
}

TEST(Work, ReportsTheValidatorsWord)
{
    Bench b;
    auto settlement = b.outcome(CallEnd::Kind::valid);
    EXPECT_EQ(settlement.kind, Settlement::Kind::verdict);
    EXPECT_EQ(settlement.status, Status::validated);
    ASSERT_EQ(settlement.attempts.size(), 1U);
    EXPECT_EQ(settlement.attempts[0].took, milliseconds(3));
    EXPECT_EQ(b.outcome(CallEnd::Kind::rejected).status, Status::rejected);
    EXPECT_EQ(b.work.counters().validated, 1U);
    EXPECT_EQ(b.work.counters().rejected, 1U);
}

TEST(Work, TriesAFailedCallAgainUntilTheAttemptsAreUsedUp)
{
    Bench b;
    auto settlement = b.outcome(CallEnd::Kind::failed, 0);
    EXPECT_EQ(settlement.kind, Settlement::Kind::retry);
    EXPECT_LE(settlement.pause, seconds(1));
    settlement = b.outcome(CallEnd::Kind::failed, 1);
    EXPECT_EQ(settlement.kind, Settlement::Kind::retry);
    EXPECT_LE(settlement.pause, seconds(4));
    settlement = b.outcome(CallEnd::Kind::failed, 2);
    EXPECT_EQ(settlement.kind, Settlement::Kind::verdict);
    EXPECT_EQ(settlement.status, Status::failed);
    EXPECT_NE(settlement.reason.find("3 attempts"), std::string::npos) << settlement.reason;
}

TEST(Work, NeverMakesAVerdictOutOfAFailure)
{
    for (const unsigned attempts : {0U, 1U, 2U, 7U}) {
        Bench b;
        const auto settlement = b.outcome(CallEnd::Kind::failed, attempts);
        EXPECT_TRUE(settlement.kind != Settlement::Kind::verdict || settlement.status == Status::failed);
    }
    Bench b;
    const auto refused = b.outcome(CallEnd::Kind::refused);
    EXPECT_EQ(refused.status, Status::failed);
    EXPECT_EQ(refused.kind, Settlement::Kind::verdict) << "the same answer would come again";
}

TEST(Work, ComesBackWhenTheValidatorSays)
{
    Bench b;
    const auto settlement = b.outcome(CallEnd::Kind::failed, 0, seconds(7));
    EXPECT_GE(settlement.pause, seconds(7));
    EXPECT_LE(settlement.pause, seconds(8));
}

TEST(Work, GivesUpPastTheDeadlineWhichRunsFromTheFirstAttempt)
{
    Bench b({.give_up_after = seconds(10)});
    const auto outcome = [&](unsigned attempts, Duration tried_for, Duration took) {
        std::vector<Lease> jobs{{.what = {"a", "x", 1},
                                 .epoch = 1,
                                 .attempts = attempts,
                                 .created = b.wall() - std::chrono::hours(25),
                                 .tried_for = tried_for}};
        b.work.leased(std::move(jobs), seconds(30), b.now);
        b.end(b.work.next(b.now).call.at(0).id, CallEnd::Kind::failed, took);
        return b.report();
    };
    EXPECT_EQ(outcome(0, seconds(0), milliseconds(3)).kind, Settlement::Kind::retry) << "however old the order is";
    EXPECT_EQ(outcome(0, seconds(0), seconds(11)).kind, Settlement::Kind::retry) << "the first one starts the time";
    EXPECT_EQ(outcome(1, seconds(1), milliseconds(3)).kind, Settlement::Kind::retry);
    for (const auto& settlement : {outcome(1, seconds(11), milliseconds(3)), outcome(1, seconds(5), seconds(6))}) {
        EXPECT_EQ(settlement.kind, Settlement::Kind::verdict);
        EXPECT_EQ(settlement.status, Status::failed);
        EXPECT_NE(settlement.reason.find("deadline"), std::string::npos);
    }
}

TEST(Work, FailsNoOrderForWhatItSawAfterItsLeaseHadEnded)
{
    Bench b;
    b.lease(1, 2); // its last attempt
    const auto call = b.work.next(b.now).call.at(0);
    b.end(call.id, CallEnd::Kind::failed, std::chrono::hours(25)); // it was stopped over a weekend
    const auto settlement = b.report();
    EXPECT_EQ(settlement.kind, Settlement::Kind::retry);
    EXPECT_FALSE(settlement.attempts.at(0).counts);

    b.lease(1, 2);
    const auto extended = b.work.next(b.now).call.at(0);
    b.now += seconds(20);
    ASSERT_EQ(b.work.next(b.now).extend.size(), 1U);
    b.work.extended({true}, b.now);
    b.end(extended.id, CallEnd::Kind::failed, seconds(20)); // 40 s after it was leased, 20 s after it was extended
    EXPECT_EQ(b.report().kind, Settlement::Kind::verdict);
}

TEST(Work, SendsARefusedReportInHalvesAndGivesUpTheOneThatIsRefused)
{
    Bench b({.concurrency = 100});
    b.lease(64);
    for (const auto& call : b.work.next(b.now).call) b.end(call.id, CallEnd::Kind::valid, Duration::zero());
    std::size_t taken = 0;
    int requests = 0;
    while (b.work.to_report() > 0) {
        ASSERT_LT(++requests, 100);
        const auto actions = b.work.next(b.now);
        const bool refused = std::ranges::any_of(actions.settle, [](const auto& one) { return one.order_id == "o33"; });
        if (refused) {
            b.work.settle_refused(b.now);
        } else {
            taken += actions.settle.size();
            b.work.settled(std::vector<Settled>(actions.settle.size(), Settled::applied), b.now);
        }
    }
    EXPECT_EQ(taken, 63U) << "it delayed no other order";
    EXPECT_EQ(b.work.counters().given_up, 1U);
    const auto given_up = b.work.take_given_up();
    ASSERT_EQ(given_up.size(), 1U);
    EXPECT_EQ(given_up[0].order_id, "o33");
    EXPECT_TRUE(b.work.take_given_up().empty());
    EXPECT_EQ(b.work.held(), 0U);
}

TEST(Work, StopsLeasingWhileTheBreakerIsOpen)
{
    Bench b;
    b.open_breaker();
    b.work.leased({}, seconds(30), b.now);
    const auto actions = b.work.next(b.now);
    EXPECT_EQ(actions.lease, 0U);
    EXPECT_LE(actions.wake_at - b.now, milliseconds(250)) << "it wakes when the first probe is due";
    b.now = actions.wake_at;
    EXPECT_EQ(b.work.next(b.now).lease, 3U) << "as many as may probe";
}

TEST(Work, PutsBackWhatTheBreakerRefusesWithoutAnAttempt)
{
    Bench b;
    b.open_breaker();
    b.lease(2); // they were on their way
    const auto actions = b.work.next(b.now);
    EXPECT_TRUE(actions.call.empty());
    ASSERT_EQ(actions.settle.size(), 2U);
    for (const auto& settlement : actions.settle) {
        EXPECT_EQ(settlement.kind, Settlement::Kind::snooze);
        EXPECT_TRUE(settlement.attempts.empty());
        EXPECT_GT(settlement.pause, Duration::zero());
    }
}

TEST(Work, AFailedProbeIsNoAttemptOfItsOrder)
{
    Bench b;
    b.open_breaker();
    b.work.leased({}, seconds(30), b.now);
    b.now = b.work.next(b.now).wake_at;
    b.lease(1, 2); // its last attempt
    const auto call = b.work.next(b.now).call.at(0);
    b.end(call.id, CallEnd::Kind::failed);
    const auto settlement = b.report();
    EXPECT_EQ(settlement.kind, Settlement::Kind::retry);
    ASSERT_EQ(settlement.attempts.size(), 1U);
    EXPECT_FALSE(settlement.attempts[0].counts);
}

TEST(Work, WhatCouldNotBeSentIsNoAttemptHoweverOften)
{
    Bench b;
    for (int i = 0; i < 3; ++i) {
        const auto settlement = b.outcome(CallEnd::Kind::unreachable, 2);
        EXPECT_EQ(settlement.kind, Settlement::Kind::retry);
        EXPECT_GE(settlement.pause, milliseconds(500)) << "it does not hammer";
        EXPECT_LE(settlement.pause, seconds(1));
        ASSERT_EQ(settlement.attempts.size(), 1U);
        EXPECT_FALSE(settlement.attempts[0].counts);
    }
    b.lease(2);
    for (const auto& call : b.work.next(b.now).call) b.end(call.id, CallEnd::Kind::unreachable);
    EXPECT_EQ(b.work.breaker().state(), resilience::BreakerState::open) << "five in a row";
}

TEST(Work, ProlongsWhatItHolds)
{
    Bench b;
    b.lease(2);
    auto actions = b.work.next(b.now);
    EXPECT_TRUE(actions.extend.empty());
    b.now += seconds(10);
    actions = b.work.next(b.now);
    EXPECT_EQ(actions.extend.size(), 2U);
    b.work.extended({true, false}, b.now);
    EXPECT_EQ(b.work.counters().lost, 1U);
    EXPECT_TRUE(b.work.next(b.now).extend.empty());
    b.now += seconds(10);
    EXPECT_EQ(b.work.next(b.now).extend.size(), 2U);
    b.work.extend_failed(b.now);
    b.now += milliseconds(200);
    EXPECT_EQ(b.work.next(b.now).extend.size(), 2U) << "soon, while the lease lasts";
}

TEST(Work, ReportsUntilItIsTaken)
{
    Bench b;
    b.lease(1);
    b.end(b.work.next(b.now).call.at(0).id, CallEnd::Kind::valid);
    for (int i = 0; i < 5; ++i) {
        const auto actions = b.work.next(b.now);
        ASSERT_EQ(actions.settle.size(), 1U);
        EXPECT_TRUE(b.work.next(b.now).settle.empty()) << "one request at a time";
        b.work.settle_failed(b.now);
        b.now = b.work.next(b.now).wake_at;
    }
    EXPECT_FALSE(b.work.idle());
    b.work.next(b.now);
    b.work.settled({Settled::repeated}, b.now);
    EXPECT_EQ(b.work.counters().validated, 1U);
    EXPECT_EQ(b.work.to_report(), 0U);
}

TEST(Work, DoesNotPileUpWhatItCannotReport)
{
    Bench b({.concurrency = 200});
    for (int i = 0; i < 10; ++i) {
        const auto wanted = b.work.next(b.now).lease;
        b.lease(wanted);
        for (const auto& call : b.work.next(b.now).call) b.end(call.id, CallEnd::Kind::valid, Duration::zero());
    }
    EXPECT_LE(b.work.to_report() + b.work.held(), 512U);
}

TEST(Work, PausesAndStops)
{
    Bench b;
    b.work.pause();
    EXPECT_EQ(b.work.next(b.now).lease, 0U);
    b.lease(1); // came in the same moment
    EXPECT_TRUE(b.work.next(b.now).call.empty());
    EXPECT_EQ(b.work.counters().snoozed, 0U);
    b.work.settled({Settled::applied}, b.now);
    EXPECT_EQ(b.work.counters().snoozed, 1U);
    b.work.resume();
    EXPECT_GT(b.work.next(b.now).lease, 0U);
    b.lease(2);
    const auto calls = b.work.next(b.now).call;
    b.lease(1); // came in the same moment as the stop
    b.work.stop();
    auto actions = b.work.next(b.now);
    EXPECT_TRUE(actions.call.empty());
    EXPECT_EQ(actions.lease, 0U);
    ASSERT_EQ(actions.settle.size(), 1U);
    EXPECT_EQ(actions.settle[0].kind, Settlement::Kind::snooze);
    EXPECT_EQ(actions.settle[0].pause, Duration::zero());
    b.work.settled({Settled::applied}, b.now);
    EXPECT_FALSE(b.work.idle());
    for (const auto& call : calls) b.end(call.id, CallEnd::Kind::valid);
    actions = b.work.next(b.now);
    b.work.settled(std::vector<Settled>(actions.settle.size(), Settled::applied), b.now);
    EXPECT_TRUE(b.work.idle());
}

TEST(Work, CutsOverlongReasonsBetweenCharacters)
{
    Bench b;
    b.lease(1);
    const auto call = b.work.next(b.now).call.at(0);
    std::string text(499, 'x');
    for (int i = 0; i < 300; ++i) text += "\xc3\xa4";
    b.work.call_ended(call.id, {.kind = CallEnd::Kind::rejected, .text = text}, b.now, b.wall(), b.now);
    const auto reason = b.report().reason;
    EXPECT_EQ(reason.size(), 502U);
    EXPECT_TRUE(reason.ends_with("x..."));
}

TEST(Work, SaysEverySecondThatItIsPaused)
{
    Bench b;
    b.work.next(b.now);
    EXPECT_FALSE(b.work.next(b.now).show);
    b.work.pause();
    b.lease(0); // what it had asked for before
    EXPECT_TRUE(b.work.next(b.now).show);
    EXPECT_FALSE(b.work.next(b.now).show) << "one at a time";
    b.work.shown(b.now);
    auto actions = b.work.next(b.now);
    EXPECT_FALSE(actions.show);
    EXPECT_LE(actions.wake_at, b.now + seconds(1));
    b.now += seconds(1);
    EXPECT_TRUE(b.work.next(b.now).show);
    b.work.show_failed(b.now);
    b.now += seconds(1);
    EXPECT_TRUE(b.work.next(b.now).show);
    b.work.shown(b.now);
    b.work.resume();
    b.now += seconds(1);
    actions = b.work.next(b.now);
    EXPECT_FALSE(actions.show) << "it asks for jobs instead";
    EXPECT_GT(actions.lease, 0U);
}

TEST(Work, FindsOutThatTheOrderServiceIsBackAlsoWhenItHasNothingToAsk)
{
    Bench b;
    b.work.next(b.now);
    b.work.lease_failed(b.now);
    EXPECT_FALSE(b.work.next(b.now).show) << "the next request for jobs will tell";
    b.work.breaker().force_open(b.now);
    auto actions = b.work.next(b.now);
    EXPECT_TRUE(actions.show);
    b.work.show_failed(b.now);
    actions = b.work.next(b.now);
    EXPECT_FALSE(actions.show);
    EXPECT_LE(actions.wake_at, b.now + seconds(1));
    b.now += seconds(1);
    EXPECT_TRUE(b.work.next(b.now).show);
    b.work.shown(b.now);
    b.now += seconds(5);
    EXPECT_FALSE(b.work.next(b.now).show) << "it has been answered";
}

} // namespace TEST_FILE
} // namespace hotspare::orders
