// The PROXY protocol, versions 1 and 2: the first bytes of a connection, in which a proxy that passes TCP on says whose
// connection it is (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt; the sections named here are its own).
//
// Reading is over the bytes that have come so far and keeps no state; a header is short. TLVs are skipped, also the
// checksum CRC32C (§2.2.3), which a receiver may ignore: TCP has its own. The caller decides
// which peers may send a header (§2 forbids guessing), see decide/trusted.
//
// PURE. Any thread.
#pragma once

#include "balancer/decide/ip_address.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::balancer {

/// What a backend wants to be sent in front of a connection.
enum class ProxyVersion : std::uint8_t { off, v1, v2 };

/// The connection that a proxy has accepted.
struct ProxiedConnection {
    IpEndpoint source;
    IpEndpoint destination;

    bool operator==(const ProxiedConnection&) const = default;
};

/// "PROXY TCP6 <39 characters> <39 characters> 65535 65535" and CRLF fit, and so does the longest UNKNOWN (§2.1).
constexpr std::size_t longest_proxy_line = 107;
/// What may follow the 16 bytes of version 2: addresses and TLVs. §2.2 wants 520 to be accepted at least.
constexpr std::size_t longest_proxy_block = 2048;

struct ProxyHeader {
    enum class Found : std::uint8_t {
        none,       ///< the bytes are something else
        incomplete, ///< they may be the beginning of a header
        malformed,  ///< they begin like a header and are none
        complete,
    };
    Found found = Found::incomplete;
    bool begun = false;   ///< they do begin like a header: they cannot become anything else
    std::size_t size = 0; ///< bytes of a complete header
    /// Of a complete header; nothing if it says that the proxy's own connection is meant (LOCAL, UNKNOWN) or another
    /// one than of TCP.
    std::optional<ProxiedConnection> connection{};
};

/// The header at the beginning of `bytes`.
ProxyHeader read_proxy_header(std::string_view bytes) noexcept;

/// The header for `connection`; for nothing, as of a health check, LOCAL or UNKNOWN. If one end is IPv4 and the other
/// IPv6, the IPv4 one is written in its IPv4-mapped form: a header has one family. Empty if `version` is off.
std::string proxy_header(ProxyVersion version, const std::optional<ProxiedConnection>& connection);

} // namespace hotspare::balancer
