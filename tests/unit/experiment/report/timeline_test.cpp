// The picture of one run in the terminal.
#include "experiment/report/timeline.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace hotspare::experiment {
namespace TEST_FILE {

const std::vector<std::string> backends{"primary", "spare"};

Plan plan_of(Duration duration)
{
    Plan plan;
    plan.duration = duration;
    plan.load.emplace_back();
    plan.load.emplace_back().must_succeed = false;
    plan.method.emplace_back();
    return plan;
}

/// 100 requests, one each 10 ms, half a millisecond each, by the primary.
Run healthy_run()
{
    Run run;
    for (std::uint64_t i = 0; i < 100; ++i) {
        Sample sample;
        sample.index = i;
        sample.due = sample.sent = milliseconds(10 * i);
        sample.first_byte = sample.done = sample.due + microseconds(500);
        sample.status = 200;
        sample.served_by = "primary";
        run.samples.push_back(sample);
    }
    return run;
}

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

TEST(Timeline, ShowsWhoServedWhatFailedAndHowSlowItWas)
{
    auto run = healthy_run();
    for (std::size_t i = 50; i < 80; ++i) run.samples[i].served_by = "spare";
    run.samples[50].outcome = Outcome::status;
    run.samples[50].status = 503;
    run.samples[99].done += milliseconds(400);
    run.faults.push_back(
        {.triggered = milliseconds(500), .effective = true, .evidence = {}, .undone = milliseconds(700)});
    const auto lines = lines_of(timeline(plan_of(seconds(1)), run, backends, 80));
    ASSERT_GE(lines.size(), 3U);
    for (const auto& line : lines) EXPECT_LE(line.size(), 80U) << line;
    EXPECT_EQ(lines[1].front(), ' ');
    EXPECT_EQ(lines[1].find('='), 2U);
    EXPECT_EQ(lines[1].back(), '=');
    const auto failure = lines[1].find('X');
    ASSERT_NE(failure, std::string::npos);
    EXPECT_EQ(lines[1][failure + 1], '#');
    EXPECT_EQ(lines[0].find('!'), failure) << "the fault begins where the failure is";
    EXPECT_EQ(lines[2].back(), '@');
}

TEST(Timeline, WritesThatMayFailAreNotInIt)
{
    auto run = healthy_run();
    run.samples[10].stream = 1;
    run.samples[10].outcome = Outcome::broken;
    EXPECT_EQ(lines_of(timeline(plan_of(seconds(1)), run, backends, 80))[1].find('X'), std::string::npos);
}

TEST(Timeline, IsEmptyWithoutRequestsAndSurvivesAFaultBehindTheLast)
{
    EXPECT_EQ(timeline(plan_of(seconds(1)), experiment::Run{}, backends, 80), "");
    auto run = healthy_run();
    run.samples.resize(1);
    run.faults.push_back({.triggered = seconds(2), .effective = true, .evidence = {}, .undone = seconds(3)});
    EXPECT_FALSE(timeline(plan_of(seconds(4)), run, backends, 80).empty());
    EXPECT_FALSE(timeline(plan_of(seconds(4)), healthy_run(), {}, 10).empty()) << "no server known, hardly any room";
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
