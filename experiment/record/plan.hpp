// PURE: an experiment as it is written down. What load runs, which faults happen when and to whom, what must be true
// before, during and after, and which measured values are promised.
//
// A plan is read strictly from YAML (common/config): whatever is not understood is refused with its place. It knows
// nothing of processes or sockets; target.hpp says what a name such as `primary` is, fault.hpp how a fault is made.
//
// Immutable once read; any thread.
#pragma once

#include "common/config.hpp"
#include "experiment/record/condition.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace hotspare::experiment {

/// Asked of the system by plain HTTP, apart from the load: is it in the state that the experiment assumes?
struct Probe {
    std::string name;
    std::string path = "/data";
    unsigned status = 200;
    std::string body;             ///< must occur in the answer's; empty = anything
    std::string served_by;        ///< the backend that must have answered; empty = any
    Duration within = seconds(1); ///< complete answer
    bool during_fault = true;     ///< false: only before the fault and after it
};

enum class Arrival : std::uint8_t {
    constant, ///< request k at k / rate
    poisson,  ///< independent clients: exponential gaps of mean 1 / rate
};

/// One stream of requests. Every stream of a plan runs for its whole duration.
struct Stream {
    std::string name = "reads";
    std::string method = "GET";
    std::string path = "/data";
    std::string body;
    double rate = 500; ///< requests per second
    Arrival arrival = Arrival::constant;
    bool idempotency_key = false; ///< every request carries one of its own
    std::string expect_body;      ///< an answer without it is a failure; empty = anything
    /// Its failures count as failed requests. False for requests that no balancer may repeat: those that fail are
    /// reported apart, and what is judged is that none is executed twice.
    bool must_succeed = true;

    /// RFC 9110 §9.2.2, or made so by its key: may be repeated where it is unknown whether it was executed.
    bool repeatable() const noexcept;
};

enum class FaultKind : std::uint8_t {
    // Of a process.
    crash,   ///< SIGKILL; undone by starting it again
    stop,    ///< SIGTERM; undone by starting it again
    hang,    ///< SIGSTOP; undone by SIGCONT
    restart, ///< SIGTERM and a new process at once; nothing to undo
    // Of the backend service, by its HTTP interface (docs/api.md).
    mode, ///< POST /fail?mode=...; undone by POST /recover
    // Of the network between balancer and backend, by a gate there. Undone by opening the gate.
    latency,    ///< answers arrive `delay` late
    jitter,     ///< answers arrive up to `delay` late, each its own way
    black_hole, ///< every byte is swallowed, nothing is answered; connections are still accepted
    unroutable, ///< connecting takes for ever; existing connections as in black_hole
    refuse,     ///< nothing listens; existing connections go on
    reset,      ///< TCP reset in place of the answer's byte number `bytes`
    cut,        ///< end of stream in place of the answer's byte number `bytes`
    drip,       ///< answers arrive at one byte each `delay`
    bandwidth,  ///< at most `bytes` per second to the client side
    half_open,  ///< the backend silently forgot every existing connection; new ones work
};

constexpr bool is_process_fault(FaultKind kind) noexcept
{
    return kind <= FaultKind::restart;
}
constexpr bool is_gate_fault(FaultKind kind) noexcept
{
    return kind >= FaultKind::latency;
}

/// One fault, from `at` until `at + lasts`.
struct Step {
    Duration at{}; ///< after the first request is due
    FaultKind fault = FaultKind::crash;
    std::string on = "primary"; ///< a backend's name, or `balancer`
    Duration lasts{};           ///< key `for`; 0: until the load has ended
    // Empty or 0 where the fault has no use for it.
    std::string mode; ///< of `mode`: a word of backend::Mode
    Duration delay{};
    std::uint64_t bytes = 0;
};

/// After the run, whatever happened in it: one request to one party. Faults undo themselves and need none.
struct RollbackRequest {
    std::string on;
    std::string method = "POST";
    std::string path = "/recover";
};

/// Stop the run early, undo everything and call it ABORTED.
struct AbortWhen {
    double error_rate = 1;      ///< more than this share of requests failed ...
    Duration over = seconds(2); ///< ... among those that ended in the latest so long. 1 = never.
};

/// A generator that sent later than this cannot tell the system's delay from its own: the run is INVALID.
struct GeneratorLimits {
    Duration lag_p99 = milliseconds(5);
    Duration lag_max = milliseconds(50);
};

struct Plan {
    std::string name; ///< the file's name without its ending
    std::string title;
    std::string about; ///< what it shows, a sentence or two
    Duration duration = seconds(6);
    Duration timeout = seconds(5); ///< of one request, from the moment it was due
    Duration settle = seconds(15); ///< within it the steady state must be there, before and after
    std::vector<Probe> steady_state;
    std::vector<Stream> load;
    std::vector<Step> method;
    std::vector<RollbackRequest> rollback;
    AbortWhen abort_when;
    GeneratorLimits generator;
    std::vector<Condition> expect;

    std::string text; ///< the YAML that it was read from
};

// How common/config sees a plan.
void fields(config::Fields& field, Plan& plan);
void finish(Plan& plan, const config::Places& places);

/// Reads a plan. Throws UsageError with file:line:column, also when parts do not fit together: a fault after the end,
/// a bound that is no value of its measure, a mode that no backend knows.
Plan read_plan(const std::string& yaml, const std::string& file);

std::string_view to_string(FaultKind kind) noexcept;
/// "crash", "mode error", "latency 200ms": for people.
std::string describe(const Step& step);

} // namespace hotspare::experiment
