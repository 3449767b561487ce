// The small judgements that every strict reader of HTTP in the suite makes, the control plane's and the balancer's: in
// one place, so that the two cannot differ in what they accept.
//
// PURE. Any thread. Views that come out point into what went in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hotspare::http {

/// What a character may be part of (see `char_kinds`).
enum CharKind : std::uint8_t {
    token_char = 1,    ///< RFC 9110 §5.6.2
    target_char = 2,   ///< visible ASCII but '#': what a request target consists of
    dotted_char = 4,   ///< one of '.', '%', '\': without any of them a path has no dot segment
    request_id = 8,    ///< visible ASCII that needs no escape in a log line or in JSON
    control_char = 16, ///< what a field value must not hold (RFC 9110 §5.5): all controls but HTAB
    name_char = 32     ///< of a registered name, percent escapes apart (RFC 3986 §3.2.2)
};
extern const std::array<std::uint8_t, 256> char_kinds;

inline bool is_kind(char c, unsigned kind) noexcept
{
    return (char_kinds[static_cast<unsigned char>(c)] & kind) != 0;
}

/// OWS of RFC 9110 §5.6.3.
constexpr bool is_blank(char c) noexcept
{
    return c == ' ' || c == '\t';
}

/// A method, a field name, a coding (RFC 9110 §5.6.2).
bool is_token(std::string_view text) noexcept;

/// The first control character other than HTAB from `p` on, else `end`.
const char* find_control(const char* p, const char* end) noexcept;

/// Without the blanks around it: SP and HTAB (OWS of RFC 9110 §5.6.3).
std::string_view trim(std::string_view text) noexcept;

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// Takes the next element of a comma-separated list, blanks trimmed, off `list`. Elements may be empty. Not for lists
/// whose elements may hold a quoted comma.
std::string_view next_element(std::string_view& list) noexcept;

/// uri-host [":" port] without userinfo (RFC 9110 §7.2, RFC 3986 §3.2): a name of unreserved characters, sub-delims and
/// whole percent escapes, an IPv4 address, or an IPv6 address in brackets; the port a number up to 65535, or missing
/// behind its colon. May be empty as a whole, but a port needs a host.
bool is_host(std::string_view text) noexcept;

/// Whether a client's X-Request-Id is passed on and logged: 1 to 128 visible characters that upset no log line and no
/// JSON.
bool is_request_id(std::string_view text) noexcept;

} // namespace hotspare::http
