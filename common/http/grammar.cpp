#include "common/http/grammar.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace hotspare::http {
namespace {

constexpr bool is_alnum(char c) noexcept
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr bool is_hex(char c) noexcept
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

constexpr std::array<std::uint8_t, 256> make_kinds()
{
    std::array<std::uint8_t, 256> kinds{};
    for (unsigned i = 0; i < kinds.size(); ++i) {
        const char c = static_cast<char>(i);
        const bool visible = i > 0x20 && i < 0x7f;
        if (is_alnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos)
            kinds[i] |= token_char;
        if (visible && c != '#') kinds[i] |= target_char;
        if (c == '.' || c == '%' || c == '\\') kinds[i] |= dotted_char;
        if (visible && c != '"' && c != '\\') kinds[i] |= request_id;
        if ((i < 0x20 && c != '\t') || i == 0x7f) kinds[i] |= control_char;
        if (is_alnum(c) || std::string_view("-._~!$&'()*+,;=").find(c) != std::string_view::npos) kinds[i] |= name_char;
    }
    return kinds;
}

constexpr char lower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// What stands between the brackets: an IPv6 address without a zone, or "v1.future" (RFC 3986 §3.2.2).
bool is_ip_literal(std::string_view text) noexcept
{
    std::array<char, INET6_ADDRSTRLEN> address{};
    if (!text.empty() && lower(text.front()) == 'v') {
        const auto dot = text.find('.');
        if (dot == std::string_view::npos || dot < 2 || dot + 1 == text.size()) return false;
        const auto version = text.substr(1, dot - 1);
        const auto rest = text.substr(dot + 1);
        return std::all_of(version.begin(), version.end(), is_hex) &&
               std::all_of(rest.begin(), rest.end(), [](char c) { return is_kind(c, name_char) || c == ':'; });
    }
    if (text.size() >= address.size()) return false;
    std::copy(text.begin(), text.end(), address.begin());
    in6_addr parsed{};
    return text.find('\0') == std::string_view::npos && ::inet_pton(AF_INET6, address.data(), &parsed) == 1;
}

bool is_port(std::string_view text) noexcept
{
    unsigned port = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return false;
        port = port * 10 + static_cast<unsigned>(c - '0');
        if (port > 65535) return false;
    }
    return true;
}

} // namespace

constinit const std::array<std::uint8_t, 256> char_kinds = make_kinds();

bool is_token(std::string_view text) noexcept
{
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return is_kind(c, token_char); });
}

const char* find_control(const char* p, const char* end) noexcept
{
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr std::uint64_t high = 0x80 * ones;
    while (p != end) {
        // Eight bytes at once: the high bit of each byte that is below 0x20, or 0x7f. A borrow may mark a byte too many
        // above one that is marked rightly, never one too few; the loop below looks closer.
        while (end - p >= 8) {
            std::uint64_t eight = 0;
            std::memcpy(&eight, p, sizeof eight);
            const std::uint64_t low = (eight - 0x20 * ones) & ~eight;
            const std::uint64_t del = eight ^ (0x7f * ones);
            if (((low | ((del - ones) & ~del)) & high) != 0) break;
            p += 8;
        }
        for (const char* const near = p + std::min<std::ptrdiff_t>(8, end - p); p != near; ++p)
            if (is_kind(*p, control_char)) return p;
    }
    return end;
}

std::string_view trim(std::string_view text) noexcept
{
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept
{
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view next_element(std::string_view& list) noexcept
{
    const auto comma = std::min(list.find(','), list.size());
    const auto element = trim(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    return element;
}

bool is_host(std::string_view text) noexcept
{
    if (text.empty()) return true;
    if (text.front() == '[') {
        const auto close = text.find(']');
        if (close == std::string_view::npos || !is_ip_literal(text.substr(1, close - 1))) return false;
        const auto rest = text.substr(close + 1);
        return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_kind(text[i], name_char)) continue;
        if (text[i] == ':') return i > 0 && is_port(text.substr(i + 1));
        if (text[i] != '%' || text.size() - i < 3 || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
        i += 2;
    }
    return true;
}

bool is_request_id(std::string_view text) noexcept
{
    return !text.empty() && text.size() <= 128 &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_kind(c, request_id); });
}

} // namespace hotspare::http
