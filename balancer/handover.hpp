// A request for a built-in page on its way from a worker to the thread of the pages.
//
// A value: made on the worker's thread, moved to the other one.
#pragma once

#include "balancer/config.hpp"

#include <string>

namespace hotspare::balancer {

struct Handover {
    int descriptor =
        -1; ///< a connection to the worker, owned: the rest of the request arrives there, and the response goes
    std::string bytes; ///< of the request, from its first one on
    Builtin builtin = Builtin::none;
    std::string client{}; ///< IP address of the client; a loopback one only if its connection is from this machine
    bool proxied = false; ///< a PROXY header came in front of its connection
};

} // namespace hotspare::balancer
