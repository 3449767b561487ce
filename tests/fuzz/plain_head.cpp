#include "tests/fuzz/plain_head.hpp"

#include "tests/fuzz/check.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace hotspare::fuzz {

using balancer::Framing;
using balancer::HeadScanner;
using balancer::LimitConfig;

namespace {

std::string_view trimmed(std::string_view text)
{
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

struct Scanned {
    HeadScanner::Found found = HeadScanner::Found::incomplete;
    std::size_t size = 0;
};

Scanned scan(std::string_view bytes, const LimitConfig& limits, http::Sender sender, std::size_t longest_piece)
{
    HeadScanner scanner(sender);
    std::string received;
    for (const std::string_view piece : pieces(bytes, longest_piece)) {
        received += piece;
        const auto found = scanner.scan(received, balancer::head_limits(limits));
        if (found == HeadScanner::Found::rejected) {
            check(scanner.rejection().status >= 400 && !scanner.rejection().detail.empty(), "a refusal has a reason");
            return {found, 0};
        }
        if (found == HeadScanner::Found::complete) return {found, scanner.head_size()};
    }
    return {};
}

} // namespace

bool same_name(std::string_view a, std::string_view b)
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::vector<std::string_view> PlainHead::values_of(std::string_view name) const
{
    std::vector<std::string_view> out;
    for (const auto& [field, value] : fields)
        if (same_name(field, name)) out.push_back(value);
    return out;
}

bool PlainHead::connection_lists(std::string_view option) const
{
    for (std::string_view list : values_of("Connection"))
        while (!list.empty()) {
            const auto comma = std::min(list.find(','), list.size());
            if (same_name(trimmed(list.substr(0, comma)), option)) return true;
            list.remove_prefix(std::min(comma + 1, list.size()));
        }
    return false;
}

bool PlainHead::hop_by_hop(std::string_view name) const
{
    static constexpr std::array<std::string_view, 10> always{
        "Connection",     "Keep-Alive",         "Proxy-Connection",   "TE", "Trailer", "Transfer-Encoding", "Upgrade",
        "HTTP2-Settings", "Proxy-Authenticate", "Proxy-Authorization"};
    if (std::any_of(always.begin(), always.end(), [&](std::string_view n) { return same_name(n, name); })) return true;
    return !same_name(name, "Host") && !same_name(name, "Content-Length") && connection_lists(name);
}

PlainHead read_plainly(std::string_view bytes, http::Sender sender)
{
    const std::string_view all = bytes;
    PlainHead head;
    for (bool first = true;; first = false) {
        const auto end = bytes.find('\n');
        check(end != std::string_view::npos, "every line ends", all);
        const bool crlf = end > 0 && bytes[end - 1] == '\r';
        check(crlf || sender == http::Sender::server, "every line ends with CRLF", all);
        const std::string_view line = bytes.substr(0, crlf ? end - 1 : end);
        bytes.remove_prefix(end + 1);
        check(std::none_of(line.begin(), line.end(),
                           [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; }),
              "no line holds a control character", all);
        if (first) {
            head.start_line = line;
            continue;
        }
        if (line.empty()) break;
        const auto colon = line.find(':');
        check(colon != std::string_view::npos && colon > 0, "every field has a name", all);
        const std::string_view name = line.substr(0, colon);
        check(name.find_first_of(" \t") == std::string_view::npos, "no field name holds a blank", all);
        head.fields.emplace_back(name, trimmed(line.substr(colon + 1)));
    }
    check(bytes.empty(), "the head ends with its blank line", all);
    return head;
}

FoundHead head_in(std::string_view bytes, const LimitConfig& limits, http::Sender sender)
{
    HeadScanner at_once(sender);
    const auto found = at_once.scan(bytes, balancer::head_limits(limits));
    bool refused_early = false;
    for (const std::size_t longest : {std::size_t{1}, std::size_t{7}, bytes.size() + 1}) {
        const Scanned pieced = scan(bytes, limits, sender, longest);
        // The lines of a head that arrives in one piece are not looked at before it is parsed.
        if (found == HeadScanner::Found::complete && pieced.found == HeadScanner::Found::rejected) {
            refused_early = true;
            continue;
        }
        check(pieced.found == found, "how a head is delivered does not decide whether it is accepted", bytes);
        if (found == HeadScanner::Found::complete)
            check(pieced.size == at_once.head_size(), "how a head is delivered does not decide where it ends", bytes);
    }
    if (found != HeadScanner::Found::complete) return {};
    check(at_once.head_size() <= limits.header, "no accepted head is larger than the limit");
    const auto head = bytes.substr(0, at_once.head_size());
    check(head.ends_with("\r\n\r\n") ||
              (sender == http::Sender::server && (head.ends_with("\n\n") || head.ends_with("\n\r\n"))),
          "a head ends with a blank line", bytes);
    return {at_once.head_size(), refused_early};
}

LimitConfig generous_limits()
{
    LimitConfig limits;
    limits.request_line = limits.header = 1 << 20;
    limits.fields = balancer::FieldList::max_fields;
    return limits;
}

void check_written(const PlainHead& head, Framing framing, std::uint64_t content_length, bool upgrade)
{
    const auto lengths = head.values_of("Content-Length");
    const auto codings = head.values_of("Transfer-Encoding");
    check(lengths.size() + codings.size() <= 1, "a message has at most one framing");
    switch (framing) {
    case Framing::length:
        check(lengths.size() == 1 && lengths[0].find_first_not_of("0123456789") == std::string_view::npos &&
                  std::stoull(std::string(lengths[0])) == content_length,
              "a body of known length announces it");
        break;
    case Framing::chunked: check(codings.size() == 1 && codings[0] == "chunked", "a chunked body says so"); break;
    case Framing::none:
    case Framing::until_close: check(codings.empty(), "a message without chunks announces none"); break;
    }
    for (const auto& [name, value] : head.fields) {
        if (same_name(name, "Transfer-Encoding")) continue;
        if (upgrade && same_name(name, "Upgrade")) {
            check(value == "websocket" && head.count("Upgrade") == 1,
                  "a connection becomes a WebSocket or nothing else");
            continue;
        }
        if (same_name(name, "Connection")) {
            const bool known = upgrade ? value == "Upgrade" : value == "close" || value == "keep-alive";
            check(known && head.count("Connection") == 1, "Connection says what we mean and nothing of the peer's");
            continue;
        }
        check(!head.hop_by_hop(name), "nothing hop-by-hop is forwarded", name);
    }
}

} // namespace hotspare::fuzz
