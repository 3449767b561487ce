// May this call be made now, or does the dependency fail so often that it would be in vain? Counts how calls end and
// how long they took; when too many fail or are slow it opens, and calls are refused at once. After a while it lets a
// few probes through (half-open) and closes if they do well. It makes no calls, waits for nothing and sets no deadline:
// its owner asks before each call, makes it, reports. A refusal is no failed attempt (retry.hpp).
//
// When it opens:
//  1. `minimum_calls` have ended within the window and the share of failures, or of slow calls, reaches its limit; or
//  2. `failures_in_a_row` calls failed with no success between, however long they took. A window of time alone would
//     never see `minimum_calls` of a dependency that times out twice a second, and a long window of calls is full of
//     old successes: such a breaker never trips. With the defaults it opens at the fifth failed call at the latest.
//
// When it closes: the probes are `half_open_permits` calls, judged by the same limits as one lot of that size. It
// reopens at the first report after which the lot cannot stay below its limits whatever the rest brings (failures only
// add up, so that is when they reach the limit's share of the whole lot), not at the first failure: the share of a lot
// that is half told says nothing. It closes when all have reported and it has not reopened.
//
// How long it stays open: `open_time`, times `open_time_multiplier` for each reopening since it was last closed, up to
// `max_open_time`, less up to `jitter` of it by chance, so that several breakers do not probe in step. The longest wait
// is what a dependency that has returned waits for its first probe (plus one call deadline where a hanging probe was
// just sent): the defaults, 250 ms growing to 800 ms, leave 200 ms of a second for the probes themselves.
//
// Each state has a generation, and each permit carries that of its state: an answer from an earlier one, say of a call
// that hung since before the outage, is dropped. A probe whose caller never reports is given up after `permit_lifetime`
// as if ignored: it says nothing about the dependency, but it must not hold its place for ever.
//
// PURE: the caller brings the time and a seed. The clock may jump: forward, it ends waits and empties the time window;
// backward, no wait gets longer than it was when it was drawn. One thread; owned by the caller, one per
// dependency.
#pragma once

#include "common/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::resilience {

enum class BreakerState : std::uint8_t {
    closed,      ///< every call is permitted and counted
    open,        ///< every call is refused until the open time is over
    half_open,   ///< a few probes are permitted
    forced_open, ///< by hand: every call is refused
    disabled,    ///< by hand: every call is permitted, nothing opens it
};
std::string_view to_string(BreakerState) noexcept;

enum class WindowKind : std::uint8_t {
    count, ///< the last `window_calls` calls
    time,  ///< the calls that ended in the last `window_time`
};
std::string_view to_string(WindowKind) noexcept;

struct BreakerSettings {
    WindowKind window = WindowKind::count;
    unsigned window_calls = 20;        ///< 1 to 100,000
    Duration window_time = seconds(1); ///< remembered in slots: forgotten up to one slot early
    unsigned window_slots = 10;        ///< 1 to 1,000, each at least 1 ms long
    unsigned minimum_calls = 5;        ///< at least 1; not above window_calls, it would never open
    unsigned failures_in_a_row = 5;    ///< 0 = this rule is off
    double failure_rate = 0.5;         ///< opens when reached; above 0, at most 1
    Duration slow_call = seconds(1);   ///< a call that takes longer is slow; Duration::max() = none is
    double slow_call_rate = 0.8;       ///< opens when reached; above 0, at most 1
    unsigned half_open_permits = 3;    ///< 1 to 1,000
    Duration open_time = milliseconds(250);
    double open_time_multiplier = 1.5;          ///< at least 1
    Duration max_open_time = milliseconds(800); ///< not below open_time, at most a day
    double jitter = 0.2;                        ///< the open time is so much shorter at most; 0 to below 1
    Duration permit_lifetime = seconds(10); ///< of a probe: longer than a call may take, or its answer comes too late
};

enum class CallOutcome : std::uint8_t {
    success, ///< an answer, also one that the caller does not like (a validator says no)
    failure, ///< no answer in time, or one that says that the dependency fails
    ignored, ///< says nothing about the dependency: the caller was cancelled, or the call was wrong from the start
};
std::string_view to_string(CallOutcome) noexcept;

/// Leave for one call, good for one report. Empty when default-made, moved from or reported.
class Permit {
public:
    Permit() = default;
    Permit(Permit&& other) noexcept
        : generation_(std::exchange(other.generation_, 0)), probe_(std::exchange(other.probe_, 0))
    {
    }
    Permit& operator=(Permit&& other) noexcept
    {
        generation_ = std::exchange(other.generation_, 0);
        probe_ = std::exchange(other.probe_, 0);
        return *this;
    }
    Permit(const Permit&) = delete;
    Permit& operator=(const Permit&) = delete;
    ~Permit() = default;

    /// One of the few calls that decide whether the breaker closes: a shorter deadline than usual finds a dependency
    /// that has returned sooner.
    bool is_probe() const noexcept { return probe_ != 0; }
    std::uint64_t generation() const noexcept { return generation_; }

private:
    friend class CircuitBreaker;
    Permit(std::uint64_t generation, std::uint64_t probe) noexcept : generation_(generation), probe_(probe) {}

    std::uint64_t generation_ = 0; ///< 0 = empty
    std::uint64_t probe_ = 0;      ///< number of the probe, 0 = an ordinary call
};

/// Calls that ended, ignored ones not counted. A slow failure is in both.
struct CallTally {
    std::uint32_t calls = 0;
    std::uint32_t failures = 0;
    std::uint32_t slow = 0;

