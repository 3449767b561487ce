#include "common/time.hpp"

#include <fmt/format.h>

#include <ctime>

namespace hotspare {

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

} // namespace hotspare
