#include "experiment/report/wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace hotspare::experiment {
namespace {

struct Words {
    std::string_view title, explanation;
};

constexpr std::array<Words, measure_count> measures{{
    {"Requests", "due in that time"},
    {"Failed", "without a good answer"},
    {"Lost", "failed, never executed"},
    {"Error rate", "failed of all requests"},
    {"Availability", "answered well of all requests"},
    {"Stalled", "over 100 ms, or failed"},
    {"Failed, not in flight", "failed, sent after the fault or never"},
    {"Given up", "failed, of those that must not be repeated"},
    {"Duplicated", "executed more than once, of those that must not be repeated"},
    {"p50", "half of the good answers took no longer"},
    {"p99", "99 of 100 good answers took no longer"},
    {"Worst latency", "the slowest good answer"},
    {"Detection", "from the fault to the balancer's first word about it"},
    {"Failover", "from the fault to the first answer by another backend"},
    {"Failback", "from the repair to the first answer by the repaired party"},
    {"Outage", "while requests failed"},
    {"Longest gap", "without any good answer"},
    {"Generator lag p99", "how late requests were sent"},
    {"Generator lag, worst", "how late requests were sent"},
}};

static_assert(!measures.back().title.empty(), "each measure has its words");

constexpr std::array<std::string_view, phases.size()> phase_titles{"the whole run", "before the fault",
                                                                   "during the fault", "after the fault"};

/// 3 significant digits, none after the point from 100 on.
std::string significant(double value)
{
    const double size = std::abs(value);
    return fmt::format("{:.{}f}", value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

std::string worst_of(const Finding& finding)
{
    return fmt::format("{} ({}; promised: {})", finding.what, finding.measured, finding.limit);
}

} // namespace

std::string_view title_of(Phase phase) noexcept
{
    return phase_titles[static_cast<std::size_t>(phase)];
}

std::string_view title_of(Measure measure) noexcept
{
    return measures[static_cast<std::size_t>(measure)].title;
}

std::string_view explain(Measure measure) noexcept
{
    return measures[static_cast<std::size_t>(measure)].explanation;
}

std::string_view title_of(Outcome outcome) noexcept
{
    switch (outcome) {
    case Outcome::good: return "answered well";
    case Outcome::status: return "bad status";
    case Outcome::wrong_body: return "wrong body";
    case Outcome::refused: return "no connection";
    case Outcome::broken: return "broken off";
    case Outcome::truncated: return "truncated";
    case Outcome::malformed: return "not HTTP";
    case Outcome::timed_out: return "timed out";
    }
    return {};
}

std::string grouped(std::uint64_t number)
{
    std::string digits = std::to_string(number);
    for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
    return digits;
}

std::string counted(std::size_t count, std::string_view one, std::string_view many)
{
    return fmt::format("{} {}", grouped(count), count == 1 ? one : many);
}

std::string value_text(Measure measure, const std::optional<double>& value)
{
    if (!value) return std::string(not_observed);
    const bool whole = unit_of(measure) == Unit::count && *value >= 0 && *value == std::floor(*value);
    return whole ? grouped(static_cast<std::uint64_t>(*value)) : format(measure, *value);
}

std::string median_text(Measure measure, const std::optional<Spread>& spread)
{
    return value_text(measure, spread ? std::optional(spread->median) : std::nullopt);
}

std::string range_text(Measure measure, const std::optional<Spread>& spread, std::string_view between)
{
    if (!spread) return {};
    std::string min = value_text(measure, spread->min);
    const std::string max = value_text(measure, spread->max);
    if (min == max) return {};
    const auto unit_at = max.rfind(' ');
    if (unit_at != std::string::npos && min.ends_with(max.substr(unit_at))) min.resize(min.rfind(' '));
    return fmt::format("{}{}{}", min, between, max);
}

std::string time_text(Nanos time)
{
    const auto ns = static_cast<double>(time.count());
    const double size = std::abs(ns);
    if (size == 0) return "0 s";
    if (size < 1e3) return fmt::format("{:.0f} ns", ns);
    if (size < 999.5e3) return fmt::format("{:.0f} µs", ns / 1e3);
    if (size < 999.5e6) return significant(ns / 1e6) + " ms";
    return fmt::format("{:.3f} s", ns / 1e9);
}

std::string sentence(const Judgement& judgement)
{
    const std::string first_reason = judgement.reasons.empty() ? std::string() : ": " + judgement.reasons.front();
    const auto& findings = judgement.findings;
    const auto judged = static_cast<std::size_t>(
        std::count_if(findings.begin(), findings.end(), [](const Finding& finding) { return finding.judged; }));
    const std::size_t unjudged = findings.size() - judged;
    switch (judgement.verdict) {
    case Verdict::pass: {
        if (judgement.findings.empty()) return "Nothing was promised, so nothing was broken.";
        const std::string promises = judged == 1 ? "The one condition" : fmt::format("All {} conditions", judged);
        return fmt::format("{} held in {}{}.", promises,
                           judgement.valid == 1 ? std::string("the one run")
                                                : fmt::format("each of the {} runs", judgement.valid),
                           unjudged == 0 ? "" : fmt::format("; {} could not be judged", unjudged));
    }
    case Verdict::fail: {
        const auto broken = [](const Finding& finding) { return finding.judged && !finding.held; };
        const auto count = static_cast<std::size_t>(std::count_if(findings.begin(), findings.end(), broken));
        if (count == 0) return "A condition did not hold.";
        const std::string worst = worst_of(*std::find_if(findings.begin(), findings.end(), broken));
        if (count == 1) return fmt::format("One condition did not hold: {}.", worst);
        return fmt::format("{} of {} conditions did not hold, the first of them: {}.", count, judged, worst);
    }
    case Verdict::invalid: {
        if (judged == 0 && judgement.valid > 0)
            return fmt::format("Nothing can be said about the system{}.", first_reason);
        const std::string runs =
            judgement.total == 0 ? std::string("no run was recorded")
            : judgement.valid > 0 && judgement.valid == judgement.total
                ? fmt::format("only {} took place", counted(judgement.total, "run", "runs"))
                : fmt::format("only {} of {} can be trusted", judgement.valid, counted(judgement.total, "run", "runs"));
        return fmt::format("Nothing can be said about the system, as {}{}.", runs, first_reason);
    }
    case Verdict::aborted: return fmt::format("The experiment was ended early{}.", first_reason);
    }
    return {};
}

std::string trail_text(const Sample& sample)
{
    std::string text;
    for (const Hop& hop : sample.trail) {
        if (!text.empty()) text += ", ";
        const bool telling = hop.status != 0 && (hop.status < 200 || hop.status > 299);
        text += fmt::format("{}{}: {}{} after {} ms", hop.backend, hop.hedge ? " (hedge)" : "", hop.outcome,
                            telling ? fmt::format(" ({})", hop.status) : "", significant(hop.ms));
    }
    return text;
}

} // namespace hotspare::experiment
