// All that the monitor knows at this moment, and what follows when something happens: what a check found goes through
// its target's tracker into the record, and may be an incident that people are told of; time begins and ends
// maintenance and makes rollups final. The cores decide (decide/, history/retention.hpp), each about its own matter;
// this joins them. It yields what is to be stored, sent and shown, and does none of it.
//
// The shell keeps one order, so that nothing that was acknowledged or told is lost: samples are appended before the
// batch that follows them, a batch is committed before its deliveries are attempted, and what a command prepared is
// committed before it is adopted and answered.
//
// PURE: `now` is an argument, chance a seed. One thread. Owned by the recorder.
#pragma once

#include "common/resilience/health.hpp"
#include "monitor/decide/incident.hpp"
#include "monitor/decide/maintenance.hpp"
#include "monitor/decide/notification.hpp"
#include "monitor/decide/uptime.hpp"
#include "monitor/decide/window_rows.hpp"
#include "monitor/history/rows.hpp"
#include "monitor/pages/own_json.hpp"
#include "monitor/pages/view.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::monitor {

struct BoardSettings {
    MaintenanceSettings maintenance{}; ///< with the components
    NotificationSettings notification{};
    Retention retention{};
    std::string title{};
    std::string base_url{};
    milliseconds clock_tolerance = milliseconds(500); ///< a clock that was set back by more is told of
};

/// How a target is judged and shown.
struct TargetRules {
    IncidentSettings incidents{};
    Objective objective{};
    std::string component{}; ///< the name that windows know: its own, of a balancer's backend the balancer's
    std::string shown_name{};
    bool shown = true; ///< on the public pages
    /// It is the monitor itself: while that does not run it is down, not unknown.
    bool is_self = false;
};

/// What is known of a target from before this process.
struct TargetPast {
    IncidentMemory memory{};
    Record record{};
    std::vector<Rollup> days{};         ///< final ones of the days that are shown, ascending
    std::vector<StoredRollup> months{}; ///< all final ones, ascending
    std::vector<Incident> incidents{};  ///< of the days that are shown, ascending
};

/// What a check found.
struct Observed {
    Instant at{}; ///< when it started
    State state = State::unknown;
    std::string cause{}; ///< unless it is up
    std::optional<microseconds> latency{};
    bool unhealthy = false;       ///< it is down, and yet it does answer, but not as it should
    std::optional<bool> paused{}; ///< a worker's own word
};

/// What happened, for streams of events and the log.
struct BoardEvent {
    enum class Kind : std::uint8_t {
        incident_opened,
        incident_reopened,
        incident_outlasted_maintenance,
        incident_updated,
        incident_resolved,
        state_changed, ///< up, degraded
        window_announced,
        window_changed,
        window_started,
        window_ended,
        window_scheduled, ///< the next occurrence of a series
        window_cancelled,
    };
    Kind kind = Kind::incident_opened;
    Instant at{};
    std::string target{};     ///< of an incident or a state
    std::uint64_t number = 0; ///< of the incident or the window
    std::string text{};       ///< cause, state, or title
    milliseconds duration{};  ///< of a resolved incident
};
std::string_view to_string(BoardEvent::Kind) noexcept;

/// A target as it is now.
struct TargetNow {
    std::string name{};
    State state = State::unknown; ///< confirmed
    bool maintenance = false;     ///< a window about it is in progress
    std::string cause{};          ///< unless it is up
    Instant since{};
    std::optional<Observed> latest{};
    resilience::Health health = resilience::Health::unknown; ///< `state`, with down told from unhealthy
};

class Board {
public:
    Board(BoardSettings settings, MaintenanceMemory maintenance, NotificationMemory notification, std::uint32_t seed);

    /// A target that the history knows. If it was watched before, nothing was observed of it from `unobserved_since`
    /// on. Its index is the number of those before it.
    std::size_t add(const Target& target, TargetRules rules, TargetPast past, std::optional<Instant> unobserved_since,
                    Instant now);

    /// A check that seems to have been made before the latest one, as the clock was set back, counts at the time of
    /// that one: the monitor sees, and what is recorded stays in order.
    void observe(std::size_t target, Observed observed, Instant now);
    /// By how much the clock was found to be set back; once, until it has caught up.
    std::optional<milliseconds> take_set_back() { return std::exchange(set_back_, {}); }
    /// A target that is not watched any more, and all that waits to be stored of it. The targets behind it move up.
    void remove(std::size_t target);
    /// The next checks may change the state of the target.
    bool in_doubt(std::size_t target) const noexcept { return targets_[target].tracker.in_doubt(); }
    /// What time brings. To be called each second.
    void tick(Instant now);

    // Commands. What was prepared is to be stored with adopt() following at once; nothing else may prepare, and tick()
    // may not be called, before that.

