#include "monitor/pages/statuspage_json.hpp"

#include "common/json_document.hpp"
#include "monitor/pages/wording.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace hotspare::monitor {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson page_json(const View& view)
{
    return {{"id", host_of(view.base_url)},
            {"name", view.title},
            {"url", view.base_url},
            {"time_zone", "Etc/UTC"},
            {"updated_at", machine_time(updated_at(view))}};
}

std::string_view indicator_of(Overall overall) noexcept
{
    switch (overall) {
    case Overall::no_data:
    case Overall::operational: return "none";
    case Overall::maintenance: return "maintenance";
    case Overall::degraded: return "minor";
    case Overall::partial_outage: return "major";
    case Overall::major_outage: return "critical";
    }
    return {};
}

OrderedJson overall_json(const View& view)
{
    const Overall state = overall(view);
    return {{"indicator", indicator_of(state)}, {"description", sentence(state)}};
}

OrderedJson component_status(const Component& component)
{
    if (component.maintenance) return "under_maintenance";
    switch (component.state) {
    case State::up: return "operational";
    case State::degraded: return "degraded_performance";
    case State::down: return "major_outage";
    case State::unknown: break;
    }
    return nullptr;
}

OrderedJson component_json(const View& view, std::size_t index)
{
    const Component& component = view.components[index];
    return {{"id", component.id},
            {"name", component.shown_name()},
            {"status", component_status(component)},
            {"created_at", machine_time(component.watched_since)},
            {"updated_at", machine_time(std::max(component.changed_at, component.watched_since))},
            {"position", index + 1},
            {"description", nullptr},
            {"showcase", true},
            {"start_date", machine_time(component.watched_since).substr(0, 10)},
            {"group_id", nullptr},
            {"page_id", host_of(view.base_url)},
            {"group", false},
            {"only_show_if_degraded", false}};
}

/// Of the components that exist.
template <class Wanted> OrderedJson components_where(const View& view, Wanted wanted)
{
    OrderedJson components = OrderedJson::array();
    for (std::size_t i = 0; i < view.components.size(); ++i)
        if (wanted(view.components[i])) components.push_back(component_json(view, i));
    return components;
}

OrderedJson update_json(const std::string& owner, std::string_view id, std::string_view status, std::string_view body,
                        Instant at)
{
    const std::string time = machine_time(at);
    return {{"id", owner + "-" + std::string(id)},
            {"status", status},
            {"body", body},
            {"incident_id", owner},
            {"created_at", time},
            {"updated_at", time},
            {"display_at", time},
            {"affected_components", nullptr},
            {"deliver_notifications", false},
            {"custom_tweet", nullptr},
            {"tweet_id", nullptr}};
}

OrderedJson link_json(const View& view, const std::string& id)
{
    return view.base_url + "/status-page#" + id;
}

OrderedJson incident_json(const View& view, const PublicIncident& shown)
{
    const Incident& incident = shown.incident;
    const std::string id = id_of(shown);
    OrderedJson updates = OrderedJson::array(), monitoring_at, resolved_at;
    for (const HistoryLine& line : history_of(view, shown)) {
        updates.push_back(update_json(id, line.id, to_string(line.status), line.text, line.at));
        if (line.status == IncidentStatus::monitoring) monitoring_at = machine_time(line.at); // in the end the first
    }
    if (!unresolved(incident)) resolved_at = machine_time(incident.outages.back().end);
    return {{"id", id},
            {"name", title_of(view, shown)},
            {"status", to_string(incident.status)},
            {"created_at", machine_time(incident.since())},
            {"updated_at", machine_time(updated_at(view, shown))},
            {"monitoring_at", monitoring_at},
            {"resolved_at", resolved_at},
            {"impact", "major"},
            {"shortlink", link_json(view, id)},
            {"started_at", machine_time(incident.since())},
            {"page_id", host_of(view.base_url)},
            {"incident_updates", std::move(updates)},
            {"components", components_where(view, [&](const Component& c) { return c.id == shown.component; })},
            {"reminder_intervals", nullptr}};
}

