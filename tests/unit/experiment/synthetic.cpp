#include "tests/unit/experiment/synthetic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <utility>

namespace hotspare::experiment::synthetic {
namespace {

constexpr std::uint64_t scripted_seed = 100;

constexpr const char* scripted_text = R"(title: Primary crashes, with failures by the script
about: Everything in it is known beforehand.
duration: 2s
timeout: 1s
steady_state:
  - name: answers
    body: data
  - name: primary answers
    served_by: primary
    during_fault: false
load:
  - name: reads
    rate: 100
    expect_body: data
  - name: writes
    method: POST
    rate: 10
    must_succeed: false
method:
  - at: 500ms
    fault: crash
    on: primary
    for: 700ms
expect:
  - measure: failed
    at_most: "0"
  - measure: detection
    at_most: 50ms
  - measure: availability
    at_least: 97%
)";

/// Sent, answered and executed as the script says, everything else in its usual order.
Sample sample_of(std::uint64_t index, const Due& due, Nanos latency, Outcome outcome, unsigned status,
                 std::string served_by, std::vector<Hop> trail)
{
    Sample sample{.index = index,
                  .stream = due.stream,
                  .due = due.at,
                  .sent = due.at + ms(0.05),
                  .first_byte = due.at + latency - ms(0.1),
                  .done = due.at + latency,
                  .outcome = outcome,
                  .status = status,
                  .served_by = std::move(served_by),
                  .trail = std::move(trail)};
    if (outcome == Outcome::refused) sample.sent = sample.done;
    if (outcome == Outcome::refused || outcome == Outcome::broken || (outcome == Outcome::timed_out && status == 0))
        sample.first_byte = sample.done;
    return sample;
}

Hop hop(std::string backend, std::string outcome, double took = 0.8, bool hedge = false)
{
    const unsigned status = outcome == "answered" ? 200 : 0;
    return {.backend = std::move(backend), .outcome = std::move(outcome), .ms = took, .hedge = hedge, .status = status};
}

/// What the balancer of a process says, numbered as it does.
class Events {
public:
    explicit Events(std::string origin, std::uint64_t first = 1) : origin_(std::move(origin)), next_(first) {}

    void transition(Nanos at, std::string backend, std::string from, std::string to)
    {
        add({.at = at,
             .id = {},
             .kind = "transition",
             .backend = std::move(backend),
             .pool = {},
             .from = std::move(from),
             .to = std::move(to),
             .cause = "traffic"});
    }
    void move(Nanos at, std::string kind, std::string from, std::string to)
    {
        add({.at = at,
             .id = {},
             .kind = std::move(kind),
             .backend = {},
             .pool = "default",
             .from = std::move(from),
             .to = std::move(to),
             .cause = "traffic"});
    }
    std::vector<EventRecord> take() { return std::move(events_); }

private:
    void add(EventRecord event)
    {
        event.id = fmt::format("{}-{}", origin_, next_++);
        events_.push_back(std::move(event));
    }

