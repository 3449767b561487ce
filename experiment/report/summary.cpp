#include "experiment/report/summary.hpp"

#include "common/markup.hpp"
#include "experiment/report/sheet.hpp"
#include "experiment/report/wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace hotspare::experiment {
namespace {

/// To the right of `width` columns if `width` is positive, to the left of them if it is negative.
std::string padded(std::string_view text, int width)
{
    const std::size_t room = static_cast<std::size_t>(std::abs(width));
    const std::size_t used = columns_of(text);
    const std::string space(room > used ? room - used : 0, ' ');
    return width < 0 ? std::string(text) + space : space + std::string(text);
}

/// Columns as wide as their widest cell, the first to the left and the others to the right.
class Grid {
public:
    using Row = std::vector<std::string>;

    void add(Row row) { rows_.push_back(std::move(row)); }

    std::vector<std::string> lines(std::string_view indent, std::size_t gap, std::size_t left_columns = 1) const
    {
        std::vector<std::size_t> widths;
        for (const Row& row : rows_)
            for (std::size_t i = 0; i < row.size(); ++i) {
                if (widths.size() <= i) widths.resize(i + 1);
                widths[i] = std::max(widths[i], columns_of(row[i]));
            }
        std::vector<std::string> result;
        for (const Row& row : rows_) {
            std::string line(indent);
            for (std::size_t i = 0; i < row.size(); ++i) {
                const int width = static_cast<int>(widths[i]);
                line += (i == 0 ? std::string() : std::string(gap, ' ')) +
                        padded(row[i], i < left_columns ? -width : width);
            }
            line.erase(line.find_last_not_of(' ') + 1);
            result.push_back(std::move(line));
        }
        return result;
    }

private:
    std::vector<Row> rows_;
};

bool too_wide(const std::vector<std::string>& lines, std::size_t columns)
{
    return std::any_of(lines.begin(), lines.end(),
                       [columns](const std::string& line) { return columns_of(line) > columns; });
}

constexpr std::array phase_columns{Measure::requests, Measure::failed, Measure::p50, Measure::p99, Measure::max};
constexpr std::array phase_rows{Phase::healthy, Phase::fault, Phase::recovered, Phase::all};

/// For a column whose heading has the unit.
std::string without_unit(Measure measure, std::string text)
{
    constexpr std::string_view unit = " ms";
    if (unit_of(measure) == Unit::milliseconds && text.ends_with(unit)) text.resize(text.size() - unit.size());
    return text;
}

void phase_table(Sheet& sheet, const Judgement& judgement)
{
    Grid grid;
    Grid::Row head{"requests due"};
    for (const Measure measure : phase_columns)
        head.push_back(std::string(to_string(measure)) + (unit_of(measure) == Unit::milliseconds ? " ms" : ""));
    grid.add(head);
    std::vector<Tone> tones{Tone::faint};
    for (const Phase phase : phase_rows) {
        Grid::Row medians{std::string(title_of(phase))};
        Grid::Row ranges{""};
        for (const Measure measure : phase_columns) {
            const auto values = spread(judgement.runs, measure, phase);
            medians.push_back(values ? without_unit(measure, median_text(measure, values)) : "-");
            ranges.push_back(without_unit(measure, range_text(measure, values, "..")));
        }
        const bool differ = std::any_of(ranges.begin(), ranges.end(), [](const auto& range) { return !range.empty(); });
        grid.add(medians);
        tones.push_back(Tone::plain);
        if (!differ) continue;
        grid.add(ranges);
        tones.push_back(Tone::faint);
    }
    auto lines = grid.lines("  ", 2);
    if (too_wide(lines, sheet.columns())) lines = grid.lines("", 1);
    if (!too_wide(lines, sheet.columns())) {
        for (std::size_t i = 0; i < lines.size(); ++i) sheet.line(lines[i], tones[i]);
        return;
    }
    for (const Phase phase : phase_rows) {
        sheet.line(fmt::format("  requests due {}", title_of(phase)));
        for (const Measure measure : phase_columns) {
            const auto values = spread(judgement.runs, measure, phase);
            const std::string range = range_text(measure, values, "..");
            sheet.paragraph(fmt::format("    {:<9} ", to_string(measure)), Tone::plain,
                            median_text(measure, values) + (range.empty() ? "" : " [" + range + "]"));
        }
    }
}

void times(Sheet& sheet, const Judgement& judgement)
{
    struct Line {
        Measure measure;
        std::string_view name, explanation;
    };
    constexpr std::array wanted{
        Line{Measure::detection, "detection", "fault to DETECTED, the first event about it"},
        Line{Measure::failover, "failover", "fault to an answer elsewhere"},
        Line{Measure::failback, "failback", "repair to an answer from there"},
        Line{Measure::outage, "outage", "while requests failed"},
        Line{Measure::lost, "lost", "failed, never executed"},
        Line{Measure::duplicated, "duplicated", "executed more than once"},
        Line{Measure::lag_p99, "lag p99", "of the generator"},
    };
    Grid grid;
    for (const Line& line : wanted) {
        const auto values = spread(judgement.runs, line.measure);
        const std::string range = range_text(line.measure, values, "..");
        grid.add({std::string(line.name), median_text(line.measure, values), range.empty() ? "" : "[" + range + "]"});
    }
    const auto lines = grid.lines("  ", 2);
    std::size_t width = 0;
    for (const std::string& line : lines) width = std::max(width, columns_of(line));
    std::vector<std::string> explained;
    for (std::size_t i = 0; i < lines.size(); ++i)
        explained.push_back(padded(lines[i], -static_cast<int>(width + 3)) + std::string(wanted[i].explanation));
    for (const std::string& line : too_wide(explained, sheet.columns()) ? lines : explained) sheet.line(line);
}

void conditions(Sheet& sheet, const Judgement& judgement)
{
    const auto mark_of = [](const Finding& finding) {
        return !finding.judged ? "  -     " : finding.held ? "  ok    " : "  FAIL  ";
    };
    const auto tone_of = [](const Finding& finding) {
        return !finding.judged ? Tone::plain : finding.held ? Tone::good : Tone::bad;
    };
    const auto held_in = [](const Finding& finding) { return fmt::format("{} of {}", finding.held_in, finding.runs); };
    // What has a limit stands in columns if they have room; the steady state, whose names are long, does not.
    const auto is_steady_state = [](const Finding& finding) { return finding.limit == "passes"; };
    Grid grid;
    for (const Finding& finding : judgement.findings)
        if (!is_steady_state(finding))
            grid.add(
                {printable(finding.what), printable(finding.measured), printable(finding.limit), held_in(finding)});
    const auto lines = grid.lines("", 3);
    const bool in_columns = !too_wide(lines, sheet.columns() - columns_of("  FAIL  "));
    std::size_t next = 0;
    for (const Finding& finding : judgement.findings) {
        std::string text;
        if (is_steady_state(finding))
            text = fmt::format("{}: {}, {}", finding.what, finding.measured, held_in(finding));
        else if (in_columns)
            text = lines[next++];
        else
            text = fmt::format("{}: {}, promised {}, held in {}", finding.what, finding.measured, finding.limit,
                               held_in(finding));
        sheet.paragraph(mark_of(finding), tone_of(finding), text);
    }
}

std::string bakeoff_value(Measure measure, const std::optional<Spread>& values)
{
    if (!values) return "-";
    const std::string median = value_text(measure, values->median);
    const std::string worst = value_text(measure, values->max);
    return median == worst ? median : fmt::format("{} ({})", median, worst);
}

/// failed, worst latency, stalled, duplicates.
std::vector<std::string> bakeoff_values(const BakeoffCell& cell)
{
    return {bakeoff_value(Measure::failed, cell.failed),
            (cell.lowest ? "* " : "") + bakeoff_value(Measure::max, cell.worst_ms),
            bakeoff_value(Measure::stalled, cell.stalled), bakeoff_value(Measure::duplicated, cell.duplicated)};
}

/// Why there are no values to show; empty if there are.
std::string bakeoff_obstacle(const BakeoffCell& cell)
{
    if (cell.not_possible) return *cell.not_possible;
    return cell.valid == 0 ? fmt::format("no valid run of {}", cell.total) : std::string();
}

constexpr std::string_view bakeoff_legend =
    "Medians over the runs, in brackets the worst run where it was worse. Stalled: "
    "took more than 100 ms, or failed. Duplicates: requests that must not be "
    "repeated and were executed more than once. *: of those that failed the "
    "fewest requests the lowest worst latency, or one that is not higher by more "
    "than chance; not given with fewer than five runs.";

} // namespace

