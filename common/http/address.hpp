// Where a name leads, found once at start.
//
// Main thread, before any event loop runs: resolving blocks. A server that moves needs a restart of who asks it.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <span>
#include <string>

namespace hotspare::http {

/// Which of a name's addresses (at least one, in the resolver's order) is meant: the first IPv4 one, else the first.
/// Debian's /etc/hosts gives `localhost` as ::1 first, and a server that was told to listen there is at 127.0.0.1.
boost::asio::ip::tcp::endpoint preferred_address(std::span<const boost::asio::ip::tcp::endpoint> addresses);

/// Throws UsageError if the name does not resolve; its message begins with `source`, which is where the name was given
/// (a flag, file:line:column).
boost::asio::ip::tcp::endpoint resolve(const std::string& host, std::uint16_t port, const std::string& source);

/// The same for http://HOST[:PORT].
boost::asio::ip::tcp::endpoint resolve_origin(const std::string& url, const std::string& source);

} // namespace hotspare::http
