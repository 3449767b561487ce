#include "monitor/decide/recurrence.hpp"

#include <fmt/format.h>
#include <libical/ical.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
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

/// Whether an HOURLY, DAILY or WEEKLY rule matches days one by one, and hours of them.
bool is_counted(const icalrecurrencetype& rule)
{
    return rule.freq == ICAL_HOURLY_RECURRENCE || rule.freq == ICAL_DAILY_RECURRENCE ||
           (rule.freq == ICAL_WEEKLY_RECURRENCE && !given(rule.by_month_day)); // which RFC 5545 does not have
}

/// The times of a rule that is counted. libical takes microseconds for each, so that it would take seconds to compare
/// a new series with a hundred that have one an hour.
class CountedRule {
public:
    explicit CountedRule(const Rule& rule)
        : rule_(rule.rule), start_(rule.start), start_day_(std::chrono::floor<days>(rule.start)),
          week_(week_of(start_day_))
    {
        const std::chrono::hh_mm_ss of_day(rule.start - start_day_);
        list(rule_.by_hour, of_day.hours().count(), hours_);
        list(rule_.by_minute, of_day.minutes().count(), minutes_);
        list(rule_.by_second, of_day.seconds().count(), seconds_);
        if (hourly() && !given(rule_.by_hour)) {
            hours_.resize(24);
            std::iota(hours_.begin(), hours_.end(), 0);
        }
    }

    /// Calls `take` for each time from `from` up to `until`, ascending, while it returns true.
    template <class Take> void walk(LocalTime from, LocalTime until, Take&& take) const
    {
        int left = rule_.count > 0 ? rule_.count : -1;
        for (auto day = std::chrono::floor<days>(from); day <= until; day += days(1)) {
            if (!has(day)) continue;
            for (const int hour : hours_) {
                const LocalTime begin = day + std::chrono::hours(hour);
                if (hourly() && interval() > 1 &&
                    (begin - std::chrono::floor<hours>(start_)) % hours(interval()) != hours(0))
                    continue;
                for (const int minute : minutes_)
                    for (const int second : seconds_) {
                        const LocalTime time = begin + std::chrono::minutes(minute) + seconds(second);
                        if (time < from || time < start_) continue;
                        if (left-- == 0 || !take(time)) return;
                    }
            }
        }
    }

private:
    bool hourly() const noexcept { return rule_.freq == ICAL_HOURLY_RECURRENCE; }
    int interval() const noexcept { return std::max<int>(rule_.interval, 1); }

    template <std::size_t size> static void list(const short (&given_ones)[size], long own, std::vector<int>& to)
    {
        for (std::size_t i = 0; i < size && given_ones[i] != ICAL_RECURRENCE_ARRAY_MAX; ++i)
            to.push_back(given_ones[i]);
        if (to.empty()) to.push_back(static_cast<int>(own));
    }

    /// The first day of the week that holds the day.
    std::chrono::sys_days week_of(std::chrono::sys_days day) const
    {
        const int first = std::max<int>(rule_.week_start, 1) - 1; // libical counts from Sunday as 1
        const int weekday = static_cast<int>(std::chrono::weekday(day).c_encoding());
        return day - days((weekday - first + 7) % 7);
    }

    bool has(std::chrono::sys_days day) const
    {
        const std::chrono::weekday weekday(day);
        if (rule_.freq == ICAL_DAILY_RECURRENCE && (day - start_day_).count() % interval() != 0) return false;
        if (rule_.freq == ICAL_WEEKLY_RECURRENCE) {
            if ((week_of(day) - week_).count() / 7 % interval() != 0) return false;
            if (!given(rule_.by_day) && weekday != std::chrono::weekday(start_day_)) return false;
        }
        const std::chrono::year_month_day date(day);
        const auto is = [](unsigned value) {
            return [value](short listed) { return listed == static_cast<int>(value); };
        };
        return any_or_empty(rule_.by_month, is(static_cast<unsigned>(date.month()))) &&
               any_or_empty(rule_.by_month_day, is(static_cast<unsigned>(date.day()))) &&
               any_or_empty(rule_.by_day, is(weekday.c_encoding() + 1));
    }