std::string summary(const Journal& journal, const Judgement& judgement, unsigned columns, bool colour)
{
    Sheet sheet(columns, colour);
    sheet.paragraph(
        "", Tone::plain,
        fmt::format("{}, {}: {}", journal.plan.name, journal.target,
                    judgement.valid == judgement.total
                        ? counted(judgement.total, "run", "runs")
                        : fmt::format("{} of {} valid", judgement.valid, counted(judgement.total, "run", "runs"))));
    sheet.blank();
    if (!judgement.runs.empty()) {
        phase_table(sheet, judgement);
        sheet.blank();
        times(sheet, judgement);
        sheet.blank();
    }
    if (!judgement.findings.empty()) {
        conditions(sheet, judgement);
        sheet.blank();
    }
    for (const std::string& reason : judgement.reasons) sheet.paragraph("  !     ", Tone::bad, reason);
    if (!judgement.reasons.empty()) sheet.blank();
    sheet.paragraph(fmt::format("{}  ", to_string(judgement.verdict)),
                    judgement.verdict == Verdict::pass ? Tone::good : Tone::bad, sentence(judgement));
    return sheet.take_all();
}

BakeoffCell bakeoff_cell(std::string balancer, const Judgement& judgement)
{
    const auto of = [&](Measure measure) { return spread(judgement.runs, measure); };
    std::vector<double> worst_runs;
    for (const Measures& run : judgement.runs)
        if (const auto worst = run.of(Measure::max)) worst_runs.push_back(*worst);
    return {.balancer = std::move(balancer),
            .not_possible = std::nullopt,
            .failed = of(Measure::failed),
            .worst_ms = of(Measure::max),
            .stalled = of(Measure::stalled),
            .duplicated = of(Measure::duplicated),
            .worst_runs = std::move(worst_runs),
            .lowest = false,
            .valid = judgement.valid,
            .total = judgement.total};
}

