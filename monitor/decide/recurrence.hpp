// When a recurring maintenance window takes place: RRULE of RFC 5545 §3.3.10, read by libical and expanded within
// bounds. It knows nothing of windows and their rules (maintenance.hpp); an occurrence is a stretch of time.
//
// An RRULE is text from outside, and libical 3.0.16 is not made for that: it searches up to the year 2582 for what does
// not exist, crashes on some BYWEEKNO, and makes something else of some parts than the RFC does. So
//  - at most 24 occurrences begin in any 24 hours, and none overlaps the next one; FREQ is HOURLY or longer, INTERVAL
//    at most 366, COUNT 10,000, and a rule without an end is looked at 400 days at a time;
//  - BYWEEKNO, BYYEARDAY, RSCALE and SKIP are refused, BYSETPOS but among the weekdays of a month, BYMONTHDAY from the
//    end of the month but with MONTHLY and YEARLY, and YEARLY with BYMONTHDAY but without BYMONTH;
//  - the start must be an occurrence, and UNTIL in UTC.
// libical takes microseconds for an occurrence, too long for what may have 9,600 in 400 days and is compared with
// hundreds of others. So HOURLY, DAILY and WEEKLY are counted here, and libical only reads them; MONTHLY and YEARLY, of
// which 120 occurrences in 400 days are accepted, are libical's. 400 days of any rule cost less than a millisecond.
//
// Without a zone the rule is in UTC. With one (an IANA name, from the system's tzdata) it is in local time: a window at
// 02:00 in Berlin stays there over the change of the clocks and moves in UTC. A local time that a change of the clocks
// leaves out is taken with the offset from before the change, and one that comes twice is the first of the two
// (§3.3.5).
//
// PURE but for tzdata, which libical reads once per zone and keeps. One thread. No owner: functions.
#pragma once

#include "monitor/decide/instant.hpp"
#include "monitor/decide/refusal.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::monitor {

struct Recurrence {
    std::string rrule;       ///< "FREQ=MONTHLY;BYDAY=-1FR", also behind "RRULE:"
    Span first{};            ///< the first occurrence; all have its length
    std::string time_zone{}; ///< "Europe/Berlin"; empty is UTC
};

inline constexpr std::size_t most_occurrences_a_day = 24;
inline constexpr std::size_t most_occurrences = 10'000;         ///< in one expansion, and the highest COUNT
inline constexpr std::size_t most_occurrences_of_libical = 120; ///< in 400 days of a MONTHLY or YEARLY rule
inline constexpr milliseconds recurrence_horizon = std::chrono::days(400);
inline constexpr int longest_interval = 366;
inline constexpr std::size_t longest_rrule = 500; ///< in bytes

/// Why the recurrence is not accepted (field `rrule` or `time_zone`); nothing if it is. Looks at the first 400 days.
/// `first` must not be empty.
std::optional<Refusal> refuse_recurrence(const Recurrence& recurrence);

/// The occurrences that overlap `within`, ascending; of a longer stretch than the horizon those in its first 400 days.
/// Asked only of recurrences that were accepted; of others it yields some or none.
std::vector<Span> occurrences(const Recurrence& recurrence, const Span& within);

/// The first occurrence that begins at or after `from`, up to twenty years later.
std::optional<Span> next_occurrence(const Recurrence& recurrence, Instant from);

} // namespace hotspare::monitor
