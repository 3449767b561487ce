#include "experiment/judge/measure.hpp"

#include "experiment/judge/fault_span.hpp"
#include "experiment/record/plan.hpp"
#include "experiment/record/record.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace hotspare::experiment {
namespace {

constexpr Nanos stall_limit = milliseconds(100);

bool is_good(const Sample& sample) noexcept
{
    return sample.outcome == Outcome::good;
}

const Stream* stream_of(const Plan& plan, const Sample& sample) noexcept
{
    return sample.stream < plan.load.size() ? &plan.load[sample.stream] : nullptr;
}

/// Of the requests of one phase.
struct Tally {
    std::uint64_t any = 0, requests = 0, failed = 0, lost = 0, stalled = 0, given_up = 0, duplicated = 0;
    std::vector<double> latencies;

    void add(const Sample& sample, const Stream& stream, std::uint64_t executions)
    {
        ++any;
        if (!stream.repeatable() && executions > 1) ++duplicated;
        if (!stream.must_succeed) {
            if (!is_good(sample)) ++given_up;
            return;
        }
        ++requests;
        if (!is_good(sample)) {
            ++failed;
            if (executions == 0) ++lost;
        } else {
            latencies.push_back(to_milliseconds(sample.latency()));
        }
        if (!is_good(sample) || sample.latency() > stall_limit) ++stalled;
    }

    void write(Measures& out, Phase phase, bool counted)
    {
        if (any == 0) return;
        const auto set = [&](Measure measure, std::optional<double> value) { out.set(measure, phase, value); };
        set(Measure::requests, static_cast<double>(requests));
        set(Measure::failed, static_cast<double>(failed));
        set(Measure::stalled, static_cast<double>(stalled));
        set(Measure::given_up, static_cast<double>(given_up));
        if (counted) {
            set(Measure::lost, static_cast<double>(lost));
            set(Measure::duplicated, static_cast<double>(duplicated));
        }
        if (requests > 0) {
            set(Measure::error_rate, static_cast<double>(failed) / static_cast<double>(requests));
            set(Measure::availability, static_cast<double>(requests - failed) / static_cast<double>(requests));
        }
        std::sort(latencies.begin(), latencies.end());
        set(Measure::p50, quantile(latencies, 0.5));
        set(Measure::p99, quantile(latencies, 0.99));
        set(Measure::max, quantile(latencies, 1));
    }
};

std::optional<double> detection(const Run& run, const FaultSpan& span)
{
    for (const EventRecord& event : run.events)
        if (event.at >= *span.begin() && is_detection(event, span.first_party()))
            return to_milliseconds(event.at - *span.begin());
    return std::nullopt;
}

std::optional<double> failover(const Run& run, const FaultSpan& span)
{
    bool anyone_served = false;
    bool party_served = false;
    std::optional<Nanos> first;
    for (const Sample& sample : run.samples) {
        if (!is_good(sample) || sample.served_by.empty()) continue;
        const bool by_party = sample.served_by == span.first_party();
        if (sample.done <= *span.begin()) {
            anyone_served = true;
            party_served = party_served || by_party;
        } else if (!by_party && (!first || sample.done < *first)) {
            first = sample.done;
        }
    }
    if (!first || span.first_party() == "balancer" || (anyone_served && !party_served)) return std::nullopt;
    return to_milliseconds(*first - *span.begin());
}

std::optional<double> failback(const Run& run, const FaultSpan& span)
{
    if (!span.end()) return std::nullopt;
    std::optional<Nanos> first;
    for (const Sample& sample : run.samples)
        if (is_good(sample) && sample.due >= *span.end() && sample.served_by == span.last_party() &&
            (!first || sample.done < *first))
            first = sample.done;
    if (!first) return std::nullopt;
    return to_milliseconds(*first - *span.end());
}

/// Whether the request was on its way when a fault took effect. That took until the fault was confirmed: a process that
/// is killed may still be given requests that no process will answer.
bool was_in_flight(const Sample& sample, const Run& run)
{
    return sample.sent != sample.done && std::ranges::any_of(run.faults, [&](const FaultRecord& fault) {
               return fault.effective && sample.sent <= fault.confirmed && sample.done >= fault.triggered;
           });
}

std::optional<double> failed_not_in_flight(const Plan& plan, const Run& run)
{
    std::uint64_t count = 0;
    for (const Sample& sample : run.samples) {
        const Stream* const stream = stream_of(plan, sample);
        if (stream != nullptr && stream->must_succeed && !is_good(sample) && !was_in_flight(sample, run)) ++count;
    }
    return static_cast<double>(count);
}

std::optional<double> outage(const Plan& plan, const Run& run)
{
    Nanos sum{};
    std::optional<Nanos> since;
    bool any = false;
    for (const Sample& sample : run.samples) {
        const Stream* const stream = stream_of(plan, sample);
        if (stream == nullptr || !stream->must_succeed) continue;
        any = true;
        if (!is_good(sample)) {
            if (!since) since = sample.due;
        } else if (since) {
            sum += sample.due - *since;
            since.reset();
        }
    }
    if (!any) return std::nullopt;
    // When it would have ended is unknown: at the end of the load at the earliest.
    if (since) sum += std::max(run.aborted.empty() ? Nanos(plan.duration) : Nanos(), run.samples.back().due) - *since;
    return to_milliseconds(sum);
}

std::optional<double> gap(const Run& run)
{
    if (run.samples.empty()) return std::nullopt;
    std::vector<Nanos> answers;
    for (const Sample& sample : run.samples)
        if (is_good(sample)) answers.push_back(sample.done);
    std::sort(answers.begin(), answers.end());
    answers.push_back(std::max(run.samples.back().due, answers.empty() ? Nanos() : answers.back()));
    Nanos last{};
    Nanos longest{};
    for (const Nanos answer : answers) {
        longest = std::max(longest, answer - last);
        last = answer;
    }
    return to_milliseconds(longest);
}

std::vector<double> lags(const Run& run)
{
    std::vector<double> result;
    for (const Sample& sample : run.samples)
        if (sample.sent != sample.done && !sample.waited) result.push_back(to_milliseconds(sample.sent - sample.due));
    std::sort(result.begin(), result.end());
    return result;
}

} // namespace

