// The file of the history: its tables, whose it is, and how its columns are written. All instants in it are
// milliseconds since 1970, but for those of units, which are minutes; `forever` ends what has not ended.
//
// Thread: the one that opens the history. No owner: functions.
#pragma once

#include "common/error.hpp"
#include "common/storage/database_file.hpp"
#include "common/storage/sqlite.hpp"
#include "monitor/decide/instant.hpp"
#include "monitor/history/retention.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace hotspare::monitor::schema {

extern const storage::FileFormat file_format;

/// The tables of the rollups, by Unit.
inline constexpr std::array<std::string_view, all_units.size()> unit_tables{"minutes", "hours", "days", "months"};

/// Opens the database for writing, and makes or checks its tables. Throws StartupError, and UsageError if it is another
/// program's.
storage::Database open(const storage::DatabaseFile& file, storage::Synchronous synchronous);

/// Throws StartupError if `made` failed.
template <class T> T started(result<T> made, const std::string& path)
{
    if (!made) throw StartupError(fmt::format("cannot use the history in {}: {}", path, made.error().message()));
    if constexpr (!std::is_void_v<T>) return *std::move(made);
}

inline std::int64_t ms(Instant at) noexcept
{
    return at.time_since_epoch().count();
}
inline Instant from_ms(std::int64_t at) noexcept
{
    return Instant(milliseconds(at));
}
/// Of the minute that holds the instant.
inline std::int64_t minute(Instant at) noexcept
{
    return std::chrono::floor<std::chrono::minutes>(at.time_since_epoch()).count();
}
inline Instant from_minute(std::int64_t at) noexcept
{
    return Instant(std::chrono::minutes(at));
}

/// Runs a statement that yields no rows.
inline result<void> finished(storage::Run& statement)
{
    const auto row = statement->step();
    if (!row) return row.error();
    return {};
}

/// Whether it is the number of a State.
inline bool is_state(std::int64_t number) noexcept
{
    return number >= 0 && number <= static_cast<std::int64_t>(State::unknown);
}

/// Calls `row()`, which returns a result, for each row of a statement that is bound.
template <class Row> result<void> for_each(storage::Run& run, Row&& row)
{
    while (true) {
        const auto there = run->step();
        if (!there) return there.error();
        if (!*there) return {};
        if (const result<void> done = row(); !done) return done;
    }
}

} // namespace hotspare::monitor::schema
