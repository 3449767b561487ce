// The body of one message on its way from the stream it arrives on to the one it leaves by: where it ends, how it is
// framed for the other side, and how it gets there in few system calls and little memory.
//
// It decides nothing about a failure: it says what happened, and the Exchange knows what that means for a request or a
// response. Thread: its worker's. Owner: the Exchange, one for each direction.
#pragma once

#include "balancer/buffer.hpp"
#include "balancer/message_head.hpp"
#include "balancer/stream.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace hotspare::balancer {

/// Largest piece moved at once by BodyRelay::pass(). On loopback and fast networks what a body costs is mostly the
/// waking of the next in line: with 1 MiB a core moves 1.8 times as much as with 128 KiB.
inline constexpr std::size_t relay_window = 1024 * 1024;
/// What is read of a stream when it is not known what will come, and what may wait in a buffer for a slow reader before
/// we stop reading more for it.
inline constexpr std::size_t read_ahead = 16 * 1024;

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

    /// Takes what `in` already holds of the body, else about `wanted` bytes of the source, and appends it to `out`.
    Step read(Stream& source, Buffer& in, Buffer& out, std::size_t wanted = read_ahead);

    /// The same straight through to the sink, as long as nothing waits in `in` or `out` and no chunks must be framed:
    /// only what the sink did not take is appended to `out`. `window` is scratch of relay_window bytes. A broken sink
    /// is met again by whoever writes `out`.
    Step pass(Stream& source, Buffer& in, Stream& sink, Buffer& out, std::span<char> window);

private:
    Step read_until_close(Stream& source, Buffer& in, Buffer& out);
    Step read_chunks(Stream& source, Buffer& in, Buffer& out);
    void count(std::size_t taken) noexcept;

    const http::Sender sender_;
    Framing framing_ = Framing::none;
    bool chunked_ = false;
    bool complete_ = true;
    std::uint64_t left_ = 0;
    std::uint64_t content_ = 0;
    // A slow sink leaves a rest in `out`, which is memory for each slow client: the next pieces are smaller then.
    std::size_t piece_ = relay_window;
    std::optional<ChunkDecoder> decoder_;
};

} // namespace hotspare::balancer
