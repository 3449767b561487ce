#include "common/time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <span>

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

    /// What stands behind a decimal point: 1 to 9 digits.
    std::chrono::nanoseconds fraction() noexcept
    {
        const std::size_t count = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
        if (count < 1 || count > 9) {
            fail();
            return {};
        }
        std::int64_t value = digits(count);
        for (std::size_t i = count; i < 9; ++i) value *= 10;
        return std::chrono::nanoseconds(value);
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

std::optional<WallTime> parse_rfc3339(std::string_view text)
{
    using namespace std::chrono;
    DateReader in(text);
    const int y = static_cast<int>(in.digits(4));
    in.literal("-");
    const unsigned m = in.digits(2);
    in.literal("-");
    const unsigned d = in.digits(2);
    in.literal("T");
    const seconds of_day = in.time_of_day();
    nanoseconds fraction{};
    if (in.starts_with(".")) {
        in.literal(".");
        fraction = in.fraction();
    }
    in.literal(in.starts_with("+") ? "+00:00" : "Z");
    const year_month_day date = year(y) / month(m) / day(d);
    if (!in.complete() || !date.ok()) return std::nullopt;
    const sys_seconds at = sys_days(date) + of_day;
    if (at < ceil<seconds>(WallTime::min()) || at >= floor<seconds>(WallTime::max())) return std::nullopt;
    return WallTime(at) + duration_cast<WallTime::duration>(fraction);
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
