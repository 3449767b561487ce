#include "common/backend/fault.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <vector>

namespace hotspare::backend {
namespace TEST_FILE {

const TimePoint start = TimePoint(seconds(1000));

FaultState with(Fault fault)
{
    FaultState state;
    state.inject(fault, start);
    return state;
}

TEST(FaultState, ServesByDefault)
{
    const FaultState state;
    EXPECT_EQ(state.active(start).mode, Mode::none);
    EXPECT_EQ(state.decide(0, start), Action::serve);
    EXPECT_TRUE(state.listens(start));
    EXPECT_EQ(state.cpu_load(start), 0u);
    EXPECT_FALSE(state.ends_at(start));
}

TEST(FaultState, EveryModeHasItsAction)
{
    const std::vector<std::pair<Mode, Action>> expected{
        {Mode::error, Action::error},          {Mode::hang, Action::hang},         {Mode::slow, Action::delay},
        {Mode::reset, Action::reset},          {Mode::truncate, Action::truncate}, {Mode::corrupt, Action::corrupt},
        {Mode::refuse, Action::serve},         {Mode::flap, Action::error},        {Mode::cpu, Action::delay},
        {Mode::data_error, Action::data_error}};
    for (const auto& [mode, action] : expected)
        EXPECT_EQ(with({.mode = mode}).decide(0, start), action) << to_string(mode);
}

TEST(FaultState, OnlyRefuseClosesTheListener)
{
    for (const auto& [word, mode] : mode_names)
        EXPECT_EQ(with({.mode = mode}).listens(start), mode != Mode::refuse) << word;
}

TEST(FaultState, OnlyCpuBurns)
{
    for (const auto& [word, mode] : mode_names)
        EXPECT_EQ(with({.mode = mode, .load = 40}).cpu_load(start), mode == Mode::cpu ? 40u : 0u) << word;
}

TEST(FaultState, SlowDelaysEveryAnswerAlike)
{
    const auto state = with({.mode = Mode::slow, .delay = milliseconds(300)});
    for (const auto asked : {Asked::page, Asked::health, Asked::other})
        EXPECT_EQ(state.delay(asked, start), milliseconds(300));
}

TEST(FaultState, CpuDelaysThePageByItsLoadAndHealthChecksAboveHalfACore)
{
    const auto delay = [](unsigned load, Asked asked) {
        return with({.mode = Mode::cpu, .load = load}).delay(asked, start);
    };
    EXPECT_EQ(delay(0, Asked::page), Duration::zero());
    EXPECT_EQ(delay(1, Asked::page), milliseconds(50));
    EXPECT_EQ(delay(50, Asked::page), milliseconds(2500));
    EXPECT_EQ(delay(100, Asked::page), seconds(5));
    EXPECT_EQ(delay(50, Asked::health), Duration::zero());
    EXPECT_EQ(delay(51, Asked::health), seconds(2));
    EXPECT_EQ(delay(100, Asked::health), seconds(2));
    EXPECT_EQ(delay(100, Asked::other), Duration::zero());
}

TEST(FaultState, NothingIsDelayedOnceTheFaultIsOver)
{
    const auto state = with({.mode = Mode::cpu, .lasts = seconds(1), .load = 100});
    EXPECT_EQ(state.delay(Asked::page, start + seconds(1)), Duration::zero());
    EXPECT_EQ(state.decide(0, start + seconds(1)), Action::serve);
}

TEST(FaultState, EndsByItself)
{
    const auto state = with({.mode = Mode::refuse, .lasts = seconds(5)});
    EXPECT_EQ(state.ends_at(start), start + seconds(5));
    EXPECT_FALSE(state.listens(start + seconds(5) - milliseconds(1)));
    EXPECT_TRUE(state.listens(start + seconds(5)));
    EXPECT_EQ(state.active(start + seconds(5)).mode, Mode::none);
    EXPECT_FALSE(state.ends_at(start + seconds(5)));
}

TEST(FaultState, IsClearedAndReplaced)
{
    auto state = with({.mode = Mode::error, .lasts = seconds(5)});
    state.inject({.mode = Mode::slow}, start + seconds(1));
    EXPECT_EQ(state.decide(0, start + seconds(100)), Action::delay) << "the new fault has no end";
    state.clear();
    EXPECT_EQ(state.decide(0, start + seconds(100)), Action::serve);
}

TEST(FaultState, FlapAlternates)
{
    const auto state = with({.mode = Mode::flap, .lasts = seconds(60), .period = seconds(2)});
    for (int second = 0; second < 60; ++second)
        EXPECT_EQ(state.decide(0, start + seconds(second) + milliseconds(500)),
                  second % 2 == 0 ? Action::error : Action::serve)
            << second;
    EXPECT_EQ(state.decide(0, start + seconds(60)), Action::serve);
}

TEST(FaultState, HitsTheFractionThatWasAsked)
{
    test::check_property(2000, [] {
        const double rate = *rc::gen::inRange(1, 1001) / 1000.0;
        const double draw = *rc::gen::inRange(0, 1000) / 1000.0;
        const auto mode =
            rc::gen::element(Mode::error, Mode::hang, Mode::slow, Mode::reset, Mode::truncate, Mode::corrupt);
        const auto state = with({.mode = *mode, .rate = rate});
        RC_ASSERT((state.decide(draw, start) != Action::serve) == (draw < rate));
    });
}

} // namespace TEST_FILE
} // namespace hotspare::backend
