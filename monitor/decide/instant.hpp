// Points and stretches of wall time, in UTC, as everything in the monitor counts them: by the millisecond, over the
// years 1970 to 2200 and far beyond. Stretches are half-open: neighbours share no millisecond and leave none out.
//
// PURE. Any thread.
#pragma once

#include "common/clock.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace hotspare::monitor {

using Instant = std::chrono::sys_time<milliseconds>;

/// The end of what has not ended. Nothing may be added to it.
inline constexpr Instant forever = Instant::max();

/// From `begin` on, up to but without `end`. Empty if `end` is not after `begin`.
struct Span {
    Instant begin{};
    Instant end{};

    constexpr bool empty() const noexcept { return end <= begin; }
    constexpr milliseconds length() const noexcept { return empty() ? milliseconds(0) : end - begin; }
    constexpr bool contains(Instant at) const noexcept { return begin <= at && at < end; }
    constexpr bool overlaps(const Span& other) const noexcept
    {
        return !empty() && !other.empty() && begin < other.end && other.begin < end;
    }
    friend bool operator==(const Span&, const Span&) = default;
};

constexpr Span intersection(const Span& a, const Span& b) noexcept
{
    return {std::max(a.begin, b.begin), std::min(a.end, b.end)};
}

/// The same time as ascending stretches that neither overlap nor touch; empty ones are left out.
inline std::vector<Span> united(std::vector<Span> spans)
{
    std::erase_if(spans, [](const Span& s) { return s.empty(); });
    std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
    std::vector<Span> result;
    for (const Span& s : spans) {
        if (!result.empty() && s.begin <= result.back().end)
            result.back().end = std::max(result.back().end, s.end);
        else
            result.push_back(s);
    }
    return result;
}

/// The calendar unit that a rollup covers, in UTC.
enum class Unit : std::uint8_t { minute, hour, day, month };

/// The unit that holds the instant.
inline Span unit_around(Instant at, Unit unit) noexcept
{
    using namespace std::chrono;
    const auto of = [at](auto width) {
        const auto begin = Instant(floor<milliseconds>(floor<decltype(width)>(at)));
        return Span{begin, begin + width};
    };
    switch (unit) {
    case Unit::minute: return of(minutes(1));
    case Unit::hour: return of(hours(1));
    case Unit::day: return of(days(1));
    case Unit::month: break;
    }
    const year_month_day date(floor<days>(at));
    const auto first = date.year() / date.month() / 1;
    return {Instant(sys_days(first)), Instant(sys_days(first + months(1)))};
}

/// The calendar month, which must be `ok()`.
inline Span month_span(std::chrono::year_month month) noexcept
{
    return unit_around(Instant(std::chrono::sys_days(month / 1)), Unit::month);
}

} // namespace hotspare::monitor
