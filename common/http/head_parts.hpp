// A complete head taken apart and judged: what the suite's own servers do with a request (Connection), and what its
// clients do with a response (fetch(), the load generator). The rules are those of head.hpp, which the balancer's data
// plane applies in one pass of its own that allocates nothing (balancer/serve/message_head).
//
// PURE: text in, parts out. Any thread. Views point into the head that they were read from.
#pragma once

#include "common/http/head.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace hotspare::http {

struct RequestParts {
    RequestLine line;
    RequestRules::Target target;
    FramingFields framing;
    bool expects_continue = false;
    std::vector<FieldLine> fields; ///< in their order
};

/// Reads a complete head of a client's request, final empty line included (as found by HeadScanner). Returns the 400,
/// 417, 501 or 505 to answer, or nothing: then `out` holds all of the parts.
std::optional<Rejection> read_request(std::string_view head, RequestParts& out);

struct ResponseParts {
    StatusLine line;
    Framing framing = Framing::none; ///< of the body that follows
    std::uint64_t length = 0;        ///< of the body; for Framing::length
    /// Whether the server goes on after this message, if its body does not end with the connection (RFC 9112 §9.3).
    bool keep_alive = true;
    std::vector<FieldLine> fields; ///< in their order
};

/// Reads a complete head of a server's response; `to_head` if it answers HEAD. What is wrong with it, or nothing.
std::optional<Rejection> read_response(std::string_view head, bool to_head, ResponseParts& out);

} // namespace hotspare::http
