// What a maintenance window is, and what follows from one by itself: its occurrences, and when each of its notices is
// worth sending. What is accepted and how states change, maintenance.hpp decides.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/recurrence.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

enum class WindowState : std::uint8_t { scheduled, in_progress, completed, cancelled };
std::string_view to_string(WindowState) noexcept;

/// What users will notice, in Statuspage's words.
enum class Impact : std::uint8_t { none, minor, major, critical };
std::string_view to_string(Impact) noexcept;

enum class Notice : std::uint8_t { announcement, day_before, start, end, cancellation };
std::string_view to_string(Notice) noexcept;

/// What an operator says of a window.
struct WindowPlan {
    std::string title{};   ///< a line of at most 200 bytes; may be empty
    std::string message{}; ///< at most 16 KiB, not empty
    Instant start{};
    Instant end{};
    std::vector<std::string> components{}; ///< of the settings'; none means all of them
    Impact impact = Impact::minor;
    std::string rrule{};     ///< empty: once
    std::string time_zone{}; ///< of the rrule
    bool emergency = false;
    bool close_pools = false; ///< the pools of its balancers answer with 503 meanwhile (decide/closing.hpp)

    friend bool operator==(const WindowPlan&, const WindowPlan&) = default;
};

struct Window {
    std::uint64_t id = 0;
    WindowPlan plan{}; ///< start and end are those of the current occurrence
    WindowState state = WindowState::scheduled;
    std::uint32_t version = 0; ///< SEQUENCE of iCalendar: from 0 on, one more for each change
    Instant created_at{};
    Instant announced_at{};  ///< when the notice began
    Instant announced_end{}; ///< the earliest end that this occurrence ever had
    Span first{};            ///< of the series
    std::uint8_t told = 0;   ///< notices that are sent or came to nothing, a bit each

    bool over() const noexcept { return state == WindowState::completed || state == WindowState::cancelled; }
    friend bool operator==(const Window&, const Window&) = default;
};

/// A notice that is to be sent now.
struct DueNotice {
    std::uint64_t window = 0;
    Notice notice = Notice::announcement;
    Span occurrence{};
    friend bool operator==(const DueNotice&, const DueNotice&) = default;
};
/// Those that come with time, in the order in which they are due.
inline constexpr std::array timed_notices{Notice::announcement, Notice::day_before, Notice::start, Notice::end};

/// From when on the notice is due, and until when it is worth sending; empty: it is not sent at all.
Span use_of(const Window& window, Notice notice) noexcept;

/// Whether the notice was sent, or came to nothing.
bool is_told(const Window& window, Notice notice) noexcept;
void mark_told(Window& window, Notice notice) noexcept;

/// Whether a list of components, of which an empty one is all, holds this one.
bool is_about(const std::vector<std::string>& components, std::string_view component);

/// Why the rule of a plan is not accepted, with `first` as its first occurrence; nothing of one that does not recur.
std::optional<Refusal> refuse_rule(const WindowPlan& plan, const Span& first);

/// The occurrence after the one that ends then; nothing if it is the last one.
std::optional<Span> occurrence_after(const WindowPlan& plan, const Span& first, Instant end);

/// The current occurrence and the later ones, of both those that overlap `within`, at most those of 400 days.
std::vector<Span> occurrences_within(const WindowPlan& plan, const Span& first, const Span& within);

} // namespace hotspare::monitor
