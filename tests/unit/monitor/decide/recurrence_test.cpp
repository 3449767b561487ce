#include "monitor/decide/recurrence.hpp"

#include "common/time.hpp"
#include "tests/support/property.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using std::chrono::days;

Instant at(const std::string& text)
{
    return *parse_rfc3339(text);
}

Recurrence rule(const std::string& rrule, const std::string& start, milliseconds length = 1h,
                const std::string& zone = "")
{
    return {rrule, {at(start), at(start) + length}, zone};
}

/// The beginnings between two days, without the seconds.
std::vector<std::string> begins(const Recurrence& recurrence, const std::string& from, const std::string& to)
{
    EXPECT_EQ(refuse_recurrence(recurrence), std::nullopt) << recurrence.rrule;
    std::vector<std::string> result;
    for (const Span& s : occurrences(recurrence, {at(from + "T00:00:00Z"), at(to + "T00:00:00Z")}))
        result.push_back(format_rfc3339(s.begin).substr(0, 16));
    return result;
}

using Times = std::vector<std::string>;

TEST(Recurrence, YieldsTheLastFridayOfEachMonth)
{
    EXPECT_EQ(begins(rule("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-30T02:00:00Z"), "2026-01-01", "2026-07-01"),
              (Times{"2026-01-30T02:00", "2026-02-27T02:00", "2026-03-27T02:00", "2026-04-24T02:00", "2026-05-29T02:00",
                     "2026-06-26T02:00"}));
}

TEST(Recurrence, LeavesOutMonthsWithoutThe31st)
{
    EXPECT_EQ(
        begins(rule("RRULE:FREQ=MONTHLY", "2026-01-31T02:00:00Z"), "2026-01-01", "2026-09-01"),
        (Times{"2026-01-31T02:00", "2026-03-31T02:00", "2026-05-31T02:00", "2026-07-31T02:00", "2026-08-31T02:00"}));
    EXPECT_EQ(begins(rule("FREQ=MONTHLY;BYMONTHDAY=-1", "2027-12-31T02:00:00Z"), "2028-01-01", "2028-04-01"),
              (Times{"2028-01-31T02:00", "2028-02-29T02:00", "2028-03-31T02:00"}));
}

TEST(Recurrence, YieldsLeapDaysOnlyInLeapYears)
{
    const auto leap = rule("FREQ=YEARLY", "2024-02-29T02:00:00Z");
    EXPECT_EQ(begins(leap, "2027-03-01", "2028-03-02"), (Times{"2028-02-29T02:00"}));
    EXPECT_EQ(begins(leap, "2026-01-01", "2026-12-31"), Times{});
    EXPECT_EQ(begins(leap, "2100-01-01", "2100-12-31"), Times{}) << "2100 is no leap year";
    EXPECT_EQ(begins(leap, "2104-01-01", "2104-12-31"), (Times{"2104-02-29T02:00"}));
}

TEST(Recurrence, FollowsTheFirstMondayAndThePositionInASet)
{
    EXPECT_EQ(begins(rule("FREQ=MONTHLY;BYDAY=1MO", "2026-06-01T00:00:00Z"), "2026-06-01", "2026-09-01"),
              (Times{"2026-06-01T00:00", "2026-07-06T00:00", "2026-08-03T00:00"}));
    EXPECT_EQ(begins(rule("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-01-30T00:00:00Z"), "2026-01-01",
                     "2026-04-01"),
              (Times{"2026-01-30T00:00", "2026-02-27T00:00", "2026-03-31T00:00"}))
        << "the last working day";
}

