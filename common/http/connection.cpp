#include "common/http/connection.hpp"

#include "common/http/address.hpp"
#include "common/http/chunks.hpp"
#include "common/http/grammar.hpp"
#include "common/http/head_parts.hpp"
#include "common/log.hpp"
#include "common/no_throw.hpp"
#include "common/time.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <limits>

#include <sys/socket.h>

namespace hotspare::http {
namespace {

namespace websocket = beast::websocket;

constexpr std::size_t read_size = 16 * 1024;

Problem too_large(std::uint64_t limit)
{
    return {413, fmt::format("the body is larger than {} bytes", limit)};
}

Problem to_problem(const Rejection& why)
{
    return {why.status, to_sentence(why)};
}

/// Beast, which takes WebSocket handshakes, knows HTTP/1.0 and 1.1 only; a later minor version is read as 1.1 (RFC 9110
/// §2.5).
void lower_version(std::string& head)
{
    char& minor = head[head.find('\r') - 1];
    if (minor > '1') minor = '1';
}

beast::string_view to_beast(std::string_view text)
{
    return {text.data(), text.size()};
}

Request to_request(const RequestParts& parts)
{
    Request request;
    request.method_string(to_beast(parts.line.method));
    request.target(to_beast(parts.line.target));
    request.version(10 + parts.line.minor);
    for (const auto& field : parts.fields) request.insert(to_beast(field.name), to_beast(field.value));
    return request;
}

} // namespace

Connection::Connection(Server& server, tcp::socket socket, Dispatch dispatch)
    : server_(server), socket_(std::move(socket)), deadline_(socket_), dispatch_(std::move(dispatch)), single_(false),
      read_body_(true), readers_(server.context_)
{
    take_peer();
}

Connection::Connection(Server& server, tcp::socket socket, Server::Adopted adopted)
    : server_(server), socket_(std::move(socket)), deadline_(socket_), dispatch_(std::move(adopted.dispatch)),
      single_(true), read_body_(adopted.read_body), readers_(server.context_)
{
    take_peer();
    if (!adopted.peer.empty()) {
        error_code invalid;
        peer_ = {asio::ip::make_address(adopted.peer, invalid), 0};
    }
    const std::string& bytes = adopted.already_read;
    const auto space = buffer_.prepare(bytes.size());
    if (!bytes.empty()) std::memcpy(space.data(), bytes.data(), bytes.size());
    buffer_.commit(bytes.size());
}

void Connection::take_peer()
{
    error_code ignored;
    const auto peer = socket_.remote_endpoint(ignored);
    peer_ = {plain_address(peer.address()), peer.port()};
    socket_.set_option(tcp::no_delay(true), ignored);
}

asio::awaitable<void> Connection::run()
{
    // The await stands in the body because GCC 12 makes a trap of a loop that awaits in its condition.
    for (bool more = true; more;) more = co_await exchange();
}

void Connection::stop()
{
    stopping_ = true;
    if (outbox_) outbox_->close();
    error_code ignored;
    if (idle_) socket_.cancel(ignored);
}

/// One request and its answer; false when the connection is finished.
asio::awaitable<bool> Connection::exchange()
{
    auto received = co_await receive();
    const auto started = Clock::now();
    if (std::holds_alternative<Gone>(received)) co_return false;
    if (const auto* wrong = std::get_if<Problem>(&received)) {
        Request unread;
        unread.id = server_.next_request_id();
        co_await write(problem(*wrong, unread.id), unread, false);
        if (server_.options_.on_exchange)
            server_.options_.on_exchange({verb::unknown, {}, {}, wrong->status, Clock::now() - started});
        co_await linger();
        co_return false;
    }

    auto& request = std::get<Request>(received);
    auto response = co_await answer(request);
    auto status = response.result_int();
    bool keep = false;
    if (auto* raw = std::get_if<RawSession>(&response.takeover)) {
        const auto session = std::move(*raw);
        status = 0;
        co_await session(socket_);
    } else if (auto* events = std::get_if<EventStream>(&response.takeover)) {
        co_await stream_events(std::move(*events), request.id, request.method() == verb::head);
    } else if (auto* messages = std::get_if<WebSocket>(&response.takeover);
               messages && websocket::is_upgrade(request)) {
        status = 101;
        co_await serve_websocket(std::move(*messages));
    } else {
        if (messages) {
            status = 426;
            response = problem(request, status, "this is a WebSocket, expected a request that upgrades to it");
            response.set(field::upgrade, "websocket");
        }
        const bool wish = request.keep_alive() && response.keep_alive() && !single_ && !stopping_;
        keep = co_await write(std::move(response), request, wish);
        if (!keep) co_await linger();
    }
    if (server_.options_.on_exchange)
        server_.options_.on_exchange(
            {request.method(), request.route, std::string_view(request.target()), status, Clock::now() - started});
    co_return keep && !(stopping_ && buffer_.size() == 0);
}

/// Reads more into the buffer; false when the peer is gone or the deadline passed.
asio::awaitable<bool> Connection::fill()
{
    if (deadline_.passed()) co_return false;
    const auto [error, count] = co_await socket_.async_read_some(buffer_.prepare(read_size), no_throw);
    buffer_.commit(count);
    co_return !error;
}

std::string_view Connection::buffered() const
{
    return {static_cast<const char*>(buffer_.data().data()), buffer_.size()};
}

asio::awaitable<Connection::Received> Connection::receive()
{
    HeadScanner scanner;
    deadline_.arm(buffer_.size() == 0 ? server_.options_.timeouts.idle : server_.options_.timeouts.header);
    while (true) {
        // An empty line before the request line is forgiven (RFC 9112 §2.2).
        while (buffered().starts_with("\r\n")) buffer_.consume(2);
        if (buffered() != "\r") {
            const auto found = scanner.scan(buffered(), server_.options_.limits.head);
            if (found == HeadScanner::Found::complete) break;
            if (found == HeadScanner::Found::rejected) co_return to_problem(scanner.rejection());
        }
        idle_ = buffer_.size() == 0;
        if (idle_ && stopping_) co_return Gone{};
        const bool more = co_await fill();
        if (!more && deadline_.passed() && buffer_.size() > 0)
            co_return Problem{408, "the request header did not arrive in time"};
        if (!more) co_return Gone{};
        if (idle_) deadline_.arm(server_.options_.timeouts.header);
        idle_ = false;
    }
    deadline_.disarm();
    head_ = buffered().substr(0, scanner.head_size());
    buffer_.consume(scanner.head_size());
    RequestParts parts;
    if (const auto wrong = read_request(head_, parts)) co_return to_problem(*wrong);
    lower_version(head_);
    co_return co_await receive_body(std::move(parts));
}

/// `parts` is of head_.
asio::awaitable<Connection::Received> Connection::receive_body(RequestParts parts)
{
    const auto& options = server_.options_;
    const bool chunked = parts.framing.chunked();
    std::uint64_t left = parts.framing.content_length();
    if (left > options.limits.body) co_return too_large(options.limits.body);
    auto request = to_request(parts);
    if (request.method() == verb::unknown || request.method() == verb::connect)
        co_return Problem{501, "the method is not implemented"};

    ChunkReader chunks;
    bool complete = !chunked && left == 0;
    if (!complete && !read_body_) complete = request.body_unread = true;
    deadline_.arm(options.timeouts.body);
    if (!complete && buffer_.size() == 0 && request.version() == 11 && parts.expects_continue) {
        static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        const auto [failed, count] = co_await asio::async_write(socket_, asio::buffer(go_on), no_throw);
        if (failed) co_return Gone{};
    }
    while (!complete) {
        if (buffer_.size() > 0 && chunked) {
            const auto step = chunks.read(buffered());
            if (step.state == ChunkReader::State::malformed) co_return Problem{400, "the chunked body is malformed"};
            if (request.body().size() + step.content.size() > options.limits.body)
                co_return too_large(options.limits.body);
            request.body().append(step.content);
            buffer_.consume(step.used);
            complete = step.state == ChunkReader::State::done;
            continue;
        }
        if (buffer_.size() > 0) {
            const auto piece = buffered().substr(
                0, static_cast<std::size_t>(std::min<std::uint64_t>(left, std::numeric_limits<std::size_t>::max())));
            request.body().append(piece);
            left -= piece.size();
            buffer_.consume(piece.size());
            complete = left == 0;
            continue;
        }
        const bool more = co_await fill();
        if (!more && deadline_.passed()) co_return Problem{408, "the request body did not arrive in time"};
        if (!more) co_return Gone{};
    }
    deadline_.disarm();

    const auto& asked = parts.target;
    auto target = parse_target(std::string(asked.no_path ? "/" : "").append(asked.path_and_query));
    if (!target) co_return target.error();
    request.path = std::move(target->path);
    request.query_parameters = std::move(target->query);
    const auto id = request.header("X-Request-Id");
    request.id = is_request_id(id) ? std::string(id) : server_.next_request_id();
    request.peer = peer_;
    request.peer_closed = [this] { return peer_closed(); };
    co_return request;
}

/// What stands unread before its end hides the end: a client that sends more is not gone.
bool Connection::peer_closed()
{
    char byte = 0;
    const auto received = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR);
}

