#include "common/time.hpp"

#include "tests/support/property.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

namespace hotspare {
namespace TEST_FILE {

TEST(Rfc3339, is_utc_with_milliseconds_rounded_down)
{
    const WallTime epoch{};
    EXPECT_EQ(format_rfc3339(epoch), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(format_rfc3339(epoch + seconds(951'782'400) + microseconds(999'999)), "2000-02-29T00:00:00.999Z");
    EXPECT_EQ(format_rfc3339(epoch - microseconds(1)), "1969-12-31T23:59:59.999Z");
    EXPECT_EQ(format_rfc3339(epoch + seconds(4'102'444'799)), "2099-12-31T23:59:59.000Z");
}

std::optional<std::int64_t> rfc3339_ms(std::string_view text)
{
    const auto read = parse_rfc3339(text);
    if (!read) return std::nullopt;
    return read->time_since_epoch().count();
}

std::string rfc3339_complaint(std::string_view text)
{
    const auto read = parse_rfc3339(text);
    return read ? "none" : read.error();
}

TEST(Rfc3339, IsReadInAnyZoneToTheMillisecond)
{
    EXPECT_EQ(rfc3339_ms("1970-01-01T00:00:00Z"), 0);
    EXPECT_EQ(rfc3339_ms("2000-02-29T00:00:00.999Z"), 951'782'400'999);
    EXPECT_EQ(rfc3339_ms("2000-02-29T01:30:00.9999999+01:30"), 951'782'400'999) << "rounded down";
    EXPECT_EQ(rfc3339_ms("2000-02-28t19:00:00.5-05:00"), 951'782'400'500);
    EXPECT_EQ(rfc3339_ms("2000-02-29T00:00:00-00:00"), 951'782'400'000);
    EXPECT_EQ(rfc3339_ms("2016-12-31T23:59:60z"), 1'483'228'800'000);
    EXPECT_EQ(rfc3339_ms("2017-01-01T00:59:60+01:00"), 1'483'228'800'000);
    EXPECT_EQ(rfc3339_ms("2200-12-31T23:59:59.999Z"), 7'289'654'399'999);
}

TEST(Rfc3339, SaysWhatIsWrong)
{
    const std::pair<const char*, const char*> cases[]{
        {"", "the year must have 4 digits"},
        {"tomorrow", "the year must have 4 digits"},
        {"2026-11-30T10:00:00", "no time zone"},
        {"2026-11-30T10:00:00.5", "no time zone"},
        {"2026-11-30T24:00:00Z", "hour 24 is not in 00 to 23"},
        {"2026-11-30T10:61:00Z", "minute 61 is not in 00 to 59"},
        {"2026-11-30T10:00:61Z", "second 61 is not in 00 to 60"},
        {"2026-11-30T10:00:60Z", "second 60 is a leap second"},
        {"2026-11-30T23:59:60+01:00", "second 60 is a leap second"},
        {"2026-13-01T10:00:00Z", "month 13 is not in 01 to 12"},
        {"2026-00-01T10:00:00Z", "month 00 is not in 01 to 12"},
        {"2026-02-30T10:00:00Z", "February 2026 has no day 30"},
        {"2026-02-29T10:00:00Z", "February 2026 has no day 29"},
        {"2026-11-32T10:00:00Z", "day 32 is not in 01 to 31"},
        {"1900-01-01T00:00:00Z", "year 1900 is before 1970"},
        {"1970-01-01T00:00:00+00:01", "year 1969 is before 1970"},
        {"2200-12-31T23:59:59-00:01", "year 2201 is after 2200"},
        {"2026-11-30 10:00:00Z", "no 'T' between date and time"},
        {"2026-11-30", "no 'T' between date and time"},
        {"2026-11-30T10:00Z", "no ':' between minute and second"},
        {"2026-11-30T1:00:00Z", "the hour must have 2 digits"},
        {"2026-11-30T10:00:00.Z", "no digits after the decimal point"},
        {"2026-11-30T10:00:00,5Z", "the seconds must be followed by Z or an offset"},
        {"2026-11-30T10:00:00+24:00", "offset hour 24 is not in 00 to 23"},
        {"2026-11-30T10:00:00+01:60", "offset minute 60 is not in 00 to 59"},
        {"2026-11-30T10:00:00+0100", "no ':' between the hour and the minute of the offset"},
        {"2026-11-30T10:00:00Z ", "more text after the time zone"},
        {" 2026-11-30T10:00:00Z", "the year must have 4 digits"},
        {"+2026-11-30T10:00:00Z", "the year must have 4 digits"},
        {"12026-11-30T10:00:00Z", "no '-' between year and month"},
    };
    for (const auto& [text, complaint] : cases) {
        EXPECT_NE(rfc3339_complaint(text).find(complaint), std::string::npos)
            << text << ": " << rfc3339_complaint(text);
    }
}

TEST(Rfc3339, ReadsWhatTheSuiteWrites)
{
    test::check_property(5000, [](std::uint32_t since_epoch, std::uint16_t ms) {
        const auto at = WallTime(seconds(since_epoch)) + milliseconds(ms % 1000);
        RC_ASSERT(rfc3339_ms(format_rfc3339(at)) == std::int64_t{since_epoch} * 1000 + ms % 1000);
    });
}

std::optional<std::int64_t> epoch_seconds(std::string_view text, WallTime now = WallTime(seconds(1'767'225'600)))
{
    const auto date = parse_http_date(text, now);
    if (!date) return std::nullopt;
    return date->time_since_epoch().count();
}

TEST(HttpDate, is_read_in_all_three_formats)
{
    EXPECT_EQ(epoch_seconds("Sun, 06 Nov 1994 08:49:37 GMT"), 784'111'777);
    EXPECT_EQ(epoch_seconds("Sunday, 06-Nov-94 08:49:37 GMT"), 784'111'777);
    EXPECT_EQ(epoch_seconds("Sun Nov  6 08:49:37 1994"), 784'111'777);
    EXPECT_EQ(epoch_seconds("Tue Nov 15 08:12:31 1994"), 784'887'151);
    EXPECT_EQ(epoch_seconds("Tue, 29 Feb 2000 23:59:59 GMT"), 951'868'799);
    EXPECT_EQ(epoch_seconds("Sat, 31 Dec 2016 23:59:60 GMT"), 1'483'228'800) << "a leap second is the one after it";
    EXPECT_EQ(epoch_seconds("Fri, 31 Dec 9999 23:59:59 GMT"), 253'402'300'799);
}

TEST(HttpDate, a_year_of_two_digits_is_at_most_fifty_years_ahead)
{
    const WallTime in_2026(seconds(1'767'225'600)), in_2099(seconds(4'077'216'000));
    EXPECT_EQ(epoch_seconds("Friday, 01-Jan-27 00:00:00 GMT", in_2026), 1'798'761'600);
    EXPECT_EQ(epoch_seconds("Wednesday, 01-Jan-75 00:00:00 GMT", in_2026), std::nullopt) << "2075 began on a Tuesday";
    EXPECT_EQ(epoch_seconds("Tuesday, 01-Jan-75 00:00:00 GMT", in_2026), 3'313'526'400);
    EXPECT_EQ(epoch_seconds("Saturday, 01-Jan-77 00:00:00 GMT", in_2026), 220'924'800) << "2077 is too far";
    EXPECT_EQ(epoch_seconds("Thursday, 01-Jan-04 00:00:00 GMT", in_2026), 1'072'915'200);
    EXPECT_EQ(epoch_seconds("Thursday, 01-Jan-05 00:00:00 GMT", in_2099), 4'260'211'200) << "the next century";
}

TEST(HttpDate, refuses_what_is_none)
{
    for (const char* text : {"",
                             "Sun",
                             "Sun,",
                             "Sun, 06 Nov 1994 08:49:37",
                             "Sun, 06 Nov 1994 08:49:37 UTC",
                             "Sun, 06 Nov 1994 08:49:37 gmt",
                             "sun, 06 Nov 1994 08:49:37 GMT",
                             "Sun, 06 nov 1994 08:49:37 GMT",
                             "Mon, 06 Nov 1994 08:49:37 GMT",
                             "Sun, 6 Nov 1994 08:49:37 GMT",
                             "Sun,06 Nov 1994 08:49:37 GMT",
                             "Sun, 06  Nov 1994 08:49:37 GMT",
                             "Sun, 06-Nov-1994 08:49:37 GMT",
                             "Sun, 06 Nov 94 08:49:37 GMT",
                             "Sun, 06 Nov 1994 8:49:37 GMT",
                             "Sun, 06 Nov 1994 24:00:00 GMT",
                             "Sun, 06 Nov 1994 08:60:00 GMT",
                             "Sun, 06 Nov 1994 08:49:60 GMT",
                             "Sun, 06 Nov 1994 08:49:3a GMT",
                             "Sun, 06 Nov 1994 08:49:37 GMT ",
                             " Sun, 06 Nov 1994 08:49:37 GMT",
                             "Sun, 06 Nov 1994 08:49:37 GMTx",
                             "Wed, 30 Feb 2000 00:00:00 GMT",
                             "Mon, 29 Feb 1900 00:00:00 GMT",
                             "Mon, 00 Nov 1994 00:00:00 GMT",
                             "Sun, -6 Nov 1994 08:49:37 GMT",
                             "Sun, 06-Nov-94 08:49:37 GMT",
                             "Sunday, 06-Nov-1994 08:49:37 GMT",
                             "Sunday, 06 Nov 94 08:49:37 GMT",
                             "Monday, 06-Nov-94 08:49:37 GMT",
                             "Sun Nov 6 08:49:37 1994",
                             "Sun Nov  0 08:49:37 1994",
                             "Sun Nov  6 08:49:37 1994 GMT",
                             "Sun Nov  6 08:49:37 94",
                             "Sunday Nov  6 08:49:37 1994"})
        EXPECT_EQ(epoch_seconds(text), std::nullopt) << text;
}

TEST(HttpDate, is_written_as_the_Date_header_wants_it)
{
    EXPECT_EQ(format_http_date(WallTime(seconds(784111777))), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(HttpDate, what_the_suite_writes_it_reads)
{
    test::check_property(5000, [](std::uint32_t since_epoch) {
        const WallTime at{seconds(since_epoch)};
        RC_ASSERT(epoch_seconds(format_http_date(at)) == static_cast<std::int64_t>(since_epoch));
    });
}

TEST(HttpDate, no_mutation_of_a_date_is_misread)
{
    test::check_property(20000, [](std::uint8_t place, char letter) {
        std::string text = *rc::gen::element<std::string>("Sun, 06 Nov 1994 08:49:37 GMT",
                                                          "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994");
        text[place % text.size()] = letter;
        const auto read = parse_http_date(text, WallTime(seconds(1'767'225'600)));
        if (!read) return;
        // Whatever is taken is a Sunday at a time of day that the text shows.
        const auto day = std::chrono::floor<std::chrono::days>(*read);
        RC_ASSERT(std::chrono::weekday(day) == std::chrono::Sunday);
        const auto of_day = (*read - day).count();
        RC_ASSERT(text.find(fmt::format("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)) !=
                  text.npos);
    });
}

} // namespace TEST_FILE
} // namespace hotspare