TEST(Recurrence, EndsWithCountAndUntil)
{
    EXPECT_EQ(begins(rule("FREQ=DAILY;COUNT=3", "2026-01-30T02:00:00Z"), "2026-01-31", "2027-01-01"),
              (Times{"2026-01-31T02:00", "2026-02-01T02:00"}));
    EXPECT_EQ(begins(rule("FREQ=DAILY;UNTIL=20260131T020000Z", "2026-01-30T02:00:00Z"), "2026-01-01", "2027-01-01"),
              (Times{"2026-01-30T02:00", "2026-01-31T02:00"}))
        << "UNTIL is included";
    EXPECT_EQ(begins(rule("FREQ=DAILY;UNTIL=20260131T015959Z", "2026-01-30T02:00:00Z"), "2026-01-01", "2027-01-01"),
              (Times{"2026-01-30T02:00"}));
    // In Berlin, 02:00 is 01:00 in UTC: UNTIL is compared there.
    EXPECT_EQ(begins(rule("FREQ=DAILY;UNTIL=20260131T010000Z", "2026-01-30T01:00:00Z", 1h, "Europe/Berlin"),
                     "2026-01-01", "2027-01-01")
                  .size(),
              2U);
}

TEST(Recurrence, StaysAtItsLocalTimeOverTheChangeOfTheClocks)
{
    // 29 March and 25 October 2026 in Berlin.
    EXPECT_EQ(begins(rule("FREQ=DAILY", "2026-03-27T03:00:00Z", 1h, "Europe/Berlin"), "2026-03-28", "2026-03-31"),
              (Times{"2026-03-28T03:00", "2026-03-29T02:00", "2026-03-30T02:00"}));
    EXPECT_EQ(begins(rule("FREQ=DAILY", "2026-03-27T03:00:00Z", 1h, "Europe/Berlin"), "2026-10-24", "2026-10-27"),
              (Times{"2026-10-24T02:00", "2026-10-25T03:00", "2026-10-26T03:00"}));
    EXPECT_EQ(begins(rule("FREQ=DAILY", "2026-03-27T03:00:00Z"), "2026-03-28", "2026-03-31"),
              (Times{"2026-03-28T03:00", "2026-03-29T03:00", "2026-03-30T03:00"}))
        << "a rule in UTC knows no such change";
}

TEST(Recurrence, TakesAMissingLocalTimeWithTheOffsetFromBefore)
{
    // 02:30 does not exist on 29 March; with +01:00 it is 01:30 in UTC, which the clocks show as 03:30.
    EXPECT_EQ(begins(rule("FREQ=DAILY", "2026-03-28T01:30:00Z", 1h, "Europe/Berlin"), "2026-03-28", "2026-03-31"),
              (Times{"2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"}));
    // West of Greenwich: 8 March 2026, 02:30 in New York is 07:30 in UTC with -05:00.
    EXPECT_EQ(begins(rule("FREQ=DAILY", "2026-03-07T07:30:00Z", 1h, "America/New_York"), "2026-03-07", "2026-03-10"),
              (Times{"2026-03-07T07:30", "2026-03-08T07:30", "2026-03-09T06:30"}));
}

TEST(Recurrence, TakesTheFirstOfTwoEqualLocalTimes)
{
    // 02:30 comes twice on 25 October: at 00:30 and at 01:30 in UTC.
    EXPECT_EQ(begins(rule("FREQ=DAILY", "2026-10-24T00:30:00Z", 1h, "Europe/Berlin"), "2026-10-24", "2026-10-27"),
              (Times{"2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"}));
    // A change of half an hour: Lord Howe Island, 5 April 2026, 01:45 comes at +11:00 first.
    EXPECT_EQ(
        begins(rule("FREQ=DAILY", "2026-04-03T14:45:00Z", 10min, "Australia/Lord_Howe"), "2026-04-03", "2026-04-06"),
        (Times{"2026-04-03T14:45", "2026-04-04T14:45", "2026-04-05T15:15"}));
}

TEST(Recurrence, TwoLocalTimesThatAreOneMomentAreOneOccurrence)
{
    EXPECT_EQ(
        begins(rule("FREQ=DAILY;BYHOUR=3,2", "2026-03-28T01:00:00Z", 1h, "Europe/Berlin"), "2026-03-28", "2026-03-30"),
        (Times{"2026-03-28T01:00", "2026-03-28T02:00", "2026-03-29T01:00"}));
}

