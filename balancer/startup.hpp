// What must succeed before the balancer serves: every backend's name resolves, and the port is ours alone.
//
// Main thread, before any other exists. Failures are UsageErrors that name the flag or the place in the file.
#pragma once

#include "balancer/config.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <span>
#include <vector>

namespace hotspare::balancer {

/// Which of a name's addresses (at least one, in the resolver's order) is meant: the first IPv4 one, else the first.
/// Debian's /etc/hosts gives `localhost` as ::1 first, and a server that was told to listen there is at 127.0.0.1.
boost::asio::ip::tcp::endpoint preferred_address(std::span<const boost::asio::ip::tcp::endpoint> addresses);

/// The address of each backend, by BackendIndex. Names are resolved once: a backend that moves needs a restart.
std::vector<boost::asio::ip::tcp::endpoint> resolve_backends(boost::asio::io_context& context, const Config& config);

/// Listening sockets on one port, one per worker; the kernel spreads connections over them (SO_REUSEPORT).
struct Listeners {
    boost::asio::ip::tcp::endpoint endpoint; ///< with the real port
    std::vector<int> descriptors;            ///< bound, listening, not yet owned by anyone
};
Listeners open_listeners(boost::asio::io_context& context, const Config& config, unsigned count);

} // namespace hotspare::balancer
