// The audit of the order trials finds every kind of lie, and nothing in the truth.
#include "tests/support/order_audit.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

/// Three orders that went as they should: at once, after a retry, and after a replay.
struct Story {
    std::vector<PlacedOrder> placed{{"a", "Medicine", 1, true}, {"b", "Medicine", 2, true}, {"c", "Medicine", 3, true}};
    std::vector<SeenOrder> seen{
        {"a", "Medicine", 1, "Validated", {{"created", 0}, {"leased", 1}, {"attempt", 1}, {"validated", 1}}},
        {"b",
         "Medicine",
         2,
         "Rejected",
         {{"created", 0}, {"leased", 1}, {"attempt", 1}, {"retry", 1}, {"leased", 3}, {"rejected", 3}}},
        {"c",
         "Medicine",
         3,
         "Validated",
         {{"created", 0}, {"failed", 1}, {"replayed", 2}, {"leased", 3}, {"validated", 3}}},
    };
    Effects effects{{"a", {"Validated"}}, {"b", {"Rejected"}}, {"c", {"Validated"}}};

    OrderAudit audit() const { return audit_orders(placed, seen, &effects); }
};

TEST(OrderAudit, FindsNothingInTheTruth)
{
    Story story;
    EXPECT_TRUE(story.audit().clean()) << story.audit().text();
    EXPECT_EQ(story.audit().summary(), "lost 0, doubled 0, stuck 0 of 3");
    // What was not acknowledged may be there or not.
    story.placed.push_back({"d", "Medicine", 4, false});
    EXPECT_TRUE(story.audit().clean());
    story.placed[2].acknowledged = false;
    EXPECT_TRUE(story.audit().clean());
}

TEST(OrderAudit, FindsALostOrder)
{
    Story story;
    story.seen.erase(story.seen.begin());
    EXPECT_EQ(story.audit().lost, 1U);
    EXPECT_EQ(story.audit().findings, std::vector<std::string>{"a was acknowledged and is not there"});
}

TEST(OrderAudit, FindsAnOrderWithAnotherContent)
{
    Story story;
    story.seen[0].quantity = 7;
    EXPECT_EQ(story.audit().lost, 1U);
}

TEST(OrderAudit, FindsWhatHappenedTwice)
{
    Story there_twice;
    there_twice.seen.push_back(there_twice.seen[0]);
    EXPECT_EQ(there_twice.audit().doubled, 1U);
    Story created_twice;
    created_twice.seen[0].timeline.insert(created_twice.seen[0].timeline.begin(), {"created", 0});
    EXPECT_EQ(created_twice.audit().doubled, 1U);
    Story ended_twice;
    ended_twice.seen[0].timeline.push_back({"validated", 1});
    EXPECT_GE(ended_twice.audit().doubled, 1U);
    Story acted_upon_twice;
    acted_upon_twice.effects["a"].emplace_back("Validated");
    EXPECT_EQ(acted_upon_twice.audit().doubled, 1U);
}

TEST(OrderAudit, FindsAStuckOrder)
{
    Story story;
    story.seen[0].timeline.pop_back();
    story.seen[0].status = "Processing";
    EXPECT_EQ(story.audit().stuck, 1U);
}

TEST(OrderAudit, FindsEverythingElse)
{
    const auto wrong_after = [](auto change) {
        Story story;
        change(story);
        return story.audit().wrong;
    };
    EXPECT_GE(wrong_after([](Story& s) { s.placed.pop_back(); }), 1U) << "no client asked for it";
    EXPECT_GE(wrong_after([](Story& s) { s.seen[0].status = "Rejected"; }), 1U) << "not what the timeline says";
    EXPECT_GE(wrong_after([](Story& s) { s.seen[0].timeline[2].epoch = 0; }), 1U) << "an epoch that goes back";
    EXPECT_GE(wrong_after([](Story& s) { s.seen[1].timeline[4].epoch = 1; }), 1U) << "one epoch for two leases";
    EXPECT_GE(wrong_after([](Story& s) { s.seen[0].timeline[1].word = "hastened"; }), 1U) << "no known verdict";
    EXPECT_GE(wrong_after([](Story& s) { s.seen[0].timeline.push_back({"leased", 2}); }), 1U) << "resurrected";
    EXPECT_GE(wrong_after([](Story& s) { s.seen[0].timeline.push_back({"replayed", 2}); }), 1U) << "had not failed";
    EXPECT_GE(wrong_after([](Story& s) { s.seen[0].timeline[0].word = "bewitched"; }), 1U);
    EXPECT_GE(wrong_after([](Story& s) { s.effects.erase("b"); }), 1U) << "a verdict that the validator never gave";
    EXPECT_GE(wrong_after([](Story& s) { s.effects["b"] = {"Validated"}; }), 1U);
}

} // namespace TEST_FILE
} // namespace hotspare::test
