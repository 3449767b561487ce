#include "experiment/orders/summary.hpp"

#include "experiment/report/sheet.hpp"
#include "experiment/report/wording.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::experiment {
namespace {

constexpr std::size_t most_violations = 10;

std::string text(const std::optional<Nanos>& time)
{
    return time ? time_text(*time) : std::string(not_observed);
}

void add_numbers(Sheet& sheet, const OrdersHistory& history, const OrdersJudgement& judgement)
{
    const auto& counts = judgement.counts;
    const auto row = [&](std::string_view title, const std::string& value) {
        sheet.paragraph(fmt::format("  {:<13}", title), Tone::plain, value);
    };
    row("accepted", fmt::format("{} of {}, {} refused, {} unknown", grouped(counts.acknowledged),
                                grouped(counts.attempted), grouped(counts.refused), grouped(counts.unknown)));
    row("create", fmt::format("p50 {}   p99 {}   max {}", text(judgement.create_p50), text(judgement.create_p99),
                              text(judgement.create_max)));
    row("transitions",
        fmt::format("{} Validated, {} Rejected, {} Failed, {} still Processing", grouped(counts.validated),
                    grouped(counts.rejected), grouped(counts.failed), grouped(counts.processing)));
    row("effects", history.counted ? fmt::format("{} of the validator, by its ledger", grouped(counts.effects))
                                   : std::string("no ledger was given"));
    if (history.mode)
        row("detection",
            judgement.named.empty()
                ? std::string(not_observed)
                : fmt::format("{}: {}", judgement.named,
                              *history.mode == FailureMode::normal ? "nothing was wrong" : text(judgement.detection)));
    row("drain", fmt::format("{} after the last {}", text(judgement.drain), history.heals.empty() ? "order" : "fault"));
}

void add_findings(Sheet& sheet, const OrdersJudgement& judgement)
{
    for (const Promise& promise : judgement.promises) {
        const bool bad = promise.judged && !promise.held;
        sheet.paragraph(!promise.judged ? "  -     "
                        : bad           ? "  FAIL  "
                                        : "  PASS  ",
                        !promise.judged ? Tone::plain
                        : bad           ? Tone::bad
                                        : Tone::good,
                        promise.judged
                            ? fmt::format("{}: {} (limit: {})", promise.what, promise.measured, promise.limit)
                            : fmt::format("{}: this history cannot tell", promise.what));
    }
    sheet.blank();
    const auto shown = std::min(judgement.violations.size(), most_violations);
    for (std::size_t i = 0; i < shown; ++i) {
        const Violation& violation = judgement.violations[i];
        sheet.paragraph("  !     ", Tone::bad,
                        fmt::format("{}: {} [{}]", violation.order_id, violation.what, to_string(violation.wrong)));
    }
    if (judgement.violations.size() > shown)
        sheet.line(fmt::format("        and {} more", grouped(judgement.violations.size() - shown)));
    if (shown > 0) sheet.blank();
}

} // namespace

std::string summary(const OrdersHistory& history, const OrdersJudgement& judgement, unsigned columns, bool colour)
{
    Sheet sheet(columns, colour);
    add_numbers(sheet, history, judgement);
    sheet.blank();
    // What was ended early was not read back, so that everything would seem to be lost.
    if (judgement.verdict != Verdict::aborted) add_findings(sheet, judgement);
    const auto held = std::count_if(judgement.promises.begin(), judgement.promises.end(),
                                    [](const Promise& promise) { return promise.judged && promise.held; });
    const auto judged = std::count_if(judgement.promises.begin(), judgement.promises.end(),
                                      [](const Promise& promise) { return promise.judged; });
    const bool decided = judgement.verdict == Verdict::pass || judgement.verdict == Verdict::fail;
    sheet.paragraph(fmt::format("{}  ", to_string(judgement.verdict)),
                    judgement.verdict == Verdict::pass ? Tone::good : Tone::bad,
                    decided ? fmt::format("{} of {} promises held.", held, judged)
                            : fmt::format("Nothing can be said about the system: {}.", judgement.reason));
    return sheet.take_all();
}

} // namespace hotspare::experiment
