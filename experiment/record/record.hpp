// PURE: everything that was observed in an experiment, raw. Every number that is ever shown is computed from this and
// from nothing else (measure.hpp), so that it can be computed again from the file.
//
// The file is JSON lines. All times are nanoseconds after the moment at which the run's load began, on one monotonic
// clock; keys whose text is empty or whose word is `no` are left out where `?` says so.
//
//   {"type":"experiment","format":1,"name":…,"plan":YAML,"seed":…,"repeat":…,"target":…,"backends":[…],"environment":…}
//   and for each run
//   {"type":"run","number":1,"seed":…,"started":RFC 3339,"counted":true}
//   {"type":"probe","probe":0,"stage":"before","at":…,"took":…,"passed":true,"detail"?:…}
//   {"type":"fault","step":0,"triggered":…,"confirmed":…,"effective":true,"evidence"?:…,"undone"?:…}
//   {"type":"event","at":…,"id"?:…,"kind":…,"backend"?:…,"pool"?:…,"from"?:…,"to"?:…,"cause"?:…}
//   {"type":"sample","i":INDEX,"st":STREAM,"due":…,"sent":…,"first":FIRST BYTE,"done":…,"end":OUTCOME,"code":STATUS,
//    "by"?:SERVED BY,"waited"?:true,"via"?:[[BACKEND,OUTCOME,MS,STATUS],[BACKEND,OUTCOME,MS,STATUS,"hedge"],…]}
//   {"type":"execution","i":INDEX,"backend":…,"times":1}
//   {"type":"end","run":1,"probes":n,"faults":n,"events":n,"samples":n,"executions":n,"invalid"?:…,"aborted"?:…}
//
// Any thread.
#pragma once

#include "common/error.hpp"
#include "experiment/record/plan.hpp"

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::experiment {

using Nanos = std::chrono::nanoseconds;

constexpr double to_milliseconds(Nanos time) noexcept
{
    return static_cast<double>(time.count()) / 1e6;
}

/// How one request ended, for the client.
enum class Outcome : std::uint8_t {
    good,       ///< a complete answer with status 2xx and the expected body
    status,     ///< a complete answer with another status
    wrong_body, ///< 2xx without the expected body
    refused,    ///< no connection: nothing was sent
    broken,     ///< the connection ended before the first byte of the answer
    truncated,  ///< ... or inside it
    malformed,  ///< what came is not HTTP
    timed_out,  ///< no complete answer within the plan's timeout
};
std::string_view to_string(Outcome outcome) noexcept;
std::optional<Outcome> outcome_of(std::string_view word) noexcept;

/// One attempt of the balancer, by its own access log; `outcome` in its words.
struct Hop {
    std::string backend;
    std::string outcome;
    double ms = 0;
    bool hedge = false;
    unsigned status = 0; ///< of the backend's answer; 0: none, or the log does not say

    bool operator==(const Hop&) const = default;
};

struct Sample {
    std::uint64_t index = 0;  ///< within the run, in the order of `due`
    std::uint32_t stream = 0; ///< of the plan
    Nanos due{};
    Nanos sent{};       ///< handed to the kernel; equal to `done` if that was impossible
    Nanos first_byte{}; ///< of the answer; equal to `done` if none came
    Nanos done{};
    Outcome outcome = Outcome::good;
    unsigned status = 0;    ///< 0 unless a whole head was read
    std::string served_by;  ///< the backend's name; empty if unknown
    bool waited = false;    ///< every connection was busy when it was due: its lag is not the generator's
    std::vector<Hop> trail; ///< empty if the balancer keeps none

    /// From the moment it was due: a stall is not hidden by clients that wait (coordinated omission).
    Nanos latency() const noexcept { return done - due; }
    bool operator==(const Sample&) const = default;
};

/// A fault as it happened.
struct FaultRecord {
    std::uint32_t step = 0; ///< of the plan
    Nanos triggered{};      ///< immediately before it was made: the earliest moment that it can have been effective
    Nanos confirmed{};      ///< when it was seen to be effective; meaningless without `effective`
    bool effective = false;
    std::string evidence;        ///< what was seen, or why not
    std::optional<Nanos> undone; ///< when the undoing was seen to be complete

    bool operator==(const FaultRecord&) const = default;
};

/// What the balancer said on /events, stamped when it reached us.
struct EventRecord {
    Nanos at{};
    std::string id;   ///< the balancer's own
    std::string kind; ///< transition, failover, failback, ...
    std::string backend, pool, from, to, cause;

    bool operator==(const EventRecord&) const = default;
};

enum class Stage : std::uint8_t { before, during, after, restored };
std::string_view to_string(Stage stage) noexcept;
std::optional<Stage> stage_of(std::string_view word) noexcept;

struct ProbeRecord {
    std::uint32_t probe = 0; ///< of the plan
    Stage stage = Stage::before;
    Nanos at{};
    Nanos took{};
    bool passed = false;
    std::string detail; ///< why not

    bool operator==(const ProbeRecord&) const = default;
};

/// What the counting origins wrote down: this request was executed there so often.
struct Execution {
    std::uint64_t index = 0;
    std::string backend;
    std::uint32_t times = 0;

    bool operator==(const Execution&) const = default;
};

struct Run {
    std::uint32_t number = 0; ///< from 1
    std::uint64_t seed = 0;   ///< of the arrivals
    std::string started;      ///< RFC 3339
    std::vector<ProbeRecord> probes;
    std::vector<FaultRecord> faults;
    std::vector<EventRecord> events;
    std::vector<Sample> samples;
    std::vector<Execution> executions;
    bool counted = false; ///< the origins kept a ledger; without it nothing is known of losses and duplicates
    std::string invalid;  ///< why the instruments cannot be trusted; empty = they can
    std::string aborted;  ///< why it was ended early; empty = it was not

    bool operator==(const Run&) const = default;
};

/// What was measured, where, with what.
struct Journal {
    Plan plan;
    std::uint64_t seed = 0;
    std::uint32_t repeat = 1;          ///< valid runs that were asked for, so that a bad one cannot be left out later
    std::string target;                ///< "hotspare", "nginx", a URL, ...
    std::vector<std::string> backends; ///< in order of preference
    std::string environment; ///< a JSON object: machine, versions, configuration of the target; empty: unknown
    std::vector<Run> runs;
};

/// Writes one part of the file. The caller checks the stream. What is not UTF-8 in a text is replaced.
void write_header(std::ostream& out, const Journal& journal);
void write_run(std::ostream& out, const Run& run);

/// Reads a whole file strictly: an unknown type or key, a missing one, a value of the wrong kind, samples out of order,
/// a run that is cut off or whose end counts otherwise. Throws UsageError "FILE:LINE: what is wrong"; that it makes
/// sense is audit.hpp's task.
Journal read_journal(std::istream& in, const std::string& file);

} // namespace hotspare::experiment
