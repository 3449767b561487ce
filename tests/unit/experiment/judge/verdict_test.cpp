#include "experiment/judge/verdict.hpp"

#include "tests/unit/experiment/synthetic.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace hotspare::experiment {
namespace TEST_FILE {

using synthetic::ms;
using synthetic::scripted_journal;

Condition condition(Measure measure, const std::string& at_most, const std::string& at_least = {},
                    Phase phase = Phase::all)
{
    return {.measure = measure, .phase = phase, .at_most = at_most, .at_least = at_least};
}

Finding judged(Journal journal, const Condition& promise)
{
    journal.plan.expect = {promise};
    return judge(journal, journal.repeat).findings.at(0);
}

std::string why_not(const Journal& journal)
{
    return why_invalid(journal.plan, journal.runs[0], measure(journal.plan, journal.runs[0]));
}

TEST(Verdict, passes_when_everything_held_in_every_run)
{
    const Judgement judgement = judge(scripted_journal(3, true), 3);
    EXPECT_EQ(judgement.verdict, Verdict::pass);
    EXPECT_TRUE(judgement.reasons.empty());
    EXPECT_EQ(judgement.valid, 3U);
    EXPECT_EQ(judgement.total, 3U);
    EXPECT_EQ(judgement.runs.size(), 3U);
    ASSERT_EQ(judgement.findings.size(), 3U + 7U) << "two probes in four stages, one of them not during the fault";
    for (const Finding& finding : judgement.findings) {
        EXPECT_TRUE(finding.held) << finding.what;
        EXPECT_EQ(finding.held_in, 3U) << finding.what;
        EXPECT_EQ(finding.runs, 3U) << finding.what;
    }
    EXPECT_EQ(judgement.findings[1].what, "detection time");
    EXPECT_EQ(judgement.findings[1].limit, "at most 50 ms");
    EXPECT_EQ(judgement.findings[1].measured, "40 ms");
}

TEST(Verdict, one_bad_run_fails_and_its_value_is_the_one_shown)
{
    Journal journal = scripted_journal(3, true);
    journal.runs[1] = scripted_journal(2).runs[1];
    const Judgement judgement = judge(journal, 3);
    EXPECT_EQ(judgement.verdict, Verdict::fail);
    EXPECT_EQ(judgement.findings[0].what, "failed requests");
    EXPECT_EQ(judgement.findings[0].limit, "at most 0");
    EXPECT_EQ(judgement.findings[0].measured, "5");
    EXPECT_FALSE(judgement.findings[0].held);
    EXPECT_EQ(judgement.findings[0].held_in, 2U);
    EXPECT_TRUE(judgement.findings[1].held);
    EXPECT_TRUE(judgement.findings[2].held);
    EXPECT_EQ(judgement.findings[2].limit, "at least 97 %");
    EXPECT_EQ(judgement.findings[2].measured, "97.5 %") << "the worst is the lowest where more is better";
}

TEST(Verdict, what_was_not_observed_does_not_hold)
{
    Journal journal = scripted_journal(2, true);
    journal.runs[1].events.clear();
    const Finding finding = judged(journal, condition(Measure::detection, "50ms"));
    EXPECT_FALSE(finding.held);
    EXPECT_EQ(finding.held_in, 1U);
    EXPECT_EQ(finding.measured, "not observed");
}

TEST(Verdict, phases_and_both_bounds_are_compared)
{
    const Journal journal = scripted_journal();
    EXPECT_TRUE(judged(journal, condition(Measure::failed, "4", "4", Phase::fault)).held);
    EXPECT_EQ(judged(journal, condition(Measure::failed, "4", "4", Phase::fault)).what,
              "failed requests during the fault");
    EXPECT_EQ(judged(journal, condition(Measure::failed, "4", "4", Phase::fault)).limit, "exactly 4");
    EXPECT_FALSE(judged(journal, condition(Measure::failed, "4", "", Phase::all)).held);
    EXPECT_TRUE(judged(journal, condition(Measure::requests, "300", "100")).held);
    EXPECT_EQ(judged(journal, condition(Measure::requests, "300", "100")).limit, "at least 100 and at most 300");
    EXPECT_FALSE(judged(journal, condition(Measure::requests, "300", "201")).held);
    EXPECT_TRUE(judged(journal, condition(Measure::max, "1900us", "", Phase::healthy)).held);
    EXPECT_FALSE(judged(journal, condition(Measure::max, "1899us", "", Phase::healthy)).held);
}

TEST(Verdict, a_share_that_meets_its_limit_exactly_holds)
{
    for (int failed = 0; failed <= 200; ++failed) {
        Journal journal = scripted_journal(1, true);
        int left = failed;
        for (Sample& sample : journal.runs[0].samples) {
            if (sample.stream != 0 || left-- <= 0) continue;
            sample.outcome = Outcome::status;
            sample.status = 500;
        }
        const std::string limit = config::format_number(failed / 2.0) + "%"; // of 200 requests
        EXPECT_TRUE(judged(journal, condition(Measure::error_rate, limit, limit)).held) << limit;
    }
}

TEST(Verdict, an_aborted_run_outweighs_everything)
{
    Journal journal = scripted_journal(2);
    journal.runs[1].aborted = "interrupted";
    journal.runs[0].invalid = "no descriptors left";
    const Judgement judgement = judge(journal, 2);
    EXPECT_EQ(judgement.verdict, Verdict::aborted);
    EXPECT_EQ(judgement.reasons.at(0), "run 2 was aborted: interrupted") << "that is why there are no more";
    EXPECT_EQ(judgement.reasons.at(1), "run 1 is invalid: no descriptors left");
    EXPECT_EQ(judgement.valid, 0U);
}

TEST(Verdict, with_too_few_valid_runs_nothing_can_be_said)
{
    Journal journal = scripted_journal(3); // would fail
    EXPECT_EQ(judge(journal, 3).verdict, Verdict::fail);
    EXPECT_EQ(judge(journal, 4).verdict, Verdict::invalid);
    journal.runs[2].invalid = "a fault could not be made";
    const Judgement judgement = judge(journal, 3);
    EXPECT_EQ(judgement.verdict, Verdict::invalid);
    EXPECT_EQ(judgement.reasons.back(), "2 of 3 wanted runs are valid");
    EXPECT_EQ(judgement.findings[0].runs, 2U) << "what the valid ones say is still shown";
    EXPECT_EQ(judge(journal, 2).verdict, Verdict::fail) << "one more run may make up for an invalid one";

    journal.runs.clear();
    const Judgement empty = judge(journal, 0);
    EXPECT_EQ(empty.verdict, Verdict::invalid);
    EXPECT_EQ(empty.findings[0].measured, "no valid run");
    EXPECT_FALSE(empty.findings[0].held);
}

TEST(Verdict, a_fault_that_was_not_effective_or_not_made_invalidates)
{
    Journal journal = scripted_journal();
    EXPECT_EQ(why_not(journal), "");
    journal.runs[0].faults[0].effective = false;
    journal.runs[0].faults[0].evidence = "process 4711 still answers";
    EXPECT_NE(why_not(journal).find("of primary) was not effective: process 4711 still answers"), std::string::npos);
    journal.runs[0].faults.clear();
    EXPECT_NE(why_not(journal).find("was not made"), std::string::npos);
}

TEST(Verdict, without_the_steady_state_before_the_run_says_nothing)
{
    Journal journal = scripted_journal();
    ProbeRecord& probe = journal.runs[0].probes[1];
    probe.passed = false;
    probe.detail = "served by spare";
    EXPECT_EQ(why_not(journal),
              "the steady state 'primary answers' was not there before the fault: failed: served by spare");
    journal.runs[0].probes.erase(journal.runs[0].probes.begin());
    EXPECT_EQ(why_not(journal), "the steady state 'answers' was not there before the fault: not checked");
}

TEST(Verdict, a_generator_that_lagged_invalidates)
{
    Journal journal = scripted_journal(1, true);
    auto& samples = journal.runs[0].samples;
    const auto delay = [](Sample& sample, double by) {
        sample.sent = sample.due + ms(by);
        sample.first_byte = sample.done = sample.sent + ms(1);
    };
    delay(samples[10], 50);
    EXPECT_EQ(why_not(journal), "") << "up to the limit it is sound";
    delay(samples[10], 50.1);
    EXPECT_EQ(why_not(journal),
              "the generator lagged: max 50.1 ms, at most 50 ms can be told from the system's own delay");
    samples[10].waited = true;
    EXPECT_EQ(why_not(journal), "") << "it was the system that kept all connections busy";
    for (std::size_t i = 20; i < 23; ++i) delay(samples[i], 6);
    EXPECT_EQ(why_not(journal), "the generator lagged: p99 6 ms, at most 5 ms can be told from the system's own delay");
    samples.clear();
    EXPECT_EQ(why_not(journal), "no request was sent");
}

TEST(Verdict, the_steady_state_is_judged_stage_by_stage)
{
    Journal journal = scripted_journal(2, true);
    const auto named = [](const Judgement& judgement, const std::string& what) {
        const auto found = std::find_if(judgement.findings.begin(), judgement.findings.end(),
                                        [&](const Finding& finding) { return finding.what == what; });
        return found == judgement.findings.end() ? Finding{} : *found;
    };
    for (ProbeRecord& probe : journal.runs[1].probes) {
        if (probe.probe != 0 || probe.stage != Stage::during) continue;
        probe.passed = false;
        probe.detail = "502 instead of 200";
    }
    auto& probes = journal.runs[0].probes;
    std::erase_if(probes, [](const ProbeRecord& probe) { return probe.stage == Stage::restored; });
    const Judgement judgement = judge(journal, 2);
    EXPECT_EQ(judgement.verdict, Verdict::fail);
    const Finding during = named(judgement, "steady state 'answers' during the fault");
    EXPECT_FALSE(during.held);
    EXPECT_EQ(during.held_in, 1U);
    EXPECT_EQ(during.measured, "failed: 502 instead of 200");
    EXPECT_TRUE(named(judgement, "steady state 'answers' after the fault").held);
    EXPECT_EQ(named(judgement, "steady state 'primary answers' after the rollback").measured, "not checked")
        << "a stage that was left out is not a stage that passed";
    EXPECT_EQ(named(judgement, "steady state 'primary answers' during the fault").what, "");
}

TEST(Verdict, has_the_words_and_exit_codes_that_people_script_against)
{
    EXPECT_EQ(to_string(Verdict::pass), "PASS");
    EXPECT_EQ(to_string(Verdict::fail), "FAIL");
    EXPECT_EQ(to_string(Verdict::invalid), "INVALID");
    EXPECT_EQ(to_string(Verdict::aborted), "ABORTED");
    EXPECT_EQ(exit_code(Verdict::pass), 0);
    EXPECT_EQ(exit_code(Verdict::fail), 1);
    EXPECT_EQ(exit_code(Verdict::invalid), 3);
    EXPECT_EQ(exit_code(Verdict::aborted), 4);
}

TEST(Verdict, a_condition_without_a_bound_does_not_hold)
{
    EXPECT_FALSE(judged(scripted_journal(1, true), condition(Measure::failed, "")).held);
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
