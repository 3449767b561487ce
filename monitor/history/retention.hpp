// What is kept of a target, and for how long: which rollups are due, what they hold, and what may be deleted. What is
// kept is bounded: a target has at most so many rows of each kind, whatever happens to it, but for its months, of which
// there are twelve a year.
//
// A rollup is final, and is made once, when its unit is over and nothing can be backdated into it any more: no outage
// that is not confirmed yet, and no recovery. How far that is, settled_until() tells. It is never made again: what is
// learned later, a maintenance window that is announced for the past for example, does not change it.
//
// Minutes and hours of which nothing is known are left out: a monitor that was stopped for a week does not write ten
// thousand rows for each target about it. Days and months are always there.
//
// PURE: `now` is an argument. Any thread.
#pragma once

#include "monitor/decide/incident.hpp"
#include "monitor/decide/uptime.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hotspare::monitor {

inline constexpr std::array all_units{Unit::minute, Unit::hour, Unit::day, Unit::month};

struct Retention {
    milliseconds samples = std::chrono::days(2);
    milliseconds minutes = std::chrono::days(7);
    milliseconds hours = std::chrono::days(90);
    milliseconds days = std::chrono::days(5 * 365 + 1);
    // Months are kept.
    milliseconds changes = std::chrono::days(32); ///< of the state, and gaps; at least until their month is final
    milliseconds incidents = std::chrono::days(5 * 365 + 1); ///< and outages, counted from their end
};

/// The begin of the first minute, hour, day and month that is kept; what begins before may be deleted. Of months:
/// none.
struct Cutoffs {
    Instant samples{};
    std::array<Instant, all_units.size()> units{}; ///< by Unit
    Instant changes{};
    Instant incidents{};
};
Cutoffs cutoffs(const Retention& retention, Instant now);

/// Until when nothing that is recorded of the target can change any more; Instant::min(): nothing is settled.
Instant settled_until(const IncidentMemory& memory) noexcept;

/// For each unit the begin of the first one of which there is no rollup yet.
struct RolledUntil {
    std::array<Instant, all_units.size()> units{}; ///< by Unit

    Instant& of(Unit unit) noexcept { return units[static_cast<std::size_t>(unit)]; }
    Instant of(Unit unit) const noexcept { return units[static_cast<std::size_t>(unit)]; }
    /// The units that hold `at`: of a target that is watched since then.
    static RolledUntil at(Instant at) noexcept;
    friend bool operator==(const RolledUntil&, const RolledUntil&) = default;
};

struct UnitRollup {
    Unit unit = Unit::minute;
    Rollup rollup{};
};

struct DueRollups {
    std::vector<UnitRollup> rollups{}; ///< a minute before the hour that holds it, and so on
    RolledUntil until{};               ///< what follows when they are stored
    bool more = false;                 ///< ask again when they are
};

/// At most so many of each unit are due at once: a day of minutes.
inline constexpr int most_rollups_at_once = 1440;

/// The rollups that have become final. `record` begins at the latest with the month of `rolled`.
DueRollups due_rollups(const Record& record, const RolledUntil& rolled, Instant settled, const Retention& retention,
                       Instant now);

/// Takes out of a record what ended before then, but for the state that held at that time.
void trim(Record& record, Instant before);

} // namespace hotspare::monitor
