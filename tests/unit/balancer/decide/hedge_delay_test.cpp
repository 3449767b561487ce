#include "balancer/decide/hedge_delay.hpp"

#include <gtest/gtest.h>

namespace hotspare::balancer {
namespace TEST_FILE {

TEST(HedgeDelay, IsCautiousUntilItHasSeenAnswers)
{
    HedgeDelay delay(milliseconds(20), 3);
    EXPECT_EQ(delay.current(), milliseconds(200));
}

TEST(HedgeDelay, DoesNotFallBelowItsFloor)
{
    HedgeDelay delay(milliseconds(20), 3);
    for (int i = 0; i < 1000; ++i) delay.observe(microseconds(300));
    EXPECT_EQ(delay.current(), milliseconds(20));
}

TEST(HedgeDelay, FollowsAServiceThatIsSlowByNature)
{
    HedgeDelay delay(milliseconds(20), 3);
    for (int i = 0; i < 1000; ++i) delay.observe(milliseconds(50));
    EXPECT_GE(delay.current(), milliseconds(150));
    EXPECT_LE(delay.current(), milliseconds(190)); // 3 x 50 ms, rounded up to the end of its bucket (at most 25 %)
}

TEST(HedgeDelay, ItsMultipleShrinksAsTheServiceIsSlower)
{
    HedgeDelay delay(milliseconds(20), 3);
    for (int i = 0; i < 1000; ++i) delay.observe(milliseconds(150));
    EXPECT_EQ(delay.current(), milliseconds(250));
    for (int i = 0; i < 60000; ++i) delay.observe(seconds(1));
    EXPECT_GE(delay.current(), seconds(1)) << "sooner, and every other request would be hedged";
    EXPECT_LE(delay.current(), milliseconds(1250));
}

TEST(HedgeDelay, OneSlowAnswerInAThousandDoesNotMoveIt)
{
    HedgeDelay delay(milliseconds(20), 3);
    for (int i = 0; i < 4000; ++i) delay.observe(i % 1000 == 999 ? seconds(5) : milliseconds(1));
    EXPECT_EQ(delay.current(), milliseconds(20));
}

TEST(HedgeDelay, ForgetsOldTimes)
{
    HedgeDelay delay(milliseconds(20), 3);
    for (int i = 0; i < 4000; ++i) delay.observe(milliseconds(100));
    for (int i = 0; i < 60000; ++i) delay.observe(milliseconds(1));
    EXPECT_EQ(delay.current(), milliseconds(20));
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
