#include "monitor/decide/recurrence.hpp"

#include <fmt/format.h>
#include <libical/ical.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

namespace hotspare::monitor {
namespace {

using std::chrono::days;
using std::chrono::hours;

/// A reading of the clock on the wall somewhere, counted as if it were UTC.
using LocalTime = std::chrono::sys_seconds;

/// A time zone of libical; null is UTC.
struct Zone {
    icaltimezone* zone = nullptr;

    seconds offset(Instant at) const;
    LocalTime local(Instant at) const;
    Instant utc(LocalTime local) const;
};

icaltimetype to_ical(LocalTime time)
{
    const auto day = std::chrono::floor<days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss of_day(time - day);
    icaltimetype result = icaltime_null_time();
    result.year = static_cast<int>(date.year());
    result.month = static_cast<int>(static_cast<unsigned>(date.month()));
    result.day = static_cast<int>(static_cast<unsigned>(date.day()));
    result.hour = static_cast<int>(of_day.hours().count());
    result.minute = static_cast<int>(of_day.minutes().count());
    result.second = static_cast<int>(of_day.seconds().count());
    return result;
}

LocalTime from_ical(const icaltimetype& time)
{
    using namespace std::chrono;
    const auto date = year(time.year) / month(static_cast<unsigned>(time.month)) / day(static_cast<unsigned>(time.day));
    return sys_days(date) + hours(time.hour) + minutes(time.minute) + seconds(time.second);
}

seconds Zone::offset(Instant at) const
{
    if (zone == nullptr) return {};
    icaltimetype utc = to_ical(std::chrono::floor<seconds>(at));
    int daylight = 0;
    return seconds(icaltimezone_get_utc_offset_of_utc_time(zone, &utc, &daylight));
}

LocalTime Zone::local(Instant at) const
{
    return std::chrono::floor<seconds>(at) + offset(at);
}

/// libical's own conversion takes the second of two and the offset after a gap, unlike RFC 5545.
Instant Zone::utc(LocalTime local) const
{
    const seconds before = offset(local - days(1));
    if (offset(local - before) == before) return local - before;
    const seconds after = offset(local + days(1));
    if (offset(local - after) == after) return local - after;
    return local - before;
}

struct FreeIterator {
    void operator()(icalrecur_iterator* iterator) const noexcept { icalrecur_iterator_free(iterator); }
};
using Iterator = std::unique_ptr<icalrecur_iterator, FreeIterator>;

struct Rule {
    icalrecurrencetype rule{};
    std::optional<Instant> until{}; ///< taken out of `rule`, as libical would compare it with local time
    Zone zone{};
    LocalTime start{};
    milliseconds below_second{}; ///< what libical cannot count
    milliseconds length{};
};

/// libical yields times in the order in which they are listed, and twice what is listed twice.
template <std::size_t size> void tidy(short (&list)[size])
{
    auto* const end = std::find(std::begin(list), std::end(list), short{ICAL_RECURRENCE_ARRAY_MAX});
    std::sort(std::begin(list), end);
    std::fill(std::unique(std::begin(list), end), end, short{ICAL_RECURRENCE_ARRAY_MAX});
}

template <std::size_t size> bool given(const short (&list)[size])
{
    return list[0] != ICAL_RECURRENCE_ARRAY_MAX;
}

template <std::size_t size, class Matches> bool any_or_empty(const short (&list)[size], Matches&& matches)
{
    const auto* const end = std::find(std::begin(list), std::end(list), short{ICAL_RECURRENCE_ARRAY_MAX});
    return std::begin(list) == end || std::any_of(std::begin(list), end, matches);
}

/// Whether BYSETPOS chooses among the weekdays of a month, at positions that every month has. Where a set is smaller
/// than the position, libical looks for a larger one for seconds.
bool selects_weekdays(const icalrecurrencetype& rule)
{
    int weekdays = 0;
    const bool plain = !any_or_empty(rule.by_day, [&](short day) {
        ++weekdays;
        return icalrecurrencetype_day_position(day) != 0;
    });
    const bool alone =
        !given(rule.by_month_day) && !given(rule.by_hour) && !given(rule.by_minute) && !given(rule.by_second);
    const bool far = any_or_empty(rule.by_set_pos, [&](short position) { return std::abs(position) > 4 * weekdays; });
    return rule.freq == ICAL_MONTHLY_RECURRENCE && weekdays > 0 && plain && alone && !far;
}

/// Whether the start agrees with every list but BYSETPOS. Where it does, the rule matches something, and libical has no
/// reason to search for centuries.
bool agrees(const icalrecurrencetype& rule, LocalTime start)
{
    const auto day = std::chrono::floor<days>(start);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss of_day(start - day);
    const auto equals = [](auto value) {
        return [value = static_cast<int>(value)](short listed) { return listed == value; };
    };
    const std::chrono::sys_days month_begin = date.year() / date.month() / 1;
    const std::chrono::sys_days month_end = date.year() / date.month() / std::chrono::last;
    const auto day_of_month = (day - month_begin).count() + 1;
    const auto back_of_month = (day - month_end).count() - 1;
    // BYDAY counts within the year only where no month is named.
    const bool within_year = rule.freq == ICAL_YEARLY_RECURRENCE && !given(rule.by_month);
    const std::chrono::sys_days begin = within_year ? std::chrono::sys_days(date.year() / 1 / 1) : month_begin;
    const std::chrono::sys_days end = within_year ? std::chrono::sys_days(date.year() / 12 / 31) : month_end;
    const auto nth = (day - begin).count() / 7 + 1;
    const auto nth_last = (day - end).count() / 7 - 1;
    const auto weekday = std::chrono::weekday(day).c_encoding() + 1; // libical counts from Sunday as 1
    return any_or_empty(rule.by_hour, equals(of_day.hours().count())) &&
           any_or_empty(rule.by_minute, equals(of_day.minutes().count())) &&
           any_or_empty(rule.by_second, equals(of_day.seconds().count())) &&
           any_or_empty(rule.by_month, equals(static_cast<unsigned>(date.month()))) &&
           any_or_empty(rule.by_month_day,
                        [&](short listed) { return listed == day_of_month || listed == back_of_month; }) &&
           any_or_empty(rule.by_day, [&](short listed) {
               const int position = icalrecurrencetype_day_position(listed);
               return icalrecurrencetype_day_day_of_week(listed) == static_cast<int>(weekday) &&
                      (position == 0 || position == nth || position == nth_last);
           });
}

Refusal bad_rule(std::string message)
{
    return {"rrule", std::move(message)};
}

Refusal not_at_start()
{
    return bad_rule("the start is not an occurrence of the RRULE");
}

/// A rule that libical is safe to follow.
Accepted<Rule> read(const Recurrence& recurrence)
{
    std::string_view text = recurrence.rrule;
    if (text.starts_with("RRULE:")) text.remove_prefix(6);
    if (text.size() > longest_rrule) return bad_rule(fmt::format("rrule is longer than {} bytes", longest_rrule));
    if (std::any_of(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }))
        return bad_rule("rrule must be printable ASCII");

