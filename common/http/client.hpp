// One HTTP/1.1 request to one address with one deadline over everything: the monitor's heartbeats, the tests, the
// tools. Each call opens a fresh connection, so that a probe sees what a new client would see. It leaves name
// resolution, retries, pooling and measuring to its caller.
//
// Thread: that of the coroutine that calls it. Keeps no state.
#pragma once

#include "common/http/message.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace hotspare::http {

struct FetchOptions {
    Duration deadline = seconds(5);       ///< connect + send + whole response
    std::uint64_t max_body = 1024 * 1024; ///< a larger response body fails with errc::too_large
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

} // namespace hotspare::http