OrderedJson maintenance_updates(const Window& window, const PublicWindow& shown)
{
    const std::string id = id_of(window);
    const WindowPlan& plan = window.plan;
    OrderedJson updates = OrderedJson::array(); // the latest first
    if (window.state == WindowState::cancelled)
        updates.push_back(
            update_json(id, "cancelled", "completed", "The maintenance was cancelled.", updated_at(shown)));
    if (window.state == WindowState::completed)
        updates.push_back(update_json(id, "completed", "completed", "The maintenance is completed.", plan.end));
    if (window.state == WindowState::in_progress || window.state == WindowState::completed)
        updates.push_back(update_json(id, "in_progress", "in_progress", "The maintenance is in progress.", plan.start));
    updates.push_back(update_json(id, "scheduled", "scheduled", plan.message, window.announced_at));
    return updates;
}

OrderedJson maintenance_json(const View& view, const PublicWindow& shown)
{
    const Window& window = shown.window;
    const WindowPlan& plan = window.plan;
    const bool started = window.state == WindowState::in_progress || window.state == WindowState::completed;
    OrderedJson resolved_at;
    if (window.state == WindowState::completed) resolved_at = machine_time(plan.end);
    if (window.state == WindowState::cancelled) resolved_at = machine_time(updated_at(shown));
    const std::string id = id_of(window);
    return {{"id", id},
            {"name", title_of(window)},
            {"status", to_string(window.over() ? WindowState::completed : window.state)},
            {"created_at", machine_time(window.created_at)},
            {"updated_at", machine_time(updated_at(shown))},
            {"monitoring_at", nullptr},
            {"resolved_at", resolved_at},
            {"impact", to_string(plan.impact)},
            {"shortlink", link_json(view, id)},
            {"started_at", started ? OrderedJson(machine_time(plan.start)) : OrderedJson()},
            {"page_id", host_of(view.base_url)},
            {"incident_updates", maintenance_updates(window, shown)},
            {"components", components_where(view, [&](const Component& c) { return is_about(plan.components, c.id); })},
            {"reminder_intervals", nullptr},
            {"scheduled_for", machine_time(plan.start)},
            {"scheduled_until", machine_time(plan.end)}};
}

void list_incidents(OrderedJson& list, const View& view, bool open)
{
    for (const PublicIncident* incident : incidents_where(view, open))
        if (list.size() < most_listed) list.push_back(incident_json(view, *incident));
}

void list_maintenances(OrderedJson& list, const View& view, bool over)
{
    for (const PublicWindow* window : windows_where(view, over))
        if (list.size() < most_listed) list.push_back(maintenance_json(view, *window));
}

} // namespace

std::string summary_json(const View& view)
{
    OrderedJson incidents = OrderedJson::array(), maintenances = OrderedJson::array();
    list_incidents(incidents, view, true);
    list_maintenances(maintenances, view, false);
    const OrderedJson document{{"page", page_json(view)},
                               {"components", components_where(view, [](const Component&) { return true; })},
                               {"incidents", std::move(incidents)},
                               {"scheduled_maintenances", std::move(maintenances)},
                               {"status", overall_json(view)}};
    return json_text(document);
}

std::string status_json(const View& view)
{
    return json_text(OrderedJson{{"page", page_json(view)}, {"status", overall_json(view)}});
}

std::string incidents_json(const View& view)
{
    OrderedJson incidents = OrderedJson::array();
    list_incidents(incidents, view, true);
    list_incidents(incidents, view, false);
    return json_text(OrderedJson{{"page", page_json(view)}, {"incidents", std::move(incidents)}});
}

std::string scheduled_maintenances_json(const View& view)
{
    OrderedJson maintenances = OrderedJson::array();
    list_maintenances(maintenances, view, false);
    list_maintenances(maintenances, view, true);
    return json_text(OrderedJson{{"page", page_json(view)}, {"scheduled_maintenances", std::move(maintenances)}});
}

} // namespace hotspare::monitor
