// The body of one message on its way from the stream it arrives on to the one it leaves by: where it ends, how it is
// framed for the other side, and how it gets there in few system calls and little memory.
//
// It decides nothing about a failure: it says what happened, and the Exchange knows what that means for a request or a
// response. Thread: its worker's. Owner: the Exchange, one for each direction.
#pragma once

#include "balancer/decide/relay_memory.hpp"
#include "balancer/serve/buffer.hpp"
#include "balancer/serve/message_head.hpp"
#include "balancer/serve/stream.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace hotspare::balancer {

class BodyRelay {
public:
    enum class End : std::uint8_t {
        none,      ///< the body goes on, or is complete()
        cut,       ///< the source ended or broke before the body did
        malformed, ///< the chunks are not RFC 9112 §7.1
    };
    struct Step {
        End end = End::none;
        std::size_t taken = 0; ///< bytes that left the source or `in`; 0 = blocked, or complete
        std::size_t sent = 0;  ///< bytes that the sink took
    };

    /// `sender` says how strictly chunks are read.
    explicit BodyRelay(http::Sender sender) noexcept : sender_(sender) {}

    /// Starts a body of `length` bytes (for Framing::length). With `chunked` it leaves framed in chunks.
    void begin(Framing framing, std::uint64_t length, bool chunked);

    bool complete() const noexcept { return complete_; } ///< the whole body has been taken
    /// Bytes that the source still owes: none once complete(), the largest number where only the end will tell.
    std::uint64_t owed() const noexcept;
    /// Bytes of content taken so far, without the framing of chunks.
    std::uint64_t content_bytes() const noexcept;

    /// Takes what `in` already holds of the body, else at most `wanted` bytes of the source, and appends it to `out`.
    Step read(Stream& source, Buffer& in, Buffer& out, std::size_t wanted = read_ahead);

    /// The same straight through to the sink, as long as nothing waits in `in` or `out` and no chunks must be framed.
    /// What the sink does not take stays in the source's socket, but for a small piece that is appended to `out`.
    /// Nothing is read while the sink takes nothing, or while more than `most_waiting` bytes are in `out`. `window` is
    /// scratch of relay_window bytes. A broken sink shows again when `out` is written.
    Step pass(Stream& source, Buffer& in, Stream& sink, Buffer& out, std::span<char> window, std::size_t most_waiting);

private:
    Step read_until_close(Stream& source, Buffer& in, Buffer& out);
    Step read_chunks(Stream& source, Buffer& in, Buffer& out);
    Step pass_read(Stream& source, Stream& sink, Buffer& out, std::span<char> piece);
    Step pass_peeked(Stream& source, Stream& sink, Buffer& out, std::span<char> piece);
    Step at_end(const IoResult& io) noexcept;
    void count(std::size_t taken) noexcept;

    const http::Sender sender_;
    Framing framing_ = Framing::none;
    bool chunked_ = false;
    bool complete_ = true;
    std::uint64_t left_ = 0;
    std::uint64_t content_ = 0;
    PieceSize piece_;
    std::optional<ChunkDecoder> decoder_;
};

} // namespace hotspare::balancer
