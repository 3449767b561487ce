#include "experiment/report/report.hpp"

#include "experiment/judge/fault_span.hpp"
#include "experiment/report/run_charts.hpp"
#include "experiment/report/series_charts.hpp"
#include "experiment/report/style.hpp"
#include "experiment/report/wording.hpp"
#include "tests/support/xml.hpp"
#include "tests/unit/experiment/example_journals.hpp"
#include "tests/unit/experiment/synthetic.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

namespace hotspare::experiment {
namespace TEST_FILE {

const std::string evil = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&\x01\xff";

/// With HOTSPARE_PAGES=FOLDER in the environment the pages are left there to be looked at.
std::string page_of(const std::string& name, const Journal& journal)
{
    const std::string page = html_report(journal, judge(journal, std::max<std::size_t>(journal.runs.size(), 1)));
    if (const char* const folder = std::getenv("HOTSPARE_PAGES"))
        std::ofstream(std::string(folder) + "/" + name + ".html") << page;
    return page;
}

std::vector<std::pair<std::string, Journal>> journals()
{
    Journal no_samples = example::survived();
    for (auto& run : no_samples.runs) run.samples.clear();
    Journal no_faults = example::survived();
    for (auto& run : no_faults.runs) run.faults.clear();
    no_faults.plan.method.clear();
    return {{"survived", example::survived()},     {"not_survived", example::not_survived()},
            {"aborted", example::aborted()},       {"scripted", synthetic::scripted_journal(3)},
            {"forged", example::forged(evil)},     {"nothing", {}},
            {"no_samples", std::move(no_samples)}, {"no_faults", std::move(no_faults)}};
}

std::size_t occurrences(std::string_view text, std::string_view what)
{
    std::size_t count = 0;
    for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++count;
    return count;
}

TEST(Report, IsWellFormedWhateverItShows)
{
    for (const auto& [name, journal] : journals()) {
        const auto page = test::read_xml(page_of(name, journal));
        EXPECT_EQ(page.problem, "") << name;
        std::set<std::string> ids;
        for (const auto& element : page.elements)
            if (const auto id = element.attributes.find("id"); id != element.attributes.end()) {
                EXPECT_TRUE(ids.insert(id->second).second) << name << ": two elements are called " << id->second;
            }
    }
}

TEST(Report, NeedsNothingButItself)
{
    for (const auto& [name, journal] : journals()) {
        const auto page = test::read_xml(page_of(name, journal));
        ASSERT_EQ(page.problem, "") << name;
        for (const char* forbidden : {"script", "link", "img", "image", "iframe", "object", "embed", "base", "form"})
            EXPECT_TRUE(page.all(forbidden).empty()) << name << ": " << forbidden;
        for (const auto& element : page.elements)
            for (const auto& [attribute, value] : element.attributes) {
                EXPECT_FALSE(attribute.starts_with("on")) << name << ": " << attribute;
                EXPECT_NE(attribute, "src") << name;
                EXPECT_TRUE(attribute != "href" || value.starts_with("#")) << name << ": " << value;
            }
        const auto meta = page.all("meta");
        EXPECT_TRUE(std::any_of(meta.begin(), meta.end(), [](const auto* element) {
            const auto policy = element->attributes.find("content");
            return policy != element->attributes.end() && policy->second.starts_with("default-src 'none'");
        })) << name;
    }
    for (const char* foreign : {"http:", "https:", "url(//", "@import", "@font-face", "<", "&"})
        EXPECT_EQ(report_style().find(foreign), std::string_view::npos) << foreign;
    // But for what the journal itself says.
    const std::string page = page_of("survived", example::survived());
    EXPECT_EQ(occurrences(page, "http://") + occurrences(page, "https://"), 0U);
}

TEST(Report, ForgedTextsStayTexts)
{
    const std::string page = page_of("forged", example::forged(evil));
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_EQ(page.find("<img"), std::string::npos);
    EXPECT_NE(page.find("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), std::string::npos);
}

TEST(Report, EveryChartSpeaks)
{
    const auto page = test::read_xml(page_of("survived", example::survived()));
    ASSERT_EQ(page.problem, "");
    std::size_t charts = 0;
    for (const auto* svg : page.all("svg")) {
        if (svg->attributes.count("role") == 0) continue;
        ++charts;
        const auto inside = page.children(*svg);
        ASSERT_GE(inside.size(), 2U);
        EXPECT_EQ(inside[0]->name, "title");
        EXPECT_FALSE(inside[0]->text.empty());
        EXPECT_EQ(inside[1]->name, "desc");
        EXPECT_FALSE(inside[1]->text.empty());
        EXPECT_EQ(svg->attributes.at("aria-labelledby"),
                  inside[0]->attributes.at("id") + " " + inside[1]->attributes.at("id"));
    }
    EXPECT_EQ(charts, 6U + 1 + 4 + 2) << "lanes, scatter, thumbnails, percentiles and error rate";
    for (const auto* table : page.all("table")) EXPECT_EQ(table->attributes.at("role"), "table");
}

/// The text of each cell of the row that begins with `title`, in the table that a screen reader calls `label`.
std::vector<std::string> row(const test::XmlDocument& page, const std::string& label, const std::string& title)
{
    for (const auto* region : page.all("div")) {
        const auto found = region->attributes.find("aria-label");
        if (found == region->attributes.end() || found->second != label) continue;
        for (const auto* tr : page.all("tr")) {
            const auto cells = page.children(*tr);
            const auto* table = &page.elements[page.elements[tr->parent].parent];
            if (&page.elements[table->parent] != region || cells.empty() || cells[0]->text != title) continue;
            std::vector<std::string> texts;
            for (const auto* cell : cells) texts.push_back(cell->text);
            return texts;
        }
    }
    return {};
}

TEST(Report, TablesSayWhatTheJudgementSays)
{
    for (const Journal& journal : {example::survived(), example::not_survived(), synthetic::scripted_journal(3)}) {
        const Judgement judgement = judge(journal, journal.runs.size());
        const auto page = test::read_xml(html_report(journal, judgement));
        ASSERT_EQ(page.problem, "");
        for (const Finding& finding : judgement.findings)
            EXPECT_EQ(row(page, "Conditions", finding.what),
                      (std::vector<std::string>{finding.what, finding.limit, finding.measured,
                                                std::string(finding.held ? "✓" : "✗") + " in " +
                                                    std::to_string(finding.held_in) + " of " +
                                                    counted(finding.runs, "run", "runs")}));
        for (const Phase phase : phases) {
            const auto cells = row(page, "Measures by phase", std::string(title_of(phase)));
            ASSERT_EQ(cells.size(), 8U);
            const auto expect = [&](std::size_t column, Measure measure) {
                const auto values = spread(judgement.runs, measure, phase);
                EXPECT_EQ(cells[column], median_text(measure, values) + range_text(measure, values, " to "));
            };
            expect(1, Measure::requests);
            expect(2, Measure::failed);
            expect(5, Measure::p50);
            expect(6, Measure::p99);
            expect(7, Measure::max);
        }
        const auto detection = spread(judgement.runs, Measure::detection);
        EXPECT_EQ(row(page, "Measures of the whole run", "Detection").at(1),
                  median_text(Measure::detection, detection));
        EXPECT_EQ(page.all("h1").at(0)->text, journal.plan.title);
        EXPECT_NE(page.all("header").at(0)->text.find(sentence(judgement)), std::string::npos);
    }
}

TEST(Report, SaysWhatWasNotObserved)
{
    const auto page = test::read_xml(page_of("not_survived", example::not_survived()));
    EXPECT_EQ(row(page, "Measures of the whole run", "Detection").at(1), "not observed");
    EXPECT_NE(page.elements[0].text.find("Health per backend: not observed"), std::string::npos);
    EXPECT_NE(page_of("nothing", {}).find("No request was recorded"), std::string::npos);
}

TEST(Report, ShowsTheRunWithMostFailures)
{
    Journal journal = example::not_survived();
    const auto failed = [](const auto& run) {
        return std::count_if(run.samples.begin(), run.samples.end(),
                             [](const Sample& s) { return s.outcome != Outcome::good && s.stream == 0; });
    };
    const auto worst = std::max_element(journal.runs.begin(), journal.runs.end(),
                                        [&](const auto& a, const auto& b) { return failed(a) < failed(b); });
    const auto page = test::read_xml(page_of("not_survived", journal));
    const auto titles = page.all("h2");
    EXPECT_TRUE(std::any_of(titles.begin(), titles.end(), [&](const auto* h2) {
        return h2->text == "Run " + std::to_string(worst->number) + " in detail";
    }));
}

TEST(Report, DrawsAsManyPointsAsItSays)
{
    for (const int times : {1, 3}) {
        Journal journal = example::not_survived();
        journal.runs.resize(1);
        auto& run = journal.runs[0];
        const auto once = run.samples;
        for (int i = 1; i < times; ++i) run.samples.insert(run.samples.end(), once.begin(), once.end());
        std::sort(run.samples.begin(), run.samples.end(),
                  [](const Sample& a, const Sample& b) { return a.due < b.due; });
        const Selection selection = select(run);
        EXPECT_EQ(selection.stride > 1, times > 1);

        const auto page = test::read_xml("<div>" + run_charts(journal, run) + "</div>");
        ASSERT_EQ(page.problem, "");
        std::size_t drawn = 0;
        for (const auto* use : page.all("use"))
            if (use->attributes.at("x").ends_with("%")) ++drawn;
        for (const auto* path : page.all("path"))
            if (path->attributes.at("class").starts_with("dots ") && path->attributes.at("d") != "M8 6h0")
                drawn += occurrences(path->attributes.at("d"), "M");
        EXPECT_EQ(drawn, selection.drawn());
        const std::string said = times == 1
                                     ? "All " + grouped(drawn) + " requests are drawn."
                                     : grouped(drawn) + " of " + grouped(run.samples.size()) + " requests are drawn";
        EXPECT_NE(page.elements[0].text.find(said), std::string::npos) << said;
    }
}

TEST(Selection, KeepsEveryFailureAndEverythingAboveTheP99)
{
    experiment::Run run;
    for (std::uint64_t i = 0; i < 30000; ++i) {
        Sample& sample = run.samples.emplace_back();
        sample.index = i;
        sample.due = Nanos(i * 1000);
        sample.done = sample.due + Nanos((i * 7919) % 30011);
        if (i % 100 == 0) sample.outcome = Outcome::broken;
    }
    const Selection selection = select(run, 4000);
    EXPECT_EQ(selection.of, 30000U);
    EXPECT_EQ(selection.failed.size(), 300U);
    EXPECT_GT(selection.stride, 1U);
    EXPECT_LE(selection.drawn(), 4001U);
    EXPECT_GE(selection.drawn(), 3000U);
    const std::set<const Sample*> shown(selection.good.begin(), selection.good.end());
    for (const Sample& sample : run.samples)
        if (sample.outcome == Outcome::good && static_cast<double>(sample.latency().count()) / 1e6 > selection.p99_ms) {
            EXPECT_TRUE(shown.contains(&sample)) << sample.index;
        }

    for (Sample& sample : run.samples)
        if (sample.index % 3 != 0) sample.outcome = Outcome::timed_out;
    const Selection failing = select(run, 4000);
    EXPECT_EQ(failing.failed.size(), 20000U + 100) << "too many, but none is left out";
    EXPECT_GE(failing.good.size(), 900U) << "and the others are still seen";
}

TEST(FaultSpan, DividesARunAsTheMeasuresDo)
{
    Journal never_undone = example::survived();
    never_undone.runs[0].faults[0].undone.reset();
    Journal restart = never_undone;
    restart.plan.method[0].fault = FaultKind::restart;
    Journal no_effect = example::survived();
    no_effect.runs[0].faults[0].effective = false;
    Journal twice = example::survived();
    auto& faults = twice.runs[0].faults;
    faults.push_back(faults[0]);
    faults[1].undone = Nanos(seconds(4));
    faults[1].triggered = Nanos(seconds(3));
    for (const Journal& journal :
         {example::survived(), synthetic::scripted_journal(1), never_undone, restart, no_effect, twice})
        for (const auto& run : journal.runs) {
            const FaultSpan span(journal.plan, run);
            const Measures measures = measure(journal.plan, run);
            for (const Phase phase : {Phase::healthy, Phase::fault, Phase::recovered}) {
                const auto requests = std::count_if(run.samples.begin(), run.samples.end(), [&](const Sample& sample) {
                    return journal.plan.load[sample.stream].must_succeed && span.phase_of(sample.due) == phase;
                });
                EXPECT_EQ(static_cast<double>(requests), measures.of(Measure::requests, phase).value_or(0))
                    << to_string(phase);
                EXPECT_EQ(quantile(pooled_latencies(journal.plan, {&run}, phase), 0.99),
                          measures.of(Measure::p99, phase));
            }
        }
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
