#include "common/http/head.hpp"

#include "common/http/grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <limits>

namespace hotspare::http {
namespace {

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// RFC 9110 §5.6.2
bool is_token_char(char c)
{
    return is_digit(c) || is_alpha(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_token(std::string_view text)
{
    return !text.empty() && std::ranges::all_of(text, is_token_char);
}

/// RFC 9110 §5.5, with obs-text; HTAB and SP are allowed inside.
bool is_field_value_char(char c)
{
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}
bool is_target_char(char c)
{
    return c > 0x20 && c < 0x7f;
}

bool equals_ignoring_case(std::string_view a, std::string_view b)
{
    return std::ranges::equal(a, b,
                              [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view trim(std::string_view text)
{
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

bool fits_uint64(std::string_view digits)
{
    std::uint64_t value = 0;
    for (const char c : digits) {
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (value > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return false;
        value = value * 10 + digit;
    }
    return true;
}

Problem bad_request(std::string detail)
{
    return {400, std::move(detail)};
}

struct RequestLine {
    std::string_view method, target;
    int minor = 1;
};

std::optional<Problem> check_request_line(std::string_view line, RequestLine& out)
{
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    if (first == line.npos || first == last) return bad_request("the request line is not 'METHOD target HTTP/1.1'");
    out.method = line.substr(0, first);
    out.target = line.substr(first + 1, last - first - 1);
    const auto version = line.substr(last + 1);
    if (!is_token(out.method)) return bad_request("the method is not a token");
    if (out.target.empty() || !std::ranges::all_of(out.target, is_target_char))
        return bad_request("the request target holds a space, a control character or a byte outside ASCII");
    if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' ||
        !is_digit(version[7]))
        return bad_request("the request line does not end in an HTTP version");
    if (version[5] != '1') return Problem{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
    out.minor = version[7] == '0' ? 0 : 1;
    return std::nullopt;
}

} // namespace

std::optional<Problem> HeadScanner::feed(std::string_view received)
{
    while (size_ == 0) {
        const auto newline = received.find('\n', seen_);
        const auto end = newline == received.npos ? received.size() : newline + 1;
        if (lines_ == 0 && end - line_start_ > limits_.request_line)
            return Problem{414, fmt::format("the request line is longer than {} bytes", limits_.request_line)};
        if (end > limits_.head) return Problem{431, fmt::format("the header is longer than {} bytes", limits_.head)};
        if (newline == received.npos) {
            seen_ = received.size();
            return std::nullopt;
        }
        if (newline == 0 || received[newline - 1] != '\r') return bad_request("a line of the header ends in a bare LF");
        if (newline - 1 == line_start_) size_ = end;
        // The request line is not a field, hence > and not >=.
        else if (lines_++ > limits_.fields)
            return Problem{431, fmt::format("the header has more than {} fields", limits_.fields)};
        line_start_ = seen_ = end;
    }
    return std::nullopt;
}

std::optional<Problem> check_head(std::string_view head)
{
    RequestLine request;
    const auto first_end = head.find("\r\n");
    if (first_end == head.npos) return bad_request("the header is incomplete");
    if (auto wrong = check_request_line(head.substr(0, first_end), request)) return wrong;

    unsigned hosts = 0, lengths = 0, encodings = 0;
    for (auto rest = head.substr(first_end + 2); rest != "\r\n";) {
        const auto end = rest.find("\r\n");
        if (end == rest.npos) return bad_request("the header is incomplete");
        const auto line = rest.substr(0, end);
        rest.remove_prefix(end + 2);

        if (line.starts_with(' ') || line.starts_with('\t'))
            return bad_request("a header field is folded over two lines");
        const auto colon = line.find(':');
        if (colon == line.npos) return bad_request("a header field has no colon");
        const auto name = line.substr(0, colon);
        if (!is_token(name))
            return bad_request("a header field's name is empty or holds a character that is not allowed");
        const auto value = trim(line.substr(colon + 1));
        if (!std::ranges::all_of(value, is_field_value_char))
            return bad_request(fmt::format("the value of the header field {} holds a control character", name));

        if (equals_ignoring_case(name, "host")) {
            if (++hosts > 1) return bad_request("there is more than one Host field");
            if (!is_host(value)) return bad_request("the Host field is not a host with an optional port");
        } else if (equals_ignoring_case(name, "content-length")) {
            if (++lengths > 1) return bad_request("there is more than one Content-Length field");
            if (value.empty() || !std::ranges::all_of(value, is_digit) || !fits_uint64(value))
                return bad_request("Content-Length is not a decimal number");
        } else if (equals_ignoring_case(name, "transfer-encoding")) {
            if (++encodings > 1) return bad_request("there is more than one Transfer-Encoding field");
            if (!equals_ignoring_case(value, "chunked"))
                return Problem{501, "the only transfer coding that is understood is 'chunked'"};
        } else if (equals_ignoring_case(name, "expect")) {
            if (!equals_ignoring_case(value, "100-continue"))
                return Problem{417, "the only expectation that can be met is '100-continue'"};
        }
    }
    if (request.minor == 1 && hosts == 0) return bad_request("the Host field is missing");
    if (encodings > 0 && lengths > 0) return bad_request("Content-Length and Transfer-Encoding exclude each other");
    if (encodings > 0 && request.minor == 0) return bad_request("HTTP/1.0 has no Transfer-Encoding");
    return std::nullopt;
}

} // namespace hotspare::http
