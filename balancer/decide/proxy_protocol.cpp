#include "balancer/decide/proxy_protocol.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <span>

namespace hotspare::balancer {
namespace {

using namespace std::string_view_literals;
using Found = ProxyHeader::Found;

constexpr std::string_view line_start = "PROXY "sv;
constexpr std::string_view signature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t fixed_size = 16; ///< of version 2: signature, version and command, family, length

constexpr std::size_t v4_block = 12;
constexpr std::size_t v6_block = 36;

ProxyHeader malformed() noexcept
{
    return {.found = Found::malformed, .begun = true};
}

/// The next word of a line whose words are separated by one space each.
std::string_view take_word(std::string_view& line) noexcept
{
    const auto end = std::min(line.find(' '), line.size());
    const auto word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return word;
}

/// §2.1: decimal, from 0 to 65535, without leading zeros.
std::optional<std::uint16_t> read_port(std::string_view text) noexcept
{
    std::uint16_t port = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    if (text.size() > 1 && text.front() == '0') return std::nullopt;
    return port;
}

/// What follows "TCP4 " or "TCP6 ".
std::optional<ProxiedConnection> read_line_addresses(std::string_view words, bool dotted) noexcept
{
    const auto read_address = [&words, dotted]() -> std::optional<IpAddress> {
        const auto word = take_word(words);
        if ((word.find(':') == word.npos) != dotted) return std::nullopt;
        return IpAddress::parse(word);
    };
    const auto source = read_address();
    const auto destination = read_address();
    const auto source_port = read_port(take_word(words));
    const bool more = words.find(' ') != words.npos;
    const auto destination_port = read_port(take_word(words));
    if (!source || !destination || !source_port || !destination_port || more) return std::nullopt;
    return ProxiedConnection{{*source, *source_port}, {*destination, *destination_port}};
}

ProxyHeader read_line(std::string_view bytes) noexcept
{
    const auto room = bytes.substr(0, longest_proxy_line);
    const auto end = room.find('\n');
    if (end == room.npos)
        return room.size() == longest_proxy_line ? malformed() : ProxyHeader{.found = Found::incomplete, .begun = true};
    std::string_view words = room.substr(line_start.size(), end - line_start.size());
    if (!words.ends_with('\r')) return malformed();
    words.remove_suffix(1);

    ProxyHeader header{.found = Found::complete, .begun = true, .size = end + 1};
    const auto family = take_word(words);
    if (family == "UNKNOWN") return header; // §2.1: what follows is to be ignored
    if (family != "TCP4" && family != "TCP6") return malformed();
    header.connection = read_line_addresses(words, family == "TCP4");
    return header.connection ? header : malformed();
}

std::uint16_t number_at(std::string_view bytes, std::size_t position) noexcept
{
    return static_cast<std::uint16_t>((static_cast<unsigned char>(bytes[position]) << 8U) |
                                      static_cast<unsigned char>(bytes[position + 1]));
}

IpAddress address_at(std::string_view bytes, std::size_t position, bool v4) noexcept
{
    std::array<std::uint8_t, 16> raw{};
    const auto text = bytes.substr(position, v4 ? 4 : raw.size());
    std::transform(text.begin(), text.end(), raw.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
    return v4 ? IpAddress::v4(std::span(raw).first<4>()) : IpAddress::v6(raw);
}

ProxyHeader read_binary(std::string_view bytes) noexcept
{
    const ProxyHeader more{.found = Found::incomplete, .begun = true};
    if (bytes.size() < fixed_size) return more;
    const auto version_command = static_cast<unsigned char>(bytes[signature.size()]);
    const auto family = static_cast<unsigned char>(bytes[signature.size() + 1]);
    const std::size_t length = number_at(bytes, signature.size() + 2);
    constexpr unsigned local = 0x20;
    constexpr unsigned proxy = 0x21;
    if ((version_command != local && version_command != proxy) || length > longest_proxy_block) return malformed();

    constexpr unsigned tcp4 = 0x11;
    constexpr unsigned tcp6 = 0x21;
    ProxyHeader header{.found = Found::complete, .begun = true, .size = fixed_size + length};
    if (version_command == proxy) {
        // §2.2: other values must be refused. Those of UDP and of Unix sockets are valid and say nothing for us.
        if (family >> 4U > 3 || (family & 15U) > 2) return malformed();
        if (length < (family == tcp4 ? v4_block : family == tcp6 ? v6_block : 0)) return malformed();
    }
    if (bytes.size() < header.size) return more;
    if (version_command == proxy && (family == tcp4 || family == tcp6)) {
        const bool v4 = family == tcp4;
        const std::size_t width = v4 ? 4 : 16;
        const std::size_t ports = fixed_size + 2 * width;
        header.connection = {{address_at(bytes, fixed_size, v4), number_at(bytes, ports)},
                             {address_at(bytes, fixed_size + width, v4), number_at(bytes, ports + 2)}};
    }
    return header;
}

void append_address(std::string& out, const IpAddress& address, bool v4)
{
    const auto raw = std::span(address.bytes).subspan(v4 ? 12 : 0);
    std::transform(raw.begin(), raw.end(), std::back_inserter(out),
                   [](std::uint8_t b) { return static_cast<char>(b); });
}

void append_number(std::string& out, std::size_t number)
{
    out += static_cast<char>(number >> 8U & 0xffU);
    out += static_cast<char>(number & 0xffU);
}

/// In a header of IPv6, IPv4 in its mapped form.
std::string in_family(const IpAddress& address, bool v4)
{
    return address.is_v4() && !v4 ? "::ffff:" + address.to_string() : address.to_string();
}

} // namespace

ProxyHeader read_proxy_header(std::string_view bytes) noexcept
{
    if (bytes.starts_with(line_start)) return read_line(bytes);
    if (bytes.starts_with(signature)) return read_binary(bytes);
    if (line_start.starts_with(bytes) || signature.starts_with(bytes)) return {};
    return {.found = Found::none};
}

std::string proxy_header(ProxyVersion version, const std::optional<ProxiedConnection>& connection)
{
    if (version == ProxyVersion::off) return {};
    const bool v4 = connection && connection->source.address.is_v4() && connection->destination.address.is_v4();
    if (version == ProxyVersion::v1) {
        if (!connection) return "PROXY UNKNOWN\r\n";
        return fmt::format("PROXY {} {} {} {} {}\r\n", v4 ? "TCP4" : "TCP6", in_family(connection->source.address, v4),
                           in_family(connection->destination.address, v4), connection->source.port,
                           connection->destination.port);
    }
    std::string out(signature);
    if (!connection) return out.append("\x20\x00\x00\x00"sv);
    out += '\x21';
    out += v4 ? '\x11' : '\x21';
    append_number(out, v4 ? v4_block : v6_block);
    append_address(out, connection->source.address, v4);
    append_address(out, connection->destination.address, v4);
    append_number(out, connection->source.port);
    append_number(out, connection->destination.port);
    return out;
}

} // namespace hotspare::balancer
