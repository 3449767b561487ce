// A second, independent reading of a message head, straight from the grammar of RFC 9112 and with none of the code
// under test: lines end with CRLF, a field is what stands before and behind the first colon. And what must hold of
// every head that the proxy writes, in either direction.
//
// One thread. A PlainHead's views point into the bytes that were read.
#pragma once

#include "balancer/serve/message_head.hpp"

#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::fuzz {

struct PlainHead {
    using FieldLine = std::pair<std::string_view, std::string_view>;

    std::string_view start_line;
    std::vector<FieldLine> fields;

    std::vector<std::string_view> values_of(std::string_view name) const;
    std::size_t count(std::string_view name) const { return values_of(name).size(); }
    /// Whether some Connection field lists `option`.
    bool connection_lists(std::string_view option) const;
    /// Whether a field of this name concerns one hop: by RFC 9110 §7.6.1, or because Connection lists it. Host and
    /// Content-Length do not, whether listed or not.
    bool hop_by_hop(std::string_view name) const;
};

bool same_name(std::string_view a, std::string_view b);

/// The head in `bytes`, blank line included. Aborts unless every line ends with CRLF (of a server: or LF), no byte is a
/// control character (but a tab), and every field has a name without blanks.
PlainHead read_plainly(std::string_view bytes, http::Sender sender = http::Sender::client);

/// What scanning `bytes` came to.
struct FoundHead {
    std::optional<std::size_t> size; ///< nothing if there is no head: incomplete or refused
    /// Some delivery was refused before the head was complete: every parser must refuse it, too.
    bool refused_early = false;
};
/// Scans `bytes` in one piece and in others. Aborts unless all deliveries come to the same end, early refusals apart.
FoundHead head_in(std::string_view bytes, const balancer::LimitConfig& limits, http::Sender sender);

/// Limits that no head of the fuzzer exceeds.
balancer::LimitConfig generous_limits();

/// Aborts unless the fields of a head that we wrote frame the message as `framing` says, with at most one framing and
/// nothing hop-by-hop but what `upgrade` allows.
void check_written(const PlainHead& head, balancer::Framing framing, std::uint64_t content_length, bool upgrade);

} // namespace hotspare::fuzz
