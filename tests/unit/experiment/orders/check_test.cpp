// A check that never fails proves nothing: each promise is broken here in a history that is good
// otherwise, and must be missed.
#include "experiment/orders/check.hpp"

#include "tests/support/property.hpp"
#include "tests/unit/experiment/orders/example_orders.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

namespace hotspare::experiment {
namespace TEST_FILE {

std::string all_of(const OrdersJudgement& judgement)
{
    std::string text = std::string(to_string(judgement.verdict)) + " " + judgement.reason + "\n";
    for (const auto& v : judgement.violations)
        text += std::string(to_string(v.wrong)) + " " + v.order_id + ": " + v.what + "\n";
    for (const auto& p : judgement.promises) text += (p.held ? "held: " : "not: ") + p.what + ": " + p.measured + "\n";
    return text;
}

/// The promises that did not hold, as digits: "13" for the first and the third.
std::string broken(const OrdersJudgement& judgement)
{
    std::string digits;
    for (std::size_t i = 0; i < judgement.promises.size(); ++i)
        if (!judgement.promises[i].held && judgement.promises[i].judged) digits += std::to_string(i + 1);
    return digits;
}

/// A history whose forgery must be found: exactly `order_id` is blamed for `wrong`, with `what` among the words.
void expect_found(const OrdersHistory& history, Wrong wrong, const std::string& order_id, const std::string& what,
                  const std::string& promises)
{
    const auto judgement = judge(history);
    EXPECT_EQ(judgement.verdict, Verdict::fail) << all_of(judgement);
    EXPECT_EQ(judgement.counts.of(wrong), 1U) << all_of(judgement);
    EXPECT_EQ(broken(judgement), promises) << all_of(judgement);
    const auto found = std::ranges::find(judgement.violations, wrong, &Violation::wrong);
    ASSERT_NE(found, judgement.violations.end()) << all_of(judgement);
    EXPECT_EQ(found->order_id, order_id);
    EXPECT_NE(found->what.find(what), std::string::npos) << found->what;
}

template <class List, class Predicate> void drop(List& list, Predicate which)
{
    std::erase_if(list, which);
}

std::vector<TimelineEvent>& timeline_of(OrdersHistory& history, const std::string& order_id)
{
    return order_of(history, order_id).timeline;
}

TimelineEvent event(std::string word, std::int64_t epoch)
{
    return {.at = "2026-02-03T04:05:07.000Z", .event = std::move(word), .epoch = epoch, .detail = {}};
}

TEST(OrdersCheck, AcceptsWhatIsRight)
{
    for (const auto mode : {FailureMode::normal, FailureMode::slow, FailureMode::down, FailureMode::error}) {
        const auto judgement = judge(good_orders(mode));
        EXPECT_EQ(judgement.verdict, Verdict::pass) << all_of(judgement);
        EXPECT_TRUE(judgement.violations.empty()) << all_of(judgement);
        EXPECT_EQ(judgement.counts.acknowledged, 10U);
        EXPECT_EQ(judgement.counts.validated, 8U);
        EXPECT_EQ(judgement.counts.rejected, 2U);
        EXPECT_EQ(judgement.create_max, milliseconds(4));
        EXPECT_EQ(judgement.drain, mode == FailureMode::normal ? Nanos(milliseconds(4016)) : Nanos(seconds(1)));
        EXPECT_EQ(judgement.detection, mode == FailureMode::normal ? Nanos() : Nanos(milliseconds(910)));
    }
}

TEST(OrdersCheck, AnOrderThatWasFailedOrIsUncertainMayBeEither)
{
    auto history = good_orders();
    // The client was not told about this one; it is there.
    create_of(history, "order-2").outcome = CreateOutcome::unknown;
    create_of(history, "order-2").status = 503;
    // Of this one neither; it is not.
    history.mode.reset(); // with a mode alone every creation has to be accepted
    create_of(history, "order-3").outcome = CreateOutcome::unknown;
    create_of(history, "order-3").status = 0;
    drop(history.listed, [](const auto& entry) { return entry.what.order_id == "order-3"; });
    drop(history.present, [](const auto& entry) { return entry.what.order_id == "order-3"; });
    drop(history.effects, [](const auto& entry) { return entry.order_id == "order-3"; });
    // Refused, and absent.
    history.creates.push_back({.what = {"order-bad", "x", 0},
                               .due = seconds(1),
                               .invoked = seconds(1),
                               .ended = seconds(1),
                               .outcome = CreateOutcome::fail,
                               .status = 422});
    // Failed without a verdict, though the validator may have acted: the answer was lost on its way.
    auto& failed = order_of(history, "order-6");
    failed.status = "Failed";
    failed.timeline.back().event = "failed";
    for (auto& entry : history.listed)
        if (entry.what.order_id == "order-6") entry.status = "Failed";
    const auto judgement = judge(history);
    EXPECT_EQ(judgement.verdict, Verdict::pass) << all_of(judgement);
    EXPECT_EQ(judgement.counts.unknown, 2U);
    EXPECT_EQ(judgement.counts.refused, 1U);
    EXPECT_EQ(judgement.counts.failed, 1U);
}

TEST(OrdersCheck, ARepeatedCreationIsOneOrder)
{
    auto history = good_orders();
    auto again = create_of(history, "order-2");
    create_of(history, "order-2").outcome = CreateOutcome::unknown;
    create_of(history, "order-2").status = 503;
    again.again = 1;
    history.creates.push_back(again);
    const auto judgement = judge(history);
    EXPECT_EQ(judgement.verdict, Verdict::pass) << all_of(judgement);
    EXPECT_EQ(judgement.counts.attempted, 10U);
    EXPECT_EQ(judgement.counts.acknowledged, 10U);
}

TEST(OrdersCheck, MissesALostOrder)
{
    auto history = good_orders();
    drop(history.present, [](const auto& order) { return order.what.order_id == "order-3"; });
    drop(history.listed, [](const auto& order) { return order.what.order_id == "order-3"; });
    expect_found(history, Wrong::lost, "order-3", "acknowledged, but it is not there", "2");
}

TEST(OrdersCheck, FindsAnOrderThatWasNotRequested)
{
    auto history = good_orders();
    drop(history.creates, [](const auto& create) { return create.what.order_id == "order-3"; });
    history.orders = 9;
    expect_found(history, Wrong::unattempted, "order-3", "no client created it", "2");

    // An effect alone, or a line in the list alone, is enough.
    history = good_orders();
    history.effects.push_back({.key = "other", .order_id = "other", .verdict = "Validated", .at_ms = 1, .stock = 1000});
    expect_found(history, Wrong::unattempted, "other", "the validator acted on it", "2");
    history = good_orders();
    history.listed.push_back({.what = {"other", "x", 1}, .status = "Failed"});
    expect_found(history, Wrong::unattempted, "other", "cannot be read", "2");

    // Orders of other clients are not checked.
    history.prefix = "order-";
    EXPECT_EQ(judge(history).verdict, Verdict::pass) << all_of(judge(history));
}

TEST(OrdersCheck, FindsAnOrderThatWasRefused)
{
    auto history = good_orders();
    history.mode.reset();
    create_of(history, "order-3").outcome = CreateOutcome::fail;
    create_of(history, "order-3").status = 422;
    expect_found(history, Wrong::unattempted, "order-3", "although its creation was refused", "2");
}

TEST(OrdersCheck, FindsAlteredContent)
{
    auto history = good_orders();
    order_of(history, "order-3").what.product = "Medicine B";
    for (auto& entry : history.listed)
        if (entry.what.order_id == "order-3") entry.what.product = "Medicine B";
    expect_found(history, Wrong::altered, "order-3", "10 of 'Medicine A' was asked for", "2");

    history = good_orders();
    history.listed.front().what.quantity += 1;
    expect_found(history, Wrong::altered, "order-9", "the list says", "2");
}

TEST(OrdersCheck, FindsAnOrderThatIsStuck)
{
    auto history = good_orders();
    order_of(history, "order-3").status = "Processing";
    timeline_of(history, "order-3").pop_back();
    for (auto& entry : history.listed)
        if (entry.what.order_id == "order-3") entry.status = "Processing";
    expect_found(history, Wrong::stuck, "order-3", "still Processing", "2");
}

TEST(OrdersCheck, FindsWhatEndedTwiceOrCameBack)
{
    const auto with = [](const std::string& order_id, std::vector<TimelineEvent> more) {
        auto history = good_orders();
        auto& timeline = timeline_of(history, order_id);
        timeline.insert(timeline.end(), more.begin(), more.end());
        order_of(history, order_id).epoch += 10;
        return history;
    };
    expect_found(with("order-2", {event("validated", 1)}), Wrong::path, "order-2", "is a second end", "4");
    // Resurrected: tried again though it was over, with the same end.
    expect_found(with("order-2", {event("leased", 2), event("attempt", 2), event("validated", 2)}), Wrong::path,
                 "order-2", "happened after it had ended", "4");
    // Only what had Failed may be replayed.
    expect_found(with("order-2", {event("replayed", 2), event("leased", 3), event("validated", 3)}), Wrong::path,
                 "order-2", "happened after it had ended", "4");
    auto failed = with("order-2", {event("replayed", 2), event("leased", 3), event("validated", 3)});
    timeline_of(failed, "order-2")[3] = event("failed", 1);
    EXPECT_EQ(judge(failed).verdict, Verdict::pass) << all_of(judge(failed));
}

/// Every exchange of two neighbours.
TEST(OrdersCheck, FindsWhatIsOutOfOrder)
{
    for (const std::string order_id : {"order-0", "order-1", "order-2", "order-4"}) {
        auto good = good_orders();
        const auto size = timeline_of(good, order_id).size();
        for (std::size_t i = 0; i + 1 < size; ++i) {
            auto history = good;
            auto& timeline = timeline_of(history, order_id);
            std::swap(timeline[i], timeline[i + 1]);
            const auto judgement = judge(history);
            EXPECT_EQ(judgement.verdict, Verdict::fail)
                << order_id << ", " << timeline[i].event << " before " << timeline[i + 1].event << "\n"
                << all_of(judgement);
            EXPECT_EQ(broken(judgement), "4");
        }
    }
}

/// Every line that is left out, apart from those that an order may have or not.
TEST(OrdersCheck, FindsWhatIsMissingInATimeline)
{
    for (const std::string order_id : {"order-0", "order-1", "order-2", "order-4"}) {
        auto good = good_orders();
        const auto size = timeline_of(good, order_id).size();
        for (std::size_t i = 0; i < size; ++i) {
            auto history = good;
            auto& timeline = timeline_of(history, order_id);
            const auto gone = timeline[i];
            const bool is_optional = gone.event == "attempt" || gone.event == "hastened" ||
                                     (gone.event == "leased" && timeline[i + 1].event == "leased");
            timeline.erase(timeline.begin() + static_cast<std::ptrdiff_t>(i));
            EXPECT_EQ(judge(history).verdict, is_optional ? Verdict::pass : Verdict::fail)
                << order_id << " without " << gone.event << " " << gone.epoch << "\n"
                << all_of(judge(history));
        }
    }
    auto history = good_orders();
    timeline_of(history, "order-2").clear();
    expect_found(history, Wrong::path, "order-2", "no timeline", "4");
}

TEST(OrdersCheck, FindsAnEpochThatDoesNotGrow)
{
    auto history = good_orders();
    auto& timeline = timeline_of(history, "order-1");
    ASSERT_EQ(timeline[6].event, "leased");
    for (std::size_t i = 6; i < timeline.size(); ++i) timeline[i].epoch = timeline[5].epoch; // leased with the same one
    expect_found(history, Wrong::epoch, "order-1", "should be greater than 3", "4");

    history = good_orders();
    timeline_of(history, "order-1").back().epoch = 3; // ended by the worker that had lost its lease
    expect_found(history, Wrong::epoch, "order-1", "should be 4, that of the lease", "4");

    history = good_orders();
    order_of(history, "order-1").epoch = 3;
    expect_found(history, Wrong::epoch, "order-1", "its epoch is 3", "4");

    history = good_orders();
    timeline_of(history, "order-1").front().epoch = 1;
    expect_found(history, Wrong::epoch, "order-1", "is not 0", "4");
}

TEST(OrdersCheck, ACancelledOrderHasLostItsWorker)
{
    auto history = good_orders();
    auto& timeline = timeline_of(history, "order-2");
    timeline.back() = event("failed", 2);
    order_of(history, "order-2").status = "Failed";
    order_of(history, "order-2").epoch = 2;
    for (auto& entry : history.listed)
        if (entry.what.order_id == "order-2") entry.status = "Failed";
    EXPECT_EQ(judge(history).verdict, Verdict::pass) << all_of(judge(history));
    // No worker had it: then the epoch must grow too, or a worker could still end it.
    timeline = {event("created", 0), event("failed", 0)};
    drop(history.effects, [](const auto& effect) { return effect.order_id == "order-2"; });
    expect_found(history, Wrong::epoch, "order-2", "should be greater than 0", "4");
}

TEST(OrdersCheck, FindsAStatusThatIsNotThatOfTheTimeline)
{
    auto history = good_orders();
    order_of(history, "order-2").status = "Failed";
    for (auto& entry : history.listed)
        if (entry.what.order_id == "order-2") entry.status = "Failed";
    expect_found(history, Wrong::status, "order-2", "its timeline ends with 'validated'", "4");

    history = good_orders();
    order_of(history, "order-2").status = "Done";
    expect_found(history, Wrong::status, "order-2", "'Done' is no status", "4");

    history = good_orders();
    history.listed.front().status = "Failed";
    expect_found(history, Wrong::status, "order-9", "the list says Failed", "4");

    history = good_orders();
    history.listed.pop_back();
    expect_found(history, Wrong::status, "order-0", "not in the list", "4");

    history = good_orders();
    history.listed.push_back(history.listed.front());
    expect_found(history, Wrong::status, "order-9", "twice in the list", "4");
}

TEST(OrdersCheck, FindsWhatTheValidatorDidTwice)
{
    auto history = good_orders();
    history.effects.push_back(effect_of(history, "order-3"));
    expect_found(history, Wrong::doubled, "order-3", "more than once", "4");

    // With another key it is the same order still.
    history.effects.back().key = "another";
    expect_found(history, Wrong::doubled, "order-3", "more than once", "4");

    history = good_orders();
    effect_of(history, "order-3").key.reset();
    expect_found(history, Wrong::doubled, "order-3", "without a key", "4");

    history = good_orders();
    effect_of(history, "order-3").key = "order-2";
    expect_found(history, Wrong::doubled, "order-3", "with the key of 'order-2'", "4");
}

TEST(OrdersCheck, FindsAVerdictThatTheValidatorNeverGave)
{
    auto history = good_orders();
    drop(history.effects, [](const auto& effect) { return effect.order_id == "order-4"; });
    expect_found(history, Wrong::verdict, "order-4", "it is Rejected, but the validator never acted", "4");
    history.counted = false; // without a ledger this cannot be found
    EXPECT_EQ(judge(history).verdict, Verdict::pass) << all_of(judge(history));

    // A timeout that was made a verdict.
    history = good_orders();
    auto& order = order_of(history, "order-2");
    order.status = "Rejected";
    order.timeline.back().event = "rejected";
    for (auto& entry : history.listed)
        if (entry.what.order_id == "order-2") entry.status = "Rejected";
    expect_found(history, Wrong::verdict, "order-2", "it is Rejected, but the validator said Validated", "4");

    // It was asked about something else than the order.
    history = good_orders();
    effect_of(history, "order-2").stock = 5;
    expect_found(history, Wrong::verdict, "order-2", "it was asked about something else", "4");
}

TEST(OrdersCheck, FindsACreationThatWasAnsweredLate)
{
    auto history = good_orders();
    create_of(history, "order-3").ended = create_of(history, "order-3").due + milliseconds(2'001);
    expect_found(history, Wrong::late, "order-3", "was answered 2.001 s after it was due", "1");

    // From the moment it was due, not from when it found a connection at last.
    history = good_orders();
    auto& create = create_of(history, "order-3");
    create.waited = true;
    create.invoked = create.due + milliseconds(2'500);
    create.ended = create.invoked + milliseconds(1);
    expect_found(history, Wrong::late, "order-3", "2.501 s", "1");

    // That the generator itself was late says nothing about the system.
    create.waited = false;
    EXPECT_EQ(judge(history).verdict, Verdict::invalid) << all_of(judge(history));
}

TEST(OrdersCheck, EveryCreationMustBeAccepted)
{
    auto history = good_orders();
    create_of(history, "order-3").outcome = CreateOutcome::unknown;
    create_of(history, "order-3").status = 503;
    const auto judgement = judge(history);
    EXPECT_EQ(judgement.verdict, Verdict::fail);
    EXPECT_EQ(broken(judgement), "1") << all_of(judgement);
}

TEST(OrdersCheck, TheBacklogMustDrainInTime)
{
    auto history = good_orders();
    history.drained = history.heals.back().at + drain_limit(history) + milliseconds(1);
    EXPECT_EQ(broken(judge(history)), "2") << all_of(judge(history));
    history.drained.reset();
    EXPECT_EQ(broken(judge(history)), "2") << all_of(judge(history));
    auto larger = history;
    larger.orders = 10'000;
    EXPECT_GT(drain_limit(larger), drain_limit(history));
}

TEST(OrdersCheck, AFailureMustBeNamedInTime)
{
    for (const auto mode : {FailureMode::slow, FailureMode::down, FailureMode::error}) {
        auto history = good_orders(mode);
        ASSERT_EQ(history.healths.size(), 3U);
        auto late = history;
        late.healths[1].at = late.faults[0].at + OrdersLimits::detection + milliseconds(1);
        late.heals[0].at = late.healths[1].at + seconds(1);
        late.drained = late.heals[0].at;
        EXPECT_EQ(broken(judge(late)), "3") << all_of(judge(late));
        for (const auto other : {FailureMode::normal, FailureMode::slow, FailureMode::down, FailureMode::error}) {
            if (other == mode) continue;
            auto wrong = history;
            wrong.healths[1].status = health_word(other);
            EXPECT_EQ(broken(judge(wrong)), "3") << all_of(judge(wrong));
        }
        auto after = history; // named only when it was over
        after.healths.erase(after.healths.begin() + 1);
        EXPECT_EQ(broken(judge(after)), "3") << all_of(judge(after));
        history.healths.clear();
        EXPECT_EQ(broken(judge(history)), "3") << all_of(judge(history));
    }
    auto normal = good_orders(FailureMode::normal);
    normal.healths.push_back({.at = seconds(1), .service = "external_service", .status = "down"});
    EXPECT_EQ(broken(judge(normal)), "3") << "a failure that was none: " << all_of(judge(normal));
}

TEST(OrdersCheck, WhatWasNotDoneIsNotJudged)
{
    auto history = good_orders();
    history.orders = 11;
    EXPECT_EQ(judge(history).verdict, Verdict::invalid);
    history = good_orders();
    history.heals.clear();
    EXPECT_EQ(judge(history).verdict, Verdict::invalid);
    history = good_orders();
    history.invalid = "GET /get_orders: timed out";
    EXPECT_EQ(judge(history).verdict, Verdict::invalid);
    EXPECT_EQ(judge(history).reason, history.invalid);
    history.aborted = "interrupted";
    EXPECT_EQ(judge(history).verdict, Verdict::aborted);
    EXPECT_EQ(judge(OrdersHistory{}).verdict, Verdict::invalid);
}

/// Whatever is forged about one order, alone or with others, the history is never taken for a good one.
RC_GTEST_PROP(OrdersCheck, NoForgeryPasses, ())
{
    auto history = good_orders(FailureMode::error, 20);
    const int forgeries = *rc::gen::inRange(1, 4);
    std::vector<std::string> victims;
    for (int i = 0; i < forgeries; ++i) {
        const auto victim = example_id(*rc::gen::inRange<std::size_t>(0, 20));
        if (std::ranges::find(victims, victim) != victims.end()) continue;
        victims.push_back(victim);
        auto& order = order_of(history, victim);
        switch (*rc::gen::inRange(0, 8)) {
        case 0: order.status = order.status == "Validated" ? "Rejected" : "Validated"; break;
        case 1: order.what.quantity += *rc::gen::inRange(1, 1'000'000); break;
        case 2: order.timeline.push_back(order.timeline.back()); break;
        case 3: order.timeline.back().epoch += *rc::gen::inRange(1, 5); break;
        case 4: order.timeline.erase(order.timeline.begin()); break;
        case 5: effect_of(history, victim).verdict = "Failed"; break;
        case 6: history.effects.push_back(effect_of(history, victim)); break;
        case 7: order.what.order_id += "x"; break;
        default: break;
        }
    }
    RC_ASSERT(judge(history).verdict == Verdict::fail);
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