    std::string origin_;
    std::uint64_t next_;
    std::vector<EventRecord> events_;
};

std::vector<ProbeRecord> probes_of(const Plan& plan, Nanos during)
{
    std::vector<ProbeRecord> probes;
    const std::array stages{std::pair{Stage::before, ms(-200)}, std::pair{Stage::during, during},
                            std::pair{Stage::after, ms(0) + plan.duration + ms(50)},
                            std::pair{Stage::restored, ms(0) + plan.duration + ms(500)}};
    for (const auto& [stage, at] : stages)
        for (std::uint32_t i = 0; i < plan.steady_state.size(); ++i) {
            if (stage == Stage::during && (!plan.steady_state[i].during_fault || plan.method.empty())) continue;
            probes.push_back(
                {.probe = i, .stage = stage, .at = at + ms(i), .took = ms(1.5), .passed = true, .detail = {}});
        }
    return probes;
}

Run scripted(std::uint32_t number, bool flawless)
{
    const Plan plan = scripted_plan();
    Run run;
    run.number = number;
    run.seed = seed_of_run(scripted_seed, number);
    run.started = "2026-03-01T12:00:00Z";
    run.counted = true;
    run.probes = probes_of(plan, ms(700));
    run.faults = {{.step = 0,
                   .triggered = ms(500.5),
                   .confirmed = ms(502),
                   .effective = true,
                   .evidence = "process 4711 is gone",
                   .undone = ms(1201.25)}};
    Events events("1771300000", 10 * number);
    events.transition(ms(540.5), "primary", "healthy", "down");
    events.move(ms(541), "failover", "primary", "spare");
    events.transition(ms(1250), "primary", "down", "healthy");
    events.move(ms(1298), "failback", "spare", "primary");
    run.events = events.take();

    std::uint64_t reads = 0;
    std::uint64_t writes = 0;
    for (const Due& due : arrivals(plan.load, plan.duration, run.seed)) {
        const std::uint64_t index = run.samples.size();
        const bool is_read = due.stream == 0;
        const std::uint64_t k = is_read ? reads++ : writes++;
        const bool on_spare = due.at > ms(500.5) && due.at < ms(1300);
        const std::string server = on_spare ? "spare" : "primary";
        const auto executed = [&](const std::string& backend, std::uint32_t times = 1) {
            run.executions.push_back({.index = index, .backend = backend, .times = times});
        };
        const auto ended = [&](Nanos latency, Outcome outcome, unsigned status, const std::string& by,
                               std::vector<Hop> trail) {
            run.samples.push_back(sample_of(index, due, latency, outcome, status, by, std::move(trail)));
        };
        const auto answered = [&](Nanos latency) {
            executed(server);
            ended(latency, Outcome::good, 200, server, {hop(server, "answered")});
        };
        if (!is_read) {
            if (!flawless && (k == 6 || k == 8)) { // given up: it may have been executed
                executed("primary");
                ended(ms(1.5), Outcome::status, 502, "", {hop("primary", "reset")});
            } else if (!flawless && k == 7) { // executed twice
                executed("primary");
                executed("spare");
                ended(ms(3), Outcome::good, 200, "spare", {hop("primary", "reset"), hop("spare", "answered")});
            } else {
                answered(ms(1.5));
            }
            continue;
        }
        if (k == 51) { // the first one that meets the dead primary
            executed("spare");
            ended(ms(5), Outcome::good, 200, "spare", {hop("primary", "reset", 0.3), hop("spare", "answered")});
        } else if (!flawless && k == 52) { // failed, but not lost
            executed("primary");
            ended(ms(3), Outcome::status, 502, "", {hop("primary", "reset")});
        } else if (!flawless && k == 53) { // lost
            ended(ms(1), Outcome::broken, 0, "", {});
        } else if (!flawless && k == 60) { // stalled
            executed("spare");
            ended(ms(150), Outcome::good, 200, "spare", {hop("spare", "answered", 149.5)});
        } else if (!flawless && k == 70) { // executed twice, which a read may be
            executed("primary");
            executed("spare");
            ended(ms(1), Outcome::good, 200, "spare",
                  {hop("primary", "outpaced"), hop("spare", "answered", 0.4, true)});
        } else if (!flawless && k == 80) { // lost
            ended(ms(1000), Outcome::timed_out, 0, "", {});
        } else if (!flawless && k == 81) { // a wrong answer is a failure, but no loss
            executed("spare");
            ended(ms(1.1), Outcome::wrong_body, 200, "spare", {hop("spare", "answered")});
        } else if (!flawless && k == 150) { // lost
            ended(ms(1), Outcome::status, 503, "", {});
        } else {
            answered(ms(1 + 0.1 * static_cast<double>(k % 10)));
            if (k == 19) run.samples.back().sent = due.at + ms(0.8); // the generator was late
        }
    }
    return run;
}

/// Everything that is random in a model.
class Dice {
public:
    explicit Dice(std::uint64_t seed) : engine_(seed) {}