void mark_lowest(BakeoffRow& row)
{
    std::vector<BakeoffCell*> candidates;
    for (BakeoffCell& cell : row.cells)
        if (cell.failed && cell.worst_ms) candidates.push_back(&cell);
    if (candidates.empty()) return;
    const auto fewest = (*std::ranges::min_element(candidates, {}, [](const auto* cell) {
                            return cell->failed->median;
                        }))->failed->median;
    std::erase_if(candidates, [fewest](const auto* cell) { return cell->failed->median > fewest; });
    const auto& best =
        **std::ranges::min_element(candidates, {}, [](const auto* cell) { return cell->worst_ms->median; });
    for (BakeoffCell* cell : candidates)
        cell->lowest = can_be_significant(cell->worst_runs.size(), best.worst_runs.size()) &&
                       mann_whitney(cell->worst_runs, best.worst_runs) >= significance;
}

std::string comparison_table(std::string_view a, std::string_view b, std::span<const Difference> differences,
                             unsigned columns, bool colour)
{
    Sheet sheet(columns, colour);
    const auto text_of = [](Measure measure, const Spread& values) {
        const std::string range = range_text(measure, values, "..");
        return median_text(measure, values) + (range.empty() ? "" : " [" + range + "]");
    };
    std::size_t real = 0;
    std::size_t too_few = 0;
    for (const Difference& difference : differences) {
        too_few += difference.too_few ? 1 : 0;
        if (!difference.exceeds_noise) continue;
        if (real++ == 0) {
            sheet.paragraph("", Tone::plain, fmt::format("More than chance, from {} to {}:", a, b));
            sheet.blank();
        }
        const bool less = difference.b.median < difference.a.median;
        const bool better = less == lower_is_better(difference.measure);
        const bool neutral = difference.measure == Measure::requests || difference.a.median == difference.b.median;
        sheet.paragraph(
            neutral  ? "  differs  "
            : better ? "  better   "
                     : "  WORSE    ",
            neutral  ? Tone::plain
            : better ? Tone::good
                     : Tone::bad,
            fmt::format("{}{}: {} -> {}, p {:.2g}", to_string(difference.measure),
                        difference.phase == Phase::all ? "" : fmt::format(" {}", title_of(difference.phase)),
                        text_of(difference.measure, difference.a), text_of(difference.measure, difference.b),
                        difference.p));
    }
    if (real > 0) sheet.blank();
    sheet.paragraph("", Tone::plain,
                    fmt::format("{} of {} differ by more than chance (p < {}).", real,
                                counted(differences.size(), "measure", "measures"), significance));
    if (too_few > 0)
        sheet.paragraph("", Tone::plain,
                        fmt::format("For {} of them there are too few runs to tell: repeat both more often.", too_few));
    return sheet.take_all();
}

