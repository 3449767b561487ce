#include "monitor/pages/calendar_ics.hpp"

#include "common/markup.hpp"
#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

/// The content lines, unfolded; every line must end by CRLF, have at most 75 octets, and be UTF-8 by itself.
Lines lines_of(const std::string& ics)
{
    Lines lines;
    std::size_t begin = 0;
    while (begin < ics.size()) {
        const auto end = ics.find("\r\n", begin);
        if (end == std::string::npos) {
            ADD_FAILURE() << "no CRLF at the end";
            break;
        }
        const std::string line = ics.substr(begin, end - begin);
        EXPECT_LE(line.size(), 75U) << line;
        EXPECT_EQ(line.find_first_of("\r\n"), std::string::npos);
        EXPECT_EQ(valid_utf8(line), line) << "a character is divided";
        if (line.starts_with(' ') && !lines.empty())
            lines.back() += line.substr(1);
        else
            lines.push_back(line);
        begin = end + 2;
    }
    return lines;
}

View with(const PublicWindow& window)
{
    View view = example::full();
    view.windows = {window};
    return view;
}

std::string value(const Lines& lines, const std::string& name)
{
    for (const std::string& line : lines)
        if (line.starts_with(name + ":")) return line.substr(name.size() + 1);
    return "none";
}

TEST(CalendarIcs, IsWhatTheRfcPrescribes)
{
    EXPECT_EQ(calendar_ics(with(example::window(7, WindowState::scheduled, "2026-11-14T02:00:00Z", 2h))),
              "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//hotspare//monitor//EN\r\nCALSCALE:GREGORIAN\r\n"
              "METHOD:PUBLISH\r\nX-WR-CALNAME:Example status\r\n"
              "BEGIN:VEVENT\r\nUID:maintenance-7@status.example.org\r\nDTSTAMP:20261110T020000Z\r\n"
              "CREATED:20261109T020000Z\r\nLAST-MODIFIED:20261110T020000Z\r\nSEQUENCE:3\r\n"
              "DTSTART:20261114T020000Z\r\nDTEND:20261114T040000Z\r\nSUMMARY:Database upgrade\r\n"
              "DESCRIPTION:API\\n\\nWe move to a new version.\r\nSTATUS:CONFIRMED\r\nTRANSP:TRANSPARENT\r\n"
              "END:VEVENT\r\nEND:VCALENDAR\r\n");
}

TEST(CalendarIcs, ACancelledWindowStaysAsCancelled)
{
    const auto lines =
        lines_of(calendar_ics(with(example::window(7, WindowState::cancelled, "2026-11-14T02:00:00Z", 2h))));
    EXPECT_EQ(value(lines, "STATUS"), "CANCELLED");
    EXPECT_EQ(value(lines, "UID"), "maintenance-7@status.example.org");
}

TEST(CalendarIcs, ASeriesInUtcHasItsRuleFromItsFirstOccurrenceOn)
{
    PublicWindow window = example::window(7, WindowState::scheduled, "2026-11-14T02:00:00Z", 2h);
    window.window.plan.rrule = "RRULE:FREQ=WEEKLY;BYDAY=SA;COUNT=9";
    window.window.first = {example::at("2026-10-31T02:00:00Z"), example::at("2026-10-31T04:00:00Z")};
    const auto lines = lines_of(calendar_ics(with(window)));
    EXPECT_EQ(value(lines, "RRULE"), "FREQ=WEEKLY;BYDAY=SA;COUNT=9");
    EXPECT_EQ(value(lines, "DTSTART"), "20261031T020000Z");
    EXPECT_EQ(std::ranges::count(lines, "BEGIN:VEVENT"), 1);
}

TEST(CalendarIcs, ASeriesWhoseTimeZoneIsUtcHasItsRule)
{
    PublicWindow window = example::window(7, WindowState::scheduled, "2026-11-14T02:00:00Z", 2h);
    window.window.plan.rrule = "FREQ=WEEKLY;BYDAY=SA";
    window.window.plan.time_zone = "UTC";
    const auto lines = lines_of(calendar_ics(with(window)));
    EXPECT_EQ(value(lines, "RRULE"), "FREQ=WEEKLY;BYDAY=SA");
    EXPECT_EQ(value(lines, "RDATE"), "none");
}