    bool chance(double share) { return between(0, 1) < share; }
    double between(double least, double most)
    {
        return least + (most - least) * std::ldexp(static_cast<double>(engine_() >> 11), -53);
    }
    /// From 0 to `most`, both included.
    std::size_t up_to(std::size_t most) { return static_cast<std::size_t>(engine_() % (most + 1)); }

private:
    std::mt19937_64 engine_;
};

Plan random_plan(Dice& dice)
{
    Plan plan;
    plan.name = "random";
    plan.duration = milliseconds(300 + dice.up_to(900));
    plan.timeout = milliseconds(300 + dice.up_to(500));
    for (std::size_t i = dice.up_to(2); i > 0; --i) {
        Probe probe;
        probe.name = fmt::format("probe {}", i);
        probe.during_fault = dice.chance(0.7);
        plan.steady_state.push_back(probe);
    }
    for (std::size_t i = 1 + dice.up_to(2); i > 0; --i) {
        Stream stream;
        stream.name = fmt::format("stream {}", i);
        stream.rate = dice.between(5, 120);
        stream.arrival = dice.chance(0.5) ? Arrival::constant : Arrival::poisson;
        stream.method = dice.chance(0.5) ? "GET" : "POST";
        stream.idempotency_key = dice.chance(0.3);
        stream.must_succeed = stream.repeatable() || dice.chance(0.2);
        if (dice.chance(0.5)) stream.expect_body = "data";
        plan.load.push_back(stream);
    }
    // One after the other, with room for what follows each.
    Duration at = milliseconds(20 + dice.up_to(60));
    for (std::size_t i = dice.up_to(3); i > 0 && at + milliseconds(150) < plan.duration; --i) {
        Step step;
        step.at = at;
        step.lasts = milliseconds(30 + dice.up_to(50));
        const double kind = dice.between(0, 1);
        step.fault = kind < 0.6 ? FaultKind::crash : kind < 0.8 ? FaultKind::black_hole : FaultKind::restart;
        step.on = dice.chance(0.2) ? "balancer" : dice.chance(0.7) ? "primary" : "spare";
        if (step.fault == FaultKind::restart) step.lasts = {};
        plan.method.push_back(step);
        at += milliseconds(120 + dice.up_to(80));
    }
    return plan;
}

/// One run of a plan in a world of two backends and a balancer that prefers the first.
class Model {
public:
    Model(Dice& dice, std::uint64_t seed, const Plan& plan, Witnesses witnesses)
        : dice_(dice), seed_(seed), plan_(plan), witnesses_(witnesses)
    {
    }

    Run run(std::uint32_t number)
    {
        Run run;
        run.number = number;
        run.seed = seed_of_run(seed_, number);
        run.started = "2026-03-01T12:00:00Z";
        run.counted = witnesses_.counted;
        Events events(fmt::format("{}", 1771300000 + number), 1 + dice_.up_to(50));
        for (std::uint32_t i = 0; i < plan_.method.size(); ++i) happen(run, i, events);
        for (EventRecord& event : events.take()) run.events.push_back(std::move(event));
        const Nanos during = run.faults.empty() ? ms(0) : run.faults.front().triggered + ms(5);
        run.probes = probes_of(plan_, during);
        for (const Due& due : arrivals(plan_.load, plan_.duration, run.seed)) ask(run, due);
        if (dice_.chance(0.1)) {
            run.aborted = "interrupted";
            run.samples.resize(dice_.up_to(run.samples.size()));
            std::erase_if(run.executions, [&](const Execution& e) { return e.index >= run.samples.size(); });
        } else if (dice_.chance(0.1)) {
            run.invalid = "the generator lagged";
        }
        return run;
    }

private:
    void happen(Run& run, std::uint32_t index, Events& events)
    {
        const Step& step = plan_.method[index];
        FaultRecord fault{.step = index,
                          .triggered = step.at + ms(dice_.between(0, 3)),
                          .confirmed = {},
                          .effective = true,
                          .evidence = "seen",
                          .undone = std::nullopt};
        fault.confirmed = fault.triggered + ms(dice_.between(0, 5));
        Nanos end = fault.confirmed + ms(20);
        if (step.fault != FaultKind::restart) fault.undone = end = step.at + step.lasts + ms(dice_.between(0, 10));
        run.faults.push_back(fault);
        if (step.on == "balancer") {
            for (EventRecord& event : events.take()) run.events.push_back(std::move(event));
            events = Events(fmt::format("{}", 1771310000 + 10 * run.number + index));
            events.transition(end + ms(1), "spare", "unknown", "healthy");
            events.transition(end + ms(2), "primary", "unknown", "healthy");
        } else {
            const Nanos seen = fault.triggered + ms(dice_.between(1, 25));
            events.transition(seen, step.on, "healthy", "down");
            if (step.on == "primary") events.move(seen, "failover", "primary", "spare");
            events.transition(end + ms(5), step.on, "down", "healthy");
            if (step.on == "primary") events.move(end + ms(dice_.between(6, 30)), "failback", "spare", "primary");
        }
    }

    /// The fault that is felt at that moment, if any.
    const Step* felt(const Run& run, Nanos at) const
    {
        for (const FaultRecord& fault : run.faults)
            if (at >= fault.triggered && at < fault.undone.value_or(fault.confirmed)) return &plan_.method[fault.step];
        return nullptr;
    }

