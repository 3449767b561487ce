#include "experiment/report/report.hpp"

#include "common/json_document.hpp"
#include "common/markup.hpp"
#include "experiment/record/json_line.hpp"
#include "experiment/report/chart.hpp"
#include "experiment/report/html_table.hpp"
#include "experiment/report/run_charts.hpp"
#include "experiment/report/series_charts.hpp"
#include "experiment/report/style.hpp"
#include "experiment/report/wording.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <tuple>
#include <utility>

namespace hotspare::experiment {
namespace {

constexpr std::size_t most_thumbnails = 40;
constexpr std::size_t most_slow_requests = 10;

using Align = HtmlTable::Align;

std::string small(std::string_view text)
{
    return text.empty() ? std::string() : "<small>" + escape(text) + "</small>";
}

/// A text that needs some room to be read.
std::string reason(std::string_view text)
{
    return "<small class=\"reason\">" + escape(text) + "</small>";
}

std::string absent()
{
    return fmt::format("<span class=\"absent\">{}</span>", not_observed);
}

std::string section(std::string_view title, const std::string& content)
{
    return fmt::format("<section>\n<h2>{}</h2>\n{}</section>\n", escape(title), content);
}

std::string note(std::string_view text)
{
    return fmt::format("<p class=\"note\">{}</p>\n", escape(text));
}

std::string details(std::string_view title, const std::string& content)
{
    return fmt::format("<details><summary>{}</summary>\n{}</details>\n", escape(title), content);
}

std::string time_cell(const std::optional<Nanos>& time)
{
    return time ? escape(time_text(*time)) : absent();
}

std::string value_cell(Measure measure, const std::optional<double>& value)
{
    return value ? escape(value_text(measure, value)) : absent();
}

/// The median, and the range beneath it where the runs differ.
std::string spread_cell(Measure measure, const std::optional<Spread>& values)
{
    if (!values) return absent();
    return escape(median_text(measure, values)) + small(range_text(measure, values, " to "));
}

std::string header(const Journal& journal, const Judgement& judgement)
{
    const Plan& plan = journal.plan;
    std::string html = fmt::format("<header>\n<span class=\"badge {0}\">{0}</span>\n<h1>{1}</h1>\n"
                                   "<p class=\"sentence\">{2}</p>\n",
                                   to_string(judgement.verdict), escape(plan.title.empty() ? plan.name : plan.title),
                                   escape(sentence(judgement)));
    if (!plan.about.empty()) html += fmt::format("<p class=\"note\">{}</p>\n", escape(plan.about));
    html += "<ul class=\"facts\">";
    const auto fact = [&](std::string_view name, const std::string& value) {
        if (!value.empty()) html += fmt::format("<li>{} <b>{}</b></li>", name, escape(value));
    };
    fact("experiment", plan.name);
    fact("target", journal.target);
    fact("valid runs", fmt::format("{} of {}", judgement.valid, judgement.total));
    double rate = 0;
    for (const Stream& stream : plan.load) rate += stream.rate;
    fact("load", fmt::format("{:.6g} requests/s for {}", rate, config::format_duration(plan.duration)));
    fact("begun", journal.runs.empty() ? std::string() : journal.runs.front().started);
    fact("seed", std::to_string(journal.seed));
    html += "</ul>\n";
    if (judgement.reasons.size() > 1) { // the sentence has said the first one
        html += "<ul>\n";
        for (const std::string& reason : judgement.reasons) html += fmt::format("<li>{}</li>\n", escape(reason));
        html += "</ul>\n";
    }
    return html + "</header>\n";
}

std::string tiles(const Judgement& judgement)
{
    std::string html = "<dl class=\"tiles\">\n";
    const bool several = judgement.runs.size() > 1;
    for (const Measure measure : {Measure::failed, Measure::duplicated, Measure::max, Measure::detection,
                                  Measure::failover, Measure::failback}) {
        const auto values = spread(judgement.runs, measure);
        std::string range = range_text(measure, values, " to ");
        if (range.empty() && values && several) range = "in each run";
        html += fmt::format(
            "<div class=\"tile\"><dt>{}</dt><dd><div class=\"value{}\">{}</div><div class=\"range\">{}</div>"
            "</dd></div>\n",
            title_of(measure), values ? "" : " absent", escape(median_text(measure, values)), escape(range));
    }
    return html + "</dl>\n";
}

std::string conditions(const Judgement& judgement)
{
    if (judgement.findings.empty()) return section("What was promised", note("The plan promises nothing."));
    HtmlTable table("Conditions");
    table.columns({"condition", "promised", "measured, worst run", "held"});
    for (const Finding& finding : judgement.findings) {
        table.row(escape(finding.what));
        table.cell(escape(finding.limit));
        table.cell(escape(finding.measured));
        if (!finding.judged)
            table.cell("<span class=\"absent\">not judged</span>");
        else
            table.cell(fmt::format("<span class=\"{}\">{} in {} of {}</span>", finding.held ? "held" : "broken",
                                   finding.held ? "✓" : "✗", finding.held_in, counted(finding.runs, "run", "runs")));
    }
    return section("What was promised", table.html());
}

std::string measures(const Plan& plan, const Judgement& judgement)
{
    if (judgement.runs.empty()) return section("What was measured", note("No run is valid: nothing can be said."));
    std::string html =
        note(judgement.runs.size() == 1 ? "Of the one valid run."
                                        : fmt::format("Medians of {}; beneath them the least and the greatest value.",
                                                      counted(judgement.runs.size(), "valid run", "valid runs")));
    HtmlTable by_phase("Measures by phase");
    constexpr std::array columns{Measure::requests, Measure::failed, Measure::error_rate, Measure::stalled,
                                 Measure::p50,      Measure::p99,    Measure::max};
    by_phase.column("requests due");
    for (const Measure measure : columns) by_phase.column(title_of(measure), Align::right);
    for (const Phase phase : {Phase::healthy, Phase::fault, Phase::recovered, Phase::all}) {
        by_phase.row(escape(title_of(phase)));
        for (const Measure measure : columns)
            by_phase.cell(spread_cell(measure, spread(judgement.runs, measure, phase)));
    }
    html += by_phase.html();

    HtmlTable whole("Measures of the whole run");
    whole.column("of the whole run");
    whole.columns({"median", "range", "runs"}, Align::right);
    whole.column("what it is");
    for (const Measure measure : {Measure::detection, Measure::failover, Measure::failback, Measure::outage,
                                  Measure::gap, Measure::lost, Measure::failed_not_in_flight, Measure::duplicated,
                                  Measure::given_up, Measure::availability, Measure::lag_p99, Measure::lag_max}) {
        const auto values = spread(judgement.runs, measure);
        whole.row(escape(title_of(measure)));
        whole.cell(values ? escape(median_text(measure, values)) : absent());
        whole.cell(escape(range_text(measure, values, " to ")));
        whole.cell(values ? std::to_string(values->runs) : "0");
        whole.cell(escape(explain(measure)));
    }
    html += "<h3>Times and counts</h3>\n" + whole.html();
    html +=
        note(fmt::format("The generator must not be later than {} at its p99 and {} at worst, else a run is invalid: "
                         "it could not tell the system's delay from its own.",
                         format(Measure::lag_p99, to_ms(plan.generator.lag_p99)),
                         format(Measure::lag_max, to_ms(plan.generator.lag_max))));
    return section("What was measured", html);
}

struct Seen {
    const Run* run;
    Measures measures;
    std::string invalid;