bool is_detection(const EventRecord& event, const std::string& party) noexcept
{
    if (event.kind == "transition") return event.backend == party && event.to != "healthy";
    if (event.kind == "failover") return event.from == party;
    return event.kind == "quarantine" && event.backend == party;
}

std::optional<double> quantile(std::span<const double> sorted, double share)
{
    if (sorted.empty()) return std::nullopt;
    // Less a hair, because 0.99 * 100 in binary may come out above 99.
    const double rank = std::ceil(share * static_cast<double>(sorted.size()) - 1e-9);
    const auto index = static_cast<std::size_t>(std::clamp(rank, 1.0, static_cast<double>(sorted.size())));
    return sorted[index - 1];
}

Measures measure(const Plan& plan, const Run& run)
{
    std::unordered_map<std::uint64_t, std::uint64_t> executions;
    for (const Execution& execution : run.executions) executions[execution.index] += execution.times;

    const FaultSpan span(plan, run);
    std::array<Tally, phases.size()> tallies;
    for (const Sample& sample : run.samples) {
        const Stream* const stream = stream_of(plan, sample);
        if (stream == nullptr) continue;
        const auto found = executions.find(sample.index);
        const std::uint64_t times = found == executions.end() ? 0 : found->second;
        for (const Phase phase : {Phase::all, span.phase_of(sample.due)})
            tallies[static_cast<std::size_t>(phase)].add(sample, *stream, times);
    }

    Measures result;
    for (const Phase phase : phases) tallies[static_cast<std::size_t>(phase)].write(result, phase, run.counted);
    if (span.begin()) {
        result.set(Measure::detection, Phase::all, detection(run, span));
        result.set(Measure::failover, Phase::all, failover(run, span));
        result.set(Measure::failback, Phase::all, failback(run, span));
        result.set(Measure::failed_not_in_flight, Phase::all, failed_not_in_flight(plan, run));
    }
    result.set(Measure::outage, Phase::all, outage(plan, run));
    result.set(Measure::gap, Phase::all, gap(run));
    const std::vector<double> lag = lags(run);
    result.set(Measure::lag_p99, Phase::all, quantile(lag, 0.99));
    result.set(Measure::lag_max, Phase::all, quantile(lag, 1));
    return result;
}

std::optional<Spread> spread(std::span<const Measures> runs, Measure measure, Phase phase)
{
    std::vector<double> values;
    for (const Measures& run : runs)
        if (const auto value = run.of(measure, phase)) values.push_back(*value);
    if (values.empty()) return std::nullopt;
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    return Spread{.median = median, .min = values.front(), .max = values.back(), .runs = values.size()};
}

} // namespace hotspare::experiment
