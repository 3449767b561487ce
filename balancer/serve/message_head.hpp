// Message heads at the proxy: parsed by the rules of common/http/head, and written anew for the other side.
//
// Sans-I/O: bytes in, bytes out. Parsing and writing are separate because a Connection field may name, and so remove, a
// field that came before it. Nothing that a backend could read differently than we did passes (RFC 9112 §11.2): heads
// are written from their parsed parts, never copied. Views point into the buffer that was parsed and die with it.
#pragma once

#include "balancer/config.hpp"
#include "balancer/serve/buffer.hpp"
#include "common/http/chunks.hpp"
#include "common/http/head.hpp"

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/verb.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

namespace beast_http = boost::beast::http;

using http::Framing;
using http::HeadScanner;
using http::Rejection;

struct Field {
    beast_http::field id = beast_http::field::unknown;
    std::string_view name;
    std::string_view value;
    bool ends_here = false; ///< concerns this hop only, or is ours to write: not forwarded
};

/// The fields of one head, in order. Fixed storage: part of a pooled object.
class FieldList {
public:
    static constexpr std::size_t max_fields = most_fields;

    void clear() noexcept { count_ = 0; }
    /// False when full. A field that always concerns one hop (RFC 9110 §7.6.1) ends here from the start.
    bool add(beast_http::field id, std::string_view name, std::string_view value) noexcept;
    const Field* begin() const noexcept { return fields_.data(); }
    const Field* end() const noexcept { return fields_.data() + count_; }
    Field& back() noexcept { return fields_[count_ - 1]; }

    /// Lets the fields end here that Connection names, however many those are: in about linear time.
    void end_nominated() noexcept;

    /// Lets the fields of these names end here.
    void end_named(const std::vector<std::string>& names) noexcept;

private:
    std::array<Field, max_fields> fields_;
    std::size_t count_ = 0;
};

/// Of a request.
bool is_forwarded_for(const Field& field) noexcept;

struct RequestHead {
    RequestHead() = default;
    RequestHead(const RequestHead&) = delete; // `target` may point into it
    RequestHead& operator=(const RequestHead&) = delete;

    beast_http::verb method = beast_http::verb::unknown;
    std::string_view method_name;
    std::string_view target; ///< origin-form or "*"; an absolute-form target is reduced to its origin-form
    bool dotted = false;     ///< without this, `target` has no dot segment
    std::string_view host;
    unsigned version = 11;
    Framing framing = Framing::none;
    std::uint64_t content_length = 0;
    bool keep_alive = true;
    bool expect_continue = false; ///< the backend will be asked, too
    bool upgrade = false;         ///< to WebSocket (RFC 6455); any other Upgrade is ignored, as RFC 9110 §7.8 allows
    bool idempotency_key = false; ///< the backend will see it
    bool forwarded_for = false;   ///< there is an X-Forwarded-For
    std::string_view request_id;  ///< the client's, if usable
    /// Of TRACE and OPTIONS, as received. At 0 we are whom the request is for: it must not be forwarded but answered
    /// here (RFC 9110 §7.6.2).
    std::optional<std::uint64_t> max_forwards;
    FieldList fields;
    std::string path_added; ///< storage of a `target` that does not stand in the head: "/" before a query

    std::string_view path() const noexcept { return target.substr(0, target.find('?')); }
    bool safe() const noexcept;       ///< RFC 9110 §9.2.1
    bool idempotent() const noexcept; ///< RFC 9110 §9.2.2: safe, PUT, DELETE
};

struct ResponseHead {
    unsigned status = 0;
    std::string_view reason;
    unsigned version = 11;
    Framing framing = Framing::none;
    std::uint64_t content_length = 0;
    bool has_content_length = false; ///< also when there is no body, as for HEAD
    bool keep_alive = true;
    bool request_id = false;
    bool date = false; ///< the client will see the backend's
    FieldList fields;
};

/// Parses a complete head (as found by HeadScanner). Nothing, or why it is refused: 400, 414, 417, 431, 501, 505.
std::optional<Rejection> parse_request(std::string_view head, const LimitConfig& limits, RequestHead& out);

/// Parses a complete response head as a server's (http::Sender::server); `to_head` if the request was HEAD. Nothing, or
/// what is wrong with it.
std::optional<std::string_view> parse_response(std::string_view head, bool to_head, ResponseHead& out);

/// What the proxy adds to a request.
struct RequestExtras {
    std::string_view target;    ///< after the route's rewrite
    std::string_view client_ip; ///< who has sent it to us
    std::string_view request_id;
    bool forwarded = false;          ///< also the Forwarded field of RFC 7239
    std::string_view default_host{}; ///< Host for a request that names none (HTTP/1.0): the backend's authority
    bool trusted = false;            ///< what the sender says of its own client is kept
    std::string_view added{};        ///< further lines, each with its CRLF
};
void write_request(const RequestHead& head, const RequestExtras& extras, Buffer& out);

/// The value of a field in a head that write_request() has written; those of several lines as one list (RFC 9110 §5.3).
std::string written_field(std::string_view head, std::string_view name);

/// What the proxy adds to a response.
struct ResponseExtras {
    std::string_view served_by; ///< the backend; empty = one of our own pages, which nothing was proxied for
    std::string_view request_id;
    unsigned client_version = 11;
    bool keep_alive = true;
    bool chunked = false;          ///< frame the body with chunks
    std::string_view date{};       ///< for a response without a Date; empty = none
    std::string_view added{};      ///< further lines, each with its CRLF
    std::string_view set_cookie{}; ///< the same
};
void write_response(const ResponseHead& head, const ResponseExtras& extras, Buffer& out);

/// Decodes a chunked body and frames it anew, so that a chunk extension or a sloppy size never reaches the other side.
class ChunkDecoder {
public:
    enum class State : std::uint8_t { more, done, malformed };

    explicit ChunkDecoder(http::Sender sender) noexcept : reader_(sender) {}

    /// Takes what it can from `in` and appends to `out`: chunks, or the bare content if not `chunked`.
    State decode(Buffer& in, Buffer& out, bool chunked);
    std::uint64_t content_bytes() const noexcept { return content_; }

private:
    http::ChunkReader reader_;
    std::uint64_t content_ = 0;
};

} // namespace hotspare::balancer