    bool valid() const noexcept { return invalid.empty() && run->aborted.empty(); }
};

std::vector<Seen> see(const Journal& journal)
{
    std::vector<Seen> result;
    for (const Run& run : journal.runs) {
        Measures measures = measure(journal.plan, run);
        std::string invalid = why_invalid(journal.plan, run, measures);
        result.push_back({&run, measures, std::move(invalid)});
    }
    return result;
}

/// Most failures, then the slowest answer; a valid run if there is one. Null if no run has a sample.
const Seen* worst_of(const std::vector<Seen>& runs)
{
    const auto badness = [](const Seen& seen) {
        return std::tuple(seen.valid(), seen.measures.of(Measure::failed).value_or(0),
                          seen.measures.of(Measure::max).value_or(0));
    };
    const Seen* worst = nullptr;
    for (const Seen& seen : runs)
        if (!seen.run->samples.empty() && (worst == nullptr || badness(seen) > badness(*worst))) worst = &seen;
    return worst;
}

std::string event_table(const Run& run)
{
    if (run.events.empty()) return {};
    HtmlTable table("What the balancer said");
    table.columns({"when", "event", "who", "change", "cause"});
    for (const EventRecord& event : run.events) {
        table.row(escape(time_text(event.at)));
        table.cell(escape(event.kind));
        table.cell(escape(event.backend.empty() ? event.pool : event.backend));
        table.cell(event.from.empty() && event.to.empty() ? std::string()
                                                          : escape(event.from) + " → " + escape(event.to));
        table.cell(escape(event.cause));
    }
    return details(fmt::format("What the balancer said in run {}", run.number), table.html());
}

std::string worst_run(const Journal& journal, const std::vector<Seen>& runs)
{
    const Seen* const worst = worst_of(runs);
    if (worst == nullptr)
        return section("What happened", note("No request was recorded, so there is nothing to draw."));
    const double failed = worst->measures.of(Measure::failed).value_or(0);
    const std::string why = runs.size() == 1 ? std::string()
                            : failed > 0     ? "the run with most failures"
                                             : "the run with the slowest answer";
    std::string html = note(fmt::format("{}{} failed, the slowest good answer: {}.",
                                        why.empty() ? "" : "It is " + why + ": ", value_text(Measure::failed, failed),
                                        value_text(Measure::max, worst->measures.of(Measure::max))));
    html += run_charts(journal, *worst->run) + event_table(*worst->run);

    std::pair<double, double> range{1e300, 0};
    std::size_t others = 0;
    for (const Seen& seen : runs)
        for (const Sample& sample : seen.run->samples)
            if (sample.outcome == Outcome::good) {
                const double ms = std::max(std::chrono::duration<double, std::milli>(sample.latency()).count(), 0.001);
                range = {std::min(range.first, ms), std::max(range.second, ms)};
            }
    if (range.first > range.second) range = {0.1, 10};
    std::string thumbnails;
    for (const Seen& seen : runs)
        if (&seen != worst && ++others <= most_thumbnails)
            thumbnails += thumbnail(journal, *seen.run, range.first, range.second);
    if (others > 0) {
        const Scale axis = Scale::log_milliseconds(range.first, range.second);
        html += "<h3>The other runs</h3>\n";
        html += note(fmt::format(
            "The slowest answer of each moment, logarithmic from {} to {}; a line over the whole height "
            "is a failed request.{}",
            axis.ticks().front().label, axis.ticks().back().label,
            others > most_thumbnails ? fmt::format(" The first {} of {}.", most_thumbnails, others) : std::string()));
        html += "<div class=\"thumbs\">\n" + thumbnails + "</div>\n";
    }
    return section(fmt::format("Run {} in detail", worst->run->number), html);
}

std::string together(const Journal& journal, const std::vector<Seen>& runs)
{
    std::vector<const Run*> valid;
    for (const Seen& seen : runs)
        if (seen.valid()) valid.push_back(seen.run);
    const std::string which = valid.empty()       ? "No run is valid."
                              : valid.size() == 1 ? "Of the one valid run."
                                                  : fmt::format("{} valid runs together.", valid.size());
    return "<div class=\"two\">\n" +
           section("Latency before, during and after",
                   note(which + " Good answers only; each further nine gets as much room as the one before it.") +
                       percentile_chart(journal, valid)) +
           section("Error rate over time", note(which) + error_rate_chart(journal, valid)) + "</div>\n";
}

std::string run_table(const std::vector<Seen>& runs)
{
    if (runs.empty()) return {};
    constexpr std::array columns{Measure::requests, Measure::failed,    Measure::lost,     Measure::duplicated,
                                 Measure::max,      Measure::detection, Measure::failover, Measure::failback,
                                 Measure::outage,   Measure::lag_p99};
    HtmlTable table("Run by run");
    table.columns({"", "Valid"});
    for (const Measure measure : columns)
        table.column(measure == Measure::lag_p99 ? "Lag p99" : title_of(measure), Align::right);
    for (const Seen& seen : runs) {
        table.row(fmt::format("run\u00a0{}", seen.run->number));
        table.cell(seen.valid()                ? "yes"
                   : seen.run->aborted.empty() ? "no" + reason(seen.invalid)
                                               : "no" + reason("aborted: " + seen.run->aborted));
        for (const Measure measure : columns) table.cell(value_cell(measure, seen.measures.of(measure)));
    }
    return section("Run by run", table.html());
}

std::string fault_table(const Journal& journal)
{
    HtmlTable table("Faults");
    table.columns({"", "fault"});
    table.column("made at", Align::right);
    table.column("confirmed");
    table.column("undone at", Align::right);
    table.column("evidence");
    for (const Run& run : journal.runs)
        for (const FaultRecord& fault : run.faults) {
            const bool known = fault.step < journal.plan.method.size();
            table.row(fmt::format("run\u00a0{}", run.number));
            table.cell(known ? escape(describe(journal.plan.method[fault.step])) +
                                   small("of " + journal.plan.method[fault.step].on)
                             : absent());
            table.cell(time_cell(fault.triggered));
            table.cell(fault.effective ? fmt::format("<span class=\"held\">✓ effective</span>{}",
                                                     small(time_text(fault.confirmed - fault.triggered) + " later"))
                                       : "<span class=\"broken\">✗ no effect</span>");
            table.cell(fault.undone ? time_cell(fault.undone) : "<span class=\"absent\">not undone</span>");
            table.cell(escape(fault.evidence));
        }
    return section("Faults", table.empty() ? note("None was made.")
                                           : note("Times count from the first request of the run.") + table.html());
}

std::string probe_table(const Journal& journal)
{
    constexpr std::array stages{Stage::before, Stage::during, Stage::after, Stage::restored};
    HtmlTable table("Steady state");
    table.columns({"steady state", "before", "during", "after", "restored"});
    for (std::size_t i = 0; i < journal.plan.steady_state.size(); ++i) {
        const Probe& probe = journal.plan.steady_state[i];
        table.row(escape(probe.name) + small(fmt::format("GET {}: {}{}", probe.path, probe.status,
                                                         probe.served_by.empty() ? "" : " by " + probe.served_by)));
        for (const Stage stage : stages) {
            std::size_t passed = 0;
            std::size_t count = 0;
            Nanos slowest{};
            std::string detail;
            for (const Run& run : journal.runs)
                for (const ProbeRecord& record : run.probes) {
                    if (record.probe != i || record.stage != stage) continue;
                    ++count;
                    passed += record.passed ? 1 : 0;
                    slowest = std::max(slowest, record.took);
                    if (!record.passed && detail.empty()) detail = fmt::format("run {}: {}", run.number, record.detail);
                }
            if (count == 0) {
                table.cell(stage == Stage::during && !probe.during_fault ? "<span class=\"absent\">not asked</span>"
                                                                         : absent());
                continue;
            }
            table.cell(fmt::format("<span class=\"{}\">{} {} of {}</span>{}", passed == count ? "held" : "broken",
                                   passed == count ? "✓" : "✗", passed, count,
                                   small(detail.empty() ? "up to " + time_text(slowest) : detail)));
        }
    }
    return section("Steady state", table.empty() ? note("The plan probes nothing.") : table.html());
}

std::string slowest_requests(const Journal& journal)
{
    struct Entry {
        const Run* run;
        const Sample* sample;
    };
    std::vector<Entry> entries;
    for (const Run& run : journal.runs)
        for (const Sample& sample : run.samples) entries.push_back({&run, &sample});
    const std::size_t count = std::min(entries.size(), most_slow_requests);
    const auto slower = [](const Entry& a, const Entry& b) {
        return std::tuple(b.sample->latency(), a.run->number, a.sample->index) <
               std::tuple(a.sample->latency(), b.run->number, b.sample->index);
    };
    std::partial_sort(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(count), entries.end(), slower);
    entries.resize(count);
    HtmlTable table("Slowest requests");
    table.column("request");
    table.columns({"due", "latency"}, Align::right);
    table.columns({"ended", "served by", "which way it went"});
    for (const auto& [run, sample] : entries) {
        const std::string way = trail_text(*sample);
        table.row(fmt::format("no.\u00a0{}<small>run {}</small>", grouped(sample->index), run->number));
        table.cell(time_cell(sample->due));
        table.cell(time_cell(sample->latency()));
        table.cell(fmt::format("{}{}", escape(title_of(sample->outcome)),
                               small(sample->status == 0 ? "no status" : std::to_string(sample->status))));
        table.cell(sample->served_by.empty() ? absent() : escape(sample->served_by));
        table.cell(way.empty() ? absent() : "<span class=\"trail\">" + escape(way) + "</span>");
    }
    return section(count == 0 ? std::string("The slowest requests")
                              : fmt::format("The {} slowest requests of all runs", count),
                   table.empty() ? note("No request was recorded.") : table.html());
}

std::string origin_of_it_all(const Journal& journal)
{
    const auto block = [](std::string_view text) { return "<pre>" + escape(text) + "</pre>\n"; };
    std::string html =
        note("Every number of this page is computed from samples.jsonl and from nothing else. Beside it, this "
             "computes them again and says whether the file agrees with itself:");
    html += block("experiment check samples.jsonl");
    std::string seeds = fmt::format("experiment {}", journal.seed);
    for (const Run& run : journal.runs)
        seeds += fmt::format("\nrun {}      {}   {}", run.number, run.seed, run.started);
    html += details("Seeds", note("With the same seed each request is due at the same moment.") + block(seeds));
    html += details("The plan", block(journal.plan.text));
    html += details(
        "Machine, versions, configuration",
        block(journal.environment.empty() ? std::string(not_observed) : json_text(json_value(journal.environment), 2)));
    return section("How to verify it, and where it comes from", html);
}

} // namespace

std::string html_report(const Journal& journal, const Judgement& judgement)
{
    const std::vector<Seen> runs = see(journal);
    const std::string name = journal.plan.name.empty() ? journal.plan.title : journal.plan.name;
    // The policy is a second lock: even if something got past the escaping, nothing is fetched or executed.
    std::string html = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
        "<title>{}: {}</title>\n<style>{}</style>\n</head>\n<body>\n",
        to_string(judgement.verdict), escape(name), report_style());
    html += plot_definitions();
    html += "<main>\n" + header(journal, judgement) + tiles(judgement) + conditions(judgement) +
            measures(journal.plan, judgement);
    html += worst_run(journal, runs) + together(journal, runs) + run_table(runs);
    html += fault_table(journal) + probe_table(journal) + slowest_requests(journal) + origin_of_it_all(journal);
    return html +
           "<footer>Written by hotspare's experiment runner. Latencies are exact quantiles over all samples (nearest "
           "rank), not estimates from buckets.</footer>\n</main>\n</body>\n</html>\n";
}

} // namespace hotspare::experiment
