#include "monitor/check/push.hpp"

#include <gtest/gtest.h>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;

constexpr TimePoint start{Duration(1h)};

TEST(PushWatch, IsDownWhenNoReportComesInTime)
{
    PushWatch watch(10s, 2s, start);
    EXPECT_EQ(watch.look(start + 12s).state, State::unknown) << "it has not had its time yet";
    EXPECT_EQ(watch.look(start + 12s + 1ns).state, State::down);
    EXPECT_EQ(watch.look(start + 13s).cause, "no report within 12s");
    watch.reported({}, start + 20s);
    EXPECT_EQ(watch.look(start + 32s).state, State::up);
    EXPECT_EQ(watch.look(start + 33s).state, State::down);
}

TEST(PushWatch, BelievesAReportThatSaysDown)
{
    PushWatch watch(10s, 0s, start);
    watch.reported({.up = false, .message = "disk full"}, start);
    EXPECT_EQ(watch.look(start).state, State::down);
    EXPECT_EQ(watch.look(start).cause, "disk full");
    watch.reported({.up = false}, start);
    EXPECT_EQ(watch.look(start).cause, "reported itself down");
    watch.reported({}, start);
    EXPECT_EQ(watch.look(start).state, State::up);
}

TEST(PushWatch, DoesNotBlameTheTargetForTimeInWhichNoReportCouldArrive)
{
    PushWatch watch(10s, 0s, start);
    watch.reported({}, start);
    watch.was_unreachable(3s, start + 5s);
    EXPECT_EQ(watch.look(start + 13s).state, State::up);
    EXPECT_EQ(watch.look(start + 14s).state, State::down);
    watch.was_unreachable(1h, start + 2h);
    EXPECT_EQ(watch.look(start + 2h + 10s).state, State::unknown);
    EXPECT_EQ(watch.look(start + 2h + 11s).state, State::down);
}

TEST(PushWatch, ComparesTokensWhole)
{
    EXPECT_TRUE(equal_in_constant_time("", ""));
    EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
    EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
    EXPECT_FALSE(equal_in_constant_time("\xff"
                                        "bc",
                                        "abc"));
    EXPECT_FALSE(equal_in_constant_time("abc", "abcd"));
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
