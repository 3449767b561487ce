#include "experiment/record/condition.hpp"

#include "common/config.hpp"

#include <fmt/format.h>

#include <cmath>

namespace hotspare::experiment {
namespace {

struct Named {
    std::string_view name;
    Unit unit;
    bool phases;
    bool lower_is_better;
};

constexpr std::array<Named, measure_count> names{{
    {"requests", Unit::count, true, false},
    {"failed", Unit::count, true, true},
    {"lost", Unit::count, true, true},
    {"error_rate", Unit::share, true, true},
    {"availability", Unit::share, true, false},
    {"stalled", Unit::count, true, true},
    {"failed_not_in_flight", Unit::count, false, true},
    {"given_up", Unit::count, true, true},
    {"duplicated", Unit::count, true, true},
    {"p50", Unit::milliseconds, true, true},
    {"p99", Unit::milliseconds, true, true},
    {"max", Unit::milliseconds, true, true},
    {"detection", Unit::milliseconds, false, true},
    {"failover", Unit::milliseconds, false, true},
    {"failback", Unit::milliseconds, false, true},
    {"outage", Unit::milliseconds, false, true},
    {"gap", Unit::milliseconds, false, true},
    {"lag_p99", Unit::milliseconds, false, true},
    {"lag_max", Unit::milliseconds, false, true},
}};

constexpr std::array<std::string_view, phases.size()> phase_names{"all", "healthy", "fault", "recovered"};

const Named& named(Measure measure) noexcept
{
    return names[static_cast<std::size_t>(measure)];
}

/// With so many decimals at most, and none that say nothing.
std::string trimmed(double value, int decimals)
{
    std::string text = fmt::format("{:.{}f}", value, decimals);
    if (text.find('.') == std::string::npos) return text;
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text == "-0" ? "0" : text;
}

} // namespace

std::string_view to_string(Phase phase) noexcept
{
    return phase_names[static_cast<std::size_t>(phase)];
}

std::optional<Phase> phase_of(std::string_view word) noexcept
{
    for (const Phase phase : phases)
        if (to_string(phase) == word) return phase;
    return std::nullopt;
}

std::string_view to_string(Measure measure) noexcept
{
    return named(measure).name;
}

std::optional<Measure> measure_of(std::string_view word) noexcept
{
    for (std::size_t i = 0; i < measure_count; ++i)
        if (names[i].name == word) return static_cast<Measure>(i);
    return std::nullopt;
}

Unit unit_of(Measure measure) noexcept
{
    return named(measure).unit;
}

bool has_phases(Measure measure) noexcept
{
    return named(measure).phases;
}

bool lower_is_better(Measure measure) noexcept
{
    return named(measure).lower_is_better;
}

std::string format(Measure measure, double value)
{
    switch (unit_of(measure)) {
    case Unit::count: return trimmed(value, 1); // a median of an even number of runs may lie between
    case Unit::share: {
        constexpr double least = 1e-6; // what four decimals can tell from 0 % and 100 %
        if (value > 0 && value < least) return "< 0.0001 %";
        if (value < 1 && value > 1 - least) return "> 99.9999 %";
        return trimmed(value * 100, 4) + " %";
    }
    case Unit::milliseconds: {
        const double size = std::abs(value);
        return trimmed(value, size < 10 ? 2 : size < 1000 ? 1 : 0) + " ms";
    }
    }
    return {};
}

std::optional<double> read_bound(Measure measure, std::string_view text)
{
    switch (unit_of(measure)) {
    case Unit::count: {
        const auto value = config::parse_unsigned(text, std::uint64_t{1} << 53);
        if (!value) return std::nullopt;
        return static_cast<double>(*value);
    }
    case Unit::share: {
        const bool percent = text.ends_with('%');
        if (percent) text.remove_suffix(1);
        if (percent && text.ends_with(' ')) text.remove_suffix(1);
        const auto value = config::parse_number(text);
        if (!value || *value < 0 || *value > (percent ? 100 : 1)) return std::nullopt;
        return percent ? *value / 100 : *value;
    }
    case Unit::milliseconds: {
        const auto value = config::parse_duration(text);
        if (!value) return std::nullopt;
        return static_cast<double>(std::chrono::nanoseconds(*value).count()) / 1e6;
    }
    }
    return std::nullopt;
}

std::string problem_of(const Condition& condition)
{
    const std::string_view measure = to_string(condition.measure);
    if (condition.phase != Phase::all && !has_phases(condition.measure))
        return fmt::format("{} is known of the whole run only, not of the phase '{}'", measure,
                           to_string(condition.phase));
    if (condition.at_most.empty() && condition.at_least.empty())
        return fmt::format("{} has no bound: give at_most, at_least or both", measure);
    constexpr std::array expected{"a whole number", "a share such as 0.1% or 0.001",
                                  "a duration such as 50ms"}; // by Unit
    for (const std::string& bound : {condition.at_most, condition.at_least})
        if (!bound.empty() && !read_bound(condition.measure, bound))
            return fmt::format("{} is no bound of {}, expected {}", config::in_quotes(bound), measure,
                               expected[static_cast<std::size_t>(unit_of(condition.measure))]);
    if (const Bounds bounds = bounds_of(condition); bounds.least > bounds.most)
        return fmt::format("{} cannot be at least {} and at most {}", measure, condition.at_least, condition.at_most);
    return {};
}

Bounds bounds_of(const Condition& condition)
{
    Bounds bounds;
    if (!condition.at_most.empty()) bounds.most = read_bound(condition.measure, condition.at_most).value();
    if (!condition.at_least.empty()) bounds.least = read_bound(condition.measure, condition.at_least).value();
    return bounds;
}

} // namespace hotspare::experiment
