#include "common/http/head.hpp"

#include "common/http/grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace hotspare::http {
namespace {

constexpr bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

constexpr std::string_view obs_fold = "a header field is continued on a second line (obs-fold)";

/// Takes "\r\n", and "\n" of a server, off `head`.
bool take_line_end(std::string_view& head, Sender sender) noexcept
{
    if (head.starts_with("\r\n"))
        head.remove_prefix(2);
    else if (sender == Sender::server && head.starts_with('\n'))
        head.remove_prefix(1);
    else
        return false;
    return true;
}

/// "HTTP/" DIGIT "." DIGIT: the two digits, or nothing.
struct Version {
    unsigned major = 0, minor = 0;
};
std::optional<Version> read_version(std::string_view text) noexcept
{
    if (text.size() < 8 || !text.starts_with("HTTP/") || !is_digit(text[5]) || text[6] != '.' || !is_digit(text[7]))
        return std::nullopt;
    return Version{static_cast<unsigned>(text[5] - '0'), static_cast<unsigned>(text[7] - '0')};
}

/// The length of the method that `line` begins with, or why there is none.
std::optional<Rejection> read_method(std::string_view line, std::size_t& length) noexcept
{
    std::size_t n = 0;
    while (n < line.size() && n <= longest_method && is_kind(line[n], token_char)) ++n;
    if (n > longest_method) return Rejection{501, "the method is longer than any that is known"};
    length = n;
    if (n < line.size() && (n == 0 || (line[n] != ' ' && line[n] != '\r')))
        return Rejection{400, "the method is not a token"};
    return std::nullopt;
}

} // namespace

std::string to_sentence(const Rejection& rejection)
{
    if (rejection.field.empty()) return std::string(rejection.detail);
    return fmt::format("the header field {}: {}", rejection.field, rejection.detail);
}

// ----------------------------------------------------------------------------------------------------------- scanning

HeadScanner::Found HeadScanner::reject(unsigned status, std::string_view detail)
{
    rejection_ = {.status = status, .detail = detail};
    return Found::rejected;
}

/// A line that is longer than any request line may be: the method alone, or more.
HeadScanner::Found HeadScanner::judge_long_line(std::string_view line)
{
    std::size_t length = 0;
    if (sender_ == Sender::client)
        if (const auto wrong = read_method(line, length)) return reject(wrong->status, wrong->detail);
    return reject(414, "the request line is longer than the limit");
}

HeadScanner::Found HeadScanner::scan(std::string_view received, const HeadLimits& limits)
{
    for (;;) {
        const auto* const lf =
            seen_ == received.size()
                ? nullptr
                : static_cast<const char*>(std::memchr(received.data() + seen_, '\n', received.size() - seen_));
        if (lf == nullptr) {
            seen_ = received.size();
            return judge_beginning(received, limits);
        }
        const std::size_t end = static_cast<std::size_t>(lf - received.data()) + 1;
        std::size_t length = end - 1 - line_start_;
        const bool crlf = length > 0 && lf[-1] == '\r';
        if (crlf) --length;
        if (lines_ == 0 && length > limits.request_line) return judge_long_line(received.substr(line_start_));
        if (end > limits.head) return reject(431, "the header is larger than the limit");
        if (!crlf && sender_ == Sender::client) return reject(400, "a line ends with LF instead of CRLF");
        const bool folded = lines_ > 0 && is_blank(received[line_start_]);
        line_start_ = seen_ = end;
        if (length == 0) {
            if (lines_ == 0) return reject(400, "an empty line instead of a request");
            return Found::complete;
        }
        if (folded) return reject(400, obs_fold);
        // The request line is not a field.
        if (++lines_ > limits.fields + 1) return reject(431, "too many header fields");
    }
}

/// Of a head whose end is still to come: the limits, and the lines that are there.
HeadScanner::Found HeadScanner::judge_beginning(std::string_view received, const HeadLimits& limits)
{
    const auto tail = received.substr(line_start_);
    if (lines_ == 0) {
        // A CR may be the first half of the line's end.
        const std::size_t length = tail.size() - (tail.ends_with('\r') ? 1 : 0);
        if (length > limits.request_line) return judge_long_line(tail);
        std::size_t method = 0;
        if (sender_ == Sender::client)
            if (const auto wrong = read_method(tail, method)) return reject(wrong->status, wrong->detail);
    }
    if (received.size() > limits.head) return reject(431, "the header is larger than the limit");
    if (lines_ > 0 && !tail.empty() && is_blank(tail.front())) return reject(400, obs_fold);
    for (auto lines = received.substr(judged_, line_start_ - judged_); !lines.empty();) {
        std::optional<Rejection> wrong;
        if (judged_ > 0) {
            FieldLine field;
            wrong = read_field(lines, sender_, field);
        } else if (sender_ == Sender::client) {
            RequestLine line;
            wrong = read_request_line(lines, line);
        } else {
            StatusLine line;
            wrong = read_status_line(lines, line);
        }
        if (wrong) {
            rejection_ = *wrong;
            return Found::rejected;
        }
        judged_ = line_start_ - lines.size();
    }
    return Found::incomplete;
}

