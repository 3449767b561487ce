// Whose word counts about where a request comes from: the networks of `trusted_proxies`, and the client behind them.
//
// Every proxy appends the address of its own peer to X-Forwarded-For, so the list is as good as the proxies that wrote
// it: read from its end, the first address that is not a trusted proxy's was written by a trusted one, and everything
// in front of it may be invented.
//
// PURE. Any thread.
#pragma once

#include "balancer/decide/ip_address.hpp"

#include <boost/system/result.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

/// The addresses that begin with the same bits. IPv4 and IPv6 are two worlds: ::/0 has no IPv4 address in it.
struct Network {
    IpAddress first{};
    unsigned prefix = 128; ///< of the 128 bits of an IpAddress: that of 10.0.0.0/8 is 104

    /// ADDRESS or ADDRESS/PREFIX; the bits behind the prefix must be 0. An error ends the sentence "expected …".
    static boost::system::result<Network, std::string> parse(std::string_view text);

    bool contains(const IpAddress& address) const noexcept;
    /// An address alone without its prefix.
    std::string to_string() const;

    bool operator==(const Network&) const = default;
};

using TrustedProxies = std::vector<Network>;

bool contains(const TrustedProxies& trusted, const IpAddress& address) noexcept;

/// Goes through a value of X-Forwarded-For that a trusted proxy at `client` has sent, from its end. `client` becomes
/// the address that is furthest away and written by a trusted proxy. True if that is a trusted proxy as well, so that
/// the field line in front of this one counts too. What is no address ends the walk: a proxy that hides its client
/// ("unknown") is as far as can be seen. An entry may have a port, as some proxies write it.
bool walk_back(std::string_view value, const TrustedProxies& trusted, IpAddress& client) noexcept;

} // namespace hotspare::balancer
