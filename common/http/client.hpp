// One HTTP/1.1 request to one address with one deadline over everything. fetch() opens a fresh connection, so that a
// probe sees what a new client would see: the monitor's heartbeats, the tests, the tools. A Client keeps connections
// for a service that is asked all the time. Both leave name resolution, retries and measuring to their caller.
//
// Thread: that of the coroutine that calls it. fetch() keeps no state; a Client is owned by the component that asks,
// whose coroutines must have ended before it is destroyed.
#pragma once

#include "common/clock.hpp"
#include "common/http/message.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::http {

struct FetchOptions {
    Duration deadline = seconds(5);       ///< connect + send + whole response
    std::uint64_t max_body = 1024 * 1024; ///< a larger response body fails with errc::too_large
    /// Sent in front of the request, on a connection of its own: a PROXY header. Must outlive the call.
    std::string_view preamble{};
};

/// A request with what every request needs: Host (from `endpoint` unless given), User-Agent, Content-Length.
Request make_request(verb method, std::string target, std::string body = {}, std::string_view content_type = {});

/// Sends `request` and reads the whole response. Interim (1xx) responses are skipped. Failures are told apart:
/// errc::timed_out       the deadline passed
/// errc::cancelled       the calling coroutine was cancelled
/// asio::error::connection_refused, host_unreachable, ...  no connection, nothing was sent
/// asio::error::connection_reset   the peer reset the connection
/// errc::closed_early    the peer closed before the response was complete
/// errc::malformed       the answer is not HTTP
/// errc::too_large       the body exceeds max_body (or the header 16 KiB)
asio::awaitable<result<Response>> fetch(tcp::endpoint endpoint, Request request, FetchOptions options = {});

/// The same over a Unix socket; the Host field is "localhost" unless given.
asio::awaitable<result<Response>> fetch_local(std::string path, Request request, FetchOptions options = {});

/// The same to the first of several addresses that a connection is made to. Each gets its share of the time that is
/// left, so that one that swallows packets does not cost the others theirs. `connected` (may be null; must outlive the
/// call) becomes the address that the request was sent to. Without any connection the first address's failure is the
/// result; without any address asio::error::host_not_found.
asio::awaitable<result<Response>> fetch(std::vector<tcp::endpoint> addresses, Request request, FetchOptions options,
                                        tcp::endpoint* connected);

class Client {
public:
    explicit Client(tcp::endpoint endpoint);
    ~Client();

    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// As fetch(). Whatever is sent must be safe to repeat: a server may close an idle connection while a request is on
    /// its way, and then it is sent once more, on a fresh one.
    asio::awaitable<result<Response>> send(Request request, FetchOptions options = {});

    const tcp::endpoint& endpoint() const noexcept { return endpoint_; }

private:
    struct Connection;

    std::unique_ptr<Connection> take_idle();
    void keep(std::unique_ptr<Connection> connection);

    tcp::endpoint endpoint_;
    std::vector<std::unique_ptr<Connection>> idle_; ///< the latest used last: the others may grow old
};

} // namespace hotspare::http
