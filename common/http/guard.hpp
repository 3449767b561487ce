// Who may read a service's own pages, and who may operate the service: one decision from the peer's address, Host,
// Origin, Content-Type and the few fields that tell a proxy or a web page.
//
// Two attacks make this necessary although a service listens on loopback. A web page can send requests to localhost
// from its reader's browser; the browser says so in Origin and Sec-Fetch-Site, and sends without asking first only the
// content types that an HTML form has. And a page whose own name is made to resolve to this machine (DNS rebinding) is
// of the same origin as we are; only Host still shows its name. An IP address in Host cannot be rebound.
//
// What this cannot see is a proxy of this machine that passes TCP or TLS on and adds no field: all its clients are then
// loopback clients. A service behind such a proxy must not take operators' requests on the port that the proxy uses.
//
// PURE. Any thread. caller.hpp makes a Caller of a request.
#pragma once

#include "common/http/problem.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::http {

/// What a request says of its sender. The views are read during the call only; a field that is absent is empty.
struct Caller {
    std::string peer{}; ///< IP address of the connection's other end; an IPv4-mapped one counts as IPv4
    std::string_view method{};
    std::string_view host{};         ///< Host
    std::string_view origin{};       ///< Origin
    std::string_view fetch_site{};   ///< Sec-Fetch-Site
    std::string_view content_type{}; ///< Content-Type
    bool forwarded = false; ///< has X-Forwarded-For, Forwarded or Via, or came over a connection with a PROXY header
    /// False if no page can have sent the request: it says `Connection: close` and has no Accept-Encoding. A browser
    /// sends keep-alive and Accept-Encoding, and a page can change neither (Fetch standard, forbidden request-headers).
    bool page_possible = true;
};

enum class Access : std::uint8_t {
    read,    ///< an answer about the service, which a page of another origin cannot read
    stream,  ///< the same as a stream: a page of another origin can read a WebSocket, and can hold either open
    operate, ///< a change of what the service does: from this machine only
    work,    ///< a change by another program of the system, on a listener of its own: also from another machine and
             ///< through a proxy, never by a page of another origin
};

struct GuardSettings {
    /// Names by which the service may be addressed beside localhost and IP addresses; lower case, without a port.
    std::vector<std::string> hosts{};
    /// Origins of other services' pages that may open streams and operate: "https://console.example:8443", exactly.
    std::vector<std::string> origins{};
    /// The settings that hold the two lists, for messages.
    std::string hosts_setting = "admin_hosts";
    std::string origins_setting = "admin_origins";
};

/// Why the request is refused, as the 403 to answer; nothing if it may be served.
std::optional<Problem> refuse(const Caller& caller, Access access, const GuardSettings& settings);

/// Whether `address` is an IP address of this machine's loopback, in IPv4, IPv6 or IPv4-mapped form.
bool is_loopback(std::string_view address);

/// Whether an Origin (RFC 6454 §6.1) is that of http://HOST, by scheme, host and port. Port 80 may be left out.
bool is_same_origin(std::string_view origin, std::string_view host);

} // namespace hotspare::http