    /// 0 when there were no calls.
    double failure_rate() const noexcept { return calls == 0 ? 0 : static_cast<double>(failures) / calls; }
    double slow_call_rate() const noexcept { return calls == 0 ? 0 : static_cast<double>(slow) / calls; }

    friend bool operator==(const CallTally&, const CallTally&) = default;
};

/// Why a breaker changed its state.
enum class BreakerCause : std::uint8_t {
    failure_rate,
    slow_call_rate,
    failures_in_a_row,
    open_time_over,
    probes_failed,
    probes_slow,
    probes_good,
    by_operator,
};
std::string_view to_string(BreakerCause) noexcept;

struct BreakerTransition {
    BreakerState from = BreakerState::closed;
    BreakerState to = BreakerState::closed;
    TimePoint at{};
    BreakerCause cause = BreakerCause::by_operator;
    CallTally tally{};              ///< leaving closed: the window; leaving half_open: the probes; else empty
    unsigned failures_in_a_row = 0; ///< when it left closed
    unsigned reopenings = 0;        ///< since it was last closed, this one included
    Duration open_for{};            ///< to open: until the first probe
};

/// Since the breaker was made.
struct BreakerCounters {
    std::uint64_t permitted = 0;
    std::uint64_t refused = 0;
    std::uint64_t successes = 0;
    std::uint64_t failures = 0;
    std::uint64_t slow = 0; ///< also counted as success or failure
    std::uint64_t ignored = 0;
    std::uint64_t late = 0;    ///< reports of an earlier generation, of an expired probe, or without a permit
    std::uint64_t expired = 0; ///< probes that were not reported in time
    std::uint64_t opened = 0;  ///< reopenings included, forced ones not

    friend bool operator==(const BreakerCounters&, const BreakerCounters&) = default;
};

/// The whole truth for a status page.
struct BreakerSnapshot {
    BreakerState state = BreakerState::closed;
    TimePoint since{};
    CallTally window{}; ///< closed: now; otherwise as it was when the breaker left closed
    unsigned failures_in_a_row = 0;
    CallTally probes{};            ///< half_open: those that have reported
    unsigned probes_in_flight = 0; ///< half_open
    unsigned reopenings = 0;
    std::optional<TimePoint> retry_at = std::nullopt; ///< open: when the first probe is permitted
    BreakerCounters counters{};

    /// Whether calls are held back, or were seen to fail, as far as is known `now`. A breaker that is not asked stays
    /// half open, or open past its time, for as long as there is nothing to call for: that is no trouble.
    bool in_trouble(TimePoint now) const noexcept;
};

struct Admission {
    std::optional<Permit> permit;                ///< nullopt = refused
    TimePoint retry_at{};                        ///< refused: when it is worth asking again, always later than now
    std::optional<BreakerTransition> transition; ///< asking may turn open into half_open

    explicit operator bool() const noexcept { return permit.has_value(); }
};

/// The outcomes that count, in a ring of slots: one call each, or one stretch of time.
class OutcomeWindow {
public:
    OutcomeWindow(WindowKind kind, unsigned calls, Duration time, unsigned slots);

    void add(bool failed, bool slow, TimePoint now) noexcept;
    const CallTally& tally(TimePoint now) noexcept;
    /// Without forgetting what is too old by now.
    const CallTally& total() const noexcept { return total_; }
    void clear() noexcept;

private:
    void advance(TimePoint now) noexcept;
    void next_slot() noexcept;

    Duration slot_width_; ///< zero: by count
    std::vector<CallTally> slots_;
    std::size_t slot_ = 0;
    Duration::rep slot_number_ = 0; ///< time since the epoch in slots, of the current one
    CallTally total_;               ///< of all slots
};

class CircuitBreaker {
public:
    /// Throws std::invalid_argument that names the setting if one is out of its range.
    CircuitBreaker(const BreakerSettings& settings, std::uint64_t seed, TimePoint now);

    Admission acquire(TimePoint now);

    /// How a permitted call ended and how long it took. What comes too late changes nothing but the counter.
    std::optional<BreakerTransition> report(Permit permit, CallOutcome outcome, Duration took, TimePoint now);

    // By hand. nullopt: it was in that state already.
    std::optional<BreakerTransition> force_open(TimePoint now);
    std::optional<BreakerTransition> disable(TimePoint now);
    /// Closes it, from any state, and forgets the window and how often it reopened; automatic from here on.
    std::optional<BreakerTransition> reset(TimePoint now);

    BreakerState state() const noexcept { return state_; }
    std::uint64_t generation() const noexcept { return generation_; }
    const BreakerCounters& counters() const noexcept { return counters_; }
    BreakerSnapshot snapshot(TimePoint now);

private:
    struct Probe {
        std::uint64_t number;
        TimePoint permitted;
    };

    std::optional<BreakerTransition> judge_calls(TimePoint now);
    std::optional<BreakerTransition> judge_probes(TimePoint now);
    BreakerTransition change(BreakerState to, BreakerCause cause, TimePoint now);
    void expire_probes(TimePoint now) noexcept;
    Duration draw_open_time() noexcept;

    BreakerSettings settings_;
    std::mt19937_64 random_;
    BreakerState state_ = BreakerState::closed;
    TimePoint since_;
    std::uint64_t generation_ = 1;
    OutcomeWindow window_;
    unsigned failures_in_a_row_ = 0;

    unsigned reopenings_ = 0;
    Duration longest_open_; ///< before jitter, of the next time that it opens
    Duration open_for_{};
    TimePoint retry_at_{};

    CallTally probes_;
    std::vector<Probe> in_flight_; ///< probes, at most half_open_permits less those that reported
    std::uint64_t last_probe_ = 0;

    BreakerCounters counters_;
};

} // namespace hotspare::resilience