TEST(Recurrence, ReadsListedHoursInOrderAndOnce)
{
    EXPECT_EQ(begins(rule("FREQ=DAILY;BYHOUR=4,2,4", "2026-01-01T02:00:00Z"), "2026-01-01", "2026-01-03"),
              (Times{"2026-01-01T02:00", "2026-01-01T04:00", "2026-01-02T02:00", "2026-01-02T04:00"}));
}

TEST(Recurrence, YieldsWhatBeganBeforeAndStillLasts)
{
    const auto weekly = rule("FREQ=WEEKLY", "2026-01-02T22:00:00Z", 4h);
    const Instant midnight = at("2026-02-07T00:00:00Z");
    EXPECT_EQ(occurrences(weekly, {midnight, midnight + 1s}),
              (std::vector<Span>{{at("2026-02-06T22:00:00Z"), at("2026-02-07T02:00:00Z")}}));
    EXPECT_TRUE(occurrences(weekly, {midnight + 2h, midnight + 3h}).empty()) << "half-open";
}

TEST(Recurrence, YieldsALongOccurrenceUntilItsEnd)
{
    const auto monthly = rule("FREQ=MONTHLY", "2025-01-01T00:00:00Z", days(20));
    const Instant late = at("2026-03-20T23:00:00Z");
    EXPECT_EQ(occurrences(monthly, {late, late + 1min}),
              (std::vector<Span>{{at("2026-03-01T00:00:00Z"), at("2026-03-21T00:00:00Z")}}));
}

