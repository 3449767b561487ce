#include "monitor/pages/view.hpp"

#include "monitor/pages/wording.hpp"

#include <algorithm>

namespace hotspare::monitor {

Overall overall(const View& view) noexcept
{
    std::size_t down = 0, degraded = 0, known = 0, watched = 0, maintained = 0;
    for (const Component& c : view.components) {
        if (c.maintenance) {
            ++maintained;
            continue;
        }
        ++watched;
        if (c.state != State::unknown) ++known;
        if (c.state == State::down) ++down;
        if (c.state == State::degraded) ++degraded;
    }
    if (down > 0) return down == watched ? Overall::major_outage : Overall::partial_outage;
    if (degraded > 0) return Overall::degraded;
    if (maintained > 0) return Overall::maintenance;
    return known > 0 ? Overall::operational : Overall::no_data;
}

DayKind kind_of(const Tally& tally) noexcept
{
    if (tally.down.count() > 0) return DayKind::down;
    if (tally.degraded.count() > 0) return DayKind::degraded;
    if (tally.maintenance().count() > 0) return DayKind::maintenance;
    return tally.known().count() > 0 ? DayKind::up : DayKind::no_data;
}

Tally shown_total(const Component& component, Instant now) noexcept
{
    const Instant first = unit_around(now, Unit::day).begin - std::chrono::days(shown_days - 1);
    Tally total;
    for (const Day& day : component.days)
        if (day.begin >= first && day.begin <= now) total += day.tally;
    return total;
}

const Component* find_component(const View& view, std::string_view id) noexcept
{
    const auto found = std::ranges::find(view.components, id, &Component::id);
    return found == view.components.end() ? nullptr : &*found;
}

std::string name_of(const View& view, std::string_view id)
{
    const Component* const component = find_component(view, id);
    return component != nullptr ? component->shown_name() : std::string(id);
}

bool unresolved(const Incident& incident) noexcept
{
    return incident.status != IncidentStatus::resolved || (!incident.outages.empty() && incident.open());
}

std::vector<const PublicIncident*> incidents_where(const View& view, bool open)
{
    std::vector<const PublicIncident*> result;
    for (const PublicIncident& i : view.incidents)
        if (!i.incident.outages.empty() && !i.incident.maintenance && unresolved(i.incident) == open)
            result.push_back(&i);
    std::ranges::stable_sort(result, std::ranges::greater(), [](const auto* i) { return i->incident.since(); });
    return result;
}

std::vector<const PublicWindow*> windows_where(const View& view, bool over)
{
    std::vector<const PublicWindow*> result;
    for (const PublicWindow& w : view.windows)
        if (w.window.over() == over) result.push_back(&w);
    std::ranges::stable_sort(result, [over](const PublicWindow* a, const PublicWindow* b) {
        if (over) return a->window.plan.start > b->window.plan.start;
        if (a->window.state != b->window.state) return a->window.state == WindowState::in_progress;
        return a->window.plan.start < b->window.plan.start;
    });
    return result;
}

std::vector<HistoryLine> history_of(const View& view, const PublicIncident& shown)
{
    const Incident& incident = shown.incident;
    std::vector<HistoryLine> lines;
    for (std::size_t i = 0; i < incident.outages.size(); ++i) {
        const Span& outage = incident.outages[i];
        const std::string number = std::to_string(i);
        std::string text = name_of(view, shown.component) + (i == 0 ? " is down" : " is down again");
        // The incident knows only its latest cause.
        if (i + 1 == incident.outages.size() && !incident.cause.empty()) text += ": " + incident.cause;
        lines.push_back({"b" + number, outage.begin, IncidentStatus::investigating, text + "."});
        if (outage.end == forever) continue;
        const bool last = i + 1 == incident.outages.size();
        lines.push_back(
            {"e" + number, outage.end, last ? IncidentStatus::resolved : IncidentStatus::monitoring,
             name_of(view, shown.component) + " is up again after " + duration_text(outage.length()) + "."});
    }
    for (std::size_t i = 0; i < incident.updates.size(); ++i) {
        const IncidentUpdate& update = incident.updates[i];
        lines.push_back({"u" + std::to_string(i), update.at, update.status, update.message});
    }
    std::ranges::stable_sort(lines, {}, &HistoryLine::at);
    std::ranges::reverse(lines);
    return lines;
}

Instant updated_at(const View& view, const PublicIncident& incident)
{
    Instant latest = incident.changed_at;
    for (const HistoryLine& line : history_of(view, incident)) latest = std::max(latest, line.at);
    return latest;
}

Instant updated_at(const PublicWindow& window) noexcept
{
    return std::max(window.changed_at, window.window.created_at);
}

Instant updated_at(const View& view)
{
    Instant latest{};
    for (const Component& c : view.components) latest = std::max({latest, c.watched_since, c.changed_at});
    for (const PublicIncident& i : view.incidents)
        if (!i.incident.outages.empty() && !i.incident.maintenance) latest = std::max(latest, updated_at(view, i));
    for (const PublicWindow& w : view.windows) latest = std::max(latest, updated_at(w));
    return latest;
}

BannerSubject banner_subject(const View& view)
{
    if (const auto open = incidents_where(view, true); !open.empty()) return {open.front(), nullptr};
    if (view.banner.phase != Maintenance::Phase::none)
        for (const PublicWindow& w : view.windows)
            if (w.window.id == view.banner.window) return {nullptr, &w};
    return {};
}

} // namespace hotspare::monitor