    Rule result;
    result.rule = icalrecurrencetype_from_string(std::string(text).c_str());
    icalrecurrencetype& rule = result.rule;
    const bool other_calendar = rule.rscale != nullptr;
    std::free(rule.rscale);
    rule.rscale = nullptr;
    if (other_calendar || rule.skip != ICAL_SKIP_OMIT) return bad_rule("rrule must not have RSCALE or SKIP");
    switch (rule.freq) {
    case ICAL_SECONDLY_RECURRENCE:
    case ICAL_MINUTELY_RECURRENCE:
        return bad_rule(fmt::format("FREQ must be HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY, as an RRULE yields at most "
                                    "{} occurrences a day",
                                    most_occurrences_a_day));
    case ICAL_NO_RECURRENCE: return bad_rule("rrule is not an RRULE of RFC 5545, such as FREQ=WEEKLY;BYDAY=SU");
    default: break;
    }
    if (rule.count > static_cast<int>(most_occurrences))
        return bad_rule(fmt::format("COUNT is more than {}", most_occurrences));
    if (rule.interval > longest_interval) return bad_rule(fmt::format("INTERVAL is more than {}", longest_interval));
    // libical 3.0.16 reads memory that is not its own for some week numbers.
    if (given(rule.by_week_no) || given(rule.by_year_day)) return bad_rule("BYWEEKNO and BYYEARDAY are not supported");
    const bool positions = given(rule.by_day) && any_or_empty(rule.by_day, [](short day) {
                               return icalrecurrencetype_day_position(day) != 0;
                           });
    const bool from_the_end =
        given(rule.by_month_day) && any_or_empty(rule.by_month_day, [](short day) { return day < 0; });
    const bool by_month = rule.freq == ICAL_MONTHLY_RECURRENCE || rule.freq == ICAL_YEARLY_RECURRENCE;
    if (positions && !by_month) return bad_rule("BYDAY with a number is for MONTHLY and YEARLY");
    // Of these libical makes something else than RFC 5545 does.
    if (from_the_end && !by_month) return bad_rule("BYMONTHDAY below zero is supported only with MONTHLY and YEARLY");
    if (rule.freq == ICAL_YEARLY_RECURRENCE && given(rule.by_month_day) && !given(rule.by_month))
        return bad_rule("YEARLY with BYMONTHDAY needs BYMONTH");
    if (given(rule.by_set_pos) && !selects_weekdays(rule))
        return bad_rule("BYSETPOS is supported only with MONTHLY and BYDAY, within four weeks");
    if (!icaltime_is_null_time(rule.until)) {
        if (!icaltime_is_utc(rule.until) || rule.until.is_date)
            return bad_rule("UNTIL must be a time in UTC, such as 20270101T000000Z");
        result.until = from_ical(rule.until);
        rule.until = icaltime_null_time();
    }
    tidy(rule.by_hour);
    tidy(rule.by_minute);
    tidy(rule.by_second);

