#include "experiment/report/series_charts.hpp"

#include "common/markup.hpp"
#include "experiment/judge/fault_span.hpp"
#include "experiment/judge/measure.hpp"
#include "experiment/report/chart.hpp"
#include "experiment/report/chart_parts.hpp"
#include "experiment/report/html_table.hpp"
#include "experiment/report/wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>

namespace hotspare::experiment {
namespace {

/// Of several runs together, where four decimals would feign a precision that is not there.
std::string percent_text(double share)
{
    return fmt::format("{:.1f} %", share * 100);
}

std::string line_mark(std::string_view css)
{
    return fmt::format(R"(<path class="line {}" d="M0 6H16"/>)", css);
}

std::string_view css_of(Phase phase)
{
    switch (phase) {
    case Phase::healthy: return "healthy-phase";
    case Phase::fault: return "fault-phase";
    default: return "recovered-phase";
    }
}

} // namespace

std::vector<double> pooled_latencies(const Plan& plan, const std::vector<const Run*>& runs, Phase phase)
{
    std::vector<double> latencies;
    for (const Run* const run : runs) {
        const FaultSpan span(plan, *run);
        for (const Sample& sample : run->samples)
            if (is_good(sample) && must_succeed(plan, sample) &&
                (phase == Phase::all || span.phase_of(sample.due) == phase))
                latencies.push_back(to_milliseconds(sample.latency()));
    }
    std::sort(latencies.begin(), latencies.end());
    return latencies;
}

std::string percentile_chart(const Journal& journal, const std::vector<const Run*>& runs)
{
    constexpr std::size_t most_points = 400;
    std::map<Phase, std::vector<double>> latencies;
    std::size_t largest = 0;
    double min = 1e300;
    double max = 0;
    for (const Phase phase : {Phase::healthy, Phase::fault, Phase::recovered}) {
        auto values = pooled_latencies(journal.plan, runs, phase);
        if (values.empty()) continue;
        largest = std::max(largest, values.size());
        min = std::min(min, std::max(values.front(), 0.001));
        max = std::max(max, values.back());
        latencies[phase] = std::move(values);
    }
    if (latencies.empty()) return fmt::format("<p class=\"note\">Latencies: {}.</p>\n", not_observed);

    HtmlTable table("Percentiles by phase");
    table.column("requests due");
    table.columns({"answered", "p50", "p90", "p99", "p99.9", "max"}, HtmlTable::Align::right);
    std::vector<Swatch> swatches;
    Plot plot("percentiles", "Latency by percentile and phase, all runs together", "The table beneath has the numbers.",
              260, Scale::percentiles(largest), Scale::log_milliseconds(min, std::max(max, min * 1.01)));
    for (const auto& [phase, values] : latencies) {
        // The k-th value of n holds for the shares from (k - 1) / n to k / n: a staircase, thinned where its steps are
        // narrower than a line.
        const auto n = static_cast<double>(values.size());
        std::vector<Point> points;
        double next = -1;
        for (std::size_t k = 0; k < values.size(); ++k) {
            const double from = static_cast<double>(k) / n;
            const double shown = -std::log10(1 - from);
            if (shown < next && k + 1 < values.size()) continue;
            next = shown + std::log10(n + 1) / most_points;
            if (!points.empty()) points.push_back({from, points.back().y});
            points.push_back({from, values[k]});
        }
        plot.line(css_of(phase), points);
        plot.dots(css_of(phase), {points.back()});
        swatches.push_back({line_mark(css_of(phase)), std::string(title_of(phase))});
        table.row(escape(title_of(phase)));
        table.cell(grouped(values.size()));
        for (const double share : {0.5, 0.9, 0.99, 0.999, 1.0})
            table.cell(escape(format(Measure::max, *quantile(values, share))));
    }
    return fmt::format("{}<div class=\"plot-box\">{}</div>\n<p class=\"axis\">percentile</p>\n{}", legend(swatches),
                       plot.svg(), table.html());
}

std::string error_rate_chart(const Journal& journal, const std::vector<const Run*>& runs)
{
    constexpr double bins_at_most = 60;
    struct Share {
        std::size_t requests = 0, failed = 0;
    };
    const auto origin_of = [&](const Run& run) { return to_s(FaultSpan(journal.plan, run).begin().value_or(Nanos())); };
    double from = 1e300;
    double to = -1e300;
    bool any_fault = false;
    for (const Run* const run : runs) {
        if (run->samples.empty()) continue;
        from = std::min(from, to_s(run->samples.front().due) - origin_of(*run));
        to = std::max(to, to_s(run->samples.back().due) - origin_of(*run));
        any_fault = any_fault || FaultSpan(journal.plan, *run).begin();
    }
    if (from > to) return fmt::format("<p class=\"note\">Error rate: {}.</p>\n", not_observed);

    // Bins begin at the fault, so that none mixes what came before with what came after.
    const double width = round_up(std::max(to - from, 1e-3) / bins_at_most);
    std::map<long, Share> bins;
    std::size_t requests = 0;
    std::size_t failed = 0;
    for (const Run* const run : runs) {
        const double origin = origin_of(*run);
        for (const Sample& sample : run->samples) {
            if (!must_succeed(journal.plan, sample)) continue;
            Share& bin = bins[std::lround(std::floor((to_s(sample.due) - origin) / width))];
            ++bin.requests;
            ++requests;
            if (is_good(sample)) continue;
            ++bin.failed;
            ++failed;
        }
    }
    double worst = 0;
    for (const auto& [index, bin] : bins)
        worst = std::max(worst, static_cast<double>(bin.failed) / static_cast<double>(bin.requests));

    const std::string said = failed == 0 ? fmt::format("None of {} failed.", counted(requests, "request", "requests"))
                                         : fmt::format("{} of {} failed; at worst {} in {}.", grouped(failed),
                                                       counted(requests, "request", "requests"), percent_text(worst),
                                                       time_text(Nanos(std::llround(width * 1e9))));
    const Scale x = Scale::seconds(from, std::max(to, from + 1e-3));
    Plot plot("error-rate", "Share of failed requests over time, all runs together", said, 260, x,
              Scale::shares(worst == 0 ? 0.01 : worst));
    std::vector<double> ends;
    for (const Run* const run : runs) {
        const FaultSpan span(journal.plan, *run);
        if (span.begin())
            ends.push_back((span.end() ? to_s(*span.end()) : end_of(journal.plan, *run)) - to_s(*span.begin()));
    }
    std::sort(ends.begin(), ends.end());
    if (const auto median = quantile(ends, 0.5)) plot.band("fault", 0, *median);
    std::vector<Point> points;
    HtmlTable table("Error rate over time");
    table.column(any_fault ? "from the fault" : "from the first request");
    table.columns({"requests", "failed", "error rate"}, HtmlTable::Align::right);
    for (const auto& [index, bin] : bins) {
        const double begin = static_cast<double>(index) * width;
        const double share = static_cast<double>(bin.failed) / static_cast<double>(bin.requests);
        if (!points.empty() && points.back().x < begin - width / 2) { // nothing was due meanwhile
            plot.area("error-rate", points);
            points.clear();
        }
        points.push_back({begin, share});
        points.push_back({begin + width, share});
        if (bin.failed == 0) continue;
        table.row(time_text(Nanos(std::llround(begin * 1e9))) + " to " +
                  time_text(Nanos(std::llround((begin + width) * 1e9))));
        table.cell(grouped(bin.requests));
        table.cell(grouped(bin.failed));
        table.cell(percent_text(share));
    }
    plot.area("error-rate", points);
    if (failed == 0) plot.level("zero", 0);

    std::string html = legend({{box_mark("area error-rate", 1), "failed of all requests"}});
    if (any_fault)
        html = legend({{box_mark("area error-rate", 1), "failed of all requests"},
                       {std::string(fault_mark), runs.size() == 1 ? "fault in force" : "fault in force (median)"}});
    html += fmt::format("<div class=\"plot-box\">{}</div>\n<p class=\"axis\">{}</p>\n<p class=\"note\">{}</p>\n",
                        plot.svg(), any_fault ? "time from the fault" : "time from the first request", escape(said));
    if (!table.empty())
        html += "<details><summary>The numbers of this chart</summary>\n" + table.html() + "</details>\n";
    return html;
}

} // namespace hotspare::experiment