TEST(Recurrence, KeepsTheMillisecondsOfItsStart)
{
    const Recurrence r{"FREQ=DAILY", {at("2026-01-01T02:00:00.123Z"), at("2026-01-01T03:00:00.456Z")}, ""};
    const auto found = occurrences(r, {at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z")});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0], (Span{at("2026-01-05T02:00:00.123Z"), at("2026-01-05T03:00:00.456Z")}));
}

TEST(Recurrence, ExpandsAnEndlessRuleOnlyWithinTheHorizon)
{
    const auto daily = rule("FREQ=DAILY", "1990-01-01T02:00:00Z");
    EXPECT_EQ(occurrences(daily, {at("2026-01-01T00:00:00Z"), forever}).size(), 400U);
    EXPECT_EQ(occurrences(daily, {at("2199-01-01T00:00:00Z"), at("2199-01-08T00:00:00Z")}).size(), 7U);
}

TEST(Recurrence, KeepsItsIntervalOverManyYears)
{
    const Instant start = at("2000-01-03T02:00:00Z");
    const std::pair<const char*, milliseconds> fixed[]{
        {"FREQ=HOURLY;INTERVAL=7", 7h}, {"FREQ=DAILY;INTERVAL=5", days(5)}, {"FREQ=WEEKLY;INTERVAL=3", days(21)}};
    for (const auto& [text, step] : fixed) {
        const Recurrence recurrence{text, {start, start + 1h}};
        const auto next = next_occurrence(recurrence, at("2031-05-05T00:00:00Z"));
        ASSERT_TRUE(next) << text;
        EXPECT_EQ((next->begin - start) % step, 0ms) << text;
        EXPECT_LT(next->begin - at("2031-05-05T00:00:00Z"), step) << text;
    }
    EXPECT_EQ(next_occurrence({"FREQ=MONTHLY;INTERVAL=7", {start, start + 1h}}, at("2031-05-05T00:00:00Z"))->begin,
              at("2031-07-03T02:00:00Z"));
    EXPECT_EQ(next_occurrence({"FREQ=YEARLY;INTERVAL=3", {start, start + 1h}}, at("2031-05-05T00:00:00Z"))->begin,
              at("2033-01-03T02:00:00Z"));
}

TEST(Recurrence, FindsTheNextOccurrenceBeyondTheHorizon)
{
    const auto leap = rule("FREQ=YEARLY", "2024-02-29T02:00:00Z");
    EXPECT_EQ(next_occurrence(leap, at("2096-02-29T02:00:00Z"))->begin, at("2096-02-29T02:00:00Z"));
    EXPECT_EQ(next_occurrence(leap, at("2096-02-29T02:00:00.001Z"))->begin, at("2104-02-29T02:00:00Z"));
    EXPECT_EQ(next_occurrence(rule("FREQ=DAILY;COUNT=2", "2026-01-01T02:00:00Z"), at("2026-01-02T02:00:01Z")),
              std::nullopt);
}

TEST(Recurrence, SaysWhatItDoesNotAccept)
{
    const std::pair<const char*, const char*> cases[]{
        {"", "not an RRULE"},
        {"FREQ=FOO", "not an RRULE"},
        {"INTERVAL=2", "not an RRULE"},
        {"FREQ=DAILY;X=1", "not an RRULE"},
        {"FREQ=DAILY;BYHOUR=25", "not an RRULE"},
        {"FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z", "not an RRULE"},
        {"FREQ=SECONDLY", "at most 24 occurrences a day"},
        {"FREQ=MINUTELY;INTERVAL=60", "FREQ must be HOURLY"},
        {"FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30", "not an occurrence"},
        {"FREQ=HOURLY;INTERVAL=24;BYHOUR=3", "not an occurrence"},
        {"FREQ=HOURLY;BYMINUTE=0,30", "more than 24 occurrences a day"},
        {"FREQ=DAILY;INTERVAL=367", "INTERVAL is more than 366"},
        {"FREQ=DAILY;BYMONTHDAY=-31", "BYMONTHDAY below zero"},
        {"FREQ=DAILY;BYDAY=1TH", "BYDAY with a number"},
        {"FREQ=YEARLY;BYMONTHDAY=1", "needs BYMONTH"},
        {"FREQ=YEARLY;BYWEEKNO=21,53,16", "BYWEEKNO"},
        {"FREQ=YEARLY;BYYEARDAY=1", "BYYEARDAY"},
        {"FREQ=MONTHLY;BYDAY=9TH;COUNT=30", "not an occurrence"},
        {"FREQ=MONTHLY;BYDAY=2TH", "not an occurrence"},
        {"FREQ=YEARLY;BYDAY=-1TH", "not an occurrence"},
        {"FREQ=MONTHLY;BYSETPOS=-3", "BYSETPOS"},
        {"FREQ=MONTHLY;BYDAY=TH;BYSETPOS=5", "BYSETPOS"},
        {"FREQ=MONTHLY;BYDAY=1TH;BYSETPOS=1", "BYSETPOS"},
        {"FREQ=YEARLY;BYDAY=TH;BYSETPOS=1", "BYSETPOS"},
        {"FREQ=DAILY;BYHOUR=0,1,2;BYMINUTE=0,10,20,30,40,50;BYSECOND=0,20", "more than 24 occurrences a day"},
        {"FREQ=DAILY;COUNT=10001", "COUNT is more than 10000"},
        {"FREQ=DAILY;UNTIL=20270101", "UNTIL must be a time in UTC"},
        {"FREQ=DAILY;UNTIL=20270101T000000", "UNTIL must be a time in UTC"},
        {"FREQ=DAILY;UNTIL=20250101T000000Z", "not an occurrence"},
        {"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "not an occurrence"},
        {"FREQ=WEEKLY;BYMONTHDAY=1", "cannot be combined"},
        {"FREQ=WEEKLY;BYDAY=MO", "the start is not an occurrence"},
        {"FREQ=DAILY;BYSETPOS=1;BYHOUR=3,4", "BYSETPOS"},
        {"FREQ=DAILY;BYHOUR=2;BYMINUTE=0,30", "overlap"},
        {"FREQ=MONTHLY;BYMONTHDAY=1,2,3,4,5,6,7,8,9,10,11", "MONTHLY and YEARLY yield more than 120"},
        {"FREQ=YEARLY;RSCALE=CHINESE", "RSCALE"},
        {"FREQ=DAILY\n", "printable ASCII"},
    };
    for (const auto& [text, message] : cases) {
        const auto refusal = refuse_recurrence(rule(text, "2026-01-01T02:00:00Z")); // a Thursday
        ASSERT_TRUE(refusal) << text;
        EXPECT_EQ(refusal->field, "rrule");
        EXPECT_NE(refusal->message.find(message), std::string::npos) << text << ": " << refusal->message;
    }
    EXPECT_EQ(refuse_recurrence(rule(std::string(501, 'A'), "2026-01-01T02:00:00Z"))->message,
              "rrule is longer than 500 bytes");
    for (const char* zone : {"Europe/Nowhere", "../../etc/passwd", "europe berlin"})
        EXPECT_EQ(refuse_recurrence(rule("FREQ=DAILY", "2026-01-01T02:00:00Z", 1h, zone))->field, "time_zone");
    EXPECT_TRUE(occurrences(rule("FREQ=FOO", "2026-01-01T02:00:00Z"), {at("2026-01-01T00:00:00Z"), forever}).empty());
}

TEST(Recurrence, AcceptsTwentyFourADayAndNoMore)
{
    EXPECT_EQ(begins(rule("FREQ=HOURLY", "2026-01-01T02:00:00Z"), "2026-03-01", "2026-03-02").size(), 24U);
    const std::string hours = "FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23";
    EXPECT_EQ(refuse_recurrence(rule(hours, "2026-01-01T02:00:00Z")), std::nullopt);
    EXPECT_NE(refuse_recurrence(rule(hours, "2026-01-01T02:00:00Z", 1h + 1ms)), std::nullopt) << "they overlap";
    EXPECT_EQ(refuse_recurrence(rule(hours + ";BYMINUTE=0,1", "2026-01-01T02:00:00Z", 1min))->message,
              "RRULE yields more than 24 occurrences a day");
}

/// Two ways to say the same, of which libical follows one.
TEST(Recurrence, CountsWeeksAndDaysAsLibicalDoes)
{
    const auto all = [](const std::string& text, const std::string& zone) {
        return begins(rule(text, "2026-01-01T12:30:00Z", 10min, zone), "2026-01-01", "2027-02-01");
    };
    for (const char* zone : {"", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns"}) {
        EXPECT_EQ(all("FREQ=DAILY;BYMONTHDAY=1,15", zone), all("FREQ=MONTHLY;BYMONTHDAY=1,15", zone)) << zone;
        EXPECT_EQ(all("FREQ=WEEKLY;BYDAY=TH,FR", zone), all("FREQ=MONTHLY;BYDAY=TH,FR", zone)) << zone;
        EXPECT_EQ(all("FREQ=WEEKLY;BYMONTH=1,3,10;COUNT=9", zone),
                  all("FREQ=YEARLY;BYMONTH=1,3,10;BYDAY=TH;COUNT=9", zone))
            << zone;
    }
    // RFC 5545, section 3.8.5.3: the first day of the week matters.
    EXPECT_EQ(begins(rule("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-05T09:00:00Z"), "1997-08-01",
                     "1998-01-01"),
              (Times{"1997-08-05T09:00", "1997-08-10T09:00", "1997-08-19T09:00", "1997-08-24T09:00"}));
    EXPECT_EQ(begins(rule("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05T09:00:00Z"), "1997-08-01",
                     "1998-01-01"),
              (Times{"1997-08-05T09:00", "1997-08-17T09:00", "1997-08-19T09:00", "1997-08-31T09:00"}));
}

/// Skipping ahead to a late stretch must yield what counting from the start does.
TEST(Recurrence, YieldsTheSameWhereverTheExpansionBegins)
{
    test::check_property(300, [] {
        const auto text = *rc::gen::element<std::string>(
            "FREQ=DAILY;INTERVAL=3", "FREQ=HOURLY;INTERVAL=7", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TH,SA",
            "FREQ=MONTHLY;BYMONTHDAY=1,15,31", "FREQ=MONTHLY;INTERVAL=5;BYDAY=1TH",
            "FREQ=YEARLY;BYMONTH=1,2,6;BYMONTHDAY=1,29", "FREQ=DAILY;BYHOUR=14,2", "FREQ=HOURLY;INTERVAL=50;COUNT=60",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1", "FREQ=WEEKLY;WKST=SU;INTERVAL=3;BYDAY=SU,TH");
        const auto zone = *rc::gen::element<std::string>("", "Europe/Berlin", "America/New_York", "Asia/Kolkata");
        // 1 January 2026 is a Thursday and the first working day of its month.
        const std::string start = zone.empty()              ? "2026-01-01T02:00:00Z"
                                  : zone == "Europe/Berlin" ? "2026-01-01T01:00:00Z"
                                  : zone == "Asia/Kolkata"  ? "2025-12-31T20:30:00Z"
                                                            : "2026-01-01T07:00:00Z";
        const auto recurrence = rule(text, start, 1h, zone);
        RC_ASSERT(refuse_recurrence(recurrence) == std::nullopt);
        const auto all = occurrences(recurrence, {at(start), at(start) + days(400)});
        const Instant from = at(start) + std::chrono::minutes(*rc::gen::inRange(0, 390 * 24 * 60));
        const Span within{from, from + std::chrono::minutes(*rc::gen::inRange(1, 10 * 24 * 60))};
        std::vector<Span> expected;
        for (const Span& s : all)
            if (s.overlaps(within)) expected.push_back(s);
        RC_ASSERT(occurrences(recurrence, within) == expected);
        const auto next = std::find_if(all.begin(), all.end(), [&](const Span& s) { return s.begin >= from; });
        if (next != all.end()) RC_ASSERT(next_occurrence(recurrence, from) == *next);
    });
}

/// What RFC 5545 says of one day and one hour, looked at one by one; without INTERVAL, COUNT, UNTIL and BYSETPOS.
struct Definition {
    enum class Freq { hourly, daily, weekly, monthly, yearly } freq = Freq::daily;
    std::vector<int> months, month_days, hours;
    std::vector<std::pair<int, unsigned>> week_days; ///< position or 0, Sunday is 0

    std::string text() const
    {
        constexpr std::array names{"HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"};
        constexpr std::array days_of_week{"SU", "MO", "TU", "WE", "TH", "FR", "SA"};
        std::string result = fmt::format("FREQ={}", names.at(static_cast<std::size_t>(freq)));
        if (!months.empty()) result += fmt::format(";BYMONTH={}", fmt::join(months, ","));
        if (!month_days.empty()) result += fmt::format(";BYMONTHDAY={}", fmt::join(month_days, ","));
        if (!hours.empty()) result += fmt::format(";BYHOUR={}", fmt::join(hours, ","));
        for (std::size_t i = 0; i < week_days.size(); ++i) {
            result += i == 0 ? ";BYDAY=" : ",";
            if (week_days[i].first != 0) result += std::to_string(week_days[i].first);
            result += days_of_week.at(week_days[i].second);
        }
        return result;
    }

    bool has(Instant time, Instant begin) const
    {
        using namespace std::chrono;
        const auto day = floor<std::chrono::days>(time);
        const year_month_day date(day), first(floor<std::chrono::days>(begin));
        const weekday wd(day);
        const auto in = [](const std::vector<int>& list, auto... values) {
            return std::any_of(list.begin(), list.end(), [&](int v) { return ((v == values) || ...); });
        };
        const auto month_begin = sys_days(date.year() / date.month() / 1);
        const auto month_end = sys_days(date.year() / date.month() / last);
        const int day_of_month = (day - month_begin).count() + 1, back_of_month = (day - month_end).count() - 1;
        const int hour = static_cast<int>(floor<std::chrono::hours>(time - day).count());
        const int own_hour =
            static_cast<int>((floor<std::chrono::hours>(begin - floor<std::chrono::days>(begin))).count());

        if (!months.empty() && !in(months, static_cast<int>(static_cast<unsigned>(date.month())))) return false;
        if (!month_days.empty() && !in(month_days, day_of_month, back_of_month)) return false;
        if (hours.empty() ? freq != Freq::hourly && hour != own_hour : !in(hours, hour)) return false;
        if (!week_days.empty()) {
            const bool of_year = freq == Freq::yearly && months.empty();
            const auto begins = of_year ? sys_days(date.year() / 1 / 1) : month_begin;
            const auto ends = of_year ? sys_days(date.year() / 12 / 31) : month_end;
            const int nth = (day - begins).count() / 7 + 1, nth_last = -((ends - day).count() / 7 + 1);
            return std::any_of(week_days.begin(), week_days.end(), [&](const auto& listed) {
                return wd.c_encoding() == listed.second &&
                       (listed.first == 0 || listed.first == nth || listed.first == nth_last);
            });
        }
        if (freq == Freq::weekly) return wd == weekday(floor<std::chrono::days>(begin));
        if (freq < Freq::monthly || !month_days.empty()) return true;
        return date.day() == first.day() && (freq == Freq::monthly || !months.empty() || date.month() == first.month());
    }
};

/// What is accepted costs little and is expanded as it is defined; what is refused may be so for many reasons.
TEST(Recurrence, EqualsItsDefinitionHourByHour)
{
    int accepted = 0;
    test::check_property(150, [&](std::uint32_t seed) {
        std::mt19937 random(seed);
        const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
        const Instant begin = at("2026-01-01T02:00:00Z") + days(below(400));
        const std::chrono::year_month_day date(std::chrono::floor<days>(begin));
        const int day = static_cast<int>(static_cast<unsigned>(date.day()));
        Definition d;
        d.freq = static_cast<Definition::Freq>(below(5));
        // Often something that the start agrees with, and what is likely to be wrong.
        if (below(3) == 0) d.months = {static_cast<int>(static_cast<unsigned>(date.month())), 1 + below(12)};
        if (below(3) == 0) d.month_days = {below(3) == 0 ? -1 - below(31) : 1 + below(31), day};
        if (below(3) == 0) d.hours = {2, below(24)};
        if (below(3) == 0) {
            const unsigned own = std::chrono::weekday(std::chrono::floor<days>(begin)).c_encoding();
            d.week_days = {{below(2) * ((day - 1) / 7 + 1), own}};
            if (below(2) == 0) d.week_days.emplace_back(below(3) - 1, below(7));
        }
        const Recurrence recurrence{d.text(), {begin, begin + 30min}};
        if (refuse_recurrence(recurrence)) return;
        ++accepted;
        std::vector<Span> expected;
        for (Instant t = begin; t < begin + days(400); t += 1h)
            if (d.has(t, begin)) expected.push_back({t, t + 30min});
        if (occurrences(recurrence, {begin, begin + days(400)}) != expected) RC_FAIL(d.text());
    });
    EXPECT_GT(accepted, 20);
}

/// Text from outside never costs much time, and what is accepted keeps the promises.
TEST(Recurrence, SurvivesAnyMutationOfARule)
{
    test::check_property(500, [](std::vector<std::pair<std::uint8_t, char>> edits) {
        std::string text = *rc::gen::element<std::string>(
            "FREQ=MONTHLY;BYDAY=-1FR;INTERVAL=2", "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1;BYHOUR=2",
            "FREQ=DAILY;BYHOUR=2,4;UNTIL=20271231T000000Z", "FREQ=HOURLY;INTERVAL=6;BYDAY=TH,FR;BYMONTH=1,2,3");
        for (std::size_t i = 0; i < edits.size() && i < 3; ++i) text[edits[i].first % text.size()] = edits[i].second;
        const auto recurrence = rule(text, "2026-01-01T02:00:00Z");
        if (refuse_recurrence(recurrence)) return;
        const auto all = occurrences(recurrence, {at("2026-01-01T00:00:00Z"), forever});
        RC_ASSERT(!all.empty());
        RC_ASSERT(all.size() <= 24U * 400);
        for (std::size_t i = 1; i < all.size(); ++i) RC_ASSERT(all[i - 1].end <= all[i].begin);
    });
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
