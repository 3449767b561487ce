#include "orders/order_service/transition.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hotspare::orders {
namespace {

const WallTime now{milliseconds(1'700'000'000'000)};

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
            .attempts = {{.at = now, .took = milliseconds(2), .counts = true, .outcome = "valid"}}};
}

Settlement back(Epoch epoch, Duration pause, bool counts)
{
    return {.order_id = "a",
            .epoch = epoch,
            .kind = Settlement::Kind::retry,
            .reason = "later",
            .pause = pause,
            .attempts = {{.at = now, .took = milliseconds(2), .counts = counts, .outcome = "failed"}}};
}

TEST(Transition, GoesFromCreationToOneEnd)
{
    auto record = created({"a", "x", 1}, now);
    EXPECT_EQ(record.due, now);
    const auto job = lease(record, "w", seconds(30), now);
    EXPECT_EQ(job.epoch, 1);
    EXPECT_EQ(record.due, now + seconds(30));
    EXPECT_EQ(settle(record, verdict(job.epoch, Status::rejected), now), Settled::applied);
    EXPECT_EQ(record.order.status, Status::rejected);
    EXPECT_EQ(record.order.attempts, 1U);
    EXPECT_EQ(settle(record, verdict(job.epoch, Status::rejected), now), Settled::repeated);
    EXPECT_EQ(settle(record, verdict(job.epoch, Status::validated), now), Settled::fenced);
    EXPECT_EQ(record.order.status, Status::rejected);
    EXPECT_EQ(timeline(record), (std::vector<std::string>{"created", "leased", "attempt", "rejected"}));
}

TEST(Transition, FencesWhoeverLostTheLease)
{
    auto record = created({"a", "x", 1}, now);
    const auto first = lease(record, "w1", seconds(30), now);
    const auto second = lease(record, "w2", seconds(30), now + seconds(31));
    const auto before = record.add.size();
    EXPECT_EQ(settle(record, verdict(first.epoch, Status::validated), now), Settled::fenced);
    EXPECT_FALSE(extend(record, first.epoch, now + seconds(90)));
    EXPECT_EQ(record.add.size(), before) << "it left a trace";
    EXPECT_EQ(record.worker, "w2");
    EXPECT_TRUE(extend(record, second.epoch, now + seconds(90)));
    EXPECT_EQ(record.due, now + seconds(90));
}

TEST(Transition, PutsBackOnceWhateverIsRepeated)
{
    auto record = created({"a", "x", 1}, now);
    const auto job = lease(record, "w", seconds(30), now);
    const auto settlement = back(job.epoch, microseconds(1'200'300), true);
    EXPECT_EQ(settle(record, settlement, now), Settled::applied);
    EXPECT_EQ(record.due, now + milliseconds(1'201)) << "never too soon";
    EXPECT_TRUE(record.worker.empty());
    EXPECT_EQ(settle(record, settlement, now + seconds(9)), Settled::fenced);
    EXPECT_EQ(record.due, now + milliseconds(1'201));
    EXPECT_EQ(record.order.attempts, 1U);
    EXPECT_FALSE(extend(record, record.order.epoch, now + seconds(90))) << "nobody holds it";
}

TEST(Transition, CountsOnlyWhatIsTheOrdersFault)
{
    auto record = created({"a", "x", 1}, now);
    for (int i = 0; i < 5; ++i)
        EXPECT_EQ(settle(record, back(lease(record, "w", seconds(30), now).epoch, seconds(1), false), now),
                  Settled::applied);
    EXPECT_EQ(record.order.attempts, 0U);
}

TEST(Transition, BoundsTheTimelineButNeverItsEnds)
{
    auto record = created({"a", "x", 1}, now);
    for (int i = 0; i < 1'000; ++i)
        (void)settle(record, back(lease(record, "w", seconds(30), now).epoch, seconds(1), false), now);
    EXPECT_EQ(record.add.size(), static_cast<std::size_t>(most_routine_events));
    ASSERT_TRUE(operate(record, Operation::cancel, now));
    ASSERT_TRUE(operate(record, Operation::replay, now));
    (void)settle(record, verdict(lease(record, "w", seconds(30), now).epoch, Status::validated), now);
    EXPECT_EQ(record.add.size(), static_cast<std::size_t>(most_routine_events) + 3);
    EXPECT_EQ(record.add.back().kind, Event::Kind::validated);
}

TEST(Transition, LetsOperatorsDoWhatIsLegal)
{
    auto record = created({"a", "x", 1}, now);
    EXPECT_FALSE(operate(record, Operation::replay, now));
    const auto job = lease(record, "w", seconds(30), now);
    EXPECT_FALSE(operate(record, Operation::retry_now, now)) << "somebody has it";
    ASSERT_TRUE(operate(record, Operation::cancel, now));
    EXPECT_EQ(record.order.status, Status::failed);
    EXPECT_EQ(settle(record, verdict(job.epoch, Status::failed), now), Settled::fenced);
    EXPECT_FALSE(operate(record, Operation::cancel, now));
    ASSERT_TRUE(operate(record, Operation::replay, now + seconds(5)));
    EXPECT_EQ(record.order.status, Status::processing);
    EXPECT_EQ(record.order.attempts, 0U);
    EXPECT_EQ(record.due, now + seconds(5));
    EXPECT_TRUE(record.order.reason.empty());
}

} // namespace
} // namespace hotspare::orders
