// Message heads at the proxy: found in the byte stream, parsed by Beast, judged, and written anew for the other side.
//
// Sans-I/O: bytes in, bytes out. Parsing and writing are separate because a Connection field may name, and so remove, a
// field that came before it. Nothing that a backend could read differently than we did passes (RFC 9112 §11.2): heads
// are written from their parsed parts, never copied. Views point into the buffer that was parsed and die with it.
#pragma once

#include "balancer/buffer.hpp"
#include "balancer/config.hpp"

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/verb.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hotspare::balancer {

namespace beast_http = boost::beast::http;

/// Why a message was refused: the status for the client and one sentence. 204: nothing was wrong with it, and there is
/// nothing to say.
struct Rejection {
    unsigned status = 400;
    std::string_view detail;
};

/// Finds the end of a head, resumably, and refuses what the line structure alone gives away: bare LF and obs-fold
/// (RFC 9112 §2.2, §5.2), lines and heads over the limits.
class HeadScanner {
public:
    enum class Found : std::uint8_t { incomplete, complete, rejected };

    /// `bytes` is everything received so far from the first byte of the message; call again with more when incomplete.
    Found scan(std::string_view bytes, const LimitConfig& limits);

    std::size_t head_size() const noexcept { return line_start_; } ///< blank line included; when complete
    const Rejection& rejection() const noexcept { return rejection_; }
    void reset() noexcept { *this = HeadScanner{}; }

private:
    Found reject(unsigned status, std::string_view detail)
    {
        rejection_ = {status, detail};
        return Found::rejected;
    }

    std::size_t line_start_ = 0;
    std::size_t lines_ = 0;
    Rejection rejection_;
};

enum class Framing : std::uint8_t { none, length, chunked, until_close };

struct Field {
    beast_http::field id = beast_http::field::unknown;
    std::string_view name;
    std::string_view value;
};

/// The fields of one head, in order. Fixed storage: part of a pooled object.
class FieldList {
public:
    static constexpr std::size_t max_fields = most_fields;

    void clear() noexcept { count_ = nominated_ = 0; }
    bool add(beast_http::field id, std::string_view name, std::string_view value) noexcept; ///< false when full
    const Field* begin() const noexcept { return fields_.data(); }
    const Field* end() const noexcept { return fields_.data() + count_; }

    /// Records a Connection option: the field of that name is hop-by-hop (RFC 9110 §7.6.1). False if there are too
    /// many.
    bool nominate(std::string_view option) noexcept;
    bool nominated(std::string_view name) const noexcept;
    /// Whether `field` concerns this hop only and must not be forwarded as it is.
    bool hop_by_hop(const Field& field) const noexcept;

private:
    std::array<Field, max_fields> fields_;
    std::array<std::string_view, 8> nominated_names_;
    std::size_t count_ = 0;
    std::size_t nominated_ = 0;
};

struct RequestHead {
    beast_http::verb method = beast_http::verb::unknown;
    std::string_view method_name;
    std::string_view target; ///< origin-form or "*"; an absolute-form target is reduced to its origin-form
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

/// Parses a complete response head; `to_head` if the request was HEAD. Nothing, or what is wrong with it.
std::optional<std::string_view> parse_response(std::string_view head, bool to_head, ResponseHead& out);

/// What the proxy adds to a request.
struct RequestExtras {
    std::string_view target; ///< after the route's rewrite
    std::string_view client_ip;
    std::string_view request_id;
    bool forwarded = false;          ///< also the Forwarded field of RFC 7239
    std::string_view default_host{}; ///< Host for a request that names none (HTTP/1.0): the backend's authority
};
void write_request(const RequestHead& head, const RequestExtras& extras, Buffer& out);

/// What the proxy adds to a response.
struct ResponseExtras {
    std::string_view served_by;
    std::string_view request_id;
    unsigned client_version = 11;
    bool keep_alive = true;
    bool chunked = false;    ///< frame the body with chunks
    std::string_view date{}; ///< for a response without a Date; empty = none
};
void write_response(const ResponseHead& head, const ResponseExtras& extras, Buffer& out);

/// Decodes a chunked body and frames it anew, so that a chunk extension or a sloppy size never reaches the other side.
/// Trailers are dropped: no field in them may be needed to understand the message (RFC 9110 §6.5.1).
class ChunkDecoder {
public:
    enum class State : std::uint8_t { more, done, malformed };

    ChunkDecoder();
    ~ChunkDecoder();

    /// Takes what it can from `in` and appends to `out`: chunks, or the bare content if not `chunked`.
    State decode(Buffer& in, Buffer& out, bool chunked);
    std::uint64_t content_bytes() const noexcept;

private:
    class Parser;
    std::unique_ptr<Parser> parser_;
};

} // namespace hotspare::balancer