asio::awaitable<Response> Connection::answer(Request& request)
{
    std::string reason;
    try {
        co_return co_await dispatch_(request);
    } catch (const std::exception& e) {
        reason = e.what();
    } catch (...) {
        reason = "unknown exception";
    }
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() == asio::cancellation_type::none)
        // By its pattern: a parameter of a path may be a secret, as the token of a push check is.
        log::error("{} {} failed: {} (request {})", std::string_view(request.method_string()),
                   request.route.empty() ? std::string_view(request.path) : request.route, reason, request.id);
    co_return problem(request, 500, "the request failed inside the service, see its log for this request_id");
}

/// Sends an ordinary response; true if another request may follow.
asio::awaitable<bool> Connection::write(Response response, const Request& request, bool keep)
{
    response.version(11);
    if (!keep)
        response.set(field::connection, "close");
    else if (request.version() == 10)
        response.set(field::connection, "keep-alive");
    response.set(field::date, format_http_date(std::chrono::system_clock::now()));
    if (response.header("X-Request-Id").empty()) response.set("X-Request-Id", request.id);

    const auto status = response.result();
    if (status == beast::http::status::no_content || status == beast::http::status::not_modified) {
        response.body().clear();
        response.erase(field::content_length);
    } else {
        response.content_length(response.body().size());
        if (request.method() == verb::head) response.body().clear();
    }
    deadline_.arm(server_.options_.timeouts.write);
    const auto message = serialize(response);
    const auto [error, count] = co_await asio::async_write(socket_, asio::buffer(message), no_throw);
    deadline_.disarm();
    co_return keep && !error;
}

