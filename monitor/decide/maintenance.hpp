// Announced maintenance: which windows are accepted, how they begin and end, who is told when, and what the banner
// shows. It sends no notices (notification.hpp does), expands no RRULE (recurrence.hpp) and computes no uptime: it says
// which stretches count as announced.
//
// The rules:
//  - A window is announced at least `notice` (48 h) before it starts, to the millisecond, or refused. An emergency
//    needs none, may have begun up to a minute ago, and counts as down time.
//  - While it is scheduled, a change that lets it start earlier, last longer, hit a component more, or recur otherwise
//    is a new announcement, for which the notice begins again: the start must be `notice` from now. Moving it to a
//    later start, or making it shorter, is not.
//  - scheduled -> in_progress -> completed | cancelled. Cancelling one in progress ends it now. One in progress may be
//    shortened and extended; what lies behind the earliest end that it ever had is not announced and counts as seen.
//  - A recurring window is one series: `start` and `end` are its current occurrence. When that is over, the next one is
//    scheduled. Cancelling cancels the series. While an occurrence is in progress, only its end, its texts and
//    whether it closes pools can change.
//  - Two windows that share a component must not overlap; a window without components is about all of them. Series are
//    compared over the coming 400 days.
//
// Notices: at the announcement, a day before the start (if it was announced before that), at the start and at the end,
// each once per occurrence; the announcement once for a series, and again when the times change. When several are due
// at once, as after a late start of the daemon, only the latest is worth sending; the end is told within an hour or not
// at all. A window that was announced and is cancelled before its start has a notice of that.
//
// PURE: `now` is an argument. One thread. Owned by the shell, which stores `memory()` before it answers, and what
// tick() brought together with the notifications that it became.
#pragma once

#include "monitor/decide/closing.hpp"
#include "monitor/decide/refusal.hpp"
#include "monitor/decide/window.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

/// A stretch of announced maintenance that has taken place.
struct PastMaintenance {
    std::uint64_t window = 0;
    Span span{};
    std::vector<std::string> components{};

    friend bool operator==(const PastMaintenance&, const PastMaintenance&) = default;
};

struct MaintenanceMemory {
    std::vector<Window> windows{}; ///< by id
    std::vector<PastMaintenance> past{};
    std::uint64_t last_id = 0;
    std::vector<ClosedBackend> closed{}; ///< by this monitor, until it is confirmed that they are open

    friend bool operator==(const MaintenanceMemory&, const MaintenanceMemory&) = default;
};

/// The announced stretches of one window, or of one that is over.
struct Announcement {
    std::vector<std::string> components{}; ///< none: all
    std::vector<Span> spans{};             ///< ascending
};
/// Those of the component.
std::vector<Span> announced_for(std::string_view component, const std::vector<Announcement>& announcements);

struct MaintenanceSettings {
    std::vector<std::string> components{}; ///< that exist
    std::vector<std::string> operated{};   ///< those of them whose pools may be closed
    milliseconds notice = std::chrono::hours(48);
    milliseconds longest = std::chrono::days(31);
    std::size_t most_windows = 500; ///< that are not over
};

class Maintenance {
public:
    explicit Maintenance(MaintenanceSettings settings, MaintenanceMemory memory = {});

    // Commands. Refused: nothing has changed, and the field is one of WindowPlan as the HTTP interface names it
    // (`title`, `message`, `start_time`, `end_time`, `components`, `impact`, `rrule`, `time_zone`, `emergency`,
    // `close_pools`), `id` or `state`. Call tick() first, so that the states are those of `now`, and after it, for what
    // became due.

    Accepted<Window> create(WindowPlan plan, Instant now);
    /// `plan` is the whole new plan. One that equals the old one changes nothing, not even the version.
    Accepted<Window> change(std::uint64_t id, WindowPlan plan, Instant now);
    Accepted<Window> cancel(std::uint64_t id, Instant now);

    /// Takes up a window as it was accepted before, in place of the one with its number if there is one. Refused as a
    /// new one would be, but for the notice and the past.
    std::optional<Refusal> restore(Window window, Instant now);
    /// New windows have numbers above this one.
    void skip_numbers(std::uint64_t last) noexcept;

    struct Transition {
        std::uint64_t window = 0;
        WindowState to = WindowState::scheduled; ///< scheduled: the next occurrence of a series
        Instant at{};                            ///< when it was due; earlier than now after a late start
        friend bool operator==(const Transition&, const Transition&) = default;
    };
    struct Due {
        std::vector<Transition> transitions{};
        std::vector<DueNotice> notices{};
    };
    /// What this monitor has closed of a balancer from now on.
    void set_closed(std::string_view balancer, const std::vector<ClosedBackend>& closed);

    /// What the passing of time brings. A second call at the same time brings nothing.
    Due tick(Instant now);
    /// When tick() has something to do next, if no command comes; in the past: now; `forever`: never.
    Instant wake_at() const noexcept;

    enum class Phase : std::uint8_t {
        none,
        announced, ///< starts within 48 h
        in_progress,
    };
    struct Banner {
        Phase phase = Phase::none;
        std::uint64_t window = 0; ///< in progress: the one that ends last; announced: the one that starts first
        friend bool operator==(const Banner&, const Banner&) = default;
    };
    Banner banner(Instant now) const noexcept;

    /// The stretches in which announced maintenance was, is, or is planned, that overlap the period. Of planned series
    /// at most those within 400 days.
    std::vector<Announcement> announcements(const Span& period) const;
    /// Those of the component; for Record::announced.
    std::vector<Span> announced(std::string_view component, const Span& period) const
    {
        return announced_for(component, announcements(period));
    }
    /// Of a window that is not over, at most so many occurrences that end after `after`.
    std::vector<Span> upcoming(const Window& window, Instant after, std::size_t most) const;

    const Window* find(std::uint64_t id) const noexcept;
    std::span<const Window> windows() const noexcept { return memory_.windows; }
    const MaintenanceMemory& memory() const noexcept { return memory_; }
    /// Drops windows that are over, and past stretches, that ended before then.
    void forget(Instant before);

private:
    std::optional<Refusal> refuse_plan(const WindowPlan& plan) const;
    std::optional<Refusal> refuse_overlap(const WindowPlan& plan, const Span& first, std::uint64_t own_id,
                                          Instant now) const;
    Accepted<Window> change_in_progress(Window& window, WindowPlan plan, Instant now);
    Accepted<Window> change_scheduled(Window& window, WindowPlan plan, Instant now);
    Window* find_mutable(std::uint64_t id) noexcept;
    void keep_as_past(const Window& window);
    void advance(Window& window, Instant now, Due& due);
    static void tell(Window& window, Instant now, Due& due);

    MaintenanceSettings settings_;
    MaintenanceMemory memory_;
};

} // namespace hotspare::monitor
