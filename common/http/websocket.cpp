// The part of Connection that speaks WebSocket, by itself because Beast's takes longer to compile than all the rest.
#include "common/http/connection.hpp"

#include "common/no_throw.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>

namespace hotspare::http {
namespace {

namespace websocket = beast::websocket;
/// Without permessage-deflate (RFC 7692), whose window would cost every client more memory than its backlog.
using WebSocketStream = websocket::stream<tcp::socket&, false>;

constexpr std::size_t longest_message = 64 * 1024;

} // namespace

template <class Stream>
asio::awaitable<void> Connection::read_messages(Stream& stream, std::shared_ptr<Outbox> outbox, WebSocket handlers)
{
    beast::flat_buffer message;
    while (true) {
        const auto [error, count] = co_await stream.async_read(message, no_throw);
        if (error) break;
        if (handlers.on_message && stream.got_text() &&
            !notify(handlers.on_message, beast::buffers_to_string(message.data())))
            break;
        message.clear();
    }
    outbox->abandon();
}

asio::awaitable<void> Connection::serve_websocket(WebSocket handlers)
{
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto& timeouts = server_.options_.timeouts;
    WebSocketStream stream(socket_);
    stream.set_option(websocket::stream_base::timeout{timeouts.header, 2 * timeouts.heartbeat, true});
    stream.read_message_max(longest_message);
    stream.text(true);
    const auto handshake = head_ + std::string(buffered());
    buffer_.clear();
    const auto [refused] = co_await stream.async_accept(asio::buffer(handshake), no_throw);
    if (refused) co_return;

    auto outbox = outbox_ = std::make_shared<Outbox>(server_.context_, server_.options_.limits.stream_backlog);
    readers_.spawn("reader of a WebSocket", read_messages(stream, outbox, handlers));
    if (!notify(handlers.open, outbox)) outbox->close();
    if (stopping_) outbox->close();
    bool peer_gone = false;
    while (!peer_gone) {
        const auto message = co_await outbox->next(timeouts.heartbeat);
        if (!message) break;
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        peer_gone = cancellation.cancelled() != asio::cancellation_type::none;
        if (!peer_gone && message->empty()) continue; // Beast sends the pings
        if (!peer_gone) {
            deadline_.arm(timeouts.write);
            const auto [error, count] = co_await stream.async_write(asio::buffer(*message), no_throw);
            deadline_.disarm();
            peer_gone = static_cast<bool>(error);
        }
    }
    outbox->abandon();
    outbox_.reset();
    if (!peer_gone && stream.is_open()) {
        deadline_.arm(timeouts.linger);
        co_await stream.async_close(stopping_ ? websocket::close_code::going_away : websocket::close_code::normal,
                                    no_throw);
        deadline_.disarm();
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    error_code ignored;
    socket_.close(ignored);
    co_await readers_.join();
}

} // namespace hotspare::http
