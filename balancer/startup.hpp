// What must succeed before the balancer serves: every backend's name resolves, and the port is ours alone.
//
// Main thread, before any other exists. Failures are UsageErrors that name the flag or the place in the file.
#pragma once

#include "balancer/config.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <vector>

namespace hotspare::balancer {

/// The address of each backend, by BackendIndex. Names are resolved once: a backend that moves needs a restart.
std::vector<boost::asio::ip::tcp::endpoint> resolve_backends(const Config& config);

/// Listening sockets on one port, one per worker; the kernel spreads connections over them (SO_REUSEPORT).
struct Listeners {
    boost::asio::ip::tcp::endpoint endpoint; ///< with the real port
    std::vector<int> descriptors;            ///< bound, listening, not yet owned by anyone
};
Listeners open_listeners(boost::asio::io_context& context, const Config& config, unsigned count);

} // namespace hotspare::balancer
