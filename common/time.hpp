// How the suite writes points in time for people and for other programs, and reads those of HTTP.
//
// PURE. Any thread.
#pragma once

#include "common/clock.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare {

/// RFC 3339 in UTC with milliseconds: 2026-02-03T04:05:06.789Z. Rounds down, so that a moment is never shown as later
/// than it was.
std::string format_rfc3339(WallTime time);

/// A time in UTC by RFC 3339: 2026-02-03T04:05:06Z, with up to nine digits behind a point, or +00:00 instead of Z.
/// Strict: T and Z are capitals, the day exists. nullopt: not such a time, or one that WallTime cannot hold.
std::optional<WallTime> parse_rfc3339(std::string_view text);

/// The Date header's format (RFC 9110 §5.6.7): Sun, 06 Nov 1994 08:49:37 GMT.
std::string format_http_date(WallTime time);

/// An HTTP-date in any of the three formats of RFC 9110 §5.6.7; `now` decides which century a year of two digits means.
/// Strict: letter by letter, a day that exists and falls on the weekday named, no surrounding whitespace. In whole
/// seconds, as WallTime ends in 2262 and the format does not. nullopt: not such a date.
std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text, WallTime now);

} // namespace hotspare
