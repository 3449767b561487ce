#include "balancer/decide/trusted.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace hotspare::balancer {
namespace {

constexpr unsigned all_bits = 128;
constexpr unsigned mapped_bits = 96;

/// `address` with zeros behind the first `prefix` bits.
IpAddress masked(IpAddress address, unsigned prefix) noexcept
{
    for (unsigned i = 0; i < address.bytes.size(); ++i) {
        const unsigned kept = prefix <= i * 8 ? 0 : std::min(8U, prefix - i * 8);
        address.bytes[i] &= static_cast<std::uint8_t>(0xff00U >> kept);
    }
    return address;
}

std::string_view trimmed(std::string_view text) noexcept
{
    const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

/// ADDRESS, IPv4:PORT, [IPv6] or [IPv6]:PORT.
std::optional<IpAddress> address_in(std::string_view entry) noexcept
{
    if (entry.starts_with('[')) {
        const auto end = entry.find(']');
        if (end == entry.npos || (end + 1 < entry.size() && entry[end + 1] != ':')) return std::nullopt;
        return IpAddress::parse(entry.substr(1, end - 1));
    }
    const auto colon = entry.find(':');
    if (colon != entry.npos && entry.find(':', colon + 1) == entry.npos) entry = entry.substr(0, colon);
    return IpAddress::parse(entry);
}

} // namespace

boost::system::result<Network, std::string> Network::parse(std::string_view text)
{
    using boost::system::in_place_error;
    const auto slash = std::min(text.find('/'), text.size());
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return {in_place_error, "an IP address, or a network such as 10.0.0.0/8 or 2001:db8::/32"};
    if (slash == text.size()) return Network{*address, all_bits};

    const bool dotted = text.substr(0, slash).find(':') == text.npos;
    const unsigned most = dotted ? all_bits - mapped_bits : all_bits;
    const std::string_view digits = text.substr(slash + 1);
    unsigned bits = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (ec != std::errc{} || end != digits.data() + digits.size() || bits > most)
        return {in_place_error, fmt::format("a prefix length from 0 to {} behind the '/'", most)};

    const unsigned prefix = dotted ? mapped_bits + bits : bits;
    const IpAddress first = masked(*address, prefix);
    if (first != *address)
        return {in_place_error, fmt::format("{}/{}, whose bits behind the prefix are 0, or {} for the one address",
                                            first.to_string(), bits, address->to_string())};
    return Network{first, prefix};
}

bool Network::contains(const IpAddress& address) const noexcept
{
    return address.is_v4() == first.is_v4() && masked(address, prefix) == first;
}

std::string Network::to_string() const
{
    if (prefix == all_bits) return first.to_string();
    return fmt::format("{}/{}", first.to_string(), first.is_v4() ? prefix - mapped_bits : prefix);
}

bool contains(const TrustedProxies& trusted, const IpAddress& address) noexcept
{
    return std::any_of(trusted.begin(), trusted.end(),
                       [&address](const Network& network) { return network.contains(address); });
}

bool walk_back(std::string_view value, const TrustedProxies& trusted, IpAddress& client) noexcept
{
    while (!value.empty()) {
        const auto comma = value.rfind(',');
        const auto entry = trimmed(comma == value.npos ? value : value.substr(comma + 1));
        value = comma == value.npos ? std::string_view{} : value.substr(0, comma);
        if (entry.empty()) continue; // RFC 9110 §5.6.1.2
        const auto address = address_in(entry);
        if (!address) return false;
        client = *address;
        if (!contains(trusted, client)) return false;
    }
    return true;
}

} // namespace hotspare::balancer
