// HTTP messages as the control plane sees them: a request that was read whole, a response that is built whole, the
// suite's JSON and problem answers, and the small parsers every endpoint needs (target, query, JSON body, timestamps).
//
// It decides nothing about sockets: reading, framing and connection headers are the server's work (server.hpp,
// head.hpp). Values without shared state: any thread may use its own. The balancer's data plane does not use these
// types.
#pragma once

#include "common/error.hpp"
#include "common/http/problem.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hotspare::http {

namespace asio = boost::asio;
namespace beast = boost::beast;

using Json = nlohmann::json;
using asio::ip::tcp;
using beast::http::field;
using beast::http::verb;

class Outbox; // stream.hpp

/// Decoded names and values in the order of the query string; a name may repeat.
using QueryParameters = std::vector<std::pair<std::string, std::string>>;

/// A request target in pieces (RFC 9112 §3.2; origin-form or "*": head.hpp reduces an absolute-form one).
struct Target {
    std::string path; ///< as received, percent-encoded, never empty
    QueryParameters query;
};

/// Fails with a 400 whose detail says what is wrong with the target. The characters that browsers leave as they are
/// although RFC 3986 does not allow them ("|", "{", ...) are read as if they were percent-encoded.
boost::system::result<Target, Problem> parse_target(std::string_view target);

/// Decodes %XX; nothing else is translated ('+' stays). nullopt when an escape is broken or decodes to NUL.
std::optional<std::string> percent_decode(std::string_view text);

/// A request with its body. The server fills everything but `route` and `parameters`, which are the router's.
struct Request : beast::http::request<beast::http::string_body> {
    using Base = beast::http::request<beast::http::string_body>;

    Request() = default;
    explicit Request(Base base) : Base(std::move(base)) {}

    std::string path; ///< percent-encoded, without the query
    QueryParameters query_parameters;
    std::string id; ///< the client's X-Request-Id, or one of ours; goes back in the response and into every problem
    tcp::endpoint peer;
    bool body_unread = false; ///< it has a body that the server was told to leave (Server::Adopted::read_body)
    /// Whether the client has closed its side of the connection meanwhile, for a handler that makes it wait and would
    /// give it something that another could use. Rarely called: a half-close is no abort. One system call, on
    /// the server's thread; to be called until the handler has answered and not later.
    std::function<bool()> peer_closed = [] { return false; };
    std::string_view route; ///< the pattern that matched, empty when none did; lives as long as the router
    std::vector<std::pair<std::string_view, std::string>> parameters; ///< decoded {name} segments of the route

    /// The decoded segment that the route's {name} matched. Precondition: the route has that name.
    const std::string& parameter(std::string_view name) const;
    /// The first value of a query parameter, decoded.
    std::optional<std::string_view> query(std::string_view name) const;
    /// A header field's value; empty when absent.
    std::string_view header(std::string_view name) const;
};

/// Takes the connection over from the server: nothing was written yet. When it returns the connection is closed (after
/// whatever the session itself did to the socket). It brings its own deadlines (deadline.hpp).
using RawSession = std::function<asio::awaitable<void>(tcp::socket&)>;

/// Server-Sent Events. `open` runs once the header is sent; push events with Outbox::send(format_event(...)).
struct EventStream {
    std::function<void(std::shared_ptr<Outbox>)> open;
};

/// WebSocket with text messages (RFC 6455). A request that is no upgrade is answered 426 by the server.
struct WebSocket {
    std::function<void(std::shared_ptr<Outbox>)> open;
    std::function<void(std::string)> on_message; ///< may be empty: messages are read and dropped
};

/// An ordinary response, or what takes the connection over instead of one.
struct Response : beast::http::response<beast::http::string_body> {
    using Base = beast::http::response<beast::http::string_body>;

    Response() = default;
    explicit Response(unsigned status, std::string body = {}, std::string_view content_type = {});
    explicit Response(Base base) : Base(std::move(base)) {}
    Response(EventStream stream) : takeover(std::move(stream)) {}
    Response(WebSocket socket) : takeover(std::move(socket)) {}
    Response(RawSession session) : takeover(std::move(session)) {}

    std::string_view header(std::string_view name) const;

    std::variant<std::monostate, EventStream, WebSocket, RawSession> takeover;
};

/// An ordered_json keeps its members in the order in which people should read them.
Response json_response(unsigned status, const Json& body);
Response json_response(unsigned status, const nlohmann::ordered_json& body);
Response text_response(unsigned status, std::string body, std::string_view content_type = "text/plain; charset=utf-8");

/// RFC 9457: application/problem+json with `title` (the status's reason phrase), `status`, `detail`, `request_id`, and
/// `error` holding the same sentence as `detail`, because the older clients of these services read that.
Response problem(const Problem& what, std::string_view request_id);
/// Its body alone.
std::string problem_document(const Problem& what, std::string_view request_id);
/// "Not Found" for 404.
std::string_view reason_phrase(unsigned status) noexcept;
Response problem(const Request& request, unsigned status, std::string detail, Problem::Members members = {});

/// The body as JSON. Fails with a 400 that names line, column and byte, also when it is nested deeper than 64 levels.
boost::system::result<Json, Problem> parse_json(std::string_view text);
/// The same checks without building the value.
std::optional<Problem> check_json(std::string_view text);

/// The message as it goes over the wire, framed by its fields as they are.
std::string serialize(const Request& request);
std::string serialize(const Response& response);

} // namespace hotspare::http
