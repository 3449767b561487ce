// One client connection of a Server: reads requests, has them answered, writes the answers, or becomes a stream.
// Internal to the server; all others use server.hpp.
//
// Thread: the server's. Owner: the server, which erases it after run() completed.
#pragma once

#include "common/deadline.hpp"
#include "common/http/head_parts.hpp"
#include "common/http/server.hpp"
#include "common/http/stream.hpp"
#include "common/log.hpp"
#include "common/task_group.hpp"

#include <boost/beast/core/flat_buffer.hpp>

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace hotspare::http {

/// Runs a callback of the handler that asked for a stream. The stream must end in order even if that throws.
template <class Callback, class Argument> bool notify(const Callback& callback, Argument argument)
{
    try {
        callback(std::move(argument));
        return true;
    } catch (const std::exception& e) {
        log::error("a stream ends because its handler failed: {}", e.what());
        return false;
    }
}

class Connection {
public:
    Connection(Server& server, tcp::socket socket, Dispatch dispatch);
    Connection(Server& server, tcp::socket socket, Server::Adopted adopted);

    /// Serves the connection to its end. What the peer does wrong is no exception.
    asio::awaitable<void> run();

    /// No further request: closes an idle connection at once, ends a stream, marks the answer in progress as the last.
    void stop();

private:
    /// What came out of waiting for a request; Gone: no client is left to answer.
    struct Gone {};
    using Received = std::variant<Gone, Problem, Request>;

    asio::awaitable<bool> exchange();
    asio::awaitable<Received> receive();
    asio::awaitable<Received> receive_body(RequestParts parts);
    asio::awaitable<Response> answer(Request& request);
    asio::awaitable<bool> write(Response response, const Request& request, bool keep);
    asio::awaitable<void> linger();

    asio::awaitable<void> stream_events(EventStream stream, std::string request_id, bool header_only);
    asio::awaitable<void> discard_input(std::shared_ptr<Outbox> outbox);
    // Both in websocket.cpp.
    asio::awaitable<void> serve_websocket(WebSocket handlers);
    template <class Stream>
    asio::awaitable<void> read_messages(Stream& stream, std::shared_ptr<Outbox> outbox, WebSocket handlers);

    void take_peer();
    bool peer_closed();
    asio::awaitable<bool> fill();
    std::string_view buffered() const;

    Server& server_;
    tcp::socket socket_;
    tcp::endpoint peer_;
    Deadline deadline_;
    beast::flat_buffer buffer_; ///< received and not consumed yet
    std::string head_;          ///< of the request in progress, as received
    const Dispatch dispatch_;
    const bool single_;    ///< adopted for one request
    const bool read_body_; ///< as Server::Adopted::read_body
    bool idle_ = false;    ///< waiting for the first byte of a request
    bool stopping_ = false;
    std::shared_ptr<Outbox> outbox_; ///< while a stream runs
    TaskGroup readers_;              ///< the reading half of a stream, at most one task
};

} // namespace hotspare::http