TEST(CalendarIcs, AnOccurrenceThatWasExtendedIsAnEventOfItsOwn)
{
    PublicWindow window = example::window(7, WindowState::in_progress, "2026-11-14T02:00:00Z", 2h);
    window.window.plan.rrule = "FREQ=WEEKLY;BYDAY=SA";
    window.window.plan.end += 1h;
    const auto lines = lines_of(calendar_ics(with(window)));
    EXPECT_EQ(std::ranges::count(lines, "BEGIN:VEVENT"), 2);
    EXPECT_EQ(std::ranges::count(lines, "UID:maintenance-7@status.example.org"), 2);
    EXPECT_EQ(value(lines, "RECURRENCE-ID"), "20261114T020000Z");
    EXPECT_EQ(std::ranges::count(lines, "DTEND:20261114T040000Z"), 1);
    EXPECT_EQ(std::ranges::count(lines, "DTEND:20261114T050000Z"), 1);
}

TEST(CalendarIcs, ASeriesInLocalTimeIsListedByItsOccurrences)
{
    PublicWindow window = example::window(7, WindowState::scheduled, "2027-03-20T01:00:00Z", 2h);
    window.window.plan.rrule = "FREQ=WEEKLY;BYDAY=SA";
    window.window.plan.time_zone = "Europe/Berlin";
    for (const char* next : {"2027-03-27T01:00:00Z", "2027-04-03T00:00:00Z"})
        window.next.push_back({example::at(next), example::at(next) + 2h});
    const auto lines = lines_of(calendar_ics(with(window)));
    EXPECT_EQ(value(lines, "RRULE"), "none");
    EXPECT_EQ(value(lines, "DTSTART"), "20270320T010000Z");
    EXPECT_EQ(value(lines, "RDATE"), "20270327T010000Z,20270403T000000Z");
}

TEST(CalendarIcs, TextsAreEscaped)
{
    EXPECT_EQ(ics_text("a,b;c\\d\r\ne:\"f\""), "a\\,b\\;c\\\\d\\ne:\"f\"");
    EXPECT_EQ(ics_text("\x1b\x7f\xff"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(CalendarIcs, LinesAreFoldedAt75OctetsAndNeverInsideACharacter)
{
    EXPECT_EQ(ics_line(std::string(75, 'x')), std::string(75, 'x') + "\r\n");
    EXPECT_EQ(ics_line(std::string(76, 'x')), std::string(75, 'x') + "\r\n x\r\n");
    EXPECT_EQ(ics_line(std::string(74, 'x') + "ü"), std::string(74, 'x') + "\r\n ü\r\n");
    EXPECT_EQ(ics_line(std::string(73, 'x') + "ü"), std::string(73, 'x') + "ü\r\n");
    EXPECT_EQ(ics_line(std::string(149, 'x')), std::string(75, 'x') + "\r\n " + std::string(74, 'x') + "\r\n");
    EXPECT_EQ(ics_line(""), "\r\n");
    std::minstd_rand random(5);
    for (int round = 0; round < 500; ++round) {
        std::string text;
        for (auto left = random() % 200; left > 0; --left)
            text += std::vector<std::string>{"a", "ü", "€", "\xF0\x9F\x94\xA5"}[random() % 4];
        if (text.empty()) continue;
        EXPECT_EQ(lines_of(ics_line(text)), Lines{text});
    }
}

TEST(CalendarIcs, HostileTextsAreShownAsText)
{
    const auto lines = lines_of(calendar_ics(example::hostile_view()));
    EXPECT_EQ(std::ranges::count(lines, "END:VCALENDAR"), 1);
    EXPECT_EQ(std::ranges::count(lines, "BEGIN:VEVENT"), 4);
    for (const std::string& line : lines) {
        EXPECT_TRUE(std::ranges::none_of(line, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; })) << line;
        EXPECT_FALSE(line.starts_with("RRULE")) << "what is no rule is left out";
    }
    EXPECT_NE(value(lines, "SUMMARY").find("</script><script>alert(1)</script>"), std::string::npos);
}

TEST(CalendarIcs, AnEmptyMonitorHasAnEmptyCalendar)
{
    EXPECT_EQ(lines_of(calendar_ics({})).size(), 7U);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
