#include "common/http/client.hpp"

#include "common/http/deadline.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include <sstream>

namespace hotspare::http {
namespace {

constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);

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

asio::awaitable<result<Response>> fetch(tcp::endpoint endpoint, Request request, FetchOptions options)
{
    if (request[field::host].empty()) request.set(field::host, to_string(endpoint));
    if (request[field::user_agent].empty()) request.set(field::user_agent, "hotspare");
    request.keep_alive(false);
    request.prepare_payload();

    tcp::socket socket(co_await asio::this_coro::executor);
    Deadline deadline(socket);
    deadline.arm(options.deadline);
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    const auto failure = [&](error_code error) {
        return classify(error, deadline, cancellation.cancelled() != asio::cancellation_type::none);
    };

    {
        const auto [error] = co_await socket.async_connect(endpoint, no_throw);
        if (error) co_return failure(error);
    }
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);

    // A peer may answer and close before it has read the whole request (413, 503): the answer still counts, so a failed
    // write is only the result if there is nothing to read.
    const auto [write_error, written] =
        co_await beast::http::async_write(socket, static_cast<Request::Base&>(request), no_throw);
    if (write_error && (deadline.passed() || cancellation.cancelled() != asio::cancellation_type::none))
        co_return failure(write_error);

    beast::flat_buffer buffer;
    while (true) {
        beast::http::response_parser<beast::http::string_body> parser;
        parser.header_limit(16 * 1024);
        parser.body_limit(options.max_body);
        parser.skip(request.method() == verb::head);
        const auto [error, read] = co_await beast::http::async_read(socket, buffer, parser, no_throw);
        if (error) co_return failure(write_error ? write_error : error);
        if (parser.get().result_int() >= 200) co_return Response(parser.release());
    }
}

} // namespace hotspare::http
