// A client connection on its way from a worker to the thread of the built-in pages.
//
// A value: made on the worker's thread, moved to the other one.
#pragma once

#include "balancer/config.hpp"

#include <memory>
#include <string>

namespace hotspare::balancer {

/// A connection whose request is one for the admin (/status, /events, ...), which lives on another thread.
struct Handover {
    int descriptor = -1;
    std::string bytes; ///< what was read from it: the request from its first byte on
    Builtin builtin = Builtin::none;
    std::string client{};                  ///< IP address of the peer
    std::shared_ptr<const void> counted{}; ///< as long as it lives, the worker counts the connection as its own
};

} // namespace hotspare::balancer
