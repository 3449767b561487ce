#include "experiment/report/summary.hpp"

#include "common/markup.hpp"
#include "experiment/report/wording.hpp"
#include "tests/unit/experiment/example_journals.hpp"
#include "tests/unit/experiment/synthetic.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <sstream>

namespace hotspare::experiment {
namespace TEST_FILE {

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

std::string without_colours(const std::string& text)
{
    static const std::regex sequence("\x1b\\[[0-9;]*m");
    return std::regex_replace(text, sequence, "");
}

void expect_narrow(const std::string& text, std::size_t columns)
{
    for (const std::string& line : lines_of(text)) EXPECT_LE(columns_of(line), columns) << line;
}

std::vector<Journal> journals()
{
    return {example::survived(),
            example::not_survived(),
            example::aborted(),
            synthetic::scripted_journal(2),
            example::forged("a name that goes on\x1b[31m\nand on and on and on and on and on and on and on and on"),
            {}};
}

TEST(Summary, IsNeverWiderThanItMayBe)
{
    for (const Journal& journal : journals()) {
        const Judgement judgement = judge(journal, journal.runs.size());
        for (const unsigned columns : {40U, 41U, 57U, 79U, 80U, 132U, 200U}) {
            const std::string plain = summary(journal, judgement, columns, false);
            expect_narrow(plain, columns);
            EXPECT_EQ(plain.find('\x1b'), std::string::npos);
            EXPECT_EQ(without_colours(summary(journal, judgement, columns, true)), plain);
        }
    }
}

TEST(Summary, EndsWithTheVerdict)
{
    for (const Journal& journal : journals()) {
        const Judgement judgement = judge(journal, std::max<std::size_t>(journal.runs.size(), 1));
        const std::string text = summary(journal, judgement, 1000, false);
        EXPECT_EQ(lines_of(text).back(),
                  std::string(to_string(judgement.verdict)) + "  " + printable(sentence(judgement)));
    }
}

TEST(Summary, ShowsEachConditionWithMeasuredAndLimit)
{
    const Journal journal = example::not_survived();
    const Judgement judgement = judge(journal, 3);
    const auto lines = lines_of(summary(journal, judgement, 80, false));
    for (const Finding& finding : judgement.findings) {
        const auto found = std::find_if(lines.begin(), lines.end(), [&](const std::string& line) {
            return line.starts_with(finding.held ? "  ok    " + finding.what : "  FAIL  " + finding.what) &&
                   line.find(finding.measured) != std::string::npos;
        });
        ASSERT_NE(found, lines.end()) << finding.what;
        EXPECT_NE(found->find("of 3"), std::string::npos);
        EXPECT_TRUE(finding.limit == "passes" || found->find(finding.limit) != std::string::npos) << *found;
    }
}

TEST(Summary, ShowsMediansWithTheirRange)
{
    const Journal journal = example::survived();
    const Judgement judgement = judge(journal, 5);
    const auto max = spread(judgement.runs, Measure::max, Phase::fault);
    const auto requests = spread(judgement.runs, Measure::requests, Phase::fault);
    ASSERT_TRUE(max && requests);
    const auto lines = lines_of(summary(journal, judgement, 80, false));
    const auto row =
        std::find_if(lines.begin(), lines.end(), [](const auto& l) { return l.starts_with("  during the fault"); });
    ASSERT_NE(row, lines.end());
    const auto number = [](double value) {
        const std::string text = format(Measure::max, value);
        return text.substr(0, text.find(' '));
    };
    EXPECT_TRUE(row->ends_with(" " + number(max->median))) << *row;
    EXPECT_NE(row->find(median_text(Measure::requests, requests)), std::string::npos) << *row;
    EXPECT_TRUE((row + 1)->ends_with(" " + number(max->min) + ".." + number(max->max))) << *(row + 1);
}

TEST(Summary, SaysThatSomethingWasNotObserved)
{
    const Journal journal = example::not_survived(); // it contains no events
    EXPECT_NE(summary(journal, judge(journal, 3), 80, false).find("detection   not observed"), std::string::npos);
}

TEST(Comparison, NamesWhatDiffersAndInWhichDirection)
{
    const Journal good = synthetic::scripted_journal(8, true);
    const Journal bad = synthetic::scripted_journal(8, false);
    const auto a = judge(good, 8).runs;
    const auto b = judge(bad, 8).runs;
    const std::string worse = comparison_table("good", "bad", compare(a, b), 80, false);
    EXPECT_NE(worse.find("  WORSE    failed: 0 -> 5"), std::string::npos) << worse;
    EXPECT_NE(worse.find("  WORSE    availability: 100 % -> 97.5 %"), std::string::npos) << worse;
    EXPECT_EQ(worse.find("better"), std::string::npos) << worse;
    const std::string better = comparison_table("bad", "good", compare(b, a), 80, false);
    EXPECT_NE(better.find("  better   failed: 5 -> 0"), std::string::npos) << better;
    const std::string same = comparison_table("good", "good", compare(a, a), 80, false);
    EXPECT_TRUE(same.starts_with("0 of ")) << same;
    const std::string few =
        comparison_table("good", "bad", compare(std::span(a).first(2), std::span(b).first(2)), 80, false);
    EXPECT_NE(few.find("too few runs"), std::string::npos) << few;
    for (const unsigned columns : {40U, 80U})
        expect_narrow(comparison_table("good", "bad", compare(a, b), columns, false), columns);
}

std::vector<BakeoffRow> bakeoff()
{
    const Journal good = example::survived();
    const Journal bad = example::not_survived();
    BakeoffCell missing;
    missing.balancer = "caddy";
    missing.not_possible = "not installed";
    BakeoffCell invalid;
    invalid.balancer = "haproxy";
    invalid.total = 5;
    return {{"crash | primary",
             {bakeoff_cell("hotspare", judge(good, 5)), bakeoff_cell("nginx", judge(bad, 3)), missing, invalid}},
            {"black_hole", {bakeoff_cell("hotspare", judge(good, 5))}}};
}

TEST(Bakeoff, ShowsTheMedianAndTheWorstRun)
{
    const auto worst = spread(judge(example::survived(), 5).runs, Measure::max);
    const std::string table = bakeoff_table(bakeoff());
    EXPECT_NE(table.find(format(Measure::max, worst->median) + " (" + format(Measure::max, worst->max) + ")"),
              std::string::npos)
        << table;
    EXPECT_NE(table.find("not installed"), std::string::npos);
    EXPECT_NE(table.find("no valid run of 5"), std::string::npos);
    for (const unsigned columns : {40U, 60U, 80U, 120U}) expect_narrow(bakeoff_table(bakeoff(), columns), columns);
    expect_narrow(bakeoff_table({}), 80);
}

TEST(Bakeoff, MarksTheLowestAndWhatIsNotHigherByMoreThanChance)
{
    const auto cell = [](std::string name, double failed, std::vector<double> worst) {
        BakeoffCell out;
        out.balancer = std::move(name);
        std::ranges::sort(worst);
        out.failed = Spread{.median = failed, .min = failed, .max = failed, .runs = worst.size()};
        out.worst_ms =
            Spread{.median = worst[worst.size() / 2], .min = worst.front(), .max = worst.back(), .runs = worst.size()};
        out.valid = out.total = worst.size();
        out.worst_runs = std::move(worst);
        return out;
    };
    BakeoffRow row{"hang",
                   {cell("a", 0, {4, 5, 6, 7, 8}), cell("b", 0, {4.5, 5.5, 5.8, 6.5, 9}),
                    cell("c", 0, {14, 15, 16, 17, 18}), cell("d", 1, {1, 1, 1, 1, 1})}};
    mark_lowest(row);
    EXPECT_TRUE(row.cells[0].lowest);
    EXPECT_TRUE(row.cells[1].lowest) << "by chance";
    EXPECT_FALSE(row.cells[2].lowest) << "higher";
    EXPECT_FALSE(row.cells[3].lowest) << "quick because it failed";
    EXPECT_NE(bakeoff_table({row}).find("* "), std::string::npos);

    BakeoffRow few{"hang", {cell("a", 0, {4, 5, 6}), cell("b", 0, {14, 15, 16})}};
    mark_lowest(few);
    EXPECT_FALSE(few.cells[0].lowest || few.cells[1].lowest) << "three runs tell nothing";
}

TEST(Bakeoff, IsAMarkdownTable)
{
    const auto lines = lines_of(bakeoff_markdown(bakeoff()));
    ASSERT_GE(lines.size(), 7U);
    for (std::size_t i = 0; i < 7; ++i) {
        std::size_t bars = 0;
        for (std::size_t k = 0; k < lines[i].size(); ++k)
            if (lines[i][k] == '|' && (k == 0 || lines[i][k - 1] != '\\')) ++bars;
        EXPECT_EQ(bars, 7U) << lines[i];
    }
    EXPECT_TRUE(lines[2].starts_with("| crash \\| primary | hotspare | 0 |")) << lines[2];
    EXPECT_TRUE(lines[3].starts_with("|  | nginx | ")) << lines[3];
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
