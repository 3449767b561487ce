// The way out for endpoints that keep talking: Server-Sent Events and WebSocket. A handler answers with EventStream or
// WebSocket (message.hpp) and gets an Outbox; it pushes messages whenever it has some, and the server's connection
// writes them, sends heartbeats and notices that the peer is gone.
//
// Thread: the server's only. Owner: shared by the connection and the publisher, who should keep a weak_ptr or drop its
// shared_ptr once send() says no. An Outbox must not outlive the io_context.
#pragma once

#include "common/clock.hpp"
#include "common/http/message.hpp"

#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::http {

class Outbox {
public:
    /// `limit`: bytes that may wait for a peer that reads slowly.
    Outbox(asio::io_context& context, std::size_t limit);

    /// Queues one message: a formatted event, or the text of a WebSocket message. False, and nothing queued, when the
    /// peer is gone, close() was called, or the peer lags by more than the limit (which ends the stream: a subscriber
    /// that misses messages must reconnect and ask for what it missed).
    bool send(std::string message);

    /// Ends the stream once everything queued is written.
    void close();

    bool closed() const noexcept { return closed_; }

private:
    friend class Connection;

    /// The next message to write; an empty string when `heartbeat` passed without one; nullopt when the stream is over.
    asio::awaitable<std::optional<std::string>> next(Duration heartbeat);
    /// Ends the stream at once: the peer is gone.
    void abandon();

    std::deque<std::string> messages_;
    std::size_t bytes_ = 0;
    std::size_t limit_;
    bool closed_ = false;
    asio::steady_timer wake_;
};

/// One event in the text/event-stream format (WHATWG HTML §9.2). `id` and `event` are left out when empty; they must
/// not contain line breaks, `data` may.
std::string format_event(std::string_view id, std::string_view event, std::string_view data);

} // namespace hotspare::http
