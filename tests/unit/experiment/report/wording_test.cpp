#include "experiment/report/wording.hpp"

#include <gtest/gtest.h>

namespace hotspare::experiment {
namespace TEST_FILE {

TEST(Wording, Numbers)
{
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(999), "999");
    EXPECT_EQ(grouped(1000), "1,000");
    EXPECT_EQ(grouped(1234567), "1,234,567");
    EXPECT_EQ(counted(1, "run", "runs"), "1 run");
    EXPECT_EQ(counted(0, "run", "runs"), "0 runs");
}

TEST(Wording, TimesHaveTheUnitThatSuitsThem)
{
    EXPECT_EQ(time_text(Nanos(0)), "0 s");
    EXPECT_EQ(time_text(Nanos(820)), "820 ns");
    EXPECT_EQ(time_text(Nanos(820'000)), "820 µs");
    EXPECT_EQ(time_text(Nanos(999'600)), "1.00 ms");
    EXPECT_EQ(time_text(Nanos(1'240'000)), "1.24 ms");
    EXPECT_EQ(time_text(Nanos(123'400'000)), "123 ms");
    EXPECT_EQ(time_text(Nanos(2'013'000'000)), "2.013 s");
    EXPECT_EQ(time_text(Nanos(-300'000'000)), "-300 ms");
}

TEST(Wording, AbsentIsNotZero)
{
    EXPECT_EQ(value_text(Measure::failed, std::nullopt), "not observed");
    EXPECT_EQ(value_text(Measure::failed, 0), "0");
    EXPECT_EQ(median_text(Measure::detection, std::nullopt), "not observed");
    EXPECT_EQ(range_text(Measure::detection, std::nullopt, ".."), "");
}

TEST(Wording, ARangeNamesItsUnitOnce)
{
    EXPECT_EQ(range_text(Measure::max, Spread{.median = 3, .min = 2.5, .max = 4, .runs = 3}, " to "), "2.5 to 4 ms");
    EXPECT_EQ(range_text(Measure::failed, Spread{.median = 3, .min = 1, .max = 1200, .runs = 3}, ".."), "1..1,200");
    EXPECT_EQ(range_text(Measure::failed, Spread{.median = 3, .min = 3, .max = 3, .runs = 3}, ".."), "")
        << "nothing to say";
}

TEST(Wording, TheSentenceSaysWhatDecided)
{
    Judgement judgement;
    judgement.verdict = Verdict::pass;
    judgement.valid = judgement.total = 5;
    EXPECT_EQ(sentence(judgement), "Nothing was promised, so nothing was broken.");
    judgement.findings = {{"failed requests", "at most 0", "0", true, 5, 5},
                          {"outage", "at most 0 ms", "0 ms", true, 5, 5}};
    EXPECT_EQ(sentence(judgement), "All 2 conditions held in each of the 5 runs.");

    judgement.verdict = Verdict::fail;
    judgement.findings[1] = {"outage", "at most 0 ms", "467 ms", false, 2, 5};
    EXPECT_EQ(sentence(judgement), "One condition did not hold: outage (467 ms; promised: at most 0 ms).");

    judgement.verdict = Verdict::invalid;
    judgement.valid = 3;
    judgement.reasons = {"run 2 is invalid: the crash was not effective"};
    EXPECT_EQ(sentence(judgement), "Nothing can be said about the system, as only 3 of 5 runs can be trusted: run 2 is "
                                   "invalid: the crash was not effective.");
    judgement = {};
    EXPECT_EQ(sentence(judgement), "Nothing can be said about the system, as no run was recorded.");
    judgement.verdict = Verdict::aborted;
    judgement.reasons = {"run 1 was aborted: interrupted"};
    EXPECT_EQ(sentence(judgement), "The experiment was ended early: run 1 was aborted: interrupted.");
}

TEST(Wording, TheTrailTellsTheWay)
{
    Sample sample;
    EXPECT_EQ(trail_text(sample), "");
    sample.trail.resize(2);
    sample.trail[0].backend = "primary";
    sample.trail[0].outcome = "failing_status";
    sample.trail[0].status = 503;
    sample.trail[0].ms = 0.4;
    sample.trail[1].backend = "spare";
    sample.trail[1].outcome = "answered";
    sample.trail[1].status = 200;
    sample.trail[1].hedge = true;
    sample.trail[1].ms = 12;
    EXPECT_EQ(trail_text(sample), "primary: failing_status (503) after 0.40 ms, spare (hedge): answered after 12.0 ms");
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
