#include "experiment/judge/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hotspare::experiment {
namespace {

std::string_view subject(Measure measure) noexcept
{
    switch (measure) {
    case Measure::requests: return "requests";
    case Measure::failed: return "failed requests";
    case Measure::lost: return "lost requests";
    case Measure::error_rate: return "error rate";
    case Measure::availability: return "availability";
    case Measure::stalled: return "stalled requests";
    case Measure::failed_not_in_flight: return "failed requests that were not in flight";
    case Measure::given_up: return "requests given up";
    case Measure::duplicated: return "duplicated requests";
    case Measure::p50: return "median latency";
    case Measure::p99: return "p99 latency";
    case Measure::max: return "max latency";
    case Measure::detection: return "detection time";
    case Measure::failover: return "failover time";
    case Measure::failback: return "failback time";
    case Measure::outage: return "outage";
    case Measure::gap: return "longest gap without an answer";
    case Measure::lag_p99: return "p99 lag of the generator";
    case Measure::lag_max: return "max lag of the generator";
    }
    return "";
}

std::string_view when(Phase phase) noexcept
{
    switch (phase) {
    case Phase::all: return "";
    case Phase::healthy: return " before the fault";
    case Phase::fault: return " during the fault";
    case Phase::recovered: return " after the fault";
    }
    return "";
}

std::string_view when(Stage stage) noexcept
{
    switch (stage) {
    case Stage::before: return "before the fault";
    case Stage::during: return "during the fault";
    case Stage::after: return "after the fault";
    case Stage::restored: return "after the rollback";
    }
    return "";
}

std::string describe(Measure measure, const Bounds& bounds)
{
    if (bounds.least == bounds.most) return "exactly " + format(measure, bounds.most);
    std::string text;
    if (std::isfinite(bounds.least)) text = "at least " + format(measure, bounds.least);
    if (std::isfinite(bounds.most))
        text += (text.empty() ? "at most " : " and at most ") + format(measure, bounds.most);
    return text;
}

Finding find(const Condition& condition, const std::vector<Measures>& runs)
{
    Finding finding;
    finding.what = fmt::format("{}{}", subject(condition.measure), when(condition.phase));
    finding.runs = runs.size();
    if (const std::string problem = problem_of(condition); !problem.empty()) {
        finding.limit = problem;
        finding.measured = "not compared";
        return finding;
    }
    const Bounds bounds = bounds_of(condition);
    finding.limit = describe(condition.measure, bounds);
    std::optional<double> worst;
    bool unobserved = false;
    for (const Measures& run : runs) {
        const auto value = run.of(condition.measure, condition.phase);
        if (!value) {
            unobserved = true;
            continue;
        }
        if (bounds.admit(*value)) ++finding.held_in;
        if (!worst || bounds.excess(*value) > bounds.excess(*worst)) worst = value;
    }
    if (runs.empty())
        finding.measured = "no valid run";
    else
        finding.measured = unobserved ? "not observed" : format(condition.measure, *worst);
    finding.held = !runs.empty() && finding.held_in == runs.size();
    return finding;
}

/// Only the servers themselves know it.
bool needs_ledger(Measure measure)
{
    return measure == Measure::lost || measure == Measure::duplicated;
}

/// Why the steady state `probe` was not there in this run and stage; empty if it was.
std::string missed(const Run& run, std::uint32_t probe, Stage stage)
{
    bool seen = false;
    for (const ProbeRecord& record : run.probes) {
        if (record.probe != probe || record.stage != stage) continue;
        if (!record.passed) return record.detail.empty() ? "failed" : "failed: " + record.detail;
        seen = true;
    }
    return seen ? "" : "not checked";
}

Finding find(const Plan& plan, std::uint32_t probe, Stage stage, const std::vector<const Run*>& runs)
{
    Finding finding{.what = fmt::format("steady state '{}' {}", plan.steady_state[probe].name, when(stage)),
                    .limit = "passes",
                    .measured = runs.empty() ? "no valid run" : "passed",
                    .held = false,
                    .held_in = 0,
                    .runs = runs.size()};
    for (const Run* run : runs) {
        const std::string reason = missed(*run, probe, stage);
        if (reason.empty())
            ++finding.held_in;
        else if (finding.measured == "passed")
            finding.measured = reason;
    }
    finding.held = !runs.empty() && finding.held_in == runs.size();
    return finding;
}

} // namespace

std::string_view to_string(Verdict verdict) noexcept
{
    switch (verdict) {
    case Verdict::pass: return "PASS";
    case Verdict::fail: return "FAIL";
    case Verdict::invalid: return "INVALID";
    case Verdict::aborted: return "ABORTED";
    }
    return "";
}

