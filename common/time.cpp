#include "common/time.hpp"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <span>
#include <utility>

namespace hotspare {
namespace {

constexpr std::array<std::string_view, 7> weekday_names{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                        "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> month_names{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/// Takes a date apart from the left. What does not fit makes it fail once and for all.
class DateReader {
public:
    explicit DateReader(std::string_view text) : rest_(text) {}

    void literal(std::string_view expected) noexcept
    {
        if (!rest_.starts_with(expected)) return fail();
        rest_.remove_prefix(expected.size());
    }

    unsigned digits(std::size_t count) noexcept
    {
        unsigned value = 0;
        for (std::size_t i = 0; i < count; ++i) {
            if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') {
                fail();
                return 0;
            }
            value = value * 10 + static_cast<unsigned>(rest_.front() - '0');
            rest_.remove_prefix(1);
        }
        return value;
    }

    /// The place of the name that comes next, of which no more than `length` letters are written.
    unsigned name(std::span<const std::string_view> names, std::size_t length = std::string_view::npos) noexcept
    {
        for (std::size_t i = 0; i < names.size(); ++i) {
            const std::string_view name = names[i].substr(0, length);
            if (!rest_.starts_with(name)) continue;
            rest_.remove_prefix(name.size());
            return static_cast<unsigned>(i);
        }
        fail();
        return 0;
    }

    seconds time_of_day() noexcept
    {
        const unsigned hour = digits(2);
        literal(":");
        const unsigned minute = digits(2);
        literal(":");
        const unsigned second = digits(2);
        const bool leap_second = hour == 23 && minute == 59 && second == 60;
        if (hour > 23 || minute > 59 || (second > 59 && !leap_second)) fail();
        return std::chrono::hours(hour) + std::chrono::minutes(minute) + seconds(second);
    }

    bool starts_with(std::string_view text) const noexcept { return rest_.starts_with(text); }
    bool complete() const noexcept { return good_ && rest_.empty(); }

private:
    void fail() noexcept
    {
        good_ = false;
        rest_ = {};
    }

    std::string_view rest_;
    bool good_ = true;
};

} // namespace

std::string format_rfc3339(WallTime time)
{
    const auto whole = std::chrono::floor<milliseconds>(time);
    const std::time_t since_epoch = std::chrono::system_clock::to_time_t(std::chrono::floor<seconds>(whole));
    const auto ms = (whole - std::chrono::floor<seconds>(whole)).count();
    std::tm utc{};
    gmtime_r(&since_epoch, &utc);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                       utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
}

namespace {

/// Reads a date-time from the left and keeps the first complaint.
class TimestampReader {
public:
    explicit TimestampReader(std::string_view text) : rest_(text) {}

    /// Exactly so many digits, from `least` to `most`.
    unsigned number(const char* part, std::size_t count, unsigned least, unsigned most)
    {
        if (failed()) return 0;
        unsigned value = 0;
        for (std::size_t i = 0; i < count; ++i) {
            if (!digit_next()) {
                fail(fmt::format("the {} must have {} digits, as in 2026-11-30T09:05:00Z", part, count));
                return 0;
            }
            value = value * 10 + take_digit();
        }
        if (value < least || value > most)
            fail(fmt::format("{} {:0{}} is not in {:0{}} to {:0{}}", part, value, count, least, count, most, count));
        return value;
    }

    void literal(const char* between, char expected, char or_this)
    {
        if (failed()) return;
        if (rest_.empty() || (rest_.front() != expected && rest_.front() != or_this))
            return fail(fmt::format("no '{}' {}, as in 2026-11-30T09:05:00Z", expected, between));
        rest_.remove_prefix(1);
    }

    /// What follows the point, to the millisecond; zero if there is none.
    milliseconds fraction()
    {
        if (failed() || !rest_.starts_with('.')) return {};
        rest_.remove_prefix(1);
        if (!digit_next()) fail("no digits after the decimal point of the seconds");
        unsigned value = 0, unit = 100;
        for (; digit_next(); unit /= 10) value += take_digit() * unit;
        return milliseconds(value);
    }

    /// How far local time is ahead of UTC.
    std::chrono::minutes offset()
    {
        if (failed()) return {};
        if (rest_.empty()) {
            fail("no time zone: the time must end with Z or an offset such as +01:00");
            return {};
        }
        const char sign = rest_.front();
        if (sign != 'Z' && sign != 'z' && sign != '+' && sign != '-') {
            fail("the seconds must be followed by Z or an offset such as +01:00");
            return {};
        }
        rest_.remove_prefix(1);
        if (sign == 'Z' || sign == 'z') return {};
        const std::chrono::hours h(number("offset hour", 2, 0, 23));
        literal("between the hour and the minute of the offset", ':', ':');
        const std::chrono::minutes m(number("offset minute", 2, 0, 59));
        return sign == '-' ? -(h + m) : h + m;
    }

    void end()
    {
        if (!failed() && !rest_.empty()) fail("there is more text after the time zone");
    }

    void fail(std::string why)
    {
        if (why_.empty()) why_ = std::move(why);
    }