    const icalrecurrencetype& rule_;
    LocalTime start_;
    std::chrono::sys_days start_day_;
    std::chrono::sys_days week_; ///< of the start
    std::vector<int> hours_{};
    std::vector<int> minutes_{};
    std::vector<int> seconds_{};
};

/// Zone::utc() for many local times of the same days: asks for the offset of a day once where the clocks are not
/// changed.
class DayOffsets {
public:
    explicit DayOffsets(const Zone& zone) : zone_(zone) {}

    Instant utc(LocalTime local)
    {
        if (zone_.zone == nullptr) return local;
        if (const auto day = std::chrono::floor<days>(local); !known_ || day != day_) {
            known_ = true;
            day_ = day;
            // A local time is at most 14 h from UTC, and no zone changes its clocks twice within five days.
            const seconds before = zone_.offset(day - days(2));
            offset_ = zone_.offset(day + days(3)) == before ? std::optional(before) : std::nullopt;
        }
        return offset_ ? Instant(local - *offset_) : zone_.utc(local);
    }

private:
    const Zone& zone_;
    bool known_ = false;
    std::chrono::sys_days day_{};
    std::optional<seconds> offset_{}; ///< of the whole day
};

/// The times of a rule that is not counted, as libical has them. False if it cannot follow the rule.
template <class Take> bool walk_with_libical(const Rule& rule, LocalTime skip_to, LocalTime until, Take&& take)
{
    // Behind UNTIL libical does not search.
    icalrecurrencetype bounded = rule.rule;
    bounded.until = to_ical(until);
    const Iterator iterator(icalrecur_iterator_new(bounded, to_ical(rule.start)));
    if (!iterator) return false;
    if (skip_to > rule.start) icalrecur_iterator_set_start(iterator.get(), to_ical(skip_to));
    for (;;) {
        const icaltimetype next = icalrecur_iterator_next(iterator.get());
        if (icaltime_is_null_time(next) || !take(from_ical(next))) return true;
    }
}

/// The beginnings of the occurrences that overlap `within`, and nothing if libical cannot follow the rule.
std::optional<std::vector<Instant>> expand(const Rule& rule, Span within)
{
    within.end = std::min(within.end, within.begin + recurrence_horizon);
    // Two days more on both sides, so that no change of the clocks matters.
    const LocalTime until = std::chrono::floor<seconds>(within.end) + days(2);
    // A rule with COUNT must be counted from its start.
    const LocalTime skip_to =
        rule.rule.count != 0
            ? rule.start
            : std::max(rule.start, LocalTime(std::chrono::floor<seconds>(within.begin - rule.length) - days(2)));
    std::vector<Instant> found;
    DayOffsets zone(rule.zone);
    std::size_t steps = 0;
    const auto take = [&](LocalTime local) {
        const Instant begin = zone.utc(local) + rule.below_second;
        if (begin >= within.end || (rule.until && begin > *rule.until)) return false;
        if (begin + rule.length > within.begin) found.push_back(begin);
        return ++steps < most_occurrences;
    };
    if (is_counted(rule.rule))
        CountedRule(rule).walk(skip_to, until, take);
    else if (!walk_with_libical(rule, skip_to, until, take))
        return std::nullopt;
    // Two local times may be one moment where the clocks go forward.
    if (!std::is_sorted(found.begin(), found.end())) std::sort(found.begin(), found.end());
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
    if (!is_counted(rule->rule) && begins->size() > most_occurrences_of_libical)
        return bad_rule(
            fmt::format("MONTHLY and YEARLY yield more than {} occurrences in 400 days: DAILY takes BYMONTH, "
                        "BYMONTHDAY and BYDAY too",
                        most_occurrences_of_libical));
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
    const auto begins = expand(*rule, within).value_or(std::vector<Instant>());
    result.reserve(begins.size());
    for (const Instant begin : begins) result.push_back({begin, begin + rule->length});
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
