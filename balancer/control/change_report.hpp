// What became of a change of the configuration, for the log and for who asked for it.
//
// PURE data. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hotspare::balancer {

/// What became of a change.
struct ChangeReport {
    enum class End : std::uint8_t {
        done,     ///< it is in force, `said` tells what it was; nothing, if it is what was in force before
        invalid,  ///< of itself
        conflict, ///< with what is in force
        changed,  ///< not asked for: another generation is in force than it was meant for
    };
    End end = End::done;
    std::uint64_t generation = 0;             ///< in force now
    std::vector<std::string> said{};          ///< what changes, a clause each
    std::vector<std::string> needs_restart{}; ///< settings that were read and are not in force before a restart
    std::vector<std::string> replaced{};      ///< pools whose members by request the configuration has replaced
    bool routes_replaced = false;             ///< the same of the dynamic routes
    std::vector<std::string> errors{};        ///< why nothing has changed
};

} // namespace hotspare::balancer
