// An HTTP/1.1 server for control planes and small services: whole requests in, whole responses, event streams or
// WebSockets out. Strict about what it reads (head.hpp), a deadline on every read and write, bounded everywhere, and no
// handler exception ends the process. It leaves routing to the dispatch function (router.hpp) and the decision when to
// stop to its owner. The balancer's data plane has its own (balancer/serve/exchange).
//
// Thread: that of its io_context; every call is made there. Owner: the component whose handlers it calls; drain() must
// complete before the server is destroyed.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/http/head.hpp"
#include "common/http/message.hpp"
#include "common/socket.hpp"
#include "common/task_group.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace hotspare::http {

/// Answers one request, which outlives the returned coroutine. Usually Router::dispatch.
using Dispatch = std::function<asio::awaitable<Response>(Request&)>;

struct ServerTimeouts {
    Duration header = seconds(10);    ///< first byte of a request to the end of its header; then 408
    Duration body = seconds(30);      ///< end of the header to the end of the body; then 408
    Duration idle = seconds(60);      ///< a connection without a request is closed
    Duration write = seconds(30);     ///< a whole response, or one message of a stream
    Duration heartbeat = seconds(15); ///< silence of a stream before a comment (SSE) or ping (WebSocket) is sent
    /// Reading on after the last answer. Closing at once with bytes unread makes the kernel send RST, which may destroy
    /// the answer before the peer has read it (RFC 9112 §9.6).
    Duration linger = seconds(1);
};

struct ServerLimits {
    HeadLimits head;                          ///< 414 and 431
    std::uint64_t body = 1024 * 1024;         ///< 413
    std::size_t connections = 0;              ///< more wait in the backlog; 0 = descriptor limit less a reserve of 64
    std::size_t stream_backlog = 1024 * 1024; ///< bytes that may wait for a slow subscriber of a stream
};

/// One finished exchange, for metrics and access logs.
struct Exchange {
    verb method;
    std::string_view route; ///< the router's pattern, empty when none matched or the request never got that far
    std::string_view target;
    unsigned status;   ///< 0: taken over by a RawSession
    Duration duration; ///< header complete -> response written (or stream over)
};

struct ServerOptions {
    ServerTimeouts timeouts = {};
    ServerLimits limits = {};
    std::function<void(const Exchange&)> on_exchange = {};
};

class Connection;

class Server {
public:
    /// `dispatch` answers the connections that it accepts; a server that only adopts needs none.
    Server(asio::io_context& context, Dispatch dispatch, ServerOptions options = {});
    ~Server();

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Binds, listens and accepts. May be called once. Port 0 picks a free one, see endpoint().
    result<void> listen(const tcp::endpoint& endpoint);

    /// Accepts from these sockets, at least one, which share one address and which others may hold as well. May be
    /// called once, in place of the other.
    result<void> listen(std::vector<Fd> inherited);

    /// Where it listens, with the real port; stays the same while suspended.
    tcp::endpoint endpoint() const noexcept { return endpoint_; }

    /// Closes the listening socket, so that connections are refused, and every idle connection; requests in flight are
    /// answered with Connection: close. An inherited socket is told to stop listening, whichever process else holds it.
    void suspend();
    /// Listens again on the same port. Fails if another process took it meanwhile; may be repeated.
    result<void> resume();
    bool suspended() const noexcept { return acceptors_.empty(); }

    /// The sockets that it listens on; they remain its own.
    std::vector<int> listening_sockets() const;
    /// Another process holds these sockets and goes on: no connection is accepted here any more.
    void leave_listening();

    /// A connection that was accepted elsewhere, and whose first bytes were read already.
    struct Adopted {
        int descriptor = -1;
        std::string already_read{};
        std::string peer{}; ///< the client's IP address, if the connection does not come from the client itself
        /// Answers the request: who read the bytes knows what they ask for. Destroyed with the connection, and with it
        /// what it holds.
        Dispatch dispatch{};
        bool read_body = true; ///< false: a body is not waited for, and Request::body_unread tells of it
    };

    /// Serves ONE request on the connection, then closes it (an event stream or WebSocket lives on until it ends).
    /// Takes ownership of the descriptor in any case.
    void adopt(Adopted adopted);

    /// Stops accepting (an inherited socket goes on listening for the next process), ends streams, lets requests in
    /// flight finish for at most `grace`, then cancels what is left. After it completes the server does nothing any
    /// more.
    asio::awaitable<void> drain(Duration grace);

    bool draining() const noexcept { return draining_; }
    std::size_t connections() const noexcept { return connections_.size(); }

private:
    friend class Connection;

    using Connections = std::list<std::unique_ptr<Connection>>;

    result<void> open(const tcp::endpoint& endpoint);
    result<void> accept_from_inherited();
    void add(std::shared_ptr<tcp::acceptor> acceptor);
    asio::awaitable<void> accept(std::shared_ptr<tcp::acceptor> acceptor);
    void start(std::unique_ptr<Connection> connection);
    asio::awaitable<void> serve(Connections::iterator connection);
    std::string next_request_id();

    asio::io_context& context_;
    Dispatch dispatch_;
    ServerOptions options_;
    TaskGroup tasks_;
    Connections connections_;
    std::vector<Fd> inherited_; ///< kept over a suspension: no other process but ours may bind the address again
    std::vector<std::shared_ptr<tcp::acceptor>>
        acceptors_;             ///< none while suspended; an accept loop may outlive suspend() by a turn
    asio::steady_timer change_; ///< cancelled when a connection ended or a listener closed
    tcp::endpoint endpoint_;
    bool draining_ = false;
    std::mt19937_64 random_;
};

/// Makes `server` listen on an IP address: on inherited sockets that are named as `flag` is, or bound to that address,
/// and if there are none on one of its own. Throws UsageError when that cannot be; `flag` is where the port came from.
void listen(Server& server, const std::string& host, std::uint16_t port, std::string_view flag);

} // namespace hotspare::http
