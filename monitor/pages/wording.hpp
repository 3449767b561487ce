// How the public pages put things: states, figures, stretches of time, and the names by which other programs remember
// what they were shown. The same words in every renderer.
//
// PURE. Any thread.
#pragma once

#include "monitor/pages/view.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::monitor {

/// "All systems operational", a whole sentence but for the full stop.
std::string_view sentence(Overall overall) noexcept;

/// "Operational", "Under maintenance": maintenance goes before any state.
std::string_view state_text(const Component& component) noexcept;

/// The share in parts of a million, rounded down; nothing of nothing. Only what is whole is a million.
std::optional<std::uint32_t> share_ppm(milliseconds part, milliseconds whole) noexcept;

/// "99.927 %", rounded down, so that "100 %" says that no time was lost; "no data" without known time outside windows.
std::string sla_text(const Tally& tally);
/// The same of all known time.
std::string raw_text(const Tally& tally);

/// The two largest units: "3 d 2 h", "1 h 5 min", "12 s", "350 ms".
std::string duration_text(milliseconds time);

/// "12 November 2026", in UTC as all below.
std::string date_text(Instant at);
/// "November 2026".
std::string month_text(Instant at);
/// "2026-11".
std::string month_text(std::chrono::year_month month);
/// "12 November 2026, 02:00 UTC".
std::string moment_text(Instant at);
/// The end of a span whose beginning was written before it: "04:00 UTC", with the date if it is another.
std::string end_text(const Span& span);
/// "12 November 2026, 02:00 UTC to 04:00 UTC", with both dates if they differ.
std::string span_text(const Span& span);
/// RFC 3339.
std::string machine_time(Instant at);

/// "Outage of API".
std::string title_of(const View& view, const PublicIncident& incident);
/// The plan's, or "Scheduled maintenance" or "Emergency maintenance".
std::string title_of(const Window& window);
/// "API, Web", or "All components".
std::string components_text(const View& view, const Window& window);
/// Of windows: "In progress".
std::string_view state_text(WindowState state) noexcept;
std::string_view status_text(IncidentStatus status) noexcept;

/// Stable for good, from letters, digits, '.', '-' and '_' only: fit for a URI, an anchor, a UID.
std::string id_of(const PublicIncident& incident);
std::string id_of(const Window& window);
/// Any text as such a name; different texts have different names.
std::string slug(std::string_view text);

/// The host of the base URL, for the authority of tag URIs and UIDs: letters, digits, '.' and '-'. "localhost" if there
/// is none.
std::string host_of(std::string_view base_url);

} // namespace hotspare::monitor
