#include "common/resilience/restart_policy.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace hotspare::resilience {

// For the messages of failed assertions.
static void PrintTo(RestartPolicy::Phase phase, std::ostream* out)
{
    *out << to_string(phase);
}

namespace TEST_FILE {

using Phase = RestartPolicy::Phase;

const TimePoint begin = TimePoint{} + std::chrono::hours(3);

RestartSettings without_jitter()
{
    RestartSettings s;
    s.jitter = 0;
    return s;
}

TEST(RestartPolicy, ThePauseDoublesUpToItsBound)
{
    RestartPolicy policy(without_jitter(), 1);
    TimePoint now = begin;
    for (const int expected : {200, 400, 800, 1600, 3200, 6400, 10000, 10000}) {
        policy.started(now);
        now += milliseconds(5);
        ASSERT_EQ(policy.ended(Ending::failure, now), Phase::waiting);
        EXPECT_EQ(policy.restart_at() - now, milliseconds(expected));
        now = policy.restart_at();
    }
}

TEST(RestartPolicy, AHealthyRunStartsThePausesOver)
{
    RestartPolicy policy(without_jitter(), 1);
    TimePoint now = begin;
    for (int i = 0; i < 5; ++i) {
        policy.started(now);
        policy.ended(Ending::failure, now);
        now = policy.restart_at();
    }
    policy.started(now);
    now += seconds(30) - milliseconds(1);
    policy.ended(Ending::failure, now);
    EXPECT_EQ(policy.restart_at() - now, milliseconds(6400)) << "it did not run for long enough";
    now = policy.restart_at();
    policy.started(now);
    now += seconds(30);
    policy.ended(Ending::failure, now);
    EXPECT_EQ(policy.restart_at() - now, milliseconds(200));
    EXPECT_EQ(policy.failures(), 1U);
}

TEST(RestartPolicy, WhatEndsByItsOwnDecisionStaysDown)
{
    RestartPolicy policy({}, 1);
    policy.started(begin);
    EXPECT_EQ(policy.ended(Ending::success, begin), Phase::down);
    policy.started(begin);
    EXPECT_EQ(policy.ended(Ending::refused, begin), Phase::down);

    RestartSettings always;
    always.always = true;
    RestartPolicy engine(always, 1);
    engine.started(begin);
    EXPECT_EQ(engine.ended(Ending::success, begin), Phase::waiting) << "it was not asked to stop";
    engine.started(begin);
    EXPECT_EQ(engine.ended(Ending::refused, begin), Phase::down) << "it would refuse its configuration again";
}

TEST(RestartPolicy, TooManyRestartsInAWindowAreGivenUpUntilAnOperatorStartsIt)
{
    RestartSettings s = without_jitter();
    s.limit = 3;
    s.window = seconds(60);
    RestartPolicy policy(s, 1);
    TimePoint now = begin;
    for (int i = 0; i < 3; ++i) {
        policy.started(now);
        ASSERT_EQ(policy.ended(Ending::failure, now), Phase::waiting) << i;
        now = policy.restart_at();
    }
    policy.started(now);
    EXPECT_EQ(policy.ended(Ending::failure, now), Phase::given_up);

    policy.start();
    EXPECT_EQ(policy.failures(), 0U);
    policy.started(now);
    EXPECT_EQ(policy.ended(Ending::failure, now), Phase::waiting);
    EXPECT_EQ(policy.restart_at() - now, milliseconds(200));
}

TEST(RestartPolicy, RestartsThatAreOlderThanTheWindowAreForgotten)
{
    RestartSettings s = without_jitter();
    s.limit = 2;
    s.window = seconds(60);
    RestartPolicy policy(s, 1);
    TimePoint now = begin;
    for (int i = 0; i < 10; ++i) {
        policy.started(now);
        EXPECT_EQ(policy.ended(Ending::failure, now), Phase::waiting) << i;
        now += seconds(31);
    }
}

TEST(RestartPolicy, AStopCancelsARestart)
{
    RestartPolicy policy({}, 1);
    policy.started(begin);
    ASSERT_EQ(policy.ended(Ending::failure, begin), Phase::waiting);
    policy.stop();
    EXPECT_EQ(policy.phase(), Phase::down);
}

TEST(RestartPolicy, RefusesSettingsThatMakeNoSense)
{
    const auto broken = [](auto change) {
        RestartSettings s;
        change(s);
        EXPECT_THROW(RestartPolicy(s, 1), std::invalid_argument);
    };
    broken([](auto& s) { s.first_pause = {}; });
    broken([](auto& s) { s.longest_pause = milliseconds(100); });
    broken([](auto& s) { s.longest_pause = std::chrono::hours(25); });
    broken([](auto& s) { s.jitter = 1.5; });
    broken([](auto& s) { s.healthy_after = {}; });
    broken([](auto& s) { s.window = {}; });
}

/// Runs and ends at random, with every invariant of the header checked after each.
TEST(RestartPolicy, KeepsItsPromisesInAnySequence)
{
    test::check_property(2000, [](std::uint64_t seed) {
        RestartSettings s;
        s.first_pause = milliseconds(*rc::gen::inRange(1, 500));
        s.longest_pause = s.first_pause * *rc::gen::inRange(1, 50);
        s.jitter = *rc::gen::inRange(0, 101) / 100.0;
        s.healthy_after = milliseconds(*rc::gen::inRange(1, 2000));
        s.limit = *rc::gen::inRange(0U, 6U);
        s.window = milliseconds(*rc::gen::inRange(1, 20000));
        s.always = *rc::gen::arbitrary<bool>();
        RestartPolicy policy(s, seed);
        RestartPolicy twin(s, seed);
        TimePoint now = begin;
        unsigned in_a_row = 0;
        std::vector<TimePoint> restarts;
        const int steps = *rc::gen::inRange(1, 60);
        for (int i = 0; i < steps; ++i) {
            policy.started(now);
            twin.started(now);
            const Duration ran = milliseconds(*rc::gen::inRange(0, 3000));
            now += ran;
            if (ran >= s.healthy_after) in_a_row = 0;
            const auto ending =
                *rc::gen::element(Ending::failure, Ending::failure, Ending::failure, Ending::success, Ending::refused);
            const Phase phase = policy.ended(ending, now);
            RC_ASSERT(twin.ended(ending, now) == phase);
            RC_ASSERT(policy.phase() == phase);
            const bool may = ending == Ending::failure || (ending == Ending::success && s.always);
            if (!may) {
                RC_ASSERT(phase == Phase::down);
                policy.start();
                twin.start();
                in_a_row = 0;
                restarts.clear();
                continue;
            }
            const auto recent = std::ranges::count_if(restarts, [&](TimePoint at) { return now - at < s.window; });
            if (s.limit > 0 && recent >= s.limit) {
                RC_ASSERT(phase == Phase::given_up);
                break;
            }
            RC_ASSERT(phase == Phase::waiting);
            restarts.push_back(now);
            const Duration pause = policy.restart_at() - now;
            const Duration most = policy.pause_after(++in_a_row);
            RC_ASSERT(policy.failures() == in_a_row);
            RC_ASSERT(twin.restart_at() == policy.restart_at());
            RC_ASSERT(pause <= most && most <= s.longest_pause);
            RC_ASSERT(pause >= std::chrono::duration_cast<Duration>(most * (1 - s.jitter)) - microseconds(1));
            now = policy.restart_at();
        }
    });
}

} // namespace TEST_FILE
} // namespace hotspare::resilience
