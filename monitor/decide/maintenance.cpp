#include "monitor/decide/maintenance.hpp"

#include "common/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {
namespace {

using std::chrono::hours;

constexpr std::size_t longest_title = 200;
constexpr milliseconds banner_before = hours(48);
/// That an emergency may lie behind: "now" is written in whole seconds, and takes some more to arrive.
constexpr milliseconds late_emergency = std::chrono::minutes(1);

bool share_a_component(const std::vector<std::string>& a, const std::vector<std::string>& b)
{
    return a.empty() || std::any_of(a.begin(), a.end(), [&](const std::string& name) { return is_about(b, name); });
}

bool any_overlap(const std::vector<Span>& a, const std::vector<Span>& b)
{
    for (std::size_t i = 0, k = 0; i < a.size() && k < b.size();) {
        if (a[i].overlaps(b[k])) return true;
        a[i].end <= b[k].end ? ++i : ++k;
    }
    return false;
}

template <class Names> bool holds_new_name(const Names& now, const Names& before)
{
    if (before.empty()) return false; // it was about all of them
    return now.empty() ||
           std::any_of(now.begin(), now.end(), [&](const auto& name) { return !is_about(before, name); });
}

} // namespace

Maintenance::Maintenance(MaintenanceSettings settings, MaintenanceMemory memory)
    : settings_(std::move(settings)), memory_(std::move(memory))
{
}

// ------------------------------------------------------------------------------------------------------------ commands

/// What is wrong with it whatever the time and the other windows are.
std::optional<Refusal> Maintenance::refuse_plan(const WindowPlan& plan) const
{
    if (auto wrong = refuse_text("title", plan.title, TextKind::line, longest_title, false)) return wrong;
    if (auto wrong = refuse_text("message", plan.message, TextKind::paragraph, longest_message, true)) return wrong;
    for (auto name = plan.components.begin(); name != plan.components.end(); ++name) {
        if (settings_.components.end() == std::find(settings_.components.begin(), settings_.components.end(), *name))
            return Refusal{"components", fmt::format("components names '{}', which is no target", shown_name(*name))};
        if (std::find(plan.components.begin(), name, *name) != name)
            return Refusal{"components", fmt::format("components names {} twice", *name)};
    }
    if (plan.end <= plan.start) return Refusal{"end_time", "end_time must be after start_time"};
    if (plan.end - plan.start > settings_.longest)
        return Refusal{"end_time", fmt::format("the window must not be longer than {} h",
                                               std::chrono::floor<hours>(settings_.longest).count())};
    if (plan.rrule.empty() && !plan.time_zone.empty())
        return Refusal{"time_zone", "time_zone is of use only with rrule; times are in UTC"};
    if (plan.emergency && !plan.rrule.empty()) return Refusal{"rrule", "an emergency must not recur"};
    if (plan.close_pools && std::none_of(settings_.operated.begin(), settings_.operated.end(),
                                         [&](const std::string& name) { return is_about(plan.components, name); }))
        return Refusal{"close_pools", "none of its components is a balancer that this monitor may operate"};
    return std::nullopt;
}

std::optional<Refusal> Maintenance::refuse_overlap(const WindowPlan& plan, const Span& first, std::uint64_t own_id,
                                                   Instant now) const
{
    const auto own = occurrences_within(plan, first, {plan.start, now + recurrence_horizon + settings_.longest});
    if (own.empty()) return std::nullopt;
    // Of a window that does not recur only its neighbours matter.
    const Span reach{own.front().begin, own.back().end};
    for (const Window& other : memory_.windows) {
        if (other.id == own_id || other.over() || !share_a_component(plan.components, other.plan.components)) continue;
        if (any_overlap(own, occurrences_within(other.plan, other.first, reach)))
            return Refusal{"start_time", fmt::format("the window overlaps window {} of the same component", other.id)};
    }
    return std::nullopt;
}

Window* Maintenance::find_mutable(std::uint64_t id) noexcept
{
    const auto it = std::find_if(memory_.windows.begin(), memory_.windows.end(),
                                 [&](const Window& window) { return window.id == id; });
    return it == memory_.windows.end() ? nullptr : &*it;
}