int exit_code(Verdict verdict) noexcept
{
    switch (verdict) {
    case Verdict::pass: return 0;
    case Verdict::fail: return 1;
    case Verdict::invalid: return 3;
    case Verdict::aborted: return 4;
    }
    return 3;
}

std::string why_invalid(const Plan& plan, const Run& run, const Measures& measures)
{
    if (!run.invalid.empty()) return run.invalid;
    for (std::uint32_t i = 0; i < plan.steady_state.size(); ++i)
        if (const std::string reason = missed(run, i, Stage::before); !reason.empty())
            return fmt::format("the steady state '{}' was not there before the fault: {}", plan.steady_state[i].name,
                               reason);
    for (std::uint32_t step = 0; step < plan.method.size(); ++step) {
        const auto made = std::find_if(run.faults.begin(), run.faults.end(),
                                       [step](const FaultRecord& fault) { return fault.step == step; });
        const std::string which =
            fmt::format("fault {} ({} of {})", step + 1, to_string(plan.method[step].fault), plan.method[step].on);
        if (made == run.faults.end()) return which + " was not made";
        if (!made->effective) return fmt::format("{} was not effective: {}", which, made->evidence);
    }
    if (run.samples.empty()) return "no request was sent";
    const auto late = [&](Measure which, double limit) -> std::string {
        const auto lag = measures.of(which);
        if (!lag || *lag <= limit) return {};
        return fmt::format("the generator lagged: {} {}, at most {} can be told from the system's own delay",
                           which == Measure::lag_max ? "max" : "p99", format(which, *lag), format(which, limit));
    };
    if (std::string reason = late(Measure::lag_p99, to_ms(plan.generator.lag_p99)); !reason.empty()) return reason;
    return late(Measure::lag_max, to_ms(plan.generator.lag_max));
}

Judgement judge(const Journal& journal, std::size_t repeat)
{
    const Plan& plan = journal.plan;
    Judgement judgement;
    judgement.total = journal.runs.size();
    std::vector<const Run*> valid;
    bool aborted = false;
    for (const Run& run : journal.runs) {
        if (!run.aborted.empty()) {
            aborted = true;
            // First of all: it is why there are no more runs.
            judgement.reasons.insert(judgement.reasons.begin(),
                                     fmt::format("run {} was aborted: {}", run.number, run.aborted));
            continue;
        }
        const Measures measures = measure(plan, run);
        if (const std::string reason = why_invalid(plan, run, measures); !reason.empty()) {
            judgement.reasons.push_back(fmt::format("run {} is invalid: {}", run.number, reason));
            continue;
        }
        valid.push_back(&run);
        judgement.runs.push_back(measures);
    }
    judgement.valid = valid.size();

    const bool counted = std::any_of(valid.begin(), valid.end(), [](const Run* run) { return run->counted; });
    for (const Condition& condition : plan.expect) {
        auto& finding = judgement.findings.emplace_back(find(condition, judgement.runs));
        if (!valid.empty() && !counted && needs_ledger(condition.measure)) {
            finding.judged = false;
            finding.measured = "not counted at this target";
        }
    }
    for (const Stage stage : {Stage::before, Stage::during, Stage::after, Stage::restored})
        for (std::uint32_t probe = 0; probe < plan.steady_state.size(); ++probe) {
            if (stage == Stage::during && (plan.method.empty() || !plan.steady_state[probe].during_fault)) continue;
            judgement.findings.push_back(find(plan, probe, stage, valid));
        }

    const bool nothing_judged =
        !plan.expect.empty() &&
        std::none_of(judgement.findings.begin(),
                     judgement.findings.begin() + static_cast<std::ptrdiff_t>(plan.expect.size()),
                     [](const Finding& f) { return f.judged; });
    for (Finding& finding : judgement.findings) finding.judged = finding.judged && !valid.empty();

    const bool all_held = std::all_of(judgement.findings.begin(), judgement.findings.end(),
                                      [](const Finding& f) { return f.held || !f.judged; });
    if (aborted) {
        judgement.verdict = Verdict::aborted;
    } else if (valid.empty() || valid.size() < repeat) {
        judgement.verdict = Verdict::invalid;
        judgement.reasons.push_back(fmt::format("{} of {} wanted runs are valid", valid.size(), repeat));
    } else if (nothing_judged) {
        judgement.verdict = Verdict::invalid;
        judgement.reasons.emplace_back("nothing that was promised can be judged at this target");
    } else {
        judgement.verdict = all_held ? Verdict::pass : Verdict::fail;
    }
    return judgement;
}

} // namespace hotspare::experiment
