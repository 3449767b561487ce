#include "monitor/pages/wording.hpp"

#include "common/format.hpp"
#include "common/time.hpp"

#include <array>
#include <utility>

namespace hotspare::monitor {
namespace {

constexpr std::array month_names{"January", "February", "March",     "April",   "May",      "June",
                                 "July",    "August",   "September", "October", "November", "December"};

std::chrono::year_month_day date_of(Instant at) noexcept
{
    return std::chrono::floor<std::chrono::days>(at);
}

std::string_view name_of(std::chrono::month month) noexcept
{
    return month_names[(static_cast<unsigned>(month) + 11) % 12];
}

std::string clock_text(Instant at)
{
    const std::chrono::hh_mm_ss time(at - std::chrono::floor<std::chrono::days>(at));
    std::string out;
    append(out, "{:02}:{:02}", time.hours().count(), time.minutes().count());
    if (time.seconds().count() != 0) append(out, ":{:02}", time.seconds().count());
    return out;
}

bool is_plain(char c) noexcept
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

std::string percent_text(milliseconds part, milliseconds whole)
{
    const auto ppm = share_ppm(part, whole);
    if (!ppm) return "no data";
    if (*ppm == 1'000'000) return "100 %";
    std::string out;
    append(out, "{}.{:03} %", *ppm / 10'000, *ppm % 10'000 / 10);
    return out;
}

} // namespace

std::string_view sentence(Overall overall) noexcept
{
    switch (overall) {
    case Overall::no_data: return "No data yet";
    case Overall::operational: return "All systems operational";
    case Overall::maintenance: return "Maintenance in progress";
    case Overall::degraded: return "Degraded performance";
    case Overall::partial_outage: return "Partial outage";
    case Overall::major_outage: return "Major outage";
    }
    return {};
}

std::string_view state_text(const Component& component) noexcept
{
    if (component.maintenance) return "Under maintenance";
    switch (component.state) {
    case State::up: return "Operational";
    case State::degraded: return "Degraded";
    case State::down: return "Down";
    case State::unknown: return "No data";
    }
    return {};
}

std::optional<std::uint32_t> share_ppm(milliseconds part, milliseconds whole) noexcept
{
    if (whole.count() <= 0) return std::nullopt;
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(part.count()) * 1'000'000 /
                                      static_cast<std::uint64_t>(whole.count()));
}

std::string sla_text(const Tally& tally)
{
    return percent_text(tally.up + tally.degraded, tally.counted());
}

std::string raw_text(const Tally& tally)
{
    return percent_text(tally.good(), tally.known());
}

std::string duration_text(milliseconds time)
{
    struct Part {
        std::int64_t length;
        std::string_view name;
    };
    static constexpr std::array units{Part{86'400'000, "d"}, Part{3'600'000, "h"}, Part{60'000, "min"},
                                      Part{1'000, "s"}, Part{1, "ms"}};
    const std::int64_t all = time.count();
    std::string out;
    for (std::size_t i = 0; i < units.size(); ++i) {
        if (all < units[i].length && i + 1 < units.size()) continue;
        append(out, "{} {}", all / units[i].length, units[i].name);
        // Milliseconds are of interest only where there is nothing else.
        if (i + 2 >= units.size()) break;
        const std::int64_t rest = all % units[i].length / units[i + 1].length;
        if (rest > 0) append(out, " {} {}", rest, units[i + 1].name);
        break;
    }
    return out;
}

std::string date_text(Instant at)
{
    const auto date = date_of(at);
    std::string out;
    append(out, "{} {} {}", static_cast<unsigned>(date.day()), name_of(date.month()), static_cast<int>(date.year()));
    return out;
}

std::string month_text(Instant at)
{
    const auto date = date_of(at);
    std::string out;
    append(out, "{} {}", name_of(date.month()), static_cast<int>(date.year()));
    return out;
}

std::string month_text(std::chrono::year_month month)
{
    std::string out;
    append(out, "{:04}-{:02}", static_cast<int>(month.year()), static_cast<unsigned>(month.month()));
    return out;
}

std::string moment_text(Instant at)
{
    return date_text(at) + ", " + clock_text(at) + " UTC";
}

std::string end_text(const Span& span)
{
    return date_of(span.begin) == date_of(span.end) ? clock_text(span.end) + " UTC" : moment_text(span.end);
}

std::string span_text(const Span& span)
{
    return moment_text(span.begin) + " to " + end_text(span);
}

std::string machine_time(Instant at)
{
    return format_rfc3339(WallTime(at));
}

std::string title_of(const View& view, const PublicIncident& incident)
{
    return "Outage of " + name_of(view, incident.component);
}

std::string title_of(const Window& window)
{
    if (!window.plan.title.empty()) return window.plan.title;
    return window.plan.emergency ? "Emergency maintenance" : "Scheduled maintenance";
}

std::string components_text(const View& view, const Window& window)
{
    std::string out;
    for (const std::string& id : window.plan.components) out += (out.empty() ? "" : ", ") + name_of(view, id);
    return out.empty() ? "All components" : out;
}

std::string_view state_text(WindowState state) noexcept
{
    switch (state) {
    case WindowState::scheduled: return "Scheduled";
    case WindowState::in_progress: return "In progress";
    case WindowState::completed: return "Completed";
    case WindowState::cancelled: return "Cancelled";
    }
    return {};
}

std::string_view status_text(IncidentStatus status) noexcept
{
    switch (status) {
    case IncidentStatus::investigating: return "Investigating";
    case IncidentStatus::identified: return "Identified";
    case IncidentStatus::monitoring: return "Monitoring";
    case IncidentStatus::resolved: return "Resolved";
    }
    return {};
}

std::string id_of(const PublicIncident& incident)
{
    return "incident-" + slug(incident.component) + "-" + std::to_string(incident.incident.number);
}

std::string id_of(const Window& window)
{
    return "maintenance-" + std::to_string(window.id);
}

std::string slug(std::string_view text)
{
    std::string out;
    for (const char c : text)
        if (is_plain(c))
            out += c;
        else
            append(out, "_{:02x}", static_cast<unsigned char>(c));
    return out;
}

std::string host_of(std::string_view url)
{
    if (const auto scheme = url.find("://"); scheme != url.npos) url.remove_prefix(scheme + 3);
    url = url.substr(0, url.find_first_of("/?#"));
    if (const auto user = url.rfind('@'); user != url.npos) url.remove_prefix(user + 1);
    if (url.starts_with('['))
        url = url.substr(1, url.find(']') - 1);
    else
        url = url.substr(0, url.find(':'));
    std::string host;
    for (const char c : url) host += is_plain(c) ? c : '-';
    return host.empty() ? "localhost" : host;
}

} // namespace hotspare::monitor
