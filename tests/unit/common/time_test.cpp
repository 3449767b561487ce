#include "common/time.hpp"

#include "tests/support/property.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

namespace hotspare {
namespace {

TEST(Rfc3339, is_utc_with_milliseconds_rounded_down)
{
    const WallTime epoch{};
    EXPECT_EQ(format_rfc3339(epoch), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(format_rfc3339(epoch + seconds(951'782'400) + microseconds(999'999)), "2000-02-29T00:00:00.999Z");
    EXPECT_EQ(format_rfc3339(epoch - microseconds(1)), "1969-12-31T23:59:59.999Z");
    EXPECT_EQ(format_rfc3339(epoch + seconds(4'102'444'799)), "2099-12-31T23:59:59.000Z");
}

TEST(Rfc3339, in_utc_is_read_to_the_nanosecond)
{
    const WallTime at = WallTime() + seconds(951'782'399);
    EXPECT_EQ(parse_rfc3339("2000-02-28T23:59:59Z"), at);
    EXPECT_EQ(parse_rfc3339("2000-02-28T23:59:59+00:00"), at);
    EXPECT_EQ(parse_rfc3339("2000-02-28T23:59:59.5Z"), at + milliseconds(500));
    EXPECT_EQ(parse_rfc3339("2000-02-28T23:59:59.000001002+00:00"), at + std::chrono::nanoseconds(1002));
    EXPECT_EQ(parse_rfc3339("2016-12-31T23:59:60Z"), parse_rfc3339("2017-01-01T00:00:00Z")) << "a leap second";
    EXPECT_EQ(parse_rfc3339("2262-04-11T00:00:00Z"), WallTime() + seconds(9'223'286'400));
}

TEST(Rfc3339, what_is_no_time_in_utc_is_not_read)
{
    for (const char* text : {"",
                             "2000-02-28",
                             "2000-02-28T23:59:59",
                             "2000-02-28T23:59Z",
                             "2000-02-28 23:59:59Z",
                             "2000-02-28t23:59:59Z",
                             "2000-02-28T23:59:59z",
                             "2000-02-28T23:59:59+01:00",
                             "2000-02-28T23:59:59-00:00",
                             "2000-02-28T23:59:59.Z",
                             "2000-02-28T23:59:59.0000000001Z",
                             "2000-02-28T23:59:59,5Z",
                             "2000-02-28T23:59:59Z ",
                             " 2000-02-28T23:59:59Z",
                             "2000-02-30T00:00:00Z",
                             "1900-02-29T00:00:00Z",
                             "2000-13-01T00:00:00Z",
                             "2000-00-01T00:00:00Z",
                             "2000-01-00T00:00:00Z",
                             "2000-01-01T24:00:00Z",
                             "2000-01-01T12:60:00Z",
                             "2000-01-01T12:59:60Z",
                             "2000-1-1T00:00:00Z",
                             "+2000-01-01T00:00:00Z",
                             "20000-01-01T00:00:00Z",
                             "2262-04-12T00:00:00Z",
                             "9999-12-31T23:59:59Z",
                             "1677-01-01T00:00:00Z"})
        EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
}

TEST(Rfc3339, what_the_suite_writes_it_reads)
{
    test::check_property(5000, [](std::uint64_t since_epoch) {
        const WallTime at{milliseconds(since_epoch % 9'000'000'000'000)};
        RC_ASSERT(parse_rfc3339(format_rfc3339(at)) == at);
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

} // namespace
} // namespace hotspare
