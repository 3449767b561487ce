// How available a target was: interval arithmetic over what is recorded of it, exact to the millisecond. It asks only
// for stretches of time, so that its cost follows the number of changes and not the number of checks. It neither checks
// (incident.hpp says what became of the checks) nor stores (the owner keeps records and rollups).
//
// Each millisecond of a period that lies between `watched_since` and now has one state and is or is not in an announced
// maintenance window:
//   1. unknown in a gap, as nothing was observed then, whatever is recorded beside it;
//   2. otherwise down in an outage, which was confirmed and so is backdated over what was recorded before;
//   3. otherwise the state of the latest change, and unknown before the first one.
// Windows that overlap count once. Emergency maintenance is no announced window: it counts as what was observed.
//
//   good  = up + degraded                      a degraded target answers
//   known = up + degraded + down
//   raw   = good / known
//   SLA   = (good - good in windows) / (known - known time in windows)
//
// So time inside an announced window counts neither for nor against the SLA, be it up or down; were the good time in
// windows left in the dividend, a month could exceed 100 %. Unknown time counts in neither figure. Where the divisor is
// zero there is no figure; it is never taken for 100 %. A month in progress ends now.
//
// Error budget of a month (Site Reliability Engineering, chapter 3), with the objective 99.9 % as example:
//   allowed = 0.1 % of (known time outside windows so far + what is left of the month outside windows)
//   spent   = down time outside windows            left = allowed - spent, below zero when overspent
// When the month is over, `left` is negative exactly if the SLA is below the objective.
//
// Burn rate of a stretch (The Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts"):
//   rate = (down / known, both outside windows) / (1 - objective)
// A rate of 1 spends the budget of a month in a month. An alert fires while both its windows reach its rate: the long
// one shows that it matters, the short one that it goes on.
//
// PURE: `now` is an argument. Any thread.
#pragma once

#include "monitor/decide/instant.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

enum class State : std::uint8_t { up, degraded, down, unknown };
std::string_view to_string(State) noexcept;

/// The state from `at` on.
struct StateChange {
    Instant at{};
    State state = State::unknown;

    friend bool operator==(const StateChange&, const StateChange&) = default;
};

/// What is recorded of a target. What has not ended ends at `forever`.
struct Record {
    Instant watched_since{};
    std::vector<StateChange> changes{}; ///< ascending; of two at one instant the later one holds
    std::vector<Span> outages{};        ///< confirmed, from the first failed check on; in any order, may overlap
    std::vector<Span> gaps{};           ///< not observed; likewise
    std::vector<Span> announced{};      ///< maintenance windows that are no emergency; likewise
};

/// Time by state, of any stretch: those of neighbours add up to that of both.
struct Tally {
    milliseconds up{}, degraded{}, down{}, unknown{}; ///< outside announced windows
    /// The same inside announced windows.
    milliseconds window_up{}, window_degraded{}, window_down{}, window_unknown{};

    milliseconds& of(State state, bool in_window) noexcept;

    /// All time, observed or not.
    milliseconds total() const noexcept;
    milliseconds good() const noexcept { return up + degraded + window_up + window_degraded; }
    milliseconds all_down() const noexcept { return down + window_down; }
    milliseconds all_unknown() const noexcept { return unknown + window_unknown; }
    milliseconds known() const noexcept { return good() + all_down(); }
    /// Announced maintenance, whatever the target did meanwhile.
    milliseconds maintenance() const noexcept;
    /// Known time that counts for the SLA.
    milliseconds counted() const noexcept { return up + degraded + down; }

    /// From 0 to 1; none without known time.
    std::optional<double> raw() const noexcept;
    /// From 0 to 1; none without known time outside windows.
    std::optional<double> sla() const noexcept;

    Tally& operator+=(const Tally& other) noexcept;
    friend bool operator==(const Tally&, const Tally&) = default;
};

/// Of the part of the period that is over and in which the target was watched.
Tally tally(const Record& record, const Span& period, Instant now);

/// A tally of one calendar unit.
struct Rollup {
    Instant begin{}; ///< of the unit
    Tally tally{};
};

/// The tallies of all units that the period touches, each clipped to the period, in one pass; units without any time to
/// count are left out. Adding up those that lie in a longer stretch gives the tally of that stretch exactly. A unit may
/// be kept for good when it is over and no outage can be backdated into it any more.
std::vector<Rollup> rollups(const Record& record, const Span& period, Unit unit, Instant now);

/// Of the rollups that begin in the period, which must begin and end where units do.
Tally sum(std::span<const Rollup> rollups, const Span& period) noexcept;

/// An objective for the SLA in parts of a million: 99.9 % are 999,000. Exact, unlike a floating-point number.
struct Objective {
    std::uint32_t ppm = 999'000; ///< at most 1,000,000
};

struct Budget {
    milliseconds allowed{}; ///< down time, rounded down
    milliseconds spent{};
    milliseconds left{}; ///< negative: overspent
};

/// `so_far`: the month until now. `ahead`: what is left of the month without announced windows (`outside_windows`).
Budget error_budget(const Tally& so_far, milliseconds ahead, Objective objective) noexcept;

/// How much of the stretch lies in no announced window.
milliseconds outside_windows(const Span& stretch, const std::vector<Span>& announced);

/// One row of the workbook's table of alerts.
struct BurnAlert {
    std::uint32_t tenths; ///< fires from this rate on, in tenths
    milliseconds long_window;
    milliseconds short_window;
    bool page; ///< wakes a person; otherwise a ticket
};
inline constexpr std::array<BurnAlert, 4> burn_alerts{{
    {144, std::chrono::hours(1), std::chrono::minutes(5), true},
    {60, std::chrono::hours(6), std::chrono::minutes(30), true},
    {30, std::chrono::hours(24), std::chrono::hours(2), false},
    {10, std::chrono::hours(72), std::chrono::hours(6), false},
}};

struct Burn {
    std::optional<double> long_rate; ///< none without counted time
    std::optional<double> short_rate;
    bool firing = false;

    friend bool operator==(const Burn&, const Burn&) = default;
};

/// For each of `burn_alerts`. `tally_of` answers for any stretch that ends now, from a record or from rollups. With an
/// objective of 100 % the rate of any down time is infinite.
std::array<Burn, burn_alerts.size()> burns(const std::function<Tally(const Span&)>& tally_of, Instant now,
                                           Objective objective);

} // namespace hotspare::monitor
