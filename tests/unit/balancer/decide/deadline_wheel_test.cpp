#include "balancer/decide/deadline_wheel.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>

namespace hotspare::balancer {
namespace TEST_FILE {

struct Alarm final : Deadline {
    void deadline_passed(TimePoint now) override
    {
        fired.push_back(now);
        if (on_fire) on_fire();
    }
    std::vector<TimePoint> fired;
    std::function<void()> on_fire;
};

const TimePoint start{std::chrono::hours(1)};

TEST(DeadlineWheel, FiresNeverEarlyAndAtMostOneTickLate)
{
    DeadlineWheel wheel(start);
    Alarm alarm;
    wheel.arm(alarm, start + milliseconds(10));
    wheel.advance(start + milliseconds(9));
    EXPECT_TRUE(alarm.fired.empty());
    wheel.advance(start + milliseconds(10) + DeadlineWheel::tick);
    EXPECT_EQ(alarm.fired.size(), 1U);
    EXPECT_FALSE(alarm.armed());
}

TEST(DeadlineWheel, AMomentThatHasPassedFiresAtTheNextAdvance)
{
    DeadlineWheel wheel(start);
    wheel.advance(start + seconds(5));
    Alarm alarm;
    wheel.arm(alarm, start);
    wheel.advance(start + seconds(5) + DeadlineWheel::tick);
    EXPECT_EQ(alarm.fired.size(), 1U);
}

TEST(DeadlineWheel, DeadlinesBeyondOneRoundWaitForTheirRound)
{
    DeadlineWheel wheel(start);
    Alarm alarm;
    wheel.arm(alarm, start + seconds(60));
    for (TimePoint now = start; now < start + seconds(60); now += milliseconds(50)) wheel.advance(now);
    EXPECT_TRUE(alarm.fired.empty());
    wheel.advance(start + seconds(60) + DeadlineWheel::tick);
    EXPECT_EQ(alarm.fired.size(), 1U);
}

TEST(DeadlineWheel, TheFarthestMomentIsNeverReached)
{
    DeadlineWheel wheel(start);
    Alarm alarm;
    wheel.arm(alarm, TimePoint::max());
    wheel.advance(start + std::chrono::hours(24 * 365));
    EXPECT_TRUE(alarm.fired.empty());
}

TEST(DeadlineWheel, PushingADeadlineBackKeepsItFromFiring)
{
    DeadlineWheel wheel(start);
    Alarm alarm;
    wheel.arm(alarm, start + milliseconds(20));
    wheel.arm(alarm, start + milliseconds(100));
    wheel.advance(start + milliseconds(90));
    EXPECT_TRUE(alarm.fired.empty());
    wheel.advance(start + milliseconds(104));
    EXPECT_EQ(alarm.fired.size(), 1U);
}

TEST(DeadlineWheel, BringingADeadlineForwardMakesItFireThen)
{
    DeadlineWheel wheel(start);
    Alarm alarm;
    wheel.arm(alarm, start + seconds(1));
    wheel.arm(alarm, start + milliseconds(20));
    wheel.advance(start + milliseconds(24));
    EXPECT_EQ(alarm.fired.size(), 1U);
}

TEST(DeadlineWheel, ADeadlineMayArmItselfAndDestroyOthersWhileItFires)
{
    DeadlineWheel wheel(start);
    Alarm again;
    auto victim = std::make_unique<Alarm>();
    again.on_fire = [&] {
        victim.reset();
        if (again.fired.size() < 3)
            wheel.arm(again, start + milliseconds(8) * static_cast<int>(again.fired.size() + 1));
    };
    wheel.arm(again, start + milliseconds(8));
    wheel.arm(*victim, start + milliseconds(8));
    for (int ms = 0; ms < 100; ms += 4) wheel.advance(start + milliseconds(ms));
    EXPECT_EQ(again.fired.size(), 3U);
}

TEST(DeadlineWheel, TellsItsDriverWhenANearerDeadlineComes)
{
    int calls = 0;
    DeadlineWheel wheel(start, [&] { ++calls; });
    Alarm far;
    Alarm near;
    wheel.arm(far, start + seconds(1));
    EXPECT_EQ(wheel.next(), start + seconds(1));
    wheel.arm(near, start + milliseconds(100));
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(wheel.next(), start + milliseconds(100));
    wheel.disarm(near);
    wheel.disarm(far);
}

TEST(DeadlineWheel, AgreesWithASortedListOnRandomSequences)
{
    test::check_property(2000, [] {
        DeadlineWheel wheel(start);
        std::deque<Alarm> alarms(8);
        std::map<std::size_t, TimePoint> model; // armed alarms
        std::vector<std::size_t> fired_before(8, 0);
        TimePoint now = start;
        const auto steps = *rc::gen::inRange(1, 200);
        for (int i = 0; i < steps; ++i) {
            const auto which = *rc::gen::inRange<std::size_t>(0, 8);
            switch (*rc::gen::inRange(0, 4)) {
            case 0:
            case 1: {
                const auto at = now + milliseconds(*rc::gen::inRange(-10, 5000));
                wheel.arm(alarms[which], at);
                model[which] = at;
                break;
            }
            case 2:
                wheel.disarm(alarms[which]);
                model.erase(which);
                break;
            case 3:
                now += milliseconds(*rc::gen::inRange(0, 3000));
                wheel.advance(now);
                for (std::size_t a = 0; a < 8; ++a) {
                    const bool fired = alarms[a].fired.size() > fired_before[a];
                    fired_before[a] = alarms[a].fired.size();
                    const auto it = model.find(a);
                    if (fired) {
                        RC_ASSERT(it != model.end());
                        RC_ASSERT(it->second <= now);
                        model.erase(it);
                    } else if (it != model.end()) {
                        RC_ASSERT(it->second + DeadlineWheel::tick + DeadlineWheel::tick > now);
                    }
                }
                break;
            }
        }
    });
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
