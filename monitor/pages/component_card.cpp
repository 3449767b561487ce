#include "monitor/pages/component_card.hpp"

#include "common/format.hpp"
#include "common/markup.hpp"
#include "monitor/pages/wording.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace hotspare::monitor {
namespace {

constexpr std::size_t most_causes = 3;
constexpr std::size_t most_cause_columns = 200;
constexpr std::size_t most_months = 12;

std::string_view css_of(DayKind kind) noexcept
{
    switch (kind) {
    case DayKind::no_data: return "none";
    case DayKind::up: return "up";
    case DayKind::maintenance: return "maintenance";
    case DayKind::degraded: return "degraded";
    case DayKind::down: return "down";
    }
    return {};
}

/// "down for 30 min, uptime 97.916 %", and the causes below.
std::string reason_of(const Day& day)
{
    const Tally& tally = day.tally;
    const DayKind kind = kind_of(tally);
    std::string out;
    switch (kind) {
    case DayKind::no_data: return "no data";
    case DayKind::up: out = "no downtime"; break;
    case DayKind::maintenance:
        out = "announced maintenance for " + duration_text(tally.maintenance());
        if (tally.window_down.count() > 0) out += ", down for " + duration_text(tally.window_down) + " of it";
        break;
    case DayKind::degraded: out = "degraded for " + duration_text(tally.degraded); break;
    case DayKind::down: out = "down for " + duration_text(tally.down); break;
    }
    if (kind == DayKind::down || kind == DayKind::degraded) {
        if (tally.maintenance().count() > 0) out += ", announced maintenance for " + duration_text(tally.maintenance());
        out += ", uptime " + sla_text(tally);
    }
    if (tally.unknown.count() > 0) out += ", no data for " + duration_text(tally.unknown);
    for (std::size_t i = 0; i < std::min(day.causes.size(), most_causes); ++i)
        out += "\n" + shorten(valid_utf8(day.causes[i]), most_cause_columns);
    if (day.causes.size() > most_causes) append(out, "\nand {} more", day.causes.size() - most_causes);
    return out;
}

/// Days in a row that say the same, drawn as so many bars by one element: most days of most components have nothing to
/// say, and an element for each of them made a page of 200 components ten times as long.
struct Run {
    DayKind kind = DayKind::no_data;
    std::string reason{};
    Instant begin{};
    int days = 0;

    bool tells() const noexcept { return kind != DayKind::up && kind != DayKind::no_data; }
    Instant last() const noexcept { return begin + std::chrono::days(days - 1); }
};

std::string bars_of(const Run& run)
{
    std::string out = "<li class=\"";
    out += css_of(run.kind);
    if (run.days > 1) append(out, " n{}", run.days); // a rule of the style sheet
    append(out, "\"{}><span>{}", run.tells() ? " tabindex=\"0\"" : "", date_text(run.begin));
    if (run.days > 1) out += " to " + date_text(run.last());
    append(out, ": {}</span></li>\n", escape(run.reason));
    return out;
}

std::string bars(const Component& component, Instant now)
{
    const Instant today = unit_around(now, Unit::day).begin;
    std::string out;
    append(out, "<ol class=\"days\" aria-label=\"{}, the past {} days\">\n", escape(component.shown_name()),
           shown_days);
    auto next = component.days.begin();
    Run run;
    for (int back = shown_days - 1; back >= 0; --back) {
        const Instant begin = today - std::chrono::days(back);
        while (next != component.days.end() && next->begin < begin) ++next;
        const bool known = next != component.days.end() && next->begin == begin;
        const Day day = known ? *next : Day{.begin = begin};
        Run one{.kind = kind_of(day.tally), .reason = reason_of(day), .begin = begin, .days = 1};
        if (run.days > 0 && !one.tells() && one.kind == run.kind && one.reason == run.reason) {
            ++run.days;
            continue;
        }
        if (run.days > 0) out += bars_of(run);
        run = std::move(one);
    }
    out += bars_of(run);
    std::string uptime = sla_text(shown_total(component, now));
    if (uptime != "no data") uptime += " uptime";
    append(out, "</ol>\n<p class=\"scale\"><span>{} days ago</span><span>{}</span><span>today</span></p>\n", shown_days,
           uptime);
    return out;
}

std::string months(const Component& component)
{
    if (component.months.empty()) return {};
    std::string out = "<dl class=\"months\">\n";
    const std::size_t count = std::min(component.months.size(), most_months);
    for (std::size_t i = 0; i < count; ++i) {
        const Rollup& month = component.months[component.months.size() - 1 - i];
        const std::string sla = sla_text(month.tally), raw = raw_text(month.tally);
        append(out, "<div><dt>{}</dt><dd>{}", month_text(month.begin), sla);
        if (raw != sla) append(out, "<small>{} with maintenance</small>", raw);
        if (month.tally.unknown.count() > 0)
            append(out, "<small>no data for {}</small>", duration_text(month.tally.unknown));
        out += "</dd></div>\n";
    }
    return out + "</dl>\n";
}

} // namespace

Sign sign_of(const Component& component) noexcept
{
    if (component.maintenance) return {"◆", "maintenance"};
    switch (component.state) {
    case State::up: return {"✓", "up"};
    case State::degraded: return {"!", "degraded"};
    case State::down: return {"✕", "down"};
    case State::unknown: break;
    }
    return {"?", "none"};
}

Sign sign_of(Overall overall) noexcept
{
    switch (overall) {
    case Overall::no_data: break;
    case Overall::operational: return {"✓", "up"};
    case Overall::maintenance: return {"◆", "maintenance"};
    case Overall::degraded: return {"!", "degraded"};
    case Overall::partial_outage:
    case Overall::major_outage: return {"✕", "down"};
    }
    return {"?", "none"};
}

std::string component_card(const Component& component, Instant now)
{
    const Sign sign = sign_of(component);
    std::string out;
    append(out,
           "<li class=\"card\">\n<div class=\"head\"><h3>{}</h3><p class=\"state {}\"><span "
           "aria-hidden=\"true\">{}</span> {}</p></div>\n",
           escape(component.shown_name()), sign.css, sign.mark, state_text(component));
    const bool has_problem = component.state == State::down || component.state == State::degraded;
    if (has_problem && !component.cause.empty()) append(out, "<p class=\"note\">{}</p>\n", escape(component.cause));
    return out + bars(component, now) + months(component) + "</li>\n";
}

std::string legend()
{
    static constexpr std::array<std::pair<DayKind, std::string_view>, 5> entries{
        {{DayKind::up, "no downtime"},
         {DayKind::degraded, "degraded"},
         {DayKind::down, "downtime"},
         {DayKind::maintenance, "announced maintenance"},
         {DayKind::no_data, "no data"}}};
    std::string out = "<ul class=\"legend\" aria-label=\"What the bars mean\">\n";
    for (const auto& [kind, text] : entries)
        append(out, "<li><span class=\"days\" aria-hidden=\"true\"><b class=\"{}\"></b></span>{}</li>\n", css_of(kind),
               text);
    return out + "</ul>\n";
}

} // namespace hotspare::monitor