    void ask(Run& run, const Due& due)
    {
        const Step* const step = felt(run, due.at);
        const Stream& stream = plan_.load[due.stream];
        const std::uint64_t index = run.samples.size();
        if (step != nullptr && step->on == "balancer") {
            run.samples.push_back(sample_of(index, due, ms(dice_.between(0.2, 2)),
                                            dice_.chance(0.5) ? Outcome::refused : Outcome::broken, 0, "", {}));
            return;
        }
        std::string server = step != nullptr && step->on == "primary" ? "spare" : "primary";
        std::string other = server == "spare" ? "primary" : "spare";
        std::vector<Hop> trail;
        const auto executed = [&](const std::string& backend) {
            if (!witnesses_.counted) return;
            for (Execution& execution : run.executions)
                if (execution.index == index && execution.backend == backend) {
                    ++execution.times;
                    return;
                }
            run.executions.push_back({.index = index, .backend = backend, .times = 1});
        };
        const auto ended = [&](double latency, Outcome outcome, unsigned status, const std::string& by) {
            run.samples.push_back(sample_of(index, due, ms(latency), outcome, status, by,
                                            witnesses_.trails ? std::move(trail) : std::vector<Hop>()));
        };
        double latency = dice_.between(0.5, 3);
        if (dice_.chance(step != nullptr ? 0.5 : 0.02)) { // met a backend that failed, and was repeated
            const std::array<std::string, 5> words{"refused", "reset", "timed_out", "moved", "failing_status"};
            const std::string& word = words[dice_.up_to(4)];
            const double took = dice_.between(0.1, 60);
            trail.push_back(hop(other, word, took));
            latency += took;
            if (word != "refused" && dice_.chance(0.3)) executed(other);
        }
        const double what = dice_.between(0, 1);
        if (what < 0.9 || step == nullptr) {
            if (dice_.chance(0.05)) { // a hedge that won
                trail.push_back(hop(other, "outpaced", latency));
                trail.push_back(hop(server, "answered", latency / 2, true));
                executed(other);
            } else {
                trail.push_back(hop(server, "answered", latency * 0.9));
            }
            executed(server);
            ended(latency, Outcome::good, 200, server);
        } else if (what < 0.92) {
            trail.push_back(hop(server, "reset"));
            if (dice_.chance(0.5)) executed(server);
            ended(latency, Outcome::status, 502, "");
        } else if (what < 0.94) { // passed on, because there was no better one
            trail.push_back({.backend = server, .outcome = "answered", .ms = 0.4, .hedge = false, .status = 500});
            executed(server);
            ended(latency, Outcome::status, 500, server);
        } else if (what < 0.96) {
            trail.push_back(hop(server, "reset"));
            executed(server);
            ended(latency, Outcome::truncated, 200, server);
        } else if (what < 0.98 || stream.expect_body.empty()) {
            trail.push_back(hop(server, "cancelled"));
            ended(to_ms(plan_.timeout) + dice_.between(0, 5), Outcome::timed_out, 0, "");
        } else {
            trail.push_back(hop(server, "answered"));
            executed(server);
            ended(latency, Outcome::wrong_body, 200, server);
        }
    }

    Dice& dice_;
    const std::uint64_t seed_;
    const Plan& plan_;
    const Witnesses witnesses_;
};

} // namespace

Nanos ms(double value)
{
    return Nanos(std::llround(value * 1e6));
}

Plan scripted_plan()
{
    Plan plan;
    plan.name = "scripted";
    plan.title = "Primary crashes, with failures by the script";
    plan.about = "Everything in it is known beforehand.";
    plan.duration = seconds(2);
    plan.timeout = seconds(1);
    plan.steady_state.resize(2);
    plan.steady_state[0].name = "answers";
    plan.steady_state[0].body = "data";
    plan.steady_state[1].name = "primary answers";
    plan.steady_state[1].served_by = "primary";
    plan.steady_state[1].during_fault = false;
    plan.load.resize(2);
    plan.load[0].rate = 100;
    plan.load[0].expect_body = "data";
    plan.load[1].name = "writes";
    plan.load[1].method = "POST";
    plan.load[1].rate = 10;
    plan.load[1].must_succeed = false;
    plan.method.resize(1);
    plan.method[0].at = milliseconds(500);
    plan.method[0].lasts = milliseconds(700);
    plan.expect = {
        {.measure = Measure::failed, .phase = Phase::all, .at_most = "0", .at_least = ""},
        {.measure = Measure::detection, .phase = Phase::all, .at_most = "50ms", .at_least = ""},
        {.measure = Measure::availability, .phase = Phase::all, .at_most = "", .at_least = "97%"},
    };
    plan.text = scripted_text;
    return plan;
}