    if (!recurrence.time_zone.empty() && recurrence.time_zone != "UTC") {
        result.zone.zone = icaltimezone_get_builtin_timezone(recurrence.time_zone.c_str());
        if (result.zone.zone == nullptr)
            return Refusal{"time_zone", "time_zone is not the name of a time zone, such as Europe/Berlin"};
    }
    result.start = result.zone.local(recurrence.first.begin);
    result.below_second = recurrence.first.begin - std::chrono::floor<seconds>(recurrence.first.begin);
    result.length = recurrence.first.length();
    if (!agrees(rule, result.start)) return not_at_start();
    return result;
}

/// The beginnings of the occurrences that overlap `within`, and nothing if libical cannot follow the rule.
std::optional<std::vector<Instant>> expand(const Rule& rule, Span within)
{
    within.end = std::min(within.end, within.begin + recurrence_horizon);
    // Behind UNTIL libical does not search. Two days more on both sides, so that no change of the clocks matters.
    icalrecurrencetype bounded = rule.rule;
    bounded.until = to_ical(std::chrono::floor<seconds>(within.end) + days(2));
    const LocalTime skip_to = std::chrono::floor<seconds>(within.begin - rule.length) - days(2);
    // A rule with COUNT must be counted from its start.
    const bool skips = bounded.count == 0 && skip_to > rule.start;
    LocalTime start = rule.start;
    if (skips && bounded.freq == ICAL_HOURLY_RECURRENCE) {
        const hours step(bounded.interval);
        start += (skip_to - start) / step * step; // libical forgets the interval when it skips hours
    }
    const Iterator iterator(icalrecur_iterator_new(bounded, to_ical(start)));
    if (!iterator) return std::nullopt;
    if (skips && bounded.freq != ICAL_HOURLY_RECURRENCE) icalrecur_iterator_set_start(iterator.get(), to_ical(skip_to));

    std::vector<Instant> found;
    for (std::size_t steps = 0; steps < most_occurrences; ++steps) {
        const icaltimetype next = icalrecur_iterator_next(iterator.get());
        if (icaltime_is_null_time(next)) break;
        const Instant begin = rule.zone.utc(from_ical(next)) + rule.below_second;
        if (begin >= within.end || (rule.until && begin > *rule.until)) break;
        if (begin + rule.length > within.begin) found.push_back(begin);
    }
    // Two local times may be one moment where the clocks go forward.
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

} // namespace

std::optional<Refusal> refuse_recurrence(const Recurrence& recurrence)
{
    const auto rule = read(recurrence);
    if (!rule) return rule.error();
    const Instant start = recurrence.first.begin;
    const auto begins = expand(*rule, {start, start + recurrence_horizon});
    if (!begins) return bad_rule("rrule combines parts that cannot be combined");
    for (std::size_t i = most_occurrences_a_day; i < begins->size(); ++i)
        if ((*begins)[i] - (*begins)[i - most_occurrences_a_day] < hours(24))
            return bad_rule(fmt::format("RRULE yields more than {} occurrences a day", most_occurrences_a_day));
    if (begins->empty() || begins->front() != start) return not_at_start();
    for (std::size_t i = 1; i < begins->size(); ++i)
        if ((*begins)[i] - (*begins)[i - 1] < rule->length) return bad_rule("occurrences overlap each other");
    return std::nullopt;
}

std::vector<Span> occurrences(const Recurrence& recurrence, const Span& within)
{
    std::vector<Span> result;
    if (within.empty() || recurrence.first.empty()) return result;
    const auto rule = read(recurrence);
    if (!rule) return result;
    for (const Instant begin : expand(*rule, within).value_or(std::vector<Instant>()))
        result.push_back({begin, begin + rule->length});
    return result;
}

std::optional<Span> next_occurrence(const Recurrence& recurrence, Instant from)
{
    const Instant give_up = from + std::chrono::years(20);
    // Stretches that become longer: 400 days of an hourly rule are 9,600 occurrences, of which the first one is wanted.
    for (milliseconds stretch = days(2); from < give_up; stretch = std::min(stretch * 8, recurrence_horizon)) {
        for (const Span& s : occurrences(recurrence, {from, from + stretch}))
            if (s.begin >= from) return s;
        from += stretch;
    }
    return std::nullopt;
}

} // namespace hotspare::monitor
