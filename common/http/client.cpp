#include "common/http/client.hpp"

#include "common/deadline.hpp"
#include "common/http/chunks.hpp"
#include "common/http/head_parts.hpp"
#include "common/no_throw.hpp"
#include "common/socket.hpp"
#include "common/unix_address.hpp"

#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <string>
#include <utility>

namespace hotspare::http {
namespace {

std::string to_string(const tcp::endpoint& endpoint)
{
    std::ostringstream out;
    out << endpoint;
    return std::move(out).str();
}

/// What an operation's error means to the caller; `waiting` for a response, or still connecting.
error_code classify(error_code error, const Deadline& deadline, bool cancelled)
{
    if (cancelled) return errc::cancelled;
    if (deadline.passed()) return errc::timed_out;
    if (error == beast::http::error::end_of_stream || error == beast::http::error::partial_message ||
        error == asio::error::eof)
        return errc::closed_early;
    if (error == beast::http::error::body_limit || error == beast::http::error::header_limit ||
        error == beast::http::error::buffer_overflow)
        return errc::too_large;
    if (error.category() == beast::http::make_error_code(beast::http::error::bad_version).category())
        return errc::malformed;
    // A peer that is gone may show as a broken pipe when we are still writing: the same event.
    if (error == asio::error::broken_pipe) return asio::error::connection_reset;
    return error;
}

} // namespace

Request make_request(verb method, std::string target, std::string body, std::string_view content_type)
{
    Request request;
    request.method(method);
    request.target(target);
    request.version(11);
    if (!content_type.empty()) request.set(field::content_type, content_type);
    request.body() = std::move(body);
    return request;
}

namespace {

/// A connection, its bytes, and the deadline over it.
struct Line {
    explicit Line(const asio::any_io_executor& executor) : socket(executor), deadline(socket) {}