asio::awaitable<void> Connection::linger()
{
    error_code failed;
    socket_.shutdown(tcp::socket::shutdown_send, failed);
    if (failed) co_return;
    deadline_.arm(server_.options_.timeouts.linger);
    for (bool more = true; more;) {
        buffer_.clear();
        more = co_await fill();
    }
    deadline_.disarm();
}

asio::awaitable<void> Connection::stream_events(EventStream stream, std::string request_id, bool header_only)
{
    // From here on a cancellation must not unwind us: the reader has to be joined first.
    co_await asio::this_coro::throw_if_cancelled(false);
    Response header(200, {}, "text/event-stream");
    header.set(field::cache_control, "no-cache");
    header.set(field::connection, "close");
    header.set(field::date, format_http_date(std::chrono::system_clock::now()));
    header.set("X-Request-Id", request_id);
    auto message = std::optional(serialize(header));
    auto outbox = outbox_ = std::make_shared<Outbox>(server_.context_, server_.options_.limits.stream_backlog);
    if (header_only) {
        outbox->close();
    } else {
        readers_.spawn("peer of an event stream", discard_input(outbox));
        if (!notify(stream.open, outbox)) outbox->close();
    }
    if (stopping_) outbox->close();
    while (message) {
        if (message->empty()) *message = ":\n\n"; // a comment: keeps intermediaries from closing a silent connection
        deadline_.arm(server_.options_.timeouts.write);
        const auto [error, count] = co_await asio::async_write(socket_, asio::buffer(*message), no_throw);
        deadline_.disarm();
        if (error) break;
        message = co_await outbox->next(server_.options_.timeouts.heartbeat);
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        if (cancellation.cancelled() != asio::cancellation_type::none) break;
    }
    outbox->abandon();
    outbox_.reset();
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
    co_await readers_.join();
}

/// The peer of an event stream has nothing to say; its FIN or RST ends the stream.
asio::awaitable<void> Connection::discard_input(std::shared_ptr<Outbox> outbox)
{
    std::array<char, 512> input;
    while (true) {
        const auto [error, count] = co_await socket_.async_read_some(asio::buffer(input), no_throw);
        // A write that ran into its deadline cancels this read too; the writer ends the stream then.
        if (error) break;
    }
    outbox->abandon();
}

} // namespace hotspare::http