Run scripted_run()
{
    return scripted(1, false);
}

Journal scripted_journal(std::uint32_t runs, bool flawless)
{
    Journal journal;
    journal.plan = scripted_plan();
    journal.seed = scripted_seed;
    journal.repeat = runs;
    journal.target = "hotspare";
    journal.backends = {"primary", "spare"};
    journal.environment = R"({"machine":{"cores":2,"kernel":"6.1"},"version":"0.1.0"})";
    for (std::uint32_t i = 1; i <= runs; ++i) journal.runs.push_back(scripted(i, flawless));
    return journal;
}

Journal random_journal(std::uint64_t seed, Witnesses witnesses)
{
    Dice dice(seed);
    Journal journal;
    journal.plan = random_plan(dice);
    journal.seed = seed;
    journal.target = "hotspare";
    journal.backends = {"primary", "spare"};
    journal.environment = R"({"version":"0.1.0"})";
    Model model(dice, seed, journal.plan, witnesses);
    const std::size_t runs = 1 + dice.up_to(2);
    for (std::size_t i = 1; i <= runs; ++i) journal.runs.push_back(model.run(static_cast<std::uint32_t>(i)));
    journal.repeat = static_cast<std::uint32_t>(runs);
    return journal;
}

const std::vector<Expected>& scripted_measures()
{
    // Reads are due every 10 ms from 0 on, number k at 10 k ms, and take 1 ms + 0.1 ms (k mod 10); k = 0..50 are
    // healthy, 51..120 meet the fault, 121..199 come after it. Writes are due every 100 ms and take 1.5 ms: 6, 7, 7.
    using enum Measure;
    using enum Phase;
    static const std::vector<Expected> values = {
        {requests, all, 200},
        {requests, healthy, 51},
        {requests, fault, 70},
        {requests, recovered, 79},
        {failed, all, 5}, // reads 52, 53, 80, 81, 150
        {failed, healthy, 0},
        {failed, fault, 4},
        {failed, recovered, 1},
        {lost, all, 3}, // 53, 80, 150
        {lost, healthy, 0},
        {lost, fault, 2},
        {lost, recovered, 1},
        {error_rate, all, 0.025},
        {error_rate, healthy, 0},
        {error_rate, fault, 4.0 / 70},
        {error_rate, recovered, 1.0 / 79},
        {availability, all, 0.975},
        {availability, healthy, 1},
        {stalled, all, 6}, // the failed ones and 60
        {stalled, healthy, 0},
        {stalled, fault, 5},
        {stalled, recovered, 1},
        {given_up, all, 2}, // writes 6 and 8
        {given_up, healthy, 0},
        {given_up, fault, 2},
        {given_up, recovered, 0},
        {duplicated, all, 1}, // write 7
        {duplicated, healthy, 0},
        {duplicated, fault, 1},
        {duplicated, recovered, 0},
        {p50, all, 1.5},     // the 98th of 195: there are 93 up to 1.4 ms, 113 up to 1.5 ms
        {p50, healthy, 1.4}, // the 26th of 51: 6 of 1.0 ms, 5 of each other
        {p50, fault, 1.5},   // the 33rd of 66: 29 up to 1.4 ms, 36 up to 1.5 ms
        {p50, recovered, 1.5},
        {p99, all, 5}, // the 194th of 195: the last but one
        {p99, healthy, 1.9},
        {p99, fault, 150},
        {p99, recovered, 1.9},
        {max, all, 150},
        {max, healthy, 1.9},
        {max, fault, 150},
        {max, recovered, 1.9},
        {detection, all, 40},   // 500.5 -> 540.5
        {failover, all, 14.5},  // 500.5 -> read 51 at 515
        {failback, all, 99.75}, // 1201.25 -> read 130 at 1301
        {outage, all, 50},      // 520 -> 540, 800 -> 820, 1500 -> 1510
        {gap, all, 29.3},       // read 79 at 791.9 -> read 82 at 821.2
        {lag_p99, all, 0.05},   // the 218th of 220
        {lag_max, all, 0.8},
    };
    return values;
}

} // namespace hotspare::experiment::synthetic
