// An IP address as 16 bytes, IPv4 in its IPv4-mapped form (RFC 4291 §2.5.5.2): a listener on [::] shows an IPv4 client
// as
// ::ffff:192.0.2.1, and both ways of writing it must be one address wherever addresses are compared.
//
// PURE. Any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hotspare::balancer {

struct IpAddress {
    std::array<std::uint8_t, 16> bytes{};

    static IpAddress v4(std::span<const std::uint8_t, 4> bytes) noexcept;
    static IpAddress v6(std::span<const std::uint8_t, 16> bytes) noexcept;
    /// Without brackets, port and zone; nothing if the text is not an address.
    static std::optional<IpAddress> parse(std::string_view text) noexcept;

    bool is_v4() const noexcept;
    bool is_loopback() const noexcept; ///< 127.0.0.0/8 or ::1
    /// 192.0.2.1, or 2001:db8::1 (RFC 5952).
    std::string to_string() const;

    auto operator<=>(const IpAddress&) const = default;
};

struct IpEndpoint {
    IpAddress address;
    std::uint16_t port = 0;

    bool operator==(const IpEndpoint&) const = default;
};

} // namespace hotspare::balancer
