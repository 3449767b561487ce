#include "balancer/decide/blame.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

Attempt attempt(BackendIndex backend, Outcome outcome, Stage stage = Stage::sent)
{
    Attempt a;
    a.backend = backend;
    a.outcome = outcome;
    a.stage = stage;
    return a;
}

std::vector<BackendIndex> diverted(const std::vector<Attempt>& trail, BackendIndex winner)
{
    std::vector<BackendIndex> result;
    for_each_diverted(trail, winner, [&](BackendIndex b) { result.push_back(b); });
    return result;
}

using Backends = std::vector<BackendIndex>;

TEST(RequestBlame, ASuccessElsewhereSpeaksAgainstTheFirst)
{
    for (const Outcome failure : {Outcome::reset, Outcome::timed_out, Outcome::malformed, Outcome::failing_status}) {
        const std::vector<Attempt> trail{attempt(0, failure), attempt(1, Outcome::pending)};
        EXPECT_EQ(first_sent_to(trail), 0);
        EXPECT_EQ(diverted(trail, 1), Backends{0}) << to_string(failure);
        EXPECT_FALSE(sent_only_to(1, trail));
    }
}

TEST(RequestBlame, ARetryDoesNotJudgeTheBackendThatItWasMovedTo)
{
    const std::vector<Attempt> trail{attempt(0, Outcome::reset), attempt(1, Outcome::reset),
                                     attempt(2, Outcome::pending)};
    EXPECT_EQ(diverted(trail, 2), Backends{0});
}

TEST(RequestBlame, ARequestIsCountedOnceHoweverOftenItWasSent)
{
    const std::vector<Attempt> trail{attempt(0, Outcome::reset), attempt(0, Outcome::reset),
                                     attempt(1, Outcome::pending)};
    EXPECT_EQ(diverted(trail, 1), Backends{0});
}

TEST(RequestBlame, WhatSucceedsWhereItFailedJudgesNoOther)
{
    const std::vector<Attempt> trail{attempt(0, Outcome::reset), attempt(0, Outcome::pending)};
    EXPECT_TRUE(diverted(trail, 0).empty());
    EXPECT_TRUE(sent_only_to(0, trail));
}

TEST(RequestBlame, ARefusedConnectionIsHeldAgainstItsBackendAndTheNextIsTheFirstThatWasSentTo)
{
    const std::vector<Attempt> trail{attempt(0, Outcome::refused, Stage::not_sent), attempt(1, Outcome::pending)};
    EXPECT_EQ(first_sent_to(trail), 1);
    EXPECT_EQ(diverted(trail, 1), Backends{0});
    EXPECT_TRUE(sent_only_to(1, trail));
}

TEST(RequestBlame, WhatWeGaveUpJudgesNone)
{
    for (const Outcome end : {Outcome::moved, Outcome::outpaced, Outcome::cancelled}) {
        const std::vector<Attempt> trail{attempt(0, end), attempt(1, Outcome::pending)};
        EXPECT_TRUE(diverted(trail, 1).empty()) << to_string(end);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
