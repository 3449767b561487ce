// What the checks of one target say: when it went down and came back, confirmed and backdated. A single lost check is
// no outage. It takes samples and answers with what to do (Action) and what to record for the uptime (uptime.hpp). It
// makes no checks, sends no messages (notification.hpp) and computes no figures.
//
//  - `confirm_down` down samples in a row open an incident, backdated to the start of the first of them; `confirm_up`
//    good ones in a row end it, backdated likewise. Up and degraded are both good.
//  - While it is not down, `confirm_degraded` degraded samples in a row make it degraded, and as many up samples make
//    it up again, from the last of them on; a down sample that is not confirmed breaks no such row. The first up sample
//    of all counts at once.
//  - An unknown sample says nothing: it neither extends nor breaks a row. The time from its start to the start of the
//    next sample that says something is recorded as a gap, also within an outage.
//  - A sample that is down but not confirmed leaves the recorded state as it was.
//  - An outage that begins less than `merge_within` after the end of the latest one reopens that incident. The pause
//    counts as up, as it was seen; the duration of an incident is the sum of its outages.
//  - An incident whose every down sample began inside an announced maintenance window is marked `maintenance`. The
//    first one outside removes the mark: the target outlasted its window, and people must be told.
//  - Operators write updates (the words are those of Atlassian Statuspage). They cannot resolve an incident of a target
//    that is down; when it comes back, the incident is resolved by itself.
//
// Samples must come in the order of their starts; one that started before the latest is dropped. The owner sees to it
// that none does when the clock was set back.
//
// PURE: time comes with the samples. One thread; owned by the shell, one per target. `memory()` restores it after a
// restart, for which the shell reports the time in which it did not run as one unknown sample.
#pragma once

#include "monitor/decide/refusal.hpp"
#include "monitor/decide/uptime.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

struct Sample {
    Instant at{}; ///< when the check started
    State state = State::unknown;
    std::string_view cause{};    ///< of a down sample, for people: "connection refused"
    bool in_maintenance = false; ///< `at` lies in an announced window of the target
};

struct IncidentSettings {
    unsigned confirm_down = 3; ///< at least 1
    unsigned confirm_up = 2;   ///< at least 1
    milliseconds merge_within = std::chrono::minutes(1);
    unsigned confirm_degraded = 1; ///< at least 1
};

enum class IncidentStatus : std::uint8_t { investigating, identified, monitoring, resolved };
std::string_view to_string(IncidentStatus) noexcept;

struct IncidentUpdate {
    Instant at{};
    IncidentStatus status = IncidentStatus::investigating;
    std::string message{};
    std::string author{};

    friend bool operator==(const IncidentUpdate&, const IncidentUpdate&) = default;
};

struct Incident {
    std::uint64_t number = 0;    ///< of the target, from 1 on
    std::string cause{};         ///< of the latest down sample
    std::vector<Span> outages{}; ///< ascending; the last one ends at `forever` while the target is down
    bool maintenance = false;
    IncidentStatus status = IncidentStatus::investigating;
    std::vector<IncidentUpdate> updates{};

    Instant since() const noexcept { return outages.front().begin; }
    bool open() const noexcept { return outages.back().end == forever; }
    /// Until now, if it is open.
    milliseconds duration(Instant now) const noexcept;

    friend bool operator==(const Incident&, const Incident&) = default;
};

/// What happened to the incident; the Incident holds the details.
enum class Action : std::uint8_t {
    opened,
    reopened,
    cause_changed,
    outlasted_maintenance, ///< it is no longer marked
    resolved,
};
std::string_view to_string(Action) noexcept;

struct Step {
    std::vector<Action> actions{}; ///< in this order
    std::optional<StateChange> change{};
    std::optional<Instant> gap_begins{};
    std::optional<Instant> gap_ends{};
    std::optional<Instant> outage_begins{};
    std::optional<Instant> outage_ends{};

    bool empty() const noexcept { return *this == Step{}; }
    friend bool operator==(const Step&, const Step&) = default;
};

/// Writes what the step says into the record, in which at most the last outage and the last gap have not ended.
void record(const Step& step, Record& record);

/// All that a tracker knows.
struct IncidentMemory {
    std::optional<Instant> latest{}; ///< start of the latest sample
    State recorded = State::unknown; ///< up, degraded or, until the first good sample, unknown
    bool in_gap = false;
    unsigned down_row = 0;  ///< while up
    unsigned good_row = 0;  ///< while down
    unsigned other_row = 0; ///< while not down: good samples of another state than the recorded one
    Instant row_begin{};
    bool row_in_maintenance = false;    ///< every sample of the row was
    std::optional<Incident> incident{}; ///< the latest one
    std::uint64_t incidents = 0;

    friend bool operator==(const IncidentMemory&, const IncidentMemory&) = default;
};

class IncidentTracker {
public:
    /// Settings below their least count as that.
    explicit IncidentTracker(const IncidentSettings& settings, IncidentMemory memory = {});

    Step observe(const Sample& sample)
    {
        // Nearly every sample: up as before.
        if (sample.state == State::up && state_.recorded == State::up && state_.down_row == 0 && !state_.in_gap &&
            state_.other_row == 0 && !down() && sample.at >= *state_.latest) {
            state_.latest = sample.at;
            return {};
        }
        return weigh(sample);
    }

    /// An operator's word on the latest incident: its author and message are at most 200 bytes and 16 KiB of UTF-8.
    std::optional<Refusal> post(IncidentUpdate update);
    /// The same for an update that was accepted before, whatever has become of the incident since; false if it is not
    /// the latest one any more.
    bool add(std::uint64_t incident, IncidentUpdate update);

    bool down() const noexcept { return state_.incident && state_.incident->open(); }
    /// The recorded state is not known yet, or the next samples may change it.
    bool in_doubt() const noexcept
    {
        return (state_.recorded == State::unknown && !down()) || state_.down_row > 0 || state_.good_row > 0 ||
               state_.other_row > 0;
    }
    /// The latest one, open or not.
    const std::optional<Incident>& incident() const noexcept { return state_.incident; }
    const IncidentMemory& memory() const noexcept { return state_; }

private:
    Step weigh(const Sample& sample);
    void weigh_down(const Sample& sample, Step& step);
    void weigh_good(const Sample& sample, Step& step);

    IncidentSettings settings_;
    IncidentMemory state_;
};

} // namespace hotspare::monitor