// -------------------------------------------------------------------------------------------------------------- lines

std::optional<Rejection> read_request_line(std::string_view& head, RequestLine& out)
{
    std::size_t length = 0;
    if (const auto wrong = read_method(head, length)) return wrong;
    constexpr Rejection no_request_line{400, "the request line is not 'METHOD target HTTP/1.1'"};
    if (length == head.size() || head[length] != ' ') return no_request_line;
    out.method = head.substr(0, length);

    const char* const target = head.data() + length + 1;
    const char* const end = head.data() + head.size();
    const char* p = target;
    unsigned kinds = 0;
    while (p != end && is_kind(*p, target_char)) kinds |= char_kinds[static_cast<unsigned char>(*p++)];
    if (p == end || *p == '\r') return no_request_line;
    if (*p == '#') return Rejection{400, "the request target holds a fragment"};
    if (*p != ' ' || p == target)
        return Rejection{400, "the request target is empty, or holds a control character or a byte outside ASCII"};
    out.target = {target, static_cast<std::size_t>(p - target)};
    out.dotted = (kinds & dotted_char) != 0;

    auto rest = head.substr(static_cast<std::size_t>(p + 1 - head.data()));
    const auto version = read_version(rest);
    if (!version) return Rejection{400, "the request line does not end in an HTTP version"};
    rest.remove_prefix(8);
    if (!take_line_end(rest, Sender::client)) return Rejection{400, "the request line does not end in an HTTP version"};
    if (version->major != 1) return Rejection{505, "the HTTP version is not 1.0 or 1.1"};
    out.minor = version->minor > 0 ? 1 : 0;
    head = rest;
    return std::nullopt;
}

std::optional<Rejection> read_status_line(std::string_view& head, StatusLine& out)
{
    const auto version = read_version(head);
    if (!version || version->major != 1) return Rejection{502, "the status line does not begin with HTTP/1.0 or 1.1"};
    auto rest = head.substr(8);
    if (!rest.starts_with(' ')) return Rejection{502, "the status line has no status"};
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    if (rest.size() < 4 || rest[0] == '0' || !is_digit(rest[0]) || !is_digit(rest[1]) || !is_digit(rest[2]))
        return Rejection{502, "the status is not a number from 100 to 999"};
    out.status = static_cast<unsigned>((rest[0] - '0') * 100 + (rest[1] - '0') * 10 + (rest[2] - '0'));
    rest.remove_prefix(3);
    if (rest.front() != ' ' && rest.front() != '\r' && rest.front() != '\n')
        return Rejection{502, "the status is not a number from 100 to 999"};
    const char* const end = find_control(rest.data(), rest.data() + rest.size());
    out.reason = trim({rest.data(), static_cast<std::size_t>(end - rest.data())});
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (!take_line_end(rest, Sender::server)) return Rejection{502, "the status line holds a control character"};
    out.minor = version->minor > 0 ? 1 : 0;
    head = rest;
    return std::nullopt;
}

std::optional<Rejection> read_field(std::string_view& head, Sender sender, FieldLine& out)
{
    const char* const begin = head.data();
    const char* const end = begin + head.size();
    const char* p = begin;
    while (p != end && is_kind(*p, token_char)) ++p;
    if (p == begin || p == end || *p != ':')
        return Rejection{400, "a header field's name is not a token directly followed by a colon"};
    out.name = {begin, static_cast<std::size_t>(p - begin)};
    do ++p;
    while (p != end && is_blank(*p));
    const char* const stop = find_control(p, end);
    const char* last = stop;
    while (last != p && is_blank(last[-1])) --last;
    out.value = {p, static_cast<std::size_t>(last - p)};
    auto rest = head.substr(static_cast<std::size_t>(stop - begin));
    if (!take_line_end(rest, sender)) return Rejection{400, "its value holds a control character", out.name};
    head = rest;
    return std::nullopt;
}

// ------------------------------------------------------------------------------------------------------------ framing

void FramingFields::add_content_length(std::string_view value) noexcept
{
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    bool valid = !value.empty();
    std::uint64_t length = 0;
    for (const char c : value) {
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (!is_digit(c) || length > (most - digit) / 10) {
            valid = false;
            break;
        }
        length = length * 10 + digit;
    }
    if (!valid || lengths_ == Lengths::invalid)
        lengths_ = Lengths::invalid;
    else if (lengths_ == Lengths::none)
        lengths_ = Lengths::one;
    else
        lengths_ = length == length_ && lengths_ != Lengths::different ? Lengths::equal : Lengths::different;
    length_ = length;
}

