#include "tests/unit/experiment/example_journals.hpp"

#include "common/json_document.hpp"
#include "experiment/record/json_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>

namespace hotspare::experiment::example {
namespace {

constexpr std::string_view plan_text = R"(title: The primary crashes under load
about: SIGKILL for the primary while 500 requests/s arrive; it is started again a second and a half later.
duration: 6s
steady_state:
  - name: answers
  - name: primary answers
    served_by: primary
    during_fault: false
load:
  - rate: 500
    arrival: poisson
method:
  - at: 2s
    fault: crash
    on: primary
    for: 1500ms
expect:
  - measure: failed
    at_most: "0"
  - measure: max
    phase: fault
    at_most: 50ms
  - measure: detection
    at_most: 100ms
)";

Nanos ms(double value)
{
    return Nanos(std::llround(value * 1e6));
}

Journal common(std::string target)
{
    Journal journal;
    Plan& plan = journal.plan;
    plan.name = "crash-primary";
    plan.title = "The primary crashes under load";
    plan.about = "SIGKILL for the primary while 500 requests/s arrive; it is started again a second and a half later.";
    plan.steady_state.resize(2);
    plan.steady_state[0].name = "answers";
    plan.steady_state[1].name = "primary answers";
    plan.steady_state[1].served_by = "primary";
    plan.steady_state[1].during_fault = false;
    plan.load.resize(2);
    plan.load[0].arrival = Arrival::poisson;
    plan.load[1].name = "writes";
    plan.load[1].method = "POST";
    plan.load[1].rate = 20;
    plan.load[1].must_succeed = false;
    plan.method.resize(1);
    plan.method[0].at = seconds(2);
    plan.method[0].lasts = milliseconds(1500);
    plan.expect = {{Measure::failed, Phase::all, "0", ""},
                   {Measure::duplicated, Phase::all, "0", ""},
                   {Measure::max, Phase::fault, "50ms", ""},
                   {Measure::detection, Phase::all, "100ms", ""},
                   {Measure::availability, Phase::all, "", "99.9%"}};
    plan.text = plan_text;
    journal.seed = 20261121;
    journal.repeat = 1;
    journal.target = std::move(target);
    journal.backends = {"primary", "spare"};
    journal.environment = R"({"machine":{"cpu":"AMD EPYC","cores":2,"memory_gib":24,"kernel":"6.1.0"},)"
                          R"("versions":{"hotspare":"0.1.0","compiler":"GCC 12.2"},)"
                          R"("configuration":"listen: 127.0.0.1:5000\nworkers: 1\n"})";
    return journal;
}

class RunMaker {
public:
    RunMaker(const Plan& plan, std::uint32_t number) : plan_(plan), random_(number * 7919)
    {
        run_.number = number;
        run_.seed = 20261121 + number;
        run_.started = fmt::format("2026-11-21T12:0{}:00.250Z", number % 10);
        run_.counted = true;
        killed_ = ms(2000.2 + uniform() * 0.6);
        back_ = ms(3504 + uniform() * 20);
        run_.faults = {{.step = 0,
                        .triggered = killed_,
                        .confirmed = killed_ + ms(1.1),
                        .effective = true,
                        .evidence = fmt::format("process {} is gone, its port refuses connections", 4200 + number),
                        .undone = back_}};
        for (const Stage stage : {Stage::before, Stage::during, Stage::after, Stage::restored})
            for (std::uint32_t probe = 0; probe < 2; ++probe)
                if (stage != Stage::during || probe == 0)
                    run_.probes.push_back({.probe = probe,
                                           .stage = stage,
                                           .at = ms(stage == Stage::during   ? 2600
                                                    : stage == Stage::before ? -300
                                                                             : 6500),
                                           .took = ms(0.8 + uniform()),
                                           .passed = true,
                                           .detail = {}});
    }

