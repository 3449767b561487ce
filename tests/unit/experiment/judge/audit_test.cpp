#include "experiment/judge/audit.hpp"

#include "tests/support/property.hpp"
#include "tests/unit/experiment/synthetic.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

namespace hotspare::experiment {
namespace TEST_FILE {

using synthetic::ms;
using synthetic::random_journal;
using synthetic::scripted_journal;

using OneRun = Run; // in a test, `Run` is one of its own functions

std::string first_complaint(const Journal& journal)
{
    const auto complaints = audit(journal);
    return complaints.empty() ? "" : complaints.front();
}

/// The scripted journal after a change of its first run, to which the audit must say just `expected`, or something
/// that begins with it if it ends in "…".
void expect_found(const std::function<void(OneRun&)>& forge, std::string expected)
{
    Journal journal = scripted_journal(2);
    forge(journal.runs[0]);
    const std::string found = first_complaint(journal);
    if (expected.ends_with("…")) {
        expected.resize(expected.size() - std::string_view("…").size());
        EXPECT_EQ(found.substr(0, expected.size()), expected);
    } else {
        EXPECT_EQ(found, expected);
    }
}

/// Read number k of the script.
Sample& read_number(OneRun& run, std::size_t k)
{
    for (Sample& sample : run.samples)
        if (sample.stream == 0 && k-- == 0) return sample;
    throw std::out_of_range("no such read");
}

Execution& execution_of(OneRun& run, std::uint64_t index)
{
    return *std::find_if(run.executions.begin(), run.executions.end(),
                         [&](const Execution& execution) { return execution.index == index; });
}

void erase_execution(OneRun& run, std::uint64_t index)
{
    std::erase_if(run.executions, [&](const Execution& execution) { return execution.index == index; });
}

TEST(Audit, finds_a_run_of_another_seed)
{
    auto journal = scripted_journal(2, true);
    journal.runs[1].seed = journal.runs[0].seed;
    EXPECT_FALSE(audit(journal).empty());
}

TEST(Audit, has_nothing_against_what_is_consistent)
{
    EXPECT_EQ(audit(scripted_journal(3)), std::vector<std::string>());
    EXPECT_EQ(audit(scripted_journal(3, true)), std::vector<std::string>());
    EXPECT_EQ(audit(Journal{}), std::vector<std::string>());
}

TEST(Audit, says_no_more_than_it_is_asked_for)
{
    Journal journal = scripted_journal();
    for (Sample& sample : journal.runs[0].samples) sample.served_by = "nobody";
    EXPECT_EQ(audit(journal).size(), 20U);
    EXPECT_EQ(audit(journal, 3).size(), 3U);
}

TEST(Audit, finds_a_request_that_was_left_out)
{
    expect_found([](OneRun& run) { run.samples.erase(run.samples.begin() + 57); }, "run 1: request 57 is missing");
    expect_found(
        [](OneRun& run) {
            erase_execution(run, run.samples.back().index);
            run.samples.pop_back();
        },
        "run 1: request 219 is missing");
    // Even if what follows is renumbered: it was due at another moment.
    expect_found(
        [](OneRun& run) {
            run.samples.erase(run.samples.begin() + 57);
            for (std::size_t i = 0; i < run.samples.size(); ++i) run.samples[i].index = i;
        },
        "run 1: request 57 was due at …");
}

TEST(Audit, an_aborted_run_may_end_early_but_has_no_holes)
{
    Journal journal = scripted_journal();
    OneRun& run = journal.runs[0];
    run.samples.resize(100);
    std::erase_if(run.executions, [](const Execution& execution) { return execution.index >= 100; });
    EXPECT_EQ(first_complaint(journal), "run 1: request 100 is missing");
    run.aborted = "interrupted";
    EXPECT_EQ(first_complaint(journal), "");
    run.samples.erase(run.samples.begin() + 50);
    EXPECT_EQ(first_complaint(journal), "run 1: request 50 is missing");
}

TEST(Audit, finds_a_request_that_was_never_due)
{
    expect_found(
        [](OneRun& run) {
            Sample extra = run.samples.back();
            ++extra.index;
            run.samples.push_back(extra);
        },
        "run 1: there are 221 requests, but by plan and seed only 220 were due");
}

TEST(Audit, finds_a_moment_that_was_moved)
{
    expect_found([](OneRun& run) { run.samples[30].due -= Nanos(1); }, "run 1: request 30 was due at …");
    expect_found([](OneRun& run) { run.samples[30].stream ^= 1U; }, "run 1: request 30 was one of stream …");
    expect_found([](OneRun& run) { run.samples[30].sent = run.samples[30].due - Nanos(1); },
                 "run 1: request 30 was not due, sent, answered and done in this order");
    expect_found([](OneRun& run) { run.samples[30].done = run.samples[30].sent; },
                 "run 1: request 30 was not due, sent, answered and done in this order");
    expect_found([](OneRun& run) { run.samples[30].first_byte = run.samples[30].done + Nanos(1); },
                 "run 1: request 30 was not due, sent, answered and done in this order");
    expect_found([](OneRun& run) { run.samples[30].done += ms(2100); },
                 "run 1: request 30 took 2101.7 ms, though it should have been given up after 1000 ms");
}

TEST(Audit, an_overrun_generator_is_late_with_everything_and_no_forger)
{
    const auto late = [](OneRun& run, seconds lag) {
        Sample& last = run.samples.back();
        const auto shift = std::chrono::duration_cast<Nanos>(lag);
        for (auto* moment : {&last.sent, &last.first_byte, &last.done}) *moment += shift;
    };
    const auto complaint = [&](seconds lag) {
        Journal journal = scripted_journal();
        late(journal.runs[0], lag);
        const auto found = audit(journal);
        return std::ranges::any_of(found, [](const auto& text) { return text.find("given up") != std::string::npos; });
    };
    EXPECT_FALSE(complaint(seconds(20))) << "the lag alone makes the run invalid, and explains it";
}

TEST(Audit, finds_a_poisson_schedule_that_is_not_that_of_its_seed)
{
    Journal journal = scripted_journal();
    journal.plan.load[0].arrival = Arrival::poisson;
    EXPECT_NE(first_complaint(journal), "");
}

TEST(Audit, finds_a_stall_that_was_made_short)
{
    expect_found(
        [](OneRun& run) {
            Sample& stalled = read_number(run, 60);
            stalled.done = stalled.due + ms(2);
            stalled.first_byte = stalled.done;
        },
        "run 1: request 66 took 1.95 ms, the attempt alone 149.5 ms");
}

TEST(Audit, finds_a_loss_that_was_hidden)
{
    const auto hide = [](OneRun& run, std::size_t k) -> Sample& {
        Sample& sample = read_number(run, k);
        sample.outcome = Outcome::good;
        return sample;
    };
    // Only the word.
    expect_found([&](OneRun& run) { hide(run, 150); }, "run 1: request 165 ended as 'good', but its status is 503");
    // The status, too.
    expect_found([&](OneRun& run) { hide(run, 150).status = 200; },
                 "run 1: request 165 got a good answer, but was not executed");
    // An execution, too.
    expect_found(
        [&](OneRun& run) {
            Sample& sample = hide(run, 150);
            sample.status = 200;
            sample.served_by = "primary";
            run.executions.push_back({.index = sample.index, .backend = "primary", .times = 1});
        },
        "run 1: request 165 got a good answer, but the balancer's log does not know it");
    // One that was executed, but not answered.
    expect_found(
        [&](OneRun& run) {
            Sample& sample = hide(run, 52);
            sample.status = 200;
            sample.served_by = "primary";
        },
        "run 1: request 58 got a good answer, but the balancer's log has none");
    // The answer in the balancer's log had another status.
    expect_found(
        [&](OneRun& run) {
            Sample& sample = hide(run, 52);
            sample.status = 200;
            sample.served_by = "primary";
            sample.trail[0].outcome = "answered";
            sample.trail[0].status = 500;
        },
        "run 1: request 58 ended with status 200, by the balancer's log with 500");
}

TEST(Audit, finds_an_execution_that_was_taken_out_or_moved)
{
    expect_found([](OneRun& run) { erase_execution(run, 20); },
                 "run 1: request 20 got a good answer, but was not executed");
    expect_found([](OneRun& run) { execution_of(run, 20).backend = "spare"; },
                 "run 1: request 20 was served by 'primary', which did not execute it");
    expect_found([](OneRun& run) { execution_of(run, 20).backend = "third"; },
                 "run 1: request 20 was executed by 'third', which is no backend");
    expect_found([](OneRun& run) { execution_of(run, 20).times = 0; }, "run 1: request 20 was executed no times");
}

TEST(Audit, finds_a_duplicate_that_was_added)
{
    expect_found([](OneRun& run) { execution_of(run, 20).times = 2; },
                 "run 1: request 20 was executed 2 times by 'primary', to which it was sent 1 times");
    expect_found([](OneRun& run) { run.executions.push_back({.index = 20, .backend = "spare", .times = 1}); },
                 "run 1: request 20 was executed 1 times by 'spare', to which it was sent 0 times");
    expect_found([](OneRun& run) { run.executions.push_back(execution_of(run, 20)); },
                 "run 1: request 20 stands twice in the ledger of 'primary'");
    expect_found([](OneRun& run) { run.executions.push_back({.index = 220, .backend = "spare", .times = 1}); },
                 "run 1: request 220 was executed, but there is no such request");
}

TEST(Audit, finds_a_duplicate_that_was_hidden)
{
    const auto twice = [](OneRun& run) -> Sample& {
        return *std::find_if(run.samples.begin(), run.samples.end(),
                             [](const Sample& sample) { return sample.due == ms(700) && sample.stream == 1; });
    };
    // By an attempt that is taken out of the trail ...
    expect_found([&](OneRun& run) { twice(run).trail.erase(twice(run).trail.begin()); },
                 "run 1: request 78 was executed 1 times by 'primary', to which it was sent 0 times");
    // ... or said never to have been sent.
    expect_found([&](OneRun& run) { twice(run).trail[0].outcome = "refused"; },
                 "run 1: request 78 was executed 1 times by 'primary', to which it was sent 0 times");
}

TEST(Audit, finds_an_execution_of_what_was_never_sent)
{
    expect_found(
        [](OneRun& run) {
            Sample& sample = read_number(run, 53);
            sample.outcome = Outcome::refused;
            sample.sent = sample.done;
            run.executions.push_back({.index = sample.index, .backend = "spare", .times = 1});
        },
        "run 1: request 59 was executed although it was never sent");
    expect_found(
        [](OneRun& run) {
            Sample& sample = read_number(run, 53);
            sample.outcome = Outcome::refused;
            sample.sent = sample.done;
            sample.trail = read_number(run, 52).trail;
        },
        "run 1: request 59 was never sent, but the balancer's log has it");
}

TEST(Audit, without_a_ledger_there_are_no_executions)
{
    expect_found([](OneRun& run) { run.counted = false; }, "run 1: there are executions although none were counted");
    expect_found(
        [](OneRun& run) {
            run.counted = false;
            run.executions.clear();
        },
        "");
}

TEST(Audit, finds_an_outcome_that_contradicts_its_own_sample)
{
    const auto change = [](Outcome outcome, unsigned status) {
        return [=](OneRun& run) {
            run.samples[20].outcome = outcome;
            run.samples[20].status = status;
        };
    };
    expect_found(change(Outcome::good, 0), "run 1: request 20 ended as 'good', but its status is 0");
    expect_found(change(Outcome::good, 302), "run 1: request 20 ended as 'good', but its status is 302");
    expect_found(change(Outcome::wrong_body, 500), "run 1: request 20 ended as 'wrong_body', but its status is 500");
    expect_found(change(Outcome::status, 204), "run 1: request 20 ended as 'status', but its status is 204");
    expect_found(change(Outcome::status, 0), "run 1: request 20 ended as 'status', but its status is 0");
    expect_found(change(Outcome::refused, 0), "run 1: request 20 ended as 'refused', but something was sent");
    expect_found(change(Outcome::broken, 0), "run 1: request 20 ended as 'broken', but an answer had begun");
    expect_found(change(Outcome::timed_out, 200), "run 1: request 20 ended as 'timed_out', but after only …");
    expect_found(change(Outcome::good, 2000), "run 1: request 20 ended as 'good', but its status is none");
    expect_found(
        [](OneRun& run) { run.samples[6 + 60].sent = run.samples[6 + 60].first_byte = run.samples[6 + 60].done; },
        "run 1: request 66 ended as 'good', but has a status although it was never sent");
    expect_found(
        [](OneRun& run) {
            Sample& write = *std::find_if(run.samples.begin(), run.samples.end(),
                                          [](const Sample& sample) { return sample.stream == 1; });
            write.outcome = Outcome::wrong_body;
        },
        "run 1: request 1 ended as 'wrong_body', but its stream expects no particular body");
}

TEST(Audit, finds_another_server_than_the_one_that_answered)
{
    expect_found([](OneRun& run) { run.samples[20].served_by = "spare"; },
                 "run 1: request 20 was served by 'spare', which did not execute it");
    expect_found([](OneRun& run) { run.samples[20].served_by = "other"; },
                 "run 1: request 20 was served by 'other', which is no backend");
    expect_found([](OneRun& run) { run.samples[20].served_by = ""; },
                 "run 1: request 20 was served by '', by the balancer's log by 'primary'");
    expect_found([](OneRun& run) { read_number(run, 70).served_by = "primary"; }, // both executed it
                 "run 1: request 77 was served by 'primary', by the balancer's log by 'spare'");
    expect_found([](OneRun& run) { read_number(run, 81).served_by = "primary"; },
                 "run 1: request 90 was served by 'primary', which the balancer did not try");
    expect_found([](OneRun& run) { read_number(run, 53).served_by = "primary"; },
                 "run 1: request 59 was served by 'primary', but no answer came");
}

TEST(Audit, finds_a_trail_that_no_balancer_writes)
{
    expect_found([](OneRun& run) { run.samples[20].trail[0].outcome = "lost"; },
                 "run 1: request 20: no attempt of the balancer ends as 'lost'");
    expect_found([](OneRun& run) { run.samples[20].trail[0].backend = "other"; },
                 "run 1: request 20 was tried at 'other', which is no backend");
    expect_found([](OneRun& run) { run.samples[20].trail[0].ms = -1; }, "run 1: request 20: an attempt took -1 ms");
    expect_found([](OneRun& run) { run.samples[20].trail.push_back(run.samples[20].trail[0]); },
                 "run 1: request 20 was answered twice by the balancer's log");
    expect_found([](OneRun& run) { run.samples[20].trail.clear(); },
                 "run 1: request 20 got a good answer, but the balancer's log does not know it");
}

TEST(Audit, a_balancer_without_trails_is_no_forger)
{
    Journal journal = scripted_journal();
    for (Sample& sample : journal.runs[0].samples) sample.trail.clear();
    EXPECT_EQ(first_complaint(journal), "");
    for (Sample& sample : journal.runs[0].samples) sample.served_by.clear();
    EXPECT_EQ(first_complaint(journal), "");
}

TEST(Audit, finds_events_that_were_reordered)
{
    expect_found([](OneRun& run) { std::swap(run.events[0], run.events[1]); },
                 "run 1: event '1771300000-10' came before …");
    // With their moments put right, their numbers tell.
    expect_found(
        [](OneRun& run) {
            std::swap(run.events[0], run.events[1]);
            std::swap(run.events[0].at, run.events[1].at);
        },
        "run 1: event '1771300000-10' comes after number 11");
    // With their numbers put right, the story of the backend tells.
    expect_found(
        [](OneRun& run) {
            std::swap(run.events[0], run.events[2]);
            std::swap(run.events[0].at, run.events[2].at);
            std::swap(run.events[0].id, run.events[2].id);
        },
        "run 1: event '1771300000-11': a failover from 'primary', which was healthy");
}

TEST(Audit, finds_events_that_were_left_out_or_repeated)
{
    expect_found([](OneRun& run) { run.events.erase(run.events.begin() + 1); },
                 "run 1: event '1771300000-12' comes after number 10: what was between them is missing");
    expect_found([](OneRun& run) { run.events.push_back(run.events.back()); },
                 "run 1: event '1771300000-13' comes after number 13");
    // Renumbered, a missing transition breaks the story.
    expect_found([](OneRun& run) { run.events[2].from = "unhealthy"; },
                 "run 1: event '1771300000-12': 'primary' was 'down' before, not 'unhealthy'");
    Journal journal = scripted_journal(2);
    journal.runs[1].events = journal.runs[0].events;
    EXPECT_EQ(first_complaint(journal), "run 2: event '1771300000-10' comes after number 13");
}

TEST(Audit, finds_events_that_no_balancer_tells)
{
    expect_found([](OneRun& run) { run.events[1].to = "primary"; },
                 "run 1: event '1771300000-11' is a failover from 'primary' to 'primary'");
    expect_found([](OneRun& run) { run.events[0].backend = "other"; },
                 "run 1: event '1771300000-10' is about 'other', which is no backend");
    expect_found([](OneRun& run) { run.events[0].to = run.events[0].from; },
                 "run 1: event '1771300000-10': 'primary' went from 'healthy' to the same");
    expect_found([](OneRun& run) { run.events[0].id = "first"; }, "run 1: event 'first' has no number");
    expect_found([](OneRun& run) { run.events[0].id = "1771300000-1x"; }, "run 1: event '1771300000-1x' has no number");
}

TEST(Audit, only_a_restarted_balancer_numbers_anew)
{
    Journal journal = scripted_journal();
    OneRun& run = journal.runs[0];
    for (std::size_t i = 2; i < 4; ++i) run.events[i].id = fmt::format("1771300777-{}", i - 1);
    EXPECT_EQ(first_complaint(journal), "run 1: event '1771300777-1' is of another process than those ahead of it, but "
                                        "the balancer was not restarted");
    journal.plan.method[0].on = "balancer";
    EXPECT_EQ(first_complaint(journal), "");
    run.events[2].id = "1771300777-0";
    EXPECT_EQ(first_complaint(journal),
              "run 1: event '1771300777-0' is the first one of its process that is known, but not number 1");
    run.events[2].id = "1771300777-1";
    run.events[2].from = "unknown"; // a new process knows nothing of the old one's story
    EXPECT_EQ(first_complaint(journal), "");
}

TEST(Audit, finds_faults_that_were_not_as_planned)
{
    expect_found([](OneRun& run) { run.faults[0].step = 1; }, "run 1: fault 2 is none of the plan");
    expect_found([](OneRun& run) { run.faults.push_back(run.faults[0]); }, "run 1: fault 1 was made twice");
    expect_found([](OneRun& run) { run.faults[0].triggered = ms(450); },
                 "run 1: fault 1 was made at 450 ms, before its time");
    expect_found([](OneRun& run) { run.faults[0].confirmed = ms(500.4); },
                 "run 1: fault 1 was seen before it was made");
    expect_found([](OneRun& run) { run.faults[0].undone = ms(501); }, "run 1: fault 1 was undone before it was seen");
    expect_found([](OneRun& run) { run.faults[0].undone = ms(900); },
                 "run 1: fault 1 was undone at 900 ms, before its time");
    expect_found([](OneRun& run) { run.faults[0].undone.reset(); }, "run 1: fault 1 was never undone");
    expect_found(
        [](OneRun& run) {
            run.faults[0].undone = ms(900);
            run.aborted = "interrupted";
        },
        "");
}

TEST(Audit, finds_faults_out_of_order)
{
    Journal journal = scripted_journal();
    journal.plan.method.push_back(journal.plan.method[0]);
    journal.plan.method[1].at = milliseconds(1300);
    journal.plan.method[1].on = "spare";
    FaultRecord second = journal.runs[0].faults[0];
    second.step = 1;
    second.triggered = ms(1300);
    second.confirmed = ms(1301);
    second.undone = ms(2000);
    journal.runs[0].faults.push_back(second);
    EXPECT_EQ(first_complaint(journal), "");
    std::swap(journal.runs[0].faults[0], journal.runs[0].faults[1]);
    EXPECT_EQ(first_complaint(journal), "run 1: fault 1 was made before the one ahead of it");
}

TEST(Audit, finds_probes_that_were_not_as_planned)
{
    expect_found([](OneRun& run) { std::swap(run.probes[1], run.probes[2]); },
                 "run 1: probe 'primary answers': the stage 'before' comes after 'during'");
    expect_found([](OneRun& run) { run.probes[0].probe = 7; }, "run 1: probe 8 is none of the plan");
    expect_found([](OneRun& run) { run.probes[2].probe = 1; },
                 "run 1: probe 'primary answers' was made during the fault against the plan");
    expect_found([](OneRun& run) { run.probes[2].at = ms(400); },
                 "run 1: probe 'answers' of the stage 'during' was made before any fault");
    expect_found([](OneRun& run) { run.probes[3].at = ms(600); },
                 "run 1: probe 'answers' of the stage 'after' was made before the stage ahead of it was over");
    expect_found([](OneRun& run) { run.probes[3].took = Nanos(-1); }, "run 1: probe 'answers' took less than no time");
}

TEST(Audit, a_fault_that_outlives_the_load_is_undone_with_it)
{
    Journal journal = scripted_journal();
    journal.plan.method[0].lasts = seconds(10);
    journal.runs[0].faults[0].undone = ms(2001);
    EXPECT_EQ(first_complaint(journal), "");
    journal.runs[0].faults[0].undone = ms(1500);
    EXPECT_EQ(first_complaint(journal), "run 1: fault 1 was undone at 1500 ms, before its time");
}

TEST(Audit, knows_no_names_where_none_are_known)
{
    Journal journal = scripted_journal();
    journal.backends.clear();
    EXPECT_EQ(first_complaint(journal), "");
}

TEST(Audit, finds_a_run_that_was_left_out)
{
    Journal journal = scripted_journal(3);
    journal.runs.erase(journal.runs.begin() + 1);
    EXPECT_EQ(first_complaint(journal), "run 3: it comes where run 2 should");
}

TEST(Audit, believes_every_consistent_journal)
{
    test::check_property(500, [] {
        const auto seed = *rc::gen::arbitrary<std::uint64_t>();
        const synthetic::Witnesses witnesses{.trails = *rc::gen::arbitrary<bool>(),
                                             .counted = *rc::gen::arbitrary<bool>()};
        const auto complaints = audit(random_journal(seed, witnesses));
        RC_LOG() << fmt::format("{}\n", fmt::join(complaints, "\n"));
        RC_ASSERT(complaints.empty());
    });
}

// --- Any forgery of any journal --------------------------------------------------------------------------------------

std::size_t any(std::size_t size)
{
    return *rc::gen::inRange<std::size_t>(0, size);
}

/// Some sample that is as wanted; discards the case if there is none.
Sample& some_sample(OneRun& run, const std::function<bool(const Sample&)>& wanted)
{
    std::vector<Sample*> candidates;
    for (Sample& sample : run.samples)
        if (wanted(sample)) candidates.push_back(&sample);
    RC_PRE(!candidates.empty());
    return *candidates[any(candidates.size())];
}

bool is_good(const Sample& sample)
{
    return sample.outcome == Outcome::good;
}

/// The process of the balancer that said it.
std::string process(const EventRecord& event)
{
    return event.id.substr(0, event.id.rfind('-'));
}

struct Forgery {
    const char* name;
    void (*forge)(OneRun&);
};

const std::vector<Forgery>& forgeries()
{
    static const std::vector<Forgery> all = {
        {"a failure is called good",
         [](OneRun& run) {
             Sample& sample = some_sample(run, [](const Sample& s) {
                 return !is_good(s) && s.outcome != Outcome::wrong_body; // no other record holds the body
             });
             sample.outcome = Outcome::good;
             sample.status = 200;
             if (sample.served_by.empty()) sample.served_by = any(2) == 0 ? "primary" : "spare";
         }},
        {"a good answer is called a failure",
         [](OneRun& run) {
             Sample& sample = some_sample(run, is_good);
             sample.outcome = *rc::gen::element(Outcome::status, Outcome::refused, Outcome::broken, Outcome::timed_out);
         }},
        {"a good answer gets another status",
         [](OneRun& run) { some_sample(run, is_good).status = *rc::gen::element(0U, 302U, 404U, 502U, 1000U); }},
        {"a request is left out",
         [](OneRun& run) {
             RC_PRE(run.samples.size() > 1);
             // The audit cannot find that the last ones of an aborted run are missing.
             run.samples.erase(run.samples.begin() + static_cast<std::ptrdiff_t>(any(run.samples.size() - 1)));
         }},
        {"a request is added",
         [](OneRun& run) {
             RC_PRE(!run.samples.empty());
             Sample extra = run.samples.back();
             ++extra.index;
             run.samples.push_back(extra);
         }},
        {"a moment is moved",
         [](OneRun& run) {
             some_sample(run, [](const Sample&) { return true; }).due += Nanos(*rc::gen::element(-1, 1, 1000000));
         }},
        {"an answer comes before its request",
         [](OneRun& run) {
             Sample& sample = some_sample(run, [](const Sample& s) { return s.sent != s.done; });
             sample.done = sample.sent - Nanos(1 + static_cast<std::int64_t>(any(1000)));
         }},
        {"another backend is said to have served",
         [](OneRun& run) {
             Sample& sample = some_sample(run, is_good);
             sample.served_by = sample.served_by == "primary" ? *rc::gen::element<std::string>("spare", "other", "")
                                                              : *rc::gen::element<std::string>("primary", "other", "");
         }},
        {"the answering attempt is taken out of the trail",
         [](OneRun& run) {
             Sample& sample = some_sample(run, [](const Sample& s) { return is_good(s) && s.trail.size() > 1; });
             std::erase_if(sample.trail, [](const Hop& hop) { return hop.outcome == "answered"; });
         }},
        {"an execution is left out",
         [](OneRun& run) {
             const Sample& sample = some_sample(run, is_good);
             std::erase_if(run.executions, [&](const Execution& execution) {
                 return execution.index == sample.index && execution.backend == sample.served_by;
             });
         }},
        {"an execution is counted once more",
         [](OneRun& run) {
             const Sample& sample = some_sample(run, is_good);
             for (Execution& execution : run.executions) {
                 if (execution.index != sample.index) continue;
                 // A balancer that sent it there more often than it was executed could have caused one more.
                 const auto sent = std::count_if(sample.trail.begin(), sample.trail.end(), [&](const Hop& hop) {
                     return hop.backend == execution.backend && hop.outcome != "refused";
                 });
                 execution.times = static_cast<std::uint32_t>(sent) + 1;
             }
         }},
        {"a line of the ledger is doubled",
         [](OneRun& run) {
             RC_PRE(!run.executions.empty());
             run.executions.push_back(run.executions[any(run.executions.size())]);
         }},
        {"two events change places",
         [](OneRun& run) {
             std::vector<std::size_t> pairs;
             for (std::size_t i = 0; i + 1 < run.events.size(); ++i)
                 if (process(run.events[i]) == process(run.events[i + 1])) pairs.push_back(i);
             RC_PRE(!pairs.empty());
             const std::size_t i = pairs[any(pairs.size())];
             std::swap(run.events[i], run.events[i + 1]);
             if (any(2) == 0) std::swap(run.events[i].at, run.events[i + 1].at);
         }},
        {"an event is left out",
         [](OneRun& run) {
             // A missing first or last event of a process cannot be found.
             std::vector<std::size_t> inner;
             for (std::size_t i = 1; i + 1 < run.events.size(); ++i)
                 if (process(run.events[i - 1]) == process(run.events[i]) &&
                     process(run.events[i]) == process(run.events[i + 1]))
                     inner.push_back(i);
             RC_PRE(!inner.empty());
             run.events.erase(run.events.begin() + static_cast<std::ptrdiff_t>(inner[any(inner.size())]));
         }},
        {"a fault is seen before it is made",
         [](OneRun& run) {
             RC_PRE(!run.faults.empty());
             FaultRecord& fault = run.faults[any(run.faults.size())];
             fault.triggered = fault.confirmed + Nanos(1);
         }},
        {"a run is of another seed",
         [](OneRun& run) {
             // The time and order of constant streams do not depend on it; the others move.
             ++run.seed;
         }},
    };
    return all;
}

TEST(Audit, finds_every_forgery_of_every_journal)
{
    for (const Forgery& forgery : forgeries()) {
        SCOPED_TRACE(forgery.name);
        test::check_property(100, [&] {
            Journal journal = random_journal(*rc::gen::arbitrary<std::uint64_t>());
            OneRun& run = journal.runs[any(journal.runs.size())];
            if (std::string_view(forgery.name) == "a run is of another seed") {
                RC_PRE(std::any_of(run.samples.begin(), run.samples.end(), [&](const Sample& sample) {
                    return journal.plan.load[sample.stream].arrival == Arrival::poisson;
                }));
            }
            forgery.forge(run);
            RC_ASSERT(!audit(journal).empty());
        });
    }
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