    tcp::socket socket;
    Deadline deadline;
    beast::flat_buffer buffer;
};

void complete(Request& request, const tcp::endpoint& endpoint, bool keep_alive)
{
    if (request[field::host].empty()) request.set(field::host, to_string(endpoint));
    if (request[field::user_agent].empty()) request.set(field::user_agent, "hotspare");
    request.keep_alive(keep_alive);
    request.prepare_payload();
}

asio::awaitable<error_code> connect(Line& line, const tcp::endpoint& endpoint)
{
    const auto [error] = co_await line.socket.async_connect(endpoint, no_throw);
    error_code ignored;
    if (!error) line.socket.set_option(tcp::no_delay(true), ignored);
    co_return error;
}

std::string_view buffered(const Line& line)
{
    const auto data = line.buffer.data();
    return {static_cast<const char*>(data.data()), data.size()};
}

asio::awaitable<error_code> fill(Line& line)
{
    constexpr std::size_t piece = 16 * 1024;
    const auto [error, count] = co_await line.socket.async_read_some(line.buffer.prepare(piece), no_throw);
    line.buffer.commit(count);
    co_return error;
}

beast::string_view beast_view(std::string_view text)
{
    return {text.data(), text.size()};
}

Response to_response(const ResponseParts& parts)
{
    Response response;
    response.version(10 + parts.line.minor);
    response.result(parts.line.status);
    response.reason(beast_view(parts.line.reason));
    for (const auto& field : parts.fields) response.insert(beast_view(field.name), beast_view(field.value));
    return response;
}

/// Reads one response, interim or final. The error is as it came; what is not HTTP is a Beast error.
asio::awaitable<result<Response>> receive(Line& line, bool to_head, std::uint64_t max_body)
{
    constexpr HeadLimits limits{.request_line = 16 * 1024, .head = 16 * 1024, .fields = 1000};
    HeadScanner scanner(Sender::server);
    auto found = scanner.scan(buffered(line), limits);
    while (found == HeadScanner::Found::incomplete) {
        const auto error = co_await fill(line);
        if (error == asio::error::eof && line.buffer.size() == 0)
            co_return error_code(beast::http::error::end_of_stream);
        if (error) co_return error;
        found = scanner.scan(buffered(line), limits);
    }
    if (found == HeadScanner::Found::rejected)
        co_return error_code(scanner.rejection().status == 414 || scanner.rejection().status == 431
                                 ? beast::http::error::header_limit
                                 : beast::http::error::bad_field);
    // As the balancer reads it, so that a server whose responses it passes on also passes its probe.
    ResponseParts head;
    const auto wrong = read_response(buffered(line).substr(0, scanner.head_size()), to_head, head);
    if (wrong) co_return error_code(beast::http::error::bad_field);
    auto response = to_response(head);
    line.buffer.consume(scanner.head_size());

    if (head.framing == Framing::length && head.length > max_body) co_return error_code(beast::http::error::body_limit);
    std::string& body = response.body();
    ChunkReader chunks(Sender::server);
    bool complete = head.framing == Framing::none;
    while (!complete) {
        const auto there = buffered(line);
        if (there.empty()) {
            const auto error = co_await fill(line);
            complete = error == asio::error::eof && head.framing == Framing::until_close;
            if (error && !complete) co_return error;
            continue;
        }
        std::size_t used = there.size();
        if (head.framing == Framing::chunked) {
            const auto step = chunks.read(there);
            if (step.state == ChunkReader::State::malformed) co_return error_code(beast::http::error::bad_chunk);
            complete = step.state == ChunkReader::State::done;
            used = step.used;
            body.append(step.content);
        } else if (head.framing == Framing::length) {
            const auto missing = head.length - body.size();
            used = static_cast<std::size_t>(std::min<std::uint64_t>(missing, used));
            complete = used == missing;
            body.append(there.substr(0, used));
        } else {
            body.append(there);
        }
        line.buffer.consume(used);
        if (body.size() > max_body) co_return error_code(beast::http::error::body_limit);
    }
    if (head.framing == Framing::until_close) response.keep_alive(false);
    co_return response;
}

/// Sends the request and reads its answer. The error is as it came, not yet classified.
asio::awaitable<result<Response>> exchange(Line& line, Request& request, const FetchOptions& options)
{
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    // A peer may answer and close before it has read the whole request (413, 503): the answer still counts, so a failed
    // write is only the result if there is nothing to read.
    const auto message = std::string(options.preamble) + serialize(request);
    const auto [write_error, written] = co_await asio::async_write(line.socket, asio::buffer(message), no_throw);
    if (write_error && (line.deadline.passed() || cancellation.cancelled() != asio::cancellation_type::none))
        co_return write_error;

    while (true) {
        auto answer = co_await receive(line, request.method() == verb::head, options.max_body);
        if (!answer) co_return write_error ? write_error : answer.error();
        if (answer->result_int() >= 200) co_return answer;
    }
}

} // namespace

asio::awaitable<result<Response>> fetch(tcp::endpoint endpoint, Request request, FetchOptions options)
{
    return fetch(std::vector{endpoint}, std::move(request), options, nullptr);
}

asio::awaitable<result<Response>> fetch(std::vector<tcp::endpoint> addresses, Request request, FetchOptions options,
                                        tcp::endpoint* connected)
{
    const auto give_up = Clock::now() + options.deadline;
    const auto executor = co_await asio::this_coro::executor;
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    error_code first = asio::error::host_not_found;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
        Line line(executor);
        const auto failure = [&](error_code error) {
            return classify(error, line.deadline, cancellation.cancelled() != asio::cancellation_type::none);
        };
        const auto left = std::max<Duration>(give_up - Clock::now(), Duration::zero());
        line.deadline.arm(left / static_cast<std::int64_t>(addresses.size() - i));
        const auto error = co_await connect(line, addresses[i]);
        if (error) {
            const auto why = failure(error);
            if (i == 0) first = why;
            if (why == errc::cancelled || is_own_shortage(first)) co_return why;
            continue;
        }
        if (connected != nullptr) *connected = addresses[i];
        line.deadline.arm(std::max<Duration>(give_up - Clock::now(), Duration::zero()));
        complete(request, addresses[i], false);
        auto answer = co_await exchange(line, request, options);
        if (!answer) co_return failure(answer.error());
        co_return answer;
    }
    co_return first;
}

