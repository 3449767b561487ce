#include "experiment/judge/measure.hpp"

#include "tests/support/property.hpp"
#include "tests/unit/experiment/synthetic.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

namespace hotspare::experiment {
namespace TEST_FILE {

using synthetic::ms;

/// A run of one stream without a fault, its requests due every 10 ms and answered after 1 ms by primary.
struct Small {
    Plan plan;
    Run run;

    explicit Small(std::size_t requests = 100)
    {
        plan.duration = milliseconds(10 * requests);
        plan.load.resize(1);
        plan.load[0].rate = 100;
        for (std::size_t i = 0; i < requests; ++i) {
            Sample sample;
            sample.index = i;
            sample.due = milliseconds(10 * i);
            sample.sent = sample.due;
            sample.done = sample.first_byte = sample.due + ms(1);
            sample.status = 200;
            sample.served_by = "primary";
            run.samples.push_back(sample);
        }
    }

    void hit(double from, std::optional<double> to, const std::string& on = "primary",
             FaultKind kind = FaultKind::crash, bool effective = true)
    {
        FaultRecord fault;
        fault.step = static_cast<std::uint32_t>(plan.method.size());
        fault.triggered = ms(from);
        fault.confirmed = ms(from + 1);
        fault.effective = effective;
        if (to) fault.undone = ms(*to);
        run.faults.push_back(fault);
        Step step;
        step.on = on;
        step.fault = kind;
        plan.method.push_back(step);
    }
    void fail(std::size_t from, std::size_t to)
    {
        for (std::size_t i = from; i < to; ++i) {
            run.samples[i].outcome = Outcome::status;
            run.samples[i].status = 502;
            run.samples[i].served_by.clear();
        }
    }
    void serve(std::size_t from, std::size_t to, const std::string& by)
    {
        for (std::size_t i = from; i < to; ++i) run.samples[i].served_by = by;
    }
    void say(double at, const std::string& kind, const std::string& backend, const std::string& from,
             const std::string& to)
    {
        EventRecord event;
        event.at = ms(at);
        event.kind = kind;
        event.backend = backend;
        event.from = from;
        event.to = to;
        run.events.push_back(event);
    }
    std::optional<double> of(Measure measure, Phase phase = Phase::all) const
    {
        return experiment::measure(plan, run).of(measure, phase);
    }
};

TEST(Measure, a_scripted_run_comes_to_what_was_worked_out_by_hand)
{
    const Measures measures = measure(synthetic::scripted_plan(), synthetic::scripted_run());
    for (const auto& [which, phase, expected] : synthetic::scripted_measures()) {
        const auto value = measures.of(which, phase);
        ASSERT_EQ(value.has_value(), expected.has_value()) << to_string(which) << ' ' << to_string(phase);
        if (!expected) continue;
        EXPECT_NEAR(*value, *expected, 1e-9) << to_string(which) << ' ' << to_string(phase);
    }
}

TEST(Measure, without_a_fault_everything_is_healthy)
{
    const Small small;
    EXPECT_EQ(small.of(Measure::requests, Phase::healthy), 100);
    EXPECT_EQ(small.of(Measure::requests, Phase::fault), std::nullopt);
    EXPECT_EQ(small.of(Measure::failed, Phase::recovered), std::nullopt);
    for (const Measure absent : {Measure::detection, Measure::failover, Measure::failback})
        EXPECT_EQ(small.of(absent), std::nullopt) << to_string(absent);
    EXPECT_EQ(small.of(Measure::outage), 0);
    EXPECT_EQ(small.of(Measure::gap), 10);
}

TEST(Measure, a_request_belongs_to_the_phase_in_which_it_was_due_however_long_it_took)
{
    Small small;
    small.hit(500, 700);
    small.run.samples[49].done = ms(900); // due at 490
    EXPECT_EQ(small.of(Measure::max, Phase::healthy), 410);
    EXPECT_EQ(small.of(Measure::requests, Phase::healthy), 50) << "what is due at the very moment meets the fault";
    EXPECT_EQ(small.of(Measure::requests, Phase::fault), 20);
    EXPECT_EQ(small.of(Measure::requests, Phase::recovered), 30);
}

TEST(Measure, a_fault_that_was_never_undone_lasts_to_the_end)
{
    Small small;
    small.hit(500, std::nullopt);
    EXPECT_EQ(small.of(Measure::requests, Phase::fault), 50);
    EXPECT_EQ(small.of(Measure::requests, Phase::recovered), std::nullopt);
    EXPECT_EQ(small.of(Measure::failback), std::nullopt);
}

TEST(Measure, a_restart_is_over_when_it_is_confirmed)
{
    Small small;
    small.hit(495, std::nullopt, "primary", FaultKind::restart);
    EXPECT_EQ(small.of(Measure::requests, Phase::fault), std::nullopt) << "nothing was due in that millisecond";
    EXPECT_EQ(small.of(Measure::requests, Phase::recovered), 50);
    EXPECT_EQ(small.of(Measure::failback), 5); // 496 -> request 50 at 501
}

TEST(Measure, several_faults_last_from_the_first_to_the_end_of_the_last)
{
    Small small;
    small.hit(200, 600, "primary");
    small.hit(300, 400, "spare");
    EXPECT_EQ(small.of(Measure::requests, Phase::healthy), 20);
    EXPECT_EQ(small.of(Measure::requests, Phase::fault), 40);
    EXPECT_EQ(small.of(Measure::failback), 1) << "primary was the last that came back";
    small.run.faults[1].undone.reset();
    EXPECT_EQ(small.of(Measure::requests, Phase::fault), 80);
}

TEST(Measure, a_fault_without_effect_is_no_fault)
{
    Small small;
    small.hit(100, 200, "spare", FaultKind::crash, false);
    EXPECT_EQ(small.of(Measure::requests, Phase::healthy), 100);
    small.hit(500, 700);
    EXPECT_EQ(small.of(Measure::requests, Phase::healthy), 50);
}

TEST(Measure, detection_is_the_first_word_about_the_party_that_was_hit)
{
    Small small;
    small.hit(500, 700);
    small.say(490, "transition", "primary", "healthy", "down");   // before
    small.say(495, "transition", "primary", "down", "healthy");   // before
    small.say(505, "transition", "spare", "healthy", "degraded"); // another
    small.say(506, "transition", "primary", "unknown", "healthy");
    small.say(507, "failback", "", "primary", "spare");
    small.say(508, "outage", "", "", "");
    EXPECT_EQ(small.of(Measure::detection), std::nullopt);
    Small transition = small;
    transition.say(520, "transition", "primary", "healthy", "degraded");
    EXPECT_EQ(transition.of(Measure::detection), 20);
    Small failover = small;
    failover.say(530, "failover", "", "primary", "spare");
    EXPECT_EQ(failover.of(Measure::detection), 30);
    Small quarantine = small;
    quarantine.say(540, "quarantine", "primary", "", "");
    EXPECT_EQ(quarantine.of(Measure::detection), 40);
}

TEST(Measure, failover_is_the_first_answer_by_another_that_came_after_the_fault)
{
    Small small;
    small.hit(500.5, 700);
    small.fail(51, 54);
    small.serve(54, 100, "spare");
    EXPECT_EQ(small.of(Measure::failover), 40.5);
    small.run.samples[55].done = ms(550.5); // an earlier one was slower
    small.run.samples[54].done = ms(600);
    EXPECT_EQ(small.of(Measure::failover), 50);
}

TEST(Measure, failover_of_the_balancer_or_of_an_unknown_server_is_not_observed)
{
    Small balancer;
    balancer.hit(500, 700, "balancer");
    balancer.serve(51, 100, "spare");
    EXPECT_EQ(balancer.of(Measure::failover), std::nullopt);
    EXPECT_EQ(balancer.of(Measure::detection), std::nullopt);
    Small unknown;
    unknown.hit(500, 700);
    unknown.serve(0, 100, "");
    EXPECT_EQ(unknown.of(Measure::failover), std::nullopt);
    EXPECT_EQ(unknown.of(Measure::failback), std::nullopt);
}

TEST(Measure, a_standby_that_is_hit_hands_nothing_over)
{
    Small small;
    small.hit(500, 700, "spare");
    EXPECT_EQ(small.of(Measure::failover), std::nullopt) << "primary just went on";
}

TEST(Measure, failback_counts_only_answers_to_requests_due_after_the_undoing)
{
    Small small;
    small.hit(300, 700);
    small.serve(30, 100, "spare");
    small.serve(69, 70, "primary"); // due at 690, answered at 710
    small.run.samples[69].done = ms(710);
    small.serve(80, 100, "primary");
    EXPECT_EQ(small.of(Measure::failback), 101);
}

TEST(Measure, an_outage_ends_with_the_next_request_that_is_answered)
{
    Small small;
    small.fail(10, 13); // 100 -> 130
    small.fail(20, 21); // 200 -> 210
    EXPECT_EQ(small.of(Measure::outage), 40);
    small.fail(95, 100); // 950 -> the end of the load
    EXPECT_EQ(small.of(Measure::outage), 90);
    small.run.aborted = "too many failures";
    EXPECT_EQ(small.of(Measure::outage), 80) << "an aborted run ends with its last request";
}

TEST(Measure, the_gap_reaches_from_the_beginning_and_to_the_end)
{
    Small begin;
    begin.fail(0, 20);
    EXPECT_EQ(begin.of(Measure::gap), 201);
    Small end;
    end.fail(50, 100);
    EXPECT_EQ(end.of(Measure::gap), 990 - 491);
    Small whole;
    whole.fail(0, 100);
    EXPECT_EQ(whole.of(Measure::gap), 990);
    EXPECT_EQ(whole.of(Measure::p50), std::nullopt);
    EXPECT_EQ(whole.of(Measure::availability), 0);
    Small none(0);
    EXPECT_EQ(none.of(Measure::gap), std::nullopt);
    EXPECT_EQ(none.of(Measure::outage), std::nullopt);
    EXPECT_EQ(none.of(Measure::requests), std::nullopt);
}

TEST(Measure, losses_and_duplicates_are_unknown_without_a_ledger)
{
    auto run = synthetic::scripted_run();
    run.counted = false;
    run.executions.clear();
    const Measures measures = measure(synthetic::scripted_plan(), run);
    EXPECT_EQ(measures.of(Measure::lost), std::nullopt);
    EXPECT_EQ(measures.of(Measure::duplicated), std::nullopt);
    EXPECT_EQ(measures.of(Measure::failed), 5);
}

TEST(Measure, what_may_be_repeated_is_no_duplicate)
{
    Small small;
    small.plan.load[0].method = "POST";
    small.run.counted = true;
    for (const Sample& sample : small.run.samples)
        small.run.executions.push_back({.index = sample.index, .backend = "primary", .times = 1});
    small.run.executions[3].times = 2; // twice at one backend
    small.run.executions.push_back({.index = 7, .backend = "spare", .times = 1});
    EXPECT_EQ(small.of(Measure::duplicated), 2);
    small.plan.load[0].idempotency_key = true;
    EXPECT_EQ(small.of(Measure::duplicated), 0);
}

TEST(Measure, a_stall_is_more_than_100_ms)
{
    Small small;
    small.run.samples[3].done = small.run.samples[3].due + ms(100);
    EXPECT_EQ(small.of(Measure::stalled), 0);
    small.run.samples[4].done = small.run.samples[4].due + ms(100.000001);
    EXPECT_EQ(small.of(Measure::stalled), 1);
}

TEST(Measure, what_a_fault_met_on_its_way_is_told_from_what_came_later)
{
    Small small;
    EXPECT_EQ(small.of(Measure::failed_not_in_flight), std::nullopt) << "there is no fault";
    FaultRecord fault;
    fault.triggered = small.run.samples[4].due - ms(1);
    fault.confirmed = small.run.samples[4].due + ms(1);
    fault.effective = true;
    small.run.faults = {fault};
    Sample& met = small.run.samples[4];
    met.outcome = Outcome::broken;
    met.sent = met.due;
    met.first_byte = met.done = met.due + ms(3);
    EXPECT_EQ(small.of(Measure::failed_not_in_flight), 0);
    met.sent = fault.confirmed + ms(0.5);
    EXPECT_EQ(small.of(Measure::failed_not_in_flight), 1) << "by then the fault was there";
    met.sent = met.first_byte = met.done = met.due;
    EXPECT_EQ(small.of(Measure::failed_not_in_flight), 1) << "what was never sent was not in flight";
    met.sent = met.due;
    met.done = met.first_byte = met.due + ms(0.5);
    small.run.faults[0].triggered = met.done + ms(0.1);
    EXPECT_EQ(small.of(Measure::failed_not_in_flight), 1) << "it had failed before";
}

TEST(Measure, what_was_never_sent_says_nothing_about_the_generator)
{
    Small small;
    Sample& refused = small.run.samples[5];
    refused.outcome = Outcome::refused;
    refused.status = 0;
    refused.sent = refused.first_byte = refused.done = refused.due + ms(70);
    EXPECT_EQ(small.of(Measure::lag_max), 0);
    small.run.samples[6].sent += ms(0.75);
    EXPECT_EQ(small.of(Measure::lag_max), 0.75);
}

TEST(Quantile, is_the_nearest_rank)
{
    // The example of NIST's handbook of what a percentile is by this rule: 5 values, 40 % -> the second.
    const std::vector<double> five{15, 20, 35, 40, 50};
    EXPECT_EQ(quantile(five, 0.05), 15);
    EXPECT_EQ(quantile(five, 0.3), 20);
    EXPECT_EQ(quantile(five, 0.4), 20);
    EXPECT_EQ(quantile(five, 0.5), 35);
    EXPECT_EQ(quantile(five, 1), 50);
    EXPECT_EQ(quantile(five, 0), 15);
    EXPECT_EQ(quantile({}, 0.5), std::nullopt);
    std::vector<double> hundred;
    for (int i = 1; i <= 100; ++i) hundred.push_back(i);
    for (int percent = 1; percent <= 100; ++percent) EXPECT_EQ(quantile(hundred, percent / 100.0), percent);
}

TEST(Quantile, is_a_value_that_enough_do_not_exceed)
{
    test::check_property(1000, [] {
        auto values = *rc::gen::nonEmpty(rc::gen::container<std::vector<double>>(
            rc::gen::map(rc::gen::inRange(0, 50), [](int value) { return static_cast<double>(value); })));
        std::sort(values.begin(), values.end());
        const double share = *rc::gen::inRange(1, 1001) / 1000.0;
        const double found = *quantile(values, share);
        const auto up_to = [&](double limit) {
            return static_cast<double>(
                std::count_if(values.begin(), values.end(), [&](double v) { return v <= limit; }));
        };
        const double wanted = share * static_cast<double>(values.size()) - 1e-6;
        RC_ASSERT(up_to(found) >= wanted);
        for (const double smaller : values)
            if (smaller < found) RC_ASSERT(up_to(smaller) < wanted + 2e-6);
    });
}

TEST(Spread, is_over_the_runs_in_which_it_was_observed)
{
    std::vector<Measures> runs(5);
    EXPECT_FALSE(spread(runs, Measure::detection));
    runs[1].set(Measure::detection, Phase::all, 30);
    runs[2].set(Measure::detection, Phase::all, 10);
    runs[4].set(Measure::detection, Phase::all, 80);
    auto found = spread(runs, Measure::detection);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->median, 30);
    EXPECT_EQ(found->min, 10);
    EXPECT_EQ(found->max, 80);
    EXPECT_EQ(found->runs, 3U);
    runs[0].set(Measure::detection, Phase::all, 40);
    EXPECT_EQ(spread(runs, Measure::detection)->median, 35);
    EXPECT_FALSE(spread(runs, Measure::detection, Phase::fault));
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
