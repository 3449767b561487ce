// What a service of this suite says of its own health: the members `status`, `error` and `paused` of the JSON object
// that it answers GET /health with. A word other than `degraded`, `unhealthy` and `down` says nothing, as does a body
// that is no JSON object: the status of the response says enough then.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/uptime.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace hotspare::monitor {

struct HealthWord {
    State state = State::up; ///< unhealthy is down, too
    bool unhealthy = false;  ///< it does something, but not as it should
    std::string cause{}; ///< "says that it is degraded: the disk is full"; at most some 200 bytes; empty if it is up
    std::optional<bool> paused{}; ///< a worker's: whether an operator has paused it
};

HealthWord read_health_word(std::string_view body);

} // namespace hotspare::monitor
