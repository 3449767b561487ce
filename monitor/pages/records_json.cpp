#include "monitor/pages/records_json.hpp"

#include "common/json_document.hpp"
#include "monitor/pages/json_parts.hpp"
#include "monitor/pages/wording.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace hotspare::monitor {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson time_json(const std::optional<Instant>& at)
{
    return at ? OrderedJson(machine_time(*at)) : OrderedJson();
}

/// An end, which may be still to come.
OrderedJson end_json(Instant at)
{
    return at == forever ? OrderedJson() : OrderedJson(machine_time(at));
}

OrderedJson latency_json(const std::optional<microseconds>& latency)
{
    return latency ? OrderedJson(to_ms(*latency)) : OrderedJson();
}

/// What every list of incidents tells of one.
OrderedJson incident_document(const Incident& incident, const std::string& target, Instant now)
{
    OrderedJson outages = OrderedJson::array(), updates = OrderedJson::array();
    for (const Span& outage : incident.outages)
        outages.push_back({{"from", machine_time(outage.begin)}, {"until", end_json(outage.end)}});
    for (std::size_t i = incident.updates.size(); i-- > 0;) {
        const IncidentUpdate& update = incident.updates[i];
        updates.push_back(
            {{"time", machine_time(update.at)}, {"status", to_string(update.status)}, {"message", update.message}});
    }
    const bool known = !incident.outages.empty();
    return {{"target", target},
            {"number", incident.number},
            {"status", to_string(incident.status)},
            {"cause", incident.cause},
            {"maintenance", incident.maintenance},
            {"start_time", known ? OrderedJson(machine_time(incident.since())) : OrderedJson()},
            {"end_time", known ? end_json(incident.outages.back().end) : OrderedJson()},
            {"duration_ms", known ? incident.duration(now).count() : 0},
            {"outages", std::move(outages)},
            {"updates", std::move(updates)}};
}

std::string_view word_of(Overall overall) noexcept
{
    switch (overall) {
    case Overall::no_data: return "no_data";
    case Overall::operational: return "operational";
    case Overall::maintenance: return "maintenance";
    case Overall::degraded: return "degraded";
    case Overall::partial_outage: return "partial_outage";
    case Overall::major_outage: return "major_outage";
    }
    return {};
}

OrderedJson component_document(const Component& component, Instant now)
{
    const Tally total = shown_total(component, now);
    return {{"id", component.id},
            {"name", component.shown_name()},
            {"state", to_string(component.state)},
            {"maintenance", component.maintenance},
            {"since", machine_time(component.changed_at)},
            {"cause", text_or_null(component.cause)},
            {"uptime",
             {{"days", shown_days},
              {"raw", share_json(total.good(), total.known())},
              {"sla", share_json(total.up + total.degraded, total.counted())}}}};
}

/// The document of a page: its rows under `name`, and where the next page begins.
template <class Row, class ToJson, class Before>
OrderedJson page_document(OrderedJson document, std::string_view name, const Page<Row>& page, ToJson to_json,
                          Before before)
{
    OrderedJson rows = OrderedJson::array();
    for (const Row& row : page.rows) rows.push_back(to_json(row));
    document[std::string(name)] = std::move(rows);
    document["next"] = page.more && !page.rows.empty() ? OrderedJson(before(page.rows.back())) : OrderedJson();
    return document;
}

} // namespace

std::string window_json(const Window& window, std::span<const Span> upcoming)
{
    return json_text(window_document(window, upcoming));
}

std::string targets_json(std::span<const TargetRecord> targets)
{
    OrderedJson list = OrderedJson::array();
    for (const TargetRecord& target : targets)
        list.push_back({{"name", target.name},
                        {"kind", target.kind},
                        {"state", to_string(target.state)},
                        {"maintenance", target.maintenance},
                        {"since", time_json(target.since)},
                        {"cause", text_or_null(target.cause)},
                        {"checked_at", time_json(target.checked_at)},
                        {"latency_ms", latency_json(target.latency)},
                        {"watched_since", machine_time(target.watched_since)}});
    OrderedJson document;
    document["targets"] = std::move(list);
    return json_text(document);
}

std::string incident_page_json(const Page<StoredIncident>& page, const NameOfTarget& name_of, Instant now)
{
    const auto to_json = [&](const StoredIncident& stored) {
        OrderedJson row;
        row["id"] = stored.id;
        row.update(incident_document(stored.incident, name_of(stored.target), now));
        return row;
    };
    return json_text(
        page_document(OrderedJson::object(), "incidents", page, to_json, [](const auto& row) { return row.id; }));
}

std::string samples_json(std::string_view target, const Page<StoredSample>& page)
{
    const auto to_json = [](const StoredSample& sample) {
        return OrderedJson{{"time", machine_time(sample.at)},
                           {"state", to_string(sample.state)},
                           {"latency_ms", latency_json(sample.latency)},
                           {"cause", text_or_null(sample.cause)}};
    };
    OrderedJson document;
    document["target"] = target;
    return json_text(page_document(std::move(document), "samples", page, to_json,
                                   [](const auto& row) { return machine_time(row.at); }));
}

std::string audit_json(const Page<ChainedEntry>& page)
{
    const auto to_json = [](const ChainedEntry& chained) {
        const AuditEntry& entry = chained.entry;
        return OrderedJson{{"number", entry.number}, {"time", machine_time(entry.at)},
                           {"user", entry.user},     {"address", entry.address},
                           {"action", entry.action}, {"target", entry.target},
                           {"detail", entry.detail}, {"hash", chained.hash}};
    };
    return json_text(page_document(OrderedJson::object(), "entries", page, to_json,
                                   [](const auto& row) { return row.entry.number; }));
}

std::string own_status_json(const View& view)
{
    OrderedJson components = OrderedJson::array(), incidents = OrderedJson::array(), windows = OrderedJson::array();
    for (const Component& component : view.components) components.push_back(component_document(component, view.now));
    for (const PublicIncident* shown : incidents_where(view, true)) {
        OrderedJson row;
        row["id"] = id_of(*shown);
        row.update(incident_document(shown->incident, shown->component, view.now));
        incidents.push_back(std::move(row));
    }
    for (const PublicWindow* shown : windows_where(view, false))
        windows.push_back(window_document(shown->window, shown->next));
    const Overall state = overall(view);
    const OrderedJson document{{"title", view.title},
                               {"time", machine_time(view.now)},
                               {"overall", word_of(state)},
                               {"description", sentence(state)},
                               {"components", std::move(components)},
                               {"incidents", std::move(incidents)},
                               {"maintenance", std::move(windows)}};
    return json_text(document);
}

} // namespace hotspare::monitor
