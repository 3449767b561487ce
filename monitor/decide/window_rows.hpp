// Maintenance windows as rows of a table that others write too: what follows from the rows for the windows, and from
// the windows for the rows. It reads and writes no table (serve/window_table.hpp does) and decides nothing about
// windows that maintenance.hpp does not: it proposes commands, each of which the core accepts.
//
// A row belongs to the window whose number it has; a row without one was written by others and is not taken up yet.
//
//  - A row without a number becomes a window, announced when the row was created. If it was created later than the
//    notice before its start, the window is an emergency. A row that starts before it was created starts all the same.
//  - A row that differs from its window changes it. Without the notice that a change needs, the window becomes an
//    emergency. A row that says `cancelled`, and one that is gone, cancels its window.
//  - A row of a later version than its window was written by this monitor before it was killed: the window becomes what
//    the row says. One of an earlier version is behind the history: the row becomes what the window is.
//  - A window that the table never had is added to it: it is from before the table was used.
//  - What the core refuses is left alone, row and window.
//
// A column that holds nothing says nothing: the window has what it has without, which is what a new one has by default.
// A window whose row says nothing of whether it closes pools keeps what it has; its row is from before that column.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/maintenance.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

/// What a row says; nothing where the column holds nothing.
struct WindowRow {
    std::string id{};    ///< of the row, as the database writes it
    std::string stamp{}; ///< another one after each change of the row
    std::optional<std::uint64_t> window{};
    std::optional<Instant> start{}; ///< nothing: it is no moment (infinity)
    std::optional<Instant> end{};
    std::string message{};
    std::optional<std::string> title{};
    std::optional<std::vector<std::string>> components{};
    std::optional<std::string> impact{};
    std::optional<bool> emergency{};
    std::optional<std::string> rrule{};
    std::optional<std::string> time_zone{};
    std::optional<std::string> state{};
    std::optional<std::uint32_t> version{};
    std::optional<Instant> created_at{};
    std::optional<Instant> announced_at{};
    std::optional<Instant> updated_at{};
    std::optional<bool> close_pools{};
    std::optional<std::string> user{}; ///< who asked for what the monitor wrote last

    friend bool operator==(const WindowRow&, const WindowRow&) = default;
};

struct WindowRows {
    std::vector<WindowRow> rows{};
    std::uint64_t last_window = 0; ///< the highest number that a window of this table ever had

    friend bool operator==(const WindowRows&, const WindowRows&) = default;
};

struct RowStep {
    enum class Kind : std::uint8_t {
        create,  ///< a window by `plan`, and its number into the row
        change,  ///< the window to `plan`, and its version into the row
        cancel,  ///< the window, and its row if there is one
        restore, ///< the window becomes `restored`; the row says so already
        write,   ///< the row becomes what the window is
        insert,  ///< a row for the window
        refuse,  ///< nothing
    };
    static constexpr std::size_t no_row = SIZE_MAX;

    Kind kind = Kind::refuse;
    std::size_t row = no_row; ///< of WindowRows::rows
    std::uint64_t window = 0; ///< unless it is created
    WindowPlan plan{};
    Window restored{};
    Instant at{}; ///< the `now` of the command: since when it is known
    /// Who asked for what is restored or cancelled, if this monitor stored the row and came no further. By the word of
    /// the row, which others can write too.
    std::string user{};
    Refusal refusal{};
};

/// What is to be done, in this order; nothing if rows and windows agree. Of a Maintenance with these settings and this
/// memory each command is accepted, if nothing happens in between.
std::vector<RowStep> row_steps(const MaintenanceSettings& settings, const MaintenanceMemory& memory,
                               const WindowRows& table, Instant now);

/// Whether each column that says something about the plan says what it is.
bool says(const WindowRow& row, const WindowPlan& plan);

/// Names as a column of type text or text[] holds them: `{a,"b c"}`, `["a","b"]` or `a, b`.
std::vector<std::string> read_components(std::string_view text);
/// `{"a","b"}`, which both types take.
std::string write_components(const std::vector<std::string>& components);

} // namespace hotspare::monitor