    bool failed() const noexcept { return !why_.empty(); }
    const std::string& why() const noexcept { return why_; }

private:
    bool digit_next() const noexcept { return !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; }
    unsigned take_digit() noexcept
    {
        const auto digit = static_cast<unsigned>(rest_.front() - '0');
        rest_.remove_prefix(1);
        return digit;
    }

    std::string_view rest_;
    std::string why_;
};

} // namespace

boost::system::result<std::chrono::sys_time<milliseconds>, std::string> parse_rfc3339(std::string_view text)
{
    using namespace std::chrono;
    constexpr std::array<std::string_view, 12> full_month_names{"January",   "February", "March",    "April",
                                                                "May",       "June",     "July",     "August",
                                                                "September", "October",  "November", "December"};

    TimestampReader in(text);
    const unsigned y = in.number("year", 4, 0, 9999);
    in.literal("between year and month", '-', '-');
    const unsigned m = in.number("month", 2, 1, 12);
    in.literal("between month and day", '-', '-');
    const unsigned d = in.number("day", 2, 1, 31);
    const year_month_day date = year(static_cast<int>(y)) / month(m) / day(d);
    if (!in.failed() && !date.ok()) in.fail(fmt::format("{} {} has no day {}", full_month_names.at(m - 1), y, d));
    in.literal("between date and time", 'T', 't');
    const unsigned h = in.number("hour", 2, 0, 23);
    in.literal("between hour and minute", ':', ':');
    const unsigned min = in.number("minute", 2, 0, 59);
    in.literal("between minute and second", ':', ':');
    const unsigned s = in.number("second", 2, 0, 60);
    const milliseconds fraction = in.fraction();
    const minutes offset = in.offset();
    in.end();
    if (in.failed()) return in.why();

    const auto minute_utc = sys_days(date) + hours(h) + minutes(min) - offset;
    if (s == 60 && minute_utc - floor<days>(minute_utc) != hours(23) + minutes(59))
        return std::string("second 60 is a leap second, which there is only at 23:59:60 UTC");
    const auto moment = minute_utc + seconds(s) + fraction;
    const int year_utc = static_cast<int>(year_month_day(floor<days>(moment)).year());
    if (year_utc < 1970) return fmt::format("year {} is before 1970", year_utc);
    if (year_utc > 2200) return fmt::format("year {} is after 2200", year_utc);
    return moment;
}

std::string format_http_date(WallTime time)
{
    const std::time_t since_epoch = std::chrono::system_clock::to_time_t(std::chrono::floor<seconds>(time));
    std::tm utc{};
    gmtime_r(&since_epoch, &utc);
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                       weekday_names.at(static_cast<std::size_t>(utc.tm_wday)).substr(0, 3), utc.tm_mday,
                       month_names.at(static_cast<std::size_t>(utc.tm_mon)), utc.tm_year + 1900, utc.tm_hour,
                       utc.tm_min, utc.tm_sec);
}

std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text, WallTime now)
{
    using namespace std::chrono;
    const auto moment = [](int y, unsigned m, unsigned d, seconds of_day) {
        return sys_days(year(y) / month(m) / day(d)) + of_day;
    };

    DateReader in(text);
    const std::size_t comma = text.find(',');
    const bool asctime = comma == text.npos;
    const bool rfc850 = !asctime && comma != 3;

    const unsigned named_weekday = in.name(weekday_names, rfc850 ? text.npos : 3);
    int y = 0;
    unsigned m = 0, d = 0;
    seconds of_day{};
    if (asctime) { // Sun Nov  6 08:49:37 1994
        in.literal(" ");
        m = in.name(month_names) + 1;
        in.literal(" ");
        if (in.starts_with(" ")) {
            in.literal(" ");
            d = in.digits(1);
        } else {
            d = in.digits(2);
        }
        in.literal(" ");
        of_day = in.time_of_day();
        in.literal(" ");
        y = static_cast<int>(in.digits(4));
    } else { // Sun, 06 Nov 1994 08:49:37 GMT or Sunday, 06-Nov-94 08:49:37 GMT
        const std::string_view separator = rfc850 ? "-" : " ";
        in.literal(", ");
        d = in.digits(2);
        in.literal(separator);
        m = in.name(month_names) + 1;
        in.literal(separator);
        y = static_cast<int>(in.digits(rfc850 ? 2 : 4));
        in.literal(" ");
        of_day = in.time_of_day();
        in.literal(" GMT");
    }
    if (!in.complete()) return std::nullopt;

    if (rfc850) {
        // The latest year with these digits that is not more than 50 years ahead.
        const int this_year = static_cast<int>(year_month_day(floor<days>(now)).year());
        y += this_year - this_year % 100 + 100;
        while (moment(y, m, d, of_day) > floor<seconds>(now) + years(50)) y -= 100;
    }
    const year_month_day date = year(y) / month(m) / day(d);
    if (!date.ok() || weekday(sys_days(date)).c_encoding() != named_weekday) return std::nullopt;
    return moment(y, m, d, of_day);
}

} // namespace hotspare
