// An HTTP client that sends exactly the bytes it is told, for everything that a well-behaved client would never send,
// and a shorthand for a plain request. Every wait is bounded.
//
// Thread: the caller's.
#pragma once

#include "tests/support/message.hpp"
#include "tests/support/socket.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::test {

/// What came back, however it ended.
struct Answer {
    enum class End {
        complete,  ///< a whole message; the connection is still open as far as we know
        closed,    ///< the peer closed before the message was whole (at once, if nothing was received)
        reset,     ///< the same, by RST
        timed_out, ///< silence
        broken,    ///< not HTTP
    };

    End end = End::timed_out;
    Message message; ///< as much as was understood

    int status() const noexcept { return message.status(); }
    bool complete() const noexcept { return end == End::complete; }
    /// The body; a discarded value if it is not JSON.
    nlohmann::json json() const;
};

std::string_view to_string(Answer::End) noexcept;

class RawClient {
public:
    /// Connects to 127.0.0.1:`port`; throws std::system_error if refused. A small `receive_buffer` (bytes) makes the
    /// client a slow reader that the kernel does not help.
    explicit RawClient(std::uint16_t port, int receive_buffer = 0);

    /// False if the peer stopped taking bytes; what it answered may still be readable.
    bool send(std::string_view bytes, milliseconds bound = patience);
    /// Sends `bytes` one by one, each in a packet of its own.
    bool send_sliced(std::string_view bytes);
    /// No more bytes from us (FIN); answers can still be read.
    void finish_sending();
    /// Disappears with RST.
    void reset() noexcept { socket_.reset(); }

    /// The next response on the connection. `head` if it answers a HEAD request.
    Answer read_response(milliseconds bound = patience, bool head = false);
    /// Everything until the peer closes; `closed` tells whether it did within `bound`.
    std::string read_until_close(milliseconds bound, bool* closed = nullptr);
    /// Exactly what is there, at most `limit` bytes, waiting at most `bound` for the first.
    std::string read_some(std::size_t limit, milliseconds bound = patience);
    /// True once the peer has closed the connection and nothing is left to read.
    bool closed_by_peer(milliseconds bound = patience);

private:
    Fd socket_;
    std::string pending_; ///< received behind the last response
    MessageReader reader_{MessageReader::Kind::response};
};

/// One request on a connection of its own. Content-Length is added when there is a body. A refused connection is an
/// Answer with End::closed and status 0.
Answer request(std::uint16_t port, std::string_view method, std::string_view target,
               const std::vector<Header>& headers = {}, std::string_view body = {}, milliseconds bound = patience);
inline Answer get(std::uint16_t port, std::string_view target)
{
    return request(port, "GET", target);
}
inline Answer post(std::uint16_t port, std::string_view target, std::string_view body = {})
{
    return request(port, "POST", target, {{"Content-Type", "application/json"}}, body);
}

/// The bytes of a request as `request` sends it.
std::string format_request(std::string_view method, std::string_view target, const std::vector<Header>& headers = {},
                           std::string_view body = {});

} // namespace hotspare::test
