// The settings of the supervisor: the system that it runs, which is its configuration file, and where this instance of
// it runs, by flags.
//
// Filled before it starts, immutable afterwards.
#pragma once

#include "common/process/system.hpp"
#include "common/resilience/restart_policy.hpp"

#include <cstdint>
#include <string>

namespace hotspare::resilience {

/// Beside the struct, where common/config looks for it.
void fields(config::Fields& field, RestartSettings& restart);

} // namespace hotspare::resilience

namespace hotspare::supervisor {

struct Settings {
    process::System system;
    resilience::RestartSettings restart; ///< of every daemon
    std::uint64_t log_limit = 8 * 1024 * 1024;

    unsigned port_offset = 0;
    std::string directory; ///< absolute, once complete
    std::string programs;
    std::string engines;
    std::string config; ///< the folder of the shipped configuration files
};

void fields(config::Fields& field, Settings& settings);
void finish(Settings& settings, const config::Places& places);

} // namespace hotspare::supervisor