    struct Prepared {
        Window window{};
        MaintenanceMemory after{};
        BoardEvent::Kind what = BoardEvent::Kind::window_announced;
    };
    Accepted<Prepared> prepare_window(WindowPlan plan, Instant now) const;
    Accepted<Prepared> prepare_change(std::uint64_t id, WindowPlan plan, Instant now) const;
    Accepted<Prepared> prepare_cancellation(std::uint64_t id, Instant now) const;
    Accepted<Prepared> prepare_restoration(Window window, Instant now) const;
    void adopt(Prepared prepared, Instant now);
    /// The memory with what is closed of a balancer from now on; then the same is adopted.
    MaintenanceMemory prepare_closed(std::string_view balancer, const std::vector<ClosedBackend>& closed) const;
    void adopt_closed(std::string_view balancer, const std::vector<ClosedBackend>& closed);

    /// What the table of windows asks for. New windows have numbers from now on that the table never had.
    std::vector<RowStep> follow(const WindowRows& table, Instant now);

    /// An operator's word on the target's latest incident. It is stored with the batch that is taken at the same time,
    /// as the memory builds on what is in there. Checks may go on until it is adopted.
    struct PreparedUpdate {
        TargetStep step{}; ///< to be stored behind those of the batch
        std::uint64_t incident = 0;
        IncidentUpdate update{};
    };
    Accepted<PreparedUpdate> prepare_update(std::size_t target, IncidentUpdate update) const;
    void adopt(PreparedUpdate prepared);

    // To store and to send.

    /// Samples that changed nothing.
    std::vector<StoredSample> take_samples() { return std::exchange(samples_, {}); }
    /// The deliveries to be attempted once the next batch is committed.
    std::vector<Delivery> take_deliveries(Instant now);
    void delivered(std::uint64_t id, const Attempted& attempted, Instant now);
    /// Nothing if there is nothing to commit.
    std::optional<Batch> take_batch();
    /// A batch that could not be committed; it goes before what has come up since.
    void give_back(Batch batch);
    /// Steps and rollups that wait to be taken.
    std::size_t waiting() const noexcept { return batch_.steps.size() + batch_.rollups.size(); }

    std::vector<BoardEvent> take_events() { return std::exchange(events_, {}); }

    // To show.

    View view(Instant now) const;
    std::size_t size() const noexcept { return targets_.size(); }
    std::optional<std::size_t> find(std::string_view name) const;
    TargetId id(std::size_t target) const { return targets_[target].id; }
    Instant watched_since(std::size_t target) const { return targets_[target].record.watched_since; }
    TargetNow present(std::size_t target) const;
    /// What present() says.
    resilience::Health health(std::size_t target) const noexcept;
    State state(std::size_t target) const noexcept;
    /// How often it came to a health, since add().
    std::uint64_t transitions(std::size_t target, resilience::Health to) const noexcept
    {
        return targets_[target].transitions[static_cast<std::size_t>(to)];
    }
    MonthReport report(std::size_t target, std::chrono::year_month month, Instant now) const;
    const Maintenance& maintenance() const noexcept { return maintenance_; }
    const NotificationMemory& notification() const noexcept { return notification_.memory(); }

private:
    struct Entry {
        TargetId id;
        std::string name;
        TargetRules rules;
        IncidentTracker tracker;
        Record record; ///< without announced windows
        RolledUntil rolled;
        std::vector<Rollup> days;
        std::vector<Rollup> months{};
        std::map<Instant, std::size_t> incidents_of_months{}; ///< by their begin
        std::optional<Observed> latest{};
        std::string degraded_cause{}; ///< of the latest check that found it degraded
        bool unhealthy = false;       ///< the latest check that found it down did
        std::array<std::uint64_t, static_cast<std::size_t>(resilience::Health::healthy) + 1> transitions{};
        Instant changed_at{};
    };
    struct Known {
        std::size_t target;
        Incident incident;
        Instant changed_at;
    };

    void announce(Entry& entry, std::size_t target, const Step& step, Instant now);
    void remember(std::size_t target, const Incident& incident, Instant now);
    void insert_known(Known known);
    void forget_incidents(Instant now);
    void roll(Instant now);
    void maintenance_changed();
    void change_window(const Window& window, BoardEvent::Kind what, Instant at);
    bool in_maintenance(const Entry& entry) const;
    bool is_announced(const Entry& entry, Instant at) const;
    const std::vector<Announcement>& announcements(Instant now) const;
    Record record_of(const Entry& entry, Instant now) const;
    Component component(std::size_t target, Instant now) const;
    std::size_t incidents_of(std::size_t target, const Span& period) const;

    BoardSettings settings_;
    Maintenance maintenance_;
    Notification notification_;
    std::vector<Entry> targets_;
    std::map<std::string, std::size_t, std::less<>> by_name_;
    std::deque<Known> incidents_; ///< in the order in which they began
    std::map<std::uint64_t, Instant> window_changes_;

    Instant behind_until_ = Instant::min(); ///< the latest time that was seen before the clock was set back
    std::optional<milliseconds> set_back_{};
    std::size_t next_to_roll_ = 0;
    std::vector<StoredSample> samples_;
    Batch batch_;
    bool maintenance_changed_ = false;
    bool notification_changed_ = false;
    std::vector<BoardEvent> events_;

    /// Occurrences of windows, which take libical milliseconds; made anew after a change, and each day.
    mutable std::vector<Announcement> announcements_;
    mutable Span announcements_for_{};
};

} // namespace hotspare::monitor
