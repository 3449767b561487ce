// How a daemon of the pipeline is told who may do what (control.hpp), as keys of its configuration.
//
// Values; any thread.
#pragma once

#include "common/config.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace hotspare::orders {

struct ControlSettings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    bool local_callers = true; ///< the clients' listener answers operators and workers of this machine as well
    std::vector<std::string> hosts{};
    std::vector<std::string> origins{};
};

void fields(config::Fields& field, ControlSettings& settings);

} // namespace hotspare::orders