std::string bakeoff_table(const std::vector<BakeoffRow>& rows, unsigned columns)
{
    constexpr std::size_t most_fault_columns = 24;
    Sheet sheet(columns, false);
    Grid grid;
    grid.add({"fault", "balancer", "failed", "worst latency", "stalled", "duplicates"});
    std::vector<std::string> obstacles{""};
    for (const BakeoffRow& row : rows)
        for (std::size_t i = 0; i < row.cells.size(); ++i) {
            const BakeoffCell& cell = row.cells[i];
            Grid::Row line{i == 0 ? shorten(printable(row.fault), most_fault_columns) : "", printable(cell.balancer)};
            obstacles.push_back(bakeoff_obstacle(cell));
            if (obstacles.back().empty())
                for (std::string& value : bakeoff_values(cell)) line.push_back(std::move(value));
            grid.add(std::move(line));
        }
    const auto lines = grid.lines("", 2, 2);
    if (too_wide(lines, sheet.columns())) {
        for (const BakeoffRow& row : rows) {
            sheet.line(row.fault);
            for (const BakeoffCell& cell : row.cells) {
                const auto values = bakeoff_values(cell);
                const std::string obstacle = bakeoff_obstacle(cell);
                sheet.paragraph("  ", Tone::plain,
                                obstacle.empty()
                                    ? fmt::format("{}: {} failed, worst {}, {} stalled, {} duplicates", cell.balancer,
                                                  values[0], values[1], values[2], values[3])
                                    : fmt::format("{}: {}", cell.balancer, obstacle));
            }
        }
    } else {
        for (std::size_t i = 0; i < lines.size(); ++i)
            sheet.line(obstacles[i].empty() ? lines[i] : lines[i] + "  " + obstacles[i]);
    }
    sheet.blank();
    sheet.paragraph("", Tone::plain, bakeoff_legend);
    return sheet.take_all();
}

std::string bakeoff_markdown(const std::vector<BakeoffRow>& rows)
{
    const auto cell_text = [](std::string_view text) {
        std::string result;
        for (const char c : printable(text)) {
            if (c == '|' || c == '\\') result += '\\';
            result += c;
        }
        return result;
    };
    std::string text =
        "| fault | balancer | failed | worst latency | stalled | duplicates |\n|---|---|---:|---:|---:|---:|\n";
    for (const BakeoffRow& row : rows)
        for (std::size_t i = 0; i < row.cells.size(); ++i) {
            const BakeoffCell& cell = row.cells[i];
            text += fmt::format("| {} | {} |", i == 0 ? cell_text(row.fault) : "", cell_text(cell.balancer));
            if (const std::string obstacle = bakeoff_obstacle(cell); !obstacle.empty())
                text += fmt::format(" {} | | | |\n", cell_text(obstacle));
            else {
                for (const std::string& value : bakeoff_values(cell)) text += fmt::format(" {} |", value);
                text += "\n";
            }
        }
    return text + "\n" + std::string(bakeoff_legend) + "\n";
}

} // namespace hotspare::experiment