/// Several fields are one list (RFC 9110 §5.3).
void FramingFields::add_transfer_encoding(std::string_view value) noexcept
{
    for (bool more = true; more;) {
        more = value.find(',') != std::string_view::npos; // behind the last comma stands an element, too
        const auto element = next_element(value);
        const auto coding = trim(element.substr(0, element.find(';')));
        const bool is_chunked = equals_ignoring_case(coding, "chunked");
        // Nothing may follow `chunked`, itself included, and it has no parameters (RFC 9112 §7).
        if (codings_ == Codings::chunked || codings_ == Codings::unknown_and_chunked || !is_token(coding) ||
            (is_chunked && coding.size() != element.size()))
            codings_ = Codings::faulty;
        else if (codings_ == Codings::none)
            codings_ = is_chunked ? Codings::chunked : Codings::unknown_last;
        else if (codings_ == Codings::unknown_last && is_chunked)
            codings_ = Codings::unknown_and_chunked;
    }
}

std::optional<Rejection> FramingFields::judge_request(unsigned minor) const noexcept
{
    if (has_transfer_encoding() && has_content_length())
        return Rejection{400, "both Transfer-Encoding and Content-Length"};
    switch (lengths_) {
    case Lengths::none:
    case Lengths::one: break;
    case Lengths::equal:
    case Lengths::different: return Rejection{400, "more than one Content-Length"};
    case Lengths::invalid: return Rejection{400, "Content-Length is not one decimal number"};
    }
    if (has_transfer_encoding() && minor == 0) return Rejection{400, "Transfer-Encoding in an HTTP/1.0 request"};
    if (codings_ == Codings::unknown_last || codings_ == Codings::faulty)
        return Rejection{400, "Transfer-Encoding does not end in one chunked without parameters"};
    return std::nullopt;
}

std::optional<Rejection> FramingFields::judge_codings() const noexcept
{
    if (codings_ != Codings::unknown_and_chunked) return std::nullopt;
    return Rejection{501, "a Transfer-Encoding other than chunked"};
}

std::optional<Rejection> FramingFields::judge_response(unsigned status, bool to_head, Framing& out) const noexcept
{
    if (lengths_ == Lengths::different) return Rejection{502, "more than one Content-Length"};
    if (lengths_ == Lengths::invalid) return Rejection{502, "Content-Length is not one decimal number"};
    if (has_transfer_encoding() && !chunked()) return Rejection{502, "a Transfer-Encoding other than chunked"};
    // RFC 9112 §6.3, in its order.
    if (to_head || status / 100 == 1 || status == 204 || status == 304) {
        out = Framing::none;
    } else if (chunked()) {
        if (has_content_length()) return Rejection{502, "both Transfer-Encoding and Content-Length"};
        out = Framing::chunked;
    } else if (has_content_length()) {
        out = length_ > 0 ? Framing::length : Framing::none;
    } else {
        out = Framing::until_close;
    }
    return std::nullopt;
}

// ------------------------------------------------------------------------------------------------------- the request

void RequestRules::take_expect(std::string_view value) noexcept
{
    if (equals_ignoring_case(value, "100-continue"))
        expects_continue = true;
    else
        other_expectation = true;
}

namespace {

std::optional<Rejection> read_target(const RequestLine& line, RequestRules::Target& out)
{
    const bool options = line.method == "OPTIONS";
    out = {.authority = {}, .path_and_query = line.target, .no_path = false};
    if (line.target.front() == '/' || (options && line.target == "*")) return std::nullopt;

    constexpr std::string_view scheme = "http://";
    constexpr std::string_view secure = "https://";
    // RFC 9110 §7.4: a request for an https resource must be rejected unless its connection is secured.
    if (equals_ignoring_case(line.target.substr(0, secure.size()), secure))
        return Rejection{400, "the request target is an https:// URL, but the connection has no TLS"};
    if (!equals_ignoring_case(line.target.substr(0, scheme.size()), scheme))
        return Rejection{400, "the request target is neither a path nor an http:// URL"};
    const auto rest = line.target.substr(scheme.size());
    const auto path = std::min(rest.find_first_of("/?"), rest.size());
    out.authority = rest.substr(0, path);
    if (out.authority.empty() || !is_host(out.authority))
        return Rejection{400, "the authority of the request target is not a host with an optional port"};
    out.path_and_query = rest.substr(path);
    out.no_path = !out.path_and_query.starts_with('/');
    // RFC 9112 §3.2.4: what is asked about the server as a whole.
    if (options && out.path_and_query.empty())
        out = {.authority = out.authority, .path_and_query = "*", .no_path = false};
    else if (out.path_and_query.empty())
        out = {.authority = out.authority, .path_and_query = "/", .no_path = false};
    return std::nullopt;
}

} // namespace

std::optional<Rejection> RequestRules::judge(const RequestLine& line, Target& target) const
{
    if (const auto wrong = framing.judge_request(line.minor)) return wrong;
    if (hosts > 1) return Rejection{400, "more than one Host"};
    if (hosts == 0 && line.minor > 0) return Rejection{400, "no Host (RFC 9112 §3.2 requires one)"};
    if (!is_host(host)) return Rejection{400, "Host is not a host with an optional port"};
    if (line.method == "CONNECT") return Rejection{501, "CONNECT is not supported: this is not a forward proxy"};
    if (const auto wrong = read_target(line, target)) return wrong;
    if (other_expectation) return Rejection{417, "an expectation other than 100-continue"};
    return framing.judge_codings();
}

} // namespace hotspare::http
