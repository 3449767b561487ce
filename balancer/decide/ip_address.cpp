#include "balancer/decide/ip_address.hpp"

#include <algorithm>

#include <arpa/inet.h>

namespace hotspare::balancer {
namespace {

constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

} // namespace

IpAddress IpAddress::v4(std::span<const std::uint8_t, 4> bytes) noexcept
{
    IpAddress out;
    std::copy(bytes.begin(), bytes.end(), std::copy(mapped.begin(), mapped.end(), out.bytes.begin()));
    return out;
}

IpAddress IpAddress::v6(std::span<const std::uint8_t, 16> bytes) noexcept
{
    IpAddress out;
    std::copy(bytes.begin(), bytes.end(), out.bytes.begin());
    return out;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) noexcept
{
    std::array<char, INET6_ADDRSTRLEN> terminated{};
    // inet_pton() would stop at a NUL.
    if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
    std::copy(text.begin(), text.end(), terminated.begin());
    std::array<std::uint8_t, 16> bytes{};
    if (::inet_pton(AF_INET, terminated.data(), bytes.data()) == 1) return v4(std::span(bytes).first<4>());
    if (::inet_pton(AF_INET6, terminated.data(), bytes.data()) == 1) return v6(bytes);
    return std::nullopt;
}

bool IpAddress::is_v4() const noexcept
{
    return std::equal(mapped.begin(), mapped.end(), bytes.begin());
}

bool IpAddress::is_loopback() const noexcept
{
    if (is_v4()) return bytes[12] == 127;
    return bytes[15] == 1 && std::all_of(bytes.begin(), bytes.end() - 1, [](std::uint8_t byte) { return byte == 0; });
}

std::string IpAddress::to_string() const
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (is_v4())
        ::inet_ntop(AF_INET, bytes.data() + mapped.size(), text.data(), text.size());
    else
        ::inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
    return text.data();
}

} // namespace hotspare::balancer