Accepted<Window> Maintenance::create(WindowPlan plan, Instant now)
{
    const auto still_going = std::count_if(memory_.windows.begin(), memory_.windows.end(),
                                           [](const Window& window) { return !window.over(); });
    if (static_cast<std::size_t>(still_going) >= settings_.most_windows)
        return Refusal{"id", fmt::format("there are {} windows already", settings_.most_windows)};
    Window window;
    window.created_at = now;
    window.announced_at = now;
    // As a change of one that never starts: everything about it is a new announcement.
    window.plan.start = forever;
    auto accepted = change_scheduled(window, std::move(plan), now);
    if (!accepted) return accepted;
    window.id = ++memory_.last_id;
    window.version = 0;
    memory_.windows.push_back(window);
    return window;
}

Accepted<Window> Maintenance::change(std::uint64_t id, WindowPlan plan, Instant now)
{
    Window* const window = find_mutable(id);
    if (window == nullptr) return Refusal{"id", "no such window"};
    if (window->over()) return Refusal{"state", fmt::format("the window is {}", to_string(window->state))};
    if (plan == window->plan) return *window;
    return window->state == WindowState::in_progress ? change_in_progress(*window, std::move(plan), now)
                                                     : change_scheduled(*window, std::move(plan), now);
}

Accepted<Window> Maintenance::change_scheduled(Window& window, WindowPlan plan, Instant now)
{
    if (auto wrong = refuse_plan(plan)) return *wrong;
    const WindowPlan& before = window.plan;
    if (plan.start < now - (plan.emergency ? late_emergency : milliseconds(0)))
        return Refusal{"start_time", "start_time is in the past"};
    if (plan.end <= now) return Refusal{"end_time", "end_time is in the past"};
    if (plan.start > now + recurrence_horizon) return Refusal{"start_time", "start_time is more than 400 days ahead"};
    const bool recurs_otherwise = plan.rrule != before.rrule || plan.time_zone != before.time_zone;
    const bool announces = plan.start < before.start || plan.end - plan.start > before.end - before.start ||
                           holds_new_name(plan.components, before.components) || recurs_otherwise ||
                           (before.emergency && !plan.emergency);
    if (announces && !plan.emergency && plan.start - now < settings_.notice)
        return Refusal{"start_time", fmt::format("start_time must be at least {} h ahead unless it is an emergency",
                                                 std::chrono::floor<hours>(settings_.notice).count())};
    const bool moved = plan.start != before.start || plan.end != before.end || recurs_otherwise;
    const Span first = moved ? Span{plan.start, plan.end} : window.first;
    if (moved)
        if (auto wrong = refuse_rule(plan, first)) return *wrong;
    if (auto wrong = refuse_overlap(plan, first, window.id, now)) return *wrong;

    window.plan = std::move(plan);
    window.first = first;
    window.announced_end = window.plan.end;
    if (announces) window.announced_at = now;
    if (announces || moved) window.told = 0;
    ++window.version;
    return window;
}

Accepted<Window> Maintenance::change_in_progress(Window& window, WindowPlan plan, Instant now)
{
    if (auto wrong = refuse_plan(plan)) return *wrong;
    const WindowPlan& before = window.plan;
    const auto refuse = [](std::string_view field) {
        return Refusal{std::string(field), fmt::format("{} cannot change while the window is in progress", field)};
    };
    if (plan.start != before.start) return refuse("start_time");
    if (plan.components != before.components) return refuse("components");
    if (plan.rrule != before.rrule) return refuse("rrule");
    if (plan.time_zone != before.time_zone) return refuse("time_zone");
    if (plan.emergency != before.emergency) return refuse("emergency");
    if (plan.end <= now) return Refusal{"end_time", "end_time is in the past; a window that is cancelled ends now"};
    if (plan.end > before.end) {
        const auto next = occurrence_after(plan, window.first, before.end);
        if (next && next->begin < plan.end) return Refusal{"end_time", "the next occurrence starts before end_time"};
        if (auto wrong = refuse_overlap(plan, window.first, window.id, now)) return *wrong;
    }
    window.plan = std::move(plan);
    window.announced_end = std::min(window.announced_end, window.plan.end);
    ++window.version;
    return window;
}

