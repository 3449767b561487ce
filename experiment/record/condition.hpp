// PURE: what can be promised of an experiment: the measures by name, with their units and phases, and a bound for one
// of them as it is written down. What a measure comes to in a run is measure.hpp's business, whether a promise was kept
// verdict.hpp's.
//
// Any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::experiment {

enum class Phase : std::uint8_t { all, healthy, fault, recovered };
inline constexpr std::array phases{Phase::all, Phase::healthy, Phase::fault, Phase::recovered};
/// "all", "healthy", ...; phase_of() is its inverse.
std::string_view to_string(Phase phase) noexcept;
std::optional<Phase> phase_of(std::string_view word) noexcept;

enum class Measure : std::uint8_t {
    // Counts and shares; of the streams that must succeed.
    requests,             ///< due
    failed,               ///< without a good answer
    lost,                 ///< failed, and executed by no server
    error_rate,           ///< failed / requests
    availability,         ///< 1 - error_rate
    stalled,              ///< took longer than 100 ms, or failed
    failed_not_in_flight, ///< failed although no fault met it on its way: sent after the fault was confirmed, or never;
                          ///< of the whole run only
    // Of the streams that may fail, because they must not be repeated.
    given_up, ///< without a good answer
    // Of all streams.
    duplicated, ///< not repeatable, and executed more than once
    // Latencies of good answers in the streams that must succeed, in milliseconds.
    p50,
    p99,
    max,
    // Durations in milliseconds, of the whole run only.
    detection, ///< first fault -> the first event about that party: no longer healthy, failed over from, quarantined
    failover,  ///< first fault -> the first good answer by another backend that came after it; absent if the party had
               ///< not served before, as there was nothing to hand over
    failback,  ///< last undoing -> the first good answer by the party that was hit, due after it
    outage,    ///< of the streams that must succeed: sum of the stretches first failed due -> next good due
    gap,       ///< longest stretch without a good answer in any stream, from 0 to the last due
    // The instrument itself, in milliseconds, of the whole run only.
    lag_p99, ///< sent - due, of what was sent and had not to wait for a connection
    lag_max,
};
inline constexpr std::size_t measure_count = static_cast<std::size_t>(Measure::lag_max) + 1;

enum class Unit : std::uint8_t { count, share, milliseconds };
/// "requests", "p99", "lag_max": the enumerator's name; measure_of() is its inverse.
std::string_view to_string(Measure measure) noexcept;
std::optional<Measure> measure_of(std::string_view word) noexcept;
Unit unit_of(Measure measure) noexcept;
/// Whether it is known of a single phase, or only of the whole run.
bool has_phases(Measure measure) noexcept;
/// Whether a smaller value is the better one.
bool lower_is_better(Measure measure) noexcept;
/// "0", "99.98 %", "23.4 ms". A share that is not quite 0 or 1 is never shown as one of them.
std::string format(Measure measure, double value);

/// A promise: `measure` of `phase` is within these bounds, in every single run.
struct Condition {
    Measure measure = Measure::failed;
    Phase phase = Phase::all;
    std::string at_most; ///< in the measure's unit: a number, a share such as 0.1%, or a duration; empty = no bound
    std::string at_least;
};

/// What is wrong with a condition: no bound, a bound that is no value of its measure, a phase of something that is only
/// known of the whole run. Empty if nothing is.
std::string problem_of(const Condition& condition);

/// A bound in its measure's unit: `3`; `0.1%` or `0.001`; `50ms`, which is 50. Nothing if it is no such value.
std::optional<double> read_bound(Measure measure, std::string_view text);

/// Bounds as numbers; what is not given excludes nothing.
struct Bounds {
    double least = -std::numeric_limits<double>::infinity();
    double most = std::numeric_limits<double>::infinity();

    /// How far a value is beyond them; negative or 0 if it is within.
    double excess(double value) const noexcept { return std::max(value - most, least - value); }
    /// 999 of 1000 are 99.9 %, even if binary fractions say that they miss it by the 17th digit.
    bool admit(double value) const noexcept { return excess(value) <= 1e-12; }
};
/// Of a condition that problem_of() finds nothing wrong with.
Bounds bounds_of(const Condition& condition);

} // namespace hotspare::experiment
