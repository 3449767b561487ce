// The maintenance windows as an iCalendar object (RFC 5545) that calendars can subscribe to. A window is one VEVENT
// with a UID that stays the same; SEQUENCE is its version, so that a calendar replaces what it has, and a window that
// was cancelled stays in the calendar as CANCELLED.
//
// All times are in UTC. A series in UTC has its RRULE. One in the local time of a zone would drift in UTC when clocks
// change, so it is written as the occurrences that are known (RDATE), which a subscriber gets anew with each fetch. An
// occurrence whose end was moved while it was in progress is a VEVENT of its own with a RECURRENCE-ID.
//
// PURE. Any thread.
#pragma once

#include "monitor/pages/view.hpp"

#include <string>
#include <string_view>

namespace hotspare::monitor {

/// text/calendar, with METHOD:PUBLISH
std::string calendar_ics(const View& view);

/// A value of type TEXT (§3.3.11): valid UTF-8, without control characters.
std::string ics_text(std::string_view text);

/// A content line with its line end (§3.1): no part is longer than 75 octets, and no character is divided.
std::string ics_line(std::string_view line);

} // namespace hotspare::monitor
