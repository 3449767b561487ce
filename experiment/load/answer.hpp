// Reads one answer of an HTTP/1.1 or 1.0 server as its bytes arrive, whatever its framing: Content-Length, chunked,
// until the connection closes, or none (HEAD, 204, 304), by the rules by which the balancer reads a server
// (common/http/head_parts). Interim answers (1xx) are passed over. Keeps the head, and the first 64 KiB of the body if
// they are wanted; the rest of a body of known length need not even be read.
//
// Sans-I/O. Thread: its owner's. Owner: one connection of the load generator, which uses it for answer after answer.
#pragma once

#include "common/http/chunks.hpp"
#include "common/http/head_parts.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hotspare::experiment {

class AnswerReader {
public:
    enum class State : std::uint8_t { incomplete, complete, malformed };

    static constexpr std::size_t largest_head = 64U << 10U;
    static constexpr std::size_t kept_body = 64U << 10U;

    /// Forgets everything and expects the answer to the next request.
    void restart(bool to_head, bool keep_body);

    /// Takes what was received. Not to be called again after `complete` or `malformed`.
    State feed(std::string_view bytes);

    /// The server has ended the stream: completes a body that lasts until then; anything else stays incomplete.
    State end();

    /// So many bytes of the body may be dropped unread, as long as skip() is told.
    std::uint64_t skippable() const noexcept { return keep_body_ ? 0 : body_left_; }
    State skip(std::uint64_t count);

    /// Of the final answer; 0 until its whole head has been read.
    unsigned status() const noexcept { return status_; }
    /// Status line and fields; empty until the whole head has been read.
    std::string_view head() const noexcept { return std::string_view(head_).substr(0, head_size_); }
    /// What was kept of the body.
    std::string_view body() const noexcept { return body_; }
    /// After `complete`: whether the connection may carry another request.
    bool reusable() const noexcept { return reusable_; }

private:
    State read_head();
    State read_body(std::string_view bytes);
    State read_chunks(std::string_view bytes);
    State complete(bool keep_alive, bool more_behind);
    void keep(std::string_view body);

    std::string head_;          ///< everything received until the head was complete
    std::size_t head_size_ = 0; ///< of head_, once it is complete
    http::HeadScanner scanner_{http::Sender::server};
    http::ResponseParts parts_; ///< of head_, while it is read
    http::ChunkReader chunks_{http::Sender::server};
    http::Framing framing_ = http::Framing::none;
    std::uint64_t body_left_ = 0; ///< Framing::length
    std::string body_;            ///< what is kept of it
    bool keep_alive_ = false;
    unsigned status_ = 0;
    bool to_head_ = false;
    bool keep_body_ = false;
    bool reusable_ = false;
};

} // namespace hotspare::experiment
