// How the suite writes points in time for people and for other programs, and reads theirs: RFC 3339 and HTTP-dates.
//
// PURE. Any thread.
#pragma once

#include "common/clock.hpp"

#include <boost/system/result.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare {

/// RFC 3339 in UTC with milliseconds: 2026-02-03T04:05:06.789Z. Rounds down, so that a moment is never shown as later
/// than it was.
std::string format_rfc3339(WallTime time);

/// A date-time of RFC 3339 §5.6, in UTC. Strict: the zone is required, every part exists (no hour 24, no 30 February),
/// no surrounding whitespace, 'T' and not a space between date and time. Digits below the millisecond are dropped. A
/// leap second, 23:59:60 in UTC, is the second after it. The offset -00:00 is UTC (§4.3). The years are 1970 to 2200,
/// which WallTime would hold in nanoseconds, too. Otherwise a clause for people that says what is wrong: "hour 24 is
/// not in 00 to 23", "no time zone: ...".
boost::system::result<std::chrono::sys_time<milliseconds>, std::string> parse_rfc3339(std::string_view text);

/// The Date header's format (RFC 9110 §5.6.7): Sun, 06 Nov 1994 08:49:37 GMT.
std::string format_http_date(WallTime time);

/// An HTTP-date in any of the three formats of RFC 9110 §5.6.7; `now` decides which century a year of two digits means.
/// Strict: letter by letter, a day that exists and falls on the weekday named, no surrounding whitespace. In whole
/// seconds, as WallTime ends in 2262 and the format does not. nullopt: not such a date.
std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text, WallTime now);

} // namespace hotspare
