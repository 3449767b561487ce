// PURE: a system of config/ as it is written down: which programs run, with which arguments, in which order, on which
// ports, and how each tells that it works. The supervisor runs it; experiments and tests start the same daemons by
// themselves.
//
// A value may hold ${port:N} (N plus the port offset of this instance, so ${port:0} is the offset itself), ${run} (the
// instance's folder), ${run_in_url} (the same as a part of a URL) and ${config} (the folder of the system's file).
//
// Immutable once read; any thread.
#pragma once

#include "common/clock.hpp"
#include "common/config.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::process {

enum class RestartWhen : std::uint8_t {
    on_failure, ///< an end with 0 is the daemon's own decision
    always,     ///< also then: an engine ends with 0 by its own tools, and the services need it
};
enum class StopSignal : std::uint8_t { term, interrupt, quit };
/// SIGTERM and so on.
int number_of(StopSignal signal) noexcept;

/// A daemon as the file has it.
struct Daemon {
    std::string name;
    std::string program;            ///< of the suite, or a script of engines/
    std::string arguments;          ///< separated by blanks
    std::vector<std::string> after; ///< daemons that are ready before it starts, and end after it
    std::string listen;   ///< HOST:PORT that the supervisor opens and hands down; empty = the daemon opens its own
    unsigned sockets = 0; ///< on `listen`; 0 = one for each core
    std::string ready;    ///< http://HOST:PORT/PATH that answers 2xx, or tcp://HOST:PORT that accepts
    Duration ready_within = seconds(15);
    StopSignal stop_signal = StopSignal::term;
    Duration stop_within = seconds(15); ///< then SIGKILL
    RestartWhen restart = RestartWhen::on_failure;
    Duration restart_after{}; ///< pause before the first restart, if it is longer than the supervisor's own
};

struct System {
    std::vector<Daemon> daemons; ///< what one is `after` stands above it: a start in this order is right
};

void fields(config::Fields& field, Daemon& daemon);
void fields(config::Fields& field, System& system);
void finish(System& system, const config::Places& places);

/// Throws UsageError with the place of each error.
System read_system(const std::string& file);

/// Every N of the ${port:N} in the file but 0: the ports of the system without an offset.
std::set<unsigned> ports_of(const System& system);

/// Where an instance of a system runs.
struct Instance {
    unsigned port_offset = 0;
    std::string run;    ///< the folder of its data, records and logs
    std::string config; ///< the folder of the system's file
};

struct Readiness {
    config::HostPort address;
    std::string path{}; ///< of the HTTP request; empty: a connection is enough
};

/// A daemon with all variables filled in.
struct Launch {
    std::vector<std::string> arguments;
    std::optional<config::HostPort> listen;
    std::optional<Readiness> ready;
};

/// Throws UsageError if a port exceeds 65535.
Launch fill_in(const Daemon& daemon, const Instance& instance);

} // namespace hotspare::process