    /// `detected` after the kill the spare serves everything, until `failback`. Who asks the dead primary before that
    /// is repeated, or fails if the balancer does `not repeat`.
    Run make(Nanos detected, Nanos failback, bool repeats, bool events)
    {
        if (events) tell_the_story(killed_ + detected, failback);
        Nanos due{};
        Nanos next_write{};
        for (std::uint64_t index = 0;; ++index) {
            due += Nanos(std::llround(-std::log(1 - uniform()) * 1e9 / 500));
            if (due >= Nanos(plan_.duration)) break;
            const bool write = due >= next_write;
            if (write) next_write += ms(50);
            const bool dead = due >= killed_ && due < back_;
            const bool noticed = due >= killed_ + detected;
            const bool on_primary = due < killed_ || due >= failback || (!noticed && dead);
            // Log-normal around 0.3 ms with a tail, as kernels and schedulers make it.
            double took = 0.3 * std::exp(0.35 * normal()) + (uniform() < 0.01 ? 4 * uniform() * uniform() : 0);
            if (due > killed_ && due < killed_ + ms(300)) took *= 1 + 2 * uniform();
            Sample sample;
            sample.index = index;
            sample.stream = write ? 1 : 0;
            sample.due = due;
            sample.sent = due + ms(0.03 + (uniform() < 0.02 ? uniform() : 0));
            sample.status = 200;
            sample.served_by = on_primary ? "primary" : "spare";
            if (!(on_primary && dead)) {
                sample.trail = {{sample.served_by, "answered", took - 0.1}};
                if (took > 3 && uniform() < 0.5)
                    sample.trail = {{"primary", "outpaced", took - 0.2}, {"spare", "answered", 0.4, true}};
            } else if (repeats) {
                took += 2 + 20 * uniform() * uniform();
                sample.served_by = "spare";
                sample.trail = {{"primary", uniform() < 0.5 ? "reset" : "refused", took - 0.5},
                                {"spare", "answered", 0.4}};
            } else if (uniform() < 0.8) {
                const bool silent = uniform() < 0.15;
                took = silent ? 5000 : took;
                sample.outcome = silent ? Outcome::timed_out : Outcome::status;
                sample.status = silent ? 0 : 502;
                sample.served_by.clear();
                sample.trail.clear();
            } else {
                took += 400 * uniform();
                sample.served_by = "spare";
                sample.trail.clear();
            }
            if (!events) sample.trail.clear();
            sample.done = sample.due + ms(took + 0.05);
            sample.first_byte = sample.outcome == Outcome::timed_out ? sample.done : sample.done - ms(0.02);
            if (sample.outcome == Outcome::good)
                run_.executions.push_back({index, sample.served_by, write && !repeats && dead && !noticed ? 2U : 1U});
            run_.samples.push_back(std::move(sample));
        }
        return std::move(run_);
    }

private:
    double uniform() { return std::uniform_real_distribution<>(0, 1)(random_); }
    double normal() { return std::normal_distribution<>()(random_); }

    void tell_the_story(Nanos detected, Nanos failback)
    {
        const auto tell = [&](std::string kind, Nanos at, std::string from, std::string to, std::string cause) {
            EventRecord& event = run_.events.emplace_back();
            event.at = at;
            event.id = fmt::format("1-{}", run_.events.size());
            (kind == "transition" ? event.backend : event.pool) = kind == "transition" ? "primary" : "default";
            event.kind = std::move(kind);
            event.from = std::move(from);
            event.to = std::move(to);
            event.cause = std::move(cause);
        };
        tell("transition", detected, "healthy", "down", "traffic");
        tell("failover", detected + ms(0.1), "primary", "spare", "traffic");
        tell("transition", back_ + ms(300), "down", "degraded", "probes");
        tell("transition", back_ + ms(700), "degraded", "healthy", "probes");
        tell("failback", failback, "spare", "primary", "probes");
    }

    const Plan& plan_;
    std::minstd_rand random_;
    Run run_;
    Nanos killed_{}, back_{};
};

} // namespace

Journal survived()
{
    Journal journal = common("hotspare");
    for (std::uint32_t number = 1; number <= 5; ++number)
        journal.runs.push_back(
            RunMaker(journal.plan, number).make(ms(2.1 + 0.4 * number), ms(5010 + number), true, true));
    return journal;
}

Journal not_survived()
{
    Journal journal = common("another-balancer");
    for (std::uint32_t number = 1; number <= 3; ++number)
        journal.runs.push_back(RunMaker(journal.plan, number).make(ms(480 + 40.0 * number), ms(4600), false, false));
    return journal;
}

Journal aborted()
{
    Journal journal = common("http://127.0.0.1:5000");
    Run run;
    run.number = 1;
    run.started = "2026-11-21T12:00:00Z";
    run.aborted = "interrupted by the operator";
    journal.runs.push_back(std::move(run));
    return journal;
}

Journal forged(const std::string& text)
{
    Journal journal = survived();
    journal.runs.resize(2);
    Plan& plan = journal.plan;
    for (std::string* const field : {&plan.name, &plan.title, &plan.about, &plan.text, &journal.target}) *field = text;
    plan.steady_state[0].name = plan.steady_state[0].path = plan.steady_state[0].served_by = text;
    plan.load[0].name = plan.load[0].path = text;
    plan.method[0].on = text;
    journal.backends = {text, "spare"};
    journal.environment = json_text(nlohmann::ordered_json{{text, text}});
    for (Run& run : journal.runs) {
        run.started = text;
        for (ProbeRecord& probe : run.probes) {
            probe.passed = false;
            probe.detail = text;
        }
        for (FaultRecord& fault : run.faults) fault.evidence = text;
        for (EventRecord& event : run.events)
            for (std::string* const field : {&event.backend, &event.pool, &event.from, &event.to, &event.cause})
                *field = text;
        for (Sample& sample : run.samples) {
            sample.served_by = text;
            for (Hop& hop : sample.trail) hop.backend = hop.outcome = text;
        }
    }
    journal.runs[0].invalid = text;
    journal.runs[1].aborted = text;
    return journal;
}

} // namespace hotspare::experiment::example
