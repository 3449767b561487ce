#include "orders/order_service/transition.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hotspare::orders {
namespace TEST_FILE {

constexpr milliseconds since_1970(1'700'000'000'000);
const Now now{WallTime(since_1970), JobTime(since_1970)};

Now after(Duration span)
{
    return {now.wall + span, now.job + std::chrono::floor<milliseconds>(span)};
}

std::vector<std::string> timeline(const Record& record)
{
    std::vector<std::string> out;
    for (const auto& event : record.add) out.emplace_back(to_string(event.kind));
    return out;
}

Settlement verdict(Epoch epoch, Status status)
{
    return {.order_id = "a",
            .epoch = epoch,
            .kind = Settlement::Kind::verdict,
            .status = status,
            .reason = "because",
            .attempts = {{.at = now.wall, .took = milliseconds(2), .counts = true, .outcome = "valid"}}};
}

Settlement back(Epoch epoch, Duration pause, bool counts)
{
    return {.order_id = "a",
            .epoch = epoch,
            .kind = Settlement::Kind::retry,
            .reason = "later",
            .pause = pause,
            .attempts = {{.at = now.wall, .took = milliseconds(2), .counts = counts, .outcome = "failed"}}};
}

TEST(Transition, GoesFromCreationToOneEnd)
{
    auto record = created({"a", "x", 1}, {}, now);
    EXPECT_EQ(record.due, now.job);
    const auto job = lease(record, "w", seconds(30), now);
    EXPECT_EQ(job.epoch, 1);
    EXPECT_EQ(record.due, after(seconds(30)).job);
    EXPECT_EQ(settle(record, verdict(job.epoch, Status::rejected), now), Settled::applied);
    EXPECT_EQ(record.order.status, Status::rejected);
    EXPECT_EQ(record.order.attempts, 1U);
    EXPECT_EQ(settle(record, verdict(job.epoch, Status::rejected), now), Settled::repeated);
    EXPECT_EQ(settle(record, verdict(job.epoch, Status::validated), now), Settled::fenced);
    EXPECT_EQ(record.order.status, Status::rejected);
    EXPECT_EQ(timeline(record), (std::vector<std::string>{"created", "leased", "attempt", "rejected"}));
}

TEST(Transition, FencesAWorkerThatLostTheLease)
{
    auto record = created({"a", "x", 1}, {}, now);
    const auto first = lease(record, "w1", seconds(30), now);
    const auto second = lease(record, "w2", seconds(30), after(seconds(31)));
    const auto before = record.add.size();
    EXPECT_EQ(settle(record, verdict(first.epoch, Status::validated), now), Settled::fenced);
    EXPECT_FALSE(extend(record, first.epoch, {}, seconds(90), now));
    EXPECT_EQ(record.add.size(), before) << "it left a trace";
    EXPECT_EQ(record.worker, "w2");
    EXPECT_TRUE(extend(record, second.epoch, {}, seconds(90), now));
    EXPECT_EQ(record.due, after(seconds(90)).job);
}

TEST(Transition, PutsBackOnceWhateverIsRepeated)
{
    auto record = created({"a", "x", 1}, {}, now);
    const auto job = lease(record, "w", seconds(30), now);
    const auto settlement = back(job.epoch, microseconds(1'200'300), true);
    EXPECT_EQ(settle(record, settlement, now), Settled::applied);
    EXPECT_EQ(record.due, after(milliseconds(1'201)).job) << "never too soon";
    EXPECT_TRUE(record.worker.empty());
    EXPECT_EQ(settle(record, settlement, after(seconds(9))), Settled::fenced);
    EXPECT_EQ(record.due, after(milliseconds(1'201)).job);
    EXPECT_EQ(record.order.attempts, 1U);
    EXPECT_FALSE(extend(record, record.order.epoch, {}, seconds(90), now)) << "no worker holds it";
}

TEST(Transition, CountsOnlyWhatIsTheOrdersFault)
{
    auto record = created({"a", "x", 1}, {}, now);
    for (int i = 0; i < 5; ++i)
        EXPECT_EQ(settle(record, back(lease(record, "w", seconds(30), now).epoch, seconds(1), false), now),
                  Settled::applied);
    EXPECT_EQ(record.order.attempts, 0U);
}

/// As the checkers of experiments read it: a legal way, epochs that grow, and an end that is that of the order.
void expect_legal(const Record& record)
{
    Epoch epoch = -1;
    bool held = false;
    auto status = Status::processing;
    for (const auto& event : record.add) {
        SCOPED_TRACE(to_string(event.kind));
        ASSERT_GE(event.epoch, epoch);
        switch (event.kind) {
        case Event::Kind::created: ASSERT_EQ(epoch, -1); break;
        case Event::Kind::leased:
            ASSERT_EQ(status, Status::processing);
            ASSERT_GT(event.epoch, epoch);
            held = true;
            break;
        case Event::Kind::attempt:
        case Event::Kind::retry:
        case Event::Kind::snoozed:
            ASSERT_TRUE(held);
            ASSERT_EQ(event.epoch, epoch);
            held = event.kind == Event::Kind::attempt;
            break;
        case Event::Kind::validated:
        case Event::Kind::rejected:
            ASSERT_TRUE(held);
            ASSERT_EQ(event.epoch, epoch);
            status = event.kind == Event::Kind::validated ? Status::validated : Status::rejected;
            break;
        case Event::Kind::failed:
            ASSERT_EQ(status, Status::processing);
            status = Status::failed;
            held = false;
            break;
        case Event::Kind::replayed:
            ASSERT_EQ(status, Status::failed);
            status = Status::processing;
            break;
        case Event::Kind::hastened: break;
        }
        epoch = event.epoch;
    }
    ASSERT_EQ(status, record.order.status);
}

TEST(Transition, KeepsTheTimelineShortWhileAnOrderIsTriedInVainForDays)
{
    auto record = created({"a", "x", 1}, {}, now);
    for (int i = 0; i < 100; ++i)
        (void)settle(record, back(lease(record, "w", seconds(30), now).epoch, seconds(1), false), now);
    EXPECT_LE(record.add.size(), 50U) << "100 seconds of it";
    for (int i = 0; i < 100'000; ++i)
        (void)settle(record, back(lease(record, "w", seconds(30), now).epoch, seconds(1), false), now);
    EXPECT_LE(record.add.size(), static_cast<std::size_t>(most_events));
    (void)settle(record, verdict(lease(record, "w", seconds(30), now).epoch, Status::validated), now);
    EXPECT_EQ(record.add.back().kind, Event::Kind::validated);
    EXPECT_EQ(record.add.at(record.add.size() - 2).kind, Event::Kind::attempt) << "how it came about";
    expect_legal(record);
}

TEST(Transition, ListsEveryAttemptThatCountsHoweverOftenTheOrderWaitedBefore)
{
    auto record = created({"a", "x", 1}, {}, now);
    for (int i = 0; i < 5'000; ++i)
        (void)settle(record, back(lease(record, "w", seconds(30), now).epoch, seconds(1), false), now);
    const auto before = record.add.size();
    (void)settle(record, back(lease(record, "w7", seconds(30), now).epoch, seconds(1), true), now);
    ASSERT_EQ(record.add.size(), before + 3);
    EXPECT_EQ(record.add[before].kind, Event::Kind::leased);
    EXPECT_EQ(record.add[before].detail, "by w7");
    EXPECT_EQ(record.add[before + 2].kind, Event::Kind::retry);
    expect_legal(record);
}

TEST(Transition, KeepsTheTimelineShortWhenAnOrderIsCancelledAndReplayedWithoutEnd)
{
    auto record = created({"a", "x", 1}, {}, now);
    for (int i = 0; i < 10'000; ++i) {
        if (i % 3 == 0) (void)settle(record, back(lease(record, "w", seconds(30), now).epoch, seconds(1), true), now);
        if (i % 5 == 0) {
            ASSERT_TRUE(operate(record, Operation::retry_now, now));
        }
        ASSERT_TRUE(operate(record, Operation::cancel, now));
        if (i % 100 == 0) expect_legal(record);
        ASSERT_TRUE(operate(record, Operation::replay, now));
    }
    EXPECT_LE(record.add.size(), static_cast<std::size_t>(2 * most_events));
    (void)settle(record, verdict(lease(record, "w", seconds(30), now).epoch, Status::rejected), now);
    expect_legal(record);
}

TEST(Transition, TakesTheStoredEndOfARoundBackWhenItIsReplayedAndTheTimelineIsFull)
{
    auto record = created({"a", "x", 1}, {}, now);
    ASSERT_TRUE(operate(record, Operation::cancel, now));
    record.events = most_events;
    record.add.clear(); // as it is read back
    ASSERT_TRUE(operate(record, Operation::replay, now));
    EXPECT_EQ(record.events, most_events - 1);
    EXPECT_TRUE(record.add.empty());
}

TEST(Transition, TellsHowLongARoundHasLastedSinceItsFirstAttemptThatCounted)
{
    auto record = created({"a", "x", 1}, {}, now);
    EXPECT_EQ(lease(record, "w", seconds(30), after(std::chrono::hours(25))).tried_for, Duration::zero())
        << "it waited untried";
    (void)settle(record, back(record.order.epoch, seconds(1), false), after(std::chrono::hours(25)));
    EXPECT_EQ(lease(record, "w", seconds(30), after(std::chrono::hours(26))).tried_for, Duration::zero())
        << "a probe is no attempt";
    (void)settle(record, back(record.order.epoch, seconds(1), true), after(std::chrono::hours(26)));
    EXPECT_EQ(lease(record, "w", seconds(30), after(std::chrono::hours(27))).tried_for, std::chrono::hours(1));
    (void)settle(record, back(record.order.epoch, seconds(1), true), after(std::chrono::hours(27)));
    EXPECT_EQ(lease(record, "w", seconds(30), after(std::chrono::hours(28))).tried_for, std::chrono::hours(2));
    ASSERT_TRUE(operate(record, Operation::cancel, after(std::chrono::hours(28))));
    EXPECT_EQ(record.order.attempts, 2U);
    ASSERT_TRUE(operate(record, Operation::replay, after(std::chrono::hours(99))));
    const auto again = lease(record, "w", seconds(30), after(std::chrono::hours(99)));
    EXPECT_EQ(again.tried_for, Duration::zero()) << "a replay gets its whole round";
    EXPECT_EQ(again.attempts, 0U);
}

TEST(Transition, NothingThatWasHeldOfAClearedOrderIsOfTheOneWithItsName)
{
    const Generation first{.name = "one"};
    const auto second = first.next("two");
    auto forgotten = created({"a", "x", 1}, first, now);
    const auto old = lease(forgotten, "w", seconds(30), now);
    EXPECT_EQ(old.generation, "one");
    auto record = created({"a", "x", 1}, second, now);
    EXPECT_EQ(record.add.at(0).epoch, 0) << "a timeline begins with it";
    const auto job = lease(record, "w", seconds(30), now);
    EXPECT_EQ(job.generation, "two");
    EXPECT_EQ(settle(record, verdict(old.epoch, Status::rejected), now), Settled::fenced);
    EXPECT_FALSE(extend(record, old.epoch, {}, seconds(90), now));

    // The same epoch, in a store that was put in the place of another.
    auto forged = verdict(job.epoch, Status::rejected);
    forged.generation = "one";
    EXPECT_EQ(settle(record, forged, now), Settled::unknown);
    EXPECT_FALSE(extend(record, job.epoch, "one", seconds(90), now));
    EXPECT_TRUE(extend(record, job.epoch, "two", seconds(90), now));
    forged.generation = "two";
    EXPECT_EQ(settle(record, forged, now), Settled::applied);
}

TEST(Transition, CountsWhatIsHeldAndInWhichStateItIs)
{
    auto record = created({"a", "x", 1}, {}, now);
    EXPECT_EQ(counts(record), (Counts{1, 0, 0, 0, 0}));
    const auto job = lease(record, "w", seconds(30), now);
    EXPECT_EQ(counts(record), (Counts{1, 0, 0, 0, 1}));
    (void)settle(record, verdict(job.epoch, Status::rejected), now);
    EXPECT_EQ(counts(record), (Counts{0, 0, 1, 0, 0}));
}

TEST(JobClock, NeverGoesBack)
{
    const auto at = [](std::int64_t ms) { return WallTime(milliseconds(ms)); };
    JobClock clock;
    EXPECT_EQ(clock.at(at(5'000)).job, JobTime(milliseconds(5'000)));
    EXPECT_EQ(clock.at(at(1'000)).job, JobTime(milliseconds(5'000))) << "set back by 4 s";
    EXPECT_EQ(clock.at(at(1'500)).job, JobTime(milliseconds(5'500))) << "it goes on";
    EXPECT_EQ(clock.at(at(1'500)).wall, at(1'500));
    JobClock after_restart(clock.state());
    EXPECT_EQ(after_restart.at(at(2'000)).job, JobTime(milliseconds(6'000)));
    EXPECT_EQ(after_restart.at(at(100'000)).job, JobTime(milliseconds(104'000)));
}

TEST(Transition, LetsOperatorsDoWhatIsLegal)
{
    auto record = created({"a", "x", 1}, {}, now);
    EXPECT_FALSE(operate(record, Operation::replay, now));
    const auto job = lease(record, "w", seconds(30), now);
    EXPECT_FALSE(operate(record, Operation::retry_now, now)) << "a worker has it";
    ASSERT_TRUE(operate(record, Operation::cancel, now));
    EXPECT_EQ(record.order.status, Status::failed);
    EXPECT_EQ(settle(record, verdict(job.epoch, Status::failed), now), Settled::fenced);
    EXPECT_FALSE(operate(record, Operation::cancel, now));
    ASSERT_TRUE(operate(record, Operation::replay, after(seconds(5))));
    EXPECT_EQ(record.order.status, Status::processing);
    EXPECT_EQ(record.order.attempts, 0U);
    EXPECT_EQ(record.due, after(seconds(5)).job);
    EXPECT_TRUE(record.order.reason.empty());
}

} // namespace TEST_FILE
} // namespace hotspare::orders
