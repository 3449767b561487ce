#include "monitor/decide/window.hpp"

#include <algorithm>

namespace hotspare::monitor {
namespace {

using std::chrono::hours;

constexpr milliseconds end_is_news = hours(1);

std::uint8_t bit(Notice notice) noexcept
{
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(notice));
}

} // namespace

std::string_view to_string(WindowState state) noexcept
{
    switch (state) {
    case WindowState::scheduled: return "scheduled";
    case WindowState::in_progress: return "in_progress";
    case WindowState::completed: return "completed";
    case WindowState::cancelled: return "cancelled";
    }
    return "invalid";
}

std::string_view to_string(Impact impact) noexcept
{
    switch (impact) {
    case Impact::none: return "none";
    case Impact::minor: return "minor";
    case Impact::major: return "major";
    case Impact::critical: return "critical";
    }
    return "invalid";
}

std::string_view to_string(Notice notice) noexcept
{
    switch (notice) {
    case Notice::announcement: return "announcement";
    case Notice::day_before: return "day_before";
    case Notice::start: return "start";
    case Notice::end: return "end";
    case Notice::cancellation: return "cancellation";
    }
    return "invalid";
}

Span use_of(const Window& window, Notice notice) noexcept
{
    const WindowPlan& plan = window.plan;
    switch (notice) {
    case Notice::announcement: return {window.announced_at, plan.start};
    case Notice::day_before: {
        const Instant due = plan.start - hours(24);
        return due > window.announced_at ? Span{due, plan.start} : Span{};
    }
    case Notice::start: return {plan.start, plan.end};
    case Notice::end: return {plan.end, plan.end + end_is_news};
    case Notice::cancellation: break;
    }
    return {};
}

bool is_told(const Window& window, Notice notice) noexcept
{
    return (window.told & bit(notice)) != 0;
}

void mark_told(Window& window, Notice notice) noexcept
{
    window.told = static_cast<std::uint8_t>(window.told | bit(notice));
}

bool is_about(const std::vector<std::string>& components, std::string_view component)
{
    return components.empty() || std::find(components.begin(), components.end(), component) != components.end();
}

std::optional<Refusal> refuse_rule(const WindowPlan& plan, const Span& first)
{
    if (plan.rrule.empty()) return std::nullopt;
    return refuse_recurrence({plan.rrule, first, plan.time_zone});
}

std::optional<Span> occurrence_after(const WindowPlan& plan, const Span& first, Instant end)
{
    if (plan.rrule.empty()) return std::nullopt;
    return next_occurrence({plan.rrule, first, plan.time_zone}, end);
}

std::vector<Span> occurrences_within(const WindowPlan& plan, const Span& first, const Span& within)
{
    std::vector<Span> result;
    if (const Span current{plan.start, plan.end}; current.overlaps(within)) result.push_back(current);
    if (plan.rrule.empty()) return result;
    const Span later{std::max(plan.end, within.begin), within.end};
    const auto all = occurrences({plan.rrule, first, plan.time_zone}, later);
    const auto next = std::find_if(all.begin(), all.end(), [&](const Span& s) { return s.begin >= plan.end; });
    result.insert(result.end(), next, all.end());
    return result;
}

} // namespace hotspare::monitor
