// PURE: from what was observed to numbers. Quantiles are exact (nearest rank over all samples, never from buckets).
//
// Requests belong to a phase by the moment at which they were due: `healthy` before the first fault is triggered,
// `fault` until the last fault is undone and seen to be undone, `recovered` from then on. A fault that was not
// effective is no fault. One that was never undone lasts to the end, a restart until it was confirmed.
//
// Times of the fault count from `triggered`, the earliest moment at which it can have been effective, so that no
// number flatters the balancer.
//
// Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::experiment {

struct Plan;
struct Run;
struct EventRecord;
struct Journal;

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

/// The smallest of `sorted` that at least `share` of them do not exceed (nearest rank); nothing if there are none.
std::optional<double> quantile(std::span<const double> sorted, double share);

/// What one run came to. A value is absent where it was not observed: no request in that phase, no event, no ledger.
class Measures {
public:
    std::optional<double> of(Measure measure, Phase phase = Phase::all) const noexcept
    {
        return values_[static_cast<std::size_t>(phase)][static_cast<std::size_t>(measure)];
    }
    void set(Measure measure, Phase phase, std::optional<double> value) noexcept
    {
        values_[static_cast<std::size_t>(phase)][static_cast<std::size_t>(measure)] = value;
    }

private:
    std::array<std::array<std::optional<double>, measure_count>, 4> values_{};
};

/// `run` must have its samples in the order of `due`, its faults in that of `triggered`, its events in that of `at`.
Measures measure(const Plan& plan, const Run& run);

/// Whether the event says of the faulty `party` what Measure::detection waits for: that it is no longer healthy, was
/// failed over from or is in quarantine.
bool is_detection(const EventRecord& event, const std::string& party) noexcept;

/// Over the runs in which the value was observed.
struct Spread {
    double median = 0, min = 0, max = 0;
    std::size_t runs = 0;
};
std::optional<Spread> spread(std::span<const Measures> runs, Measure measure, Phase phase = Phase::all);

} // namespace hotspare::experiment