namespace {

/// To Asio a connected stream is a stream: what is assigned to a TCP socket is read and written like one.
error_code connect_local(Line& line, const std::string& path)
{
    const auto address = unix_address(path);
    if (!address) return {ENAMETOOLONG, boost::system::system_category()};
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return last_system_error();
    if (::connect(socket.get(), address->get(), address->size) != 0) return connect_failure(errno);
    error_code error;
    line.socket.assign(tcp::v4(), socket.get(), error);
    if (!error) socket.release();
    return error;
}

} // namespace

asio::awaitable<result<Response>> fetch_local(std::string path, Request request, FetchOptions options)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    Line line(executor);
    const auto failure = [&](error_code error) {
        return classify(error, line.deadline, cancellation.cancelled() != asio::cancellation_type::none);
    };
    line.deadline.arm(options.deadline);
    if (const auto error = connect_local(line, path)) co_return failure(error);
    if (request[field::host].empty()) request.set(field::host, "localhost");
    complete(request, tcp::endpoint(), false);
    auto answer = co_await exchange(line, request, options);
    if (!answer) co_return failure(answer.error());
    co_return answer;
}

struct Client::Connection : Line {
    using Line::Line;
    TimePoint idle_since{};
};

namespace {

/// Below what servers allow an idle connection (ours: 60 s, nginx: 75 s), so that most are not lost in a race with it.
constexpr Duration longest_idle = seconds(20);

/// Nothing to read and not closed: as far as can be told without sending something, the peer still listens.
bool is_open(tcp::socket& socket)
{
    error_code error;
    socket.non_blocking(true, error);
    char byte = 0;
    socket.receive(asio::buffer(&byte, 1), tcp::socket::message_peek, error);
    return error == asio::error::would_block;
}

/// The peer ended the connection before it said anything: what an idle one meets that was closed meanwhile.
bool is_stale(const error_code& error)
{
    return error == beast::http::error::end_of_stream || error == asio::error::eof ||
           error == asio::error::connection_reset || error == asio::error::broken_pipe;
}

} // namespace

Client::Client(tcp::endpoint endpoint) : endpoint_(std::move(endpoint)) {}
Client::~Client() = default;

std::unique_ptr<Client::Connection> Client::take_idle()
{
    const auto now = Clock::now();
    std::erase_if(idle_, [now](const auto& connection) { return now - connection->idle_since > longest_idle; });
    while (!idle_.empty()) {
        auto connection = std::move(idle_.back());
        idle_.pop_back();
        if (is_open(connection->socket)) return connection;
    }
    return nullptr;
}

void Client::keep(std::unique_ptr<Connection> connection)
{
    connection->deadline.disarm();
    connection->idle_since = Clock::now();
    idle_.push_back(std::move(connection));
}

asio::awaitable<result<Response>> Client::send(Request request, FetchOptions options)
{
    complete(request, endpoint_, true);
    const auto give_up = Clock::now() + options.deadline;
    const auto executor = co_await asio::this_coro::executor;
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    auto connection = take_idle();
    while (true) {
        const bool used = connection != nullptr;
        if (!used) connection = std::make_unique<Connection>(executor);
        connection->deadline.arm(std::max<Duration>(give_up - Clock::now(), Duration::zero()));
        error_code error;
        if (!used) error = co_await connect(*connection, endpoint_);
        if (!error) {
            auto answer = co_await exchange(*connection, request, options);
            if (answer) {
                if (answer->keep_alive() && connection->buffer.size() == 0) keep(std::move(connection));
                co_return answer;
            }
            error = answer.error();
        }
        const bool cancelled = cancellation.cancelled() != asio::cancellation_type::none;
        if (used && is_stale(error) && connection->buffer.size() == 0 && !connection->deadline.passed() && !cancelled) {
            connection.reset(); // and the next is a fresh one, whose failure is the result
            continue;
        }
        co_return classify(error, connection->deadline, cancelled);
    }
}

} // namespace hotspare::http