Accepted<Window> Maintenance::cancel(std::uint64_t id, Instant now)
{
    Window* const window = find_mutable(id);
    if (window == nullptr) return Refusal{"id", "no such window"};
    if (window->over()) return Refusal{"state", fmt::format("the window is {}", to_string(window->state))};
    if (window->state == WindowState::in_progress) {
        window->plan.end = std::max(window->plan.start, now);
        window->announced_end = std::min(window->announced_end, window->plan.end);
        keep_as_past(*window);
    } else {
        mark_told(*window, Notice::end); // it has none
        if (!is_told(*window, Notice::announcement)) mark_told(*window, Notice::cancellation);
    }
    window->state = WindowState::cancelled;
    ++window->version;
    return *window;
}

void Maintenance::set_closed(std::string_view balancer, const std::vector<ClosedBackend>& closed)
{
    std::erase_if(memory_.closed, [&](const ClosedBackend& one) { return one.balancer == balancer; });
    memory_.closed.insert(memory_.closed.end(), closed.begin(), closed.end());
}

std::optional<Refusal> Maintenance::restore(Window window, Instant now)
{
    if (auto wrong = refuse_plan(window.plan)) return wrong;
    if (auto wrong = refuse_rule(window.plan, window.first)) return wrong;
    if (auto wrong = refuse_overlap(window.plan, window.first, window.id, now)) return wrong;
    skip_numbers(window.id);
    const auto place = std::find_if(memory_.windows.begin(), memory_.windows.end(),
                                    [&](const Window& other) { return other.id >= window.id; });
    if (place != memory_.windows.end() && place->id == window.id)
        *place = std::move(window);
    else
        memory_.windows.insert(place, std::move(window));
    return std::nullopt;
}

void Maintenance::skip_numbers(std::uint64_t last) noexcept
{
    memory_.last_id = std::max(memory_.last_id, last);
}

// ---------------------------------------------------------------------------------------------------------------- time

void Maintenance::keep_as_past(const Window& window)
{
    const Span span{window.plan.start, std::min(window.plan.end, window.announced_end)};
    if (!window.plan.emergency && !span.empty()) memory_.past.push_back({window.id, span, window.plan.components});
}

/// Sends the latest notice that is due, and forgets those before it.
void Maintenance::tell(Window& window, Instant now, Due& due)
{
    std::optional<Notice> latest;
    for (const Notice notice : timed_notices) {
        if (is_told(window, notice)) continue;
        const Span use = use_of(window, notice);
        if (!use.empty() && now < use.begin) continue;
        mark_told(window, notice);
        if (use.contains(now)) latest = notice;
    }
    if (latest) due.notices.push_back({window.id, *latest, {window.plan.start, window.plan.end}});
}

void Maintenance::advance(Window& window, Instant now, Due& due)
{
    const auto enter = [&](WindowState state, Instant at) {
        window.state = state;
        due.transitions.push_back({window.id, state, at});
    };
    while (!window.over()) {
        if (window.state == WindowState::scheduled) {
            if (now < window.plan.start) break;
            enter(WindowState::in_progress, window.plan.start);
        }
        if (now < window.plan.end) break;
        tell(window, now, due);
        keep_as_past(window);
        const Instant ended = window.plan.end;
        const auto next = occurrence_after(window.plan, window.first, ended);
        if (!next) {
            enter(WindowState::completed, ended);
            return;
        }
        window.plan.start = next->begin;
        window.plan.end = window.announced_end = next->end;
        window.told = 0;
        mark_told(window, Notice::announcement);
        enter(WindowState::scheduled, ended);
    }
    tell(window, now, due);
}

