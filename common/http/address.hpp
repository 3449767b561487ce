// Addresses: where a name leads, and how the address of a peer is written.
//
// Resolving blocks here: it is for the main thread, before any event loop runs. http::Resolver is for the others.
#pragma once

#include "common/error.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hotspare::http {

/// All addresses of a name, the one to try first in front. Empty: it does not resolve.
using Addresses = std::vector<boost::asio::ip::tcp::endpoint>;

/// Which of a name's addresses (at least one, in the resolver's order) is meant: the first IPv4 one, else the first.
/// Debian's /etc/hosts gives `localhost` as ::1 first, and a server that was told to listen there is at 127.0.0.1.
boost::asio::ip::tcp::endpoint preferred_address(std::span<const boost::asio::ip::tcp::endpoint> addresses);

/// All addresses of a name (or the one that it spells), the preferred one first, the others in the resolver's order.
/// Never empty: a name without any is an error.
result<Addresses> look_up(const std::string& host, std::uint16_t port);

/// The address of a peer as its own machine would write it: IPv4 where it came as an IPv4-mapped IPv6 address (to a
/// listener on ::), and without a zone, which means nothing elsewhere.
boost::asio::ip::address plain_address(const boost::asio::ip::address& address);

/// Of a host that is an address already; nothing if it is a name.
std::optional<boost::asio::ip::tcp::endpoint> literal_address(const std::string& host, std::uint16_t port);

/// Throws UsageError if the name does not resolve; its message begins with `source`, which is where the name was given
/// (a flag, file:line:column).
boost::asio::ip::tcp::endpoint resolve(const std::string& host, std::uint16_t port, const std::string& source);

/// The same for http://HOST[:PORT].
boost::asio::ip::tcp::endpoint resolve_origin(const std::string& url, const std::string& source);

} // namespace hotspare::http
