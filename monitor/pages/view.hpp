// What the public sees of the monitor at one moment, as plain data: the one input of the status page, the banner, the
// feed, the calendar, the badge and the JSON documents. The daemon fills it from the cores and the history; a renderer
// only reads it. What follows from the data by itself, such as the state of the whole, is here, so that no two
// renderers say different things. How it is put into words is wording.hpp's business.
//
// PURE. Any thread. Values, owned by their user.
#pragma once

#include "monitor/decide/incident.hpp"
#include "monitor/decide/maintenance.hpp"
#include "monitor/decide/uptime.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

/// How many days the page shows, the current one included.
inline constexpr int shown_days = 90;

struct Day {
    Instant begin{};
    Tally tally{};
    std::vector<std::string> causes{}; ///< why it was down or degraded, the most important one first
};

/// A target that is shown.
struct Component {
    std::string id{};   ///< as windows and paths name it
    std::string name{}; ///< for people; empty: the id
    State state = State::unknown;
    std::string cause{};      ///< of the state, if it is not up
    bool maintenance = false; ///< a window about it is in progress
    Instant watched_since{};
    Instant changed_at{};         ///< when the state or the maintenance changed
    std::vector<Day> days{};      ///< ascending; a day without any time is left out
    std::vector<Rollup> months{}; ///< ascending; likewise

    const std::string& shown_name() const noexcept { return name.empty() ? id : name; }
};

/// An incident that is told: not one that stayed inside an announced window.
struct PublicIncident {
    std::string component{}; ///< id
    Incident incident{};
    Instant changed_at{}; ///< when anything about it was last recorded, which may be later than what was recorded
};

struct PublicWindow {
    Window window{};
    Instant changed_at{};     ///< when it was created, changed, or began or ended
    std::vector<Span> next{}; ///< occurrences that are not over, the current one included, as upcoming() yields them
};

struct View {
    std::string title{};
    std::string base_url{}; ///< "https://status.example.org", where the public pages are; no slash at the end
    Instant now{};
    std::vector<Component> components{}; ///< in the order of the page
    std::vector<PublicIncident> incidents{};
    std::vector<PublicWindow> windows{};
    Maintenance::Banner banner{};
};

/// The state of everything together; what is under maintenance does not make it worse than `maintenance`.
enum class Overall : std::uint8_t {
    no_data, ///< no component, or none with a state
    operational,
    maintenance, ///< some component is, and no other has a problem
    degraded,
    partial_outage,
    major_outage, ///< every component that is not under maintenance is down
};
Overall overall(const View& view) noexcept;

/// What a day is shown as: the worst of what happened outside announced windows.
enum class DayKind : std::uint8_t {
    no_data,
    up,
    maintenance, ///< up, but for announced maintenance
    degraded,
    down,
};
DayKind kind_of(const Tally& tally) noexcept;

/// Of the days that are shown, which are the last `shown_days` before now.
Tally shown_total(const Component& component, Instant now) noexcept;

const Component* find_component(const View& view, std::string_view id) noexcept;
/// The name to show for a component's id, which may have left the configuration: then the id.
std::string name_of(const View& view, std::string_view id);

bool unresolved(const Incident& incident) noexcept;
/// Those that are told and are unresolved, or those that are not; the latest first.
std::vector<const PublicIncident*> incidents_where(const View& view, bool open);
/// In progress first, then scheduled, each by their start; those that are over, the latest first.
std::vector<const PublicWindow*> windows_where(const View& view, bool over);

/// One line of an incident's history: what the monitor saw or an operator wrote.
struct HistoryLine {
    std::string id{}; ///< unique within the incident, and stable: outages and updates are only ever added
    Instant at{};
    IncidentStatus status = IncidentStatus::investigating;
    std::string text{};
};
/// The latest first. Who wrote an update is not public.
std::vector<HistoryLine> history_of(const View& view, const PublicIncident& incident);

/// When the entry last changed, as feeds tell it.
Instant updated_at(const View& view, const PublicIncident& incident);
Instant updated_at(const PublicWindow& window) noexcept;
/// When anything that is shown last changed; of a monitor where nothing ever did, when it began to watch.
Instant updated_at(const View& view);

/// What the banner is about: an open incident outranks maintenance. At most one of the two is set.
struct BannerSubject {
    const PublicIncident* incident = nullptr;
    const PublicWindow* window = nullptr;
};
BannerSubject banner_subject(const View& view);

} // namespace hotspare::monitor