Maintenance::Due Maintenance::tick(Instant now)
{
    Due due;
    for (Window& window : memory_.windows) {
        if (!window.over()) {
            advance(window, now, due);
        } else if (window.state == WindowState::cancelled) {
            if (!is_told(window, Notice::end)) {
                tell(window, now, due); // it was in progress
            } else if (!is_told(window, Notice::cancellation) && now < window.plan.start) {
                due.notices.push_back({window.id, Notice::cancellation, {window.plan.start, window.plan.end}});
            }
            mark_told(window, Notice::cancellation);
        }
    }
    return due;
}

Instant Maintenance::wake_at() const noexcept
{
    Instant earliest = forever;
    for (const Window& window : memory_.windows) {
        if (window.state == WindowState::cancelled && !is_told(window, Notice::cancellation)) earliest = Instant::min();
        if (window.over()) continue;
        earliest = std::min(earliest, window.state == WindowState::scheduled ? window.plan.start : window.plan.end);
        for (const Notice notice : timed_notices)
            if (const Span use = use_of(window, notice); !is_told(window, notice) && !use.empty())
                earliest = std::min(earliest, use.begin);
    }
    return earliest;
}

Maintenance::Banner Maintenance::banner(Instant now) const noexcept
{
    const Window* going = nullptr;
    const Window* coming = nullptr;
    for (const Window& window : memory_.windows) {
        if (window.over()) continue;
        const Span span{window.plan.start, window.plan.end};
        if (span.contains(now)) {
            if (going == nullptr || span.end > going->plan.end) going = &window;
        } else if (now < span.begin && span.begin - now <= banner_before) {
            if (coming == nullptr || span.begin < coming->plan.start) coming = &window;
        }
    }
    if (going != nullptr) return {Phase::in_progress, going->id};
    if (coming != nullptr) return {Phase::announced, coming->id};
    return {};
}

std::vector<Announcement> Maintenance::announcements(const Span& period) const
{
    std::vector<Announcement> result;
    for (const PastMaintenance& past : memory_.past)
        if (past.span.overlaps(period)) result.push_back({past.components, {past.span}});
    for (const Window& window : memory_.windows) {
        if (window.over() || window.plan.emergency) continue;
        Announcement announcement{window.plan.components, {}};
        const Span current{window.plan.start, std::min(window.plan.end, window.announced_end)};
        if (current.overlaps(period)) announcement.spans.push_back(current);
        if (!window.plan.rrule.empty()) {
            const Span later{std::max(window.plan.end, period.begin), period.end};
            for (const Span& s : occurrences({window.plan.rrule, window.first, window.plan.time_zone}, later))
                if (s.begin >= window.plan.end && s.overlaps(period)) announcement.spans.push_back(s);
        }
        if (!announcement.spans.empty()) result.push_back(std::move(announcement));
    }
    return result;
}

std::vector<Span> announced_for(std::string_view component, const std::vector<Announcement>& announcements)
{
    std::vector<Span> result;
    for (const Announcement& one : announcements)
        if (is_about(one.components, component)) result.insert(result.end(), one.spans.begin(), one.spans.end());
    return united(std::move(result));
}

std::vector<Span> Maintenance::upcoming(const Window& window, Instant after, std::size_t most) const
{
    std::vector<Span> result;
    if (window.over()) return result;
    for (Span next{window.plan.start, window.plan.end}; result.size() < most;) {
        if (next.end > after) result.push_back(next);
        const auto following = occurrence_after(window.plan, window.first, next.end);
        if (!following) break;
        next = *following;
    }
    return result;
}

const Window* Maintenance::find(std::uint64_t id) const noexcept
{
    const auto it = std::find_if(memory_.windows.begin(), memory_.windows.end(),
                                 [&](const Window& window) { return window.id == id; });
    return it == memory_.windows.end() ? nullptr : &*it;
}

void Maintenance::forget(Instant before)
{
    std::erase_if(memory_.windows, [&](const Window& window) { return window.over() && window.plan.end < before; });
    std::erase_if(memory_.past, [&](const PastMaintenance& past) { return past.span.end < before; });
}

} // namespace hotspare::monitor
