#include "common/probe/probe.hpp"

#include "common/deadline.hpp"
#include "common/http/client.hpp"
#include "common/http/grammar.hpp"
#include "common/no_throw.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace hotspare::probe {
namespace {

using asio::ip::tcp;

void end_without_answer(const error_code& error, Duration timeout, Result& result)
{
    if (error == errc::cancelled) {
        result.end = Result::End::cancelled;
    } else if (is_own_shortage(error)) {
        result.end = Result::End::hindered;
        result.hindrance = error.message();
    } else {
        result.verdict = judge(error, timeout);
    }
}

/// Everything but the time that it took.
asio::awaitable<Result> exchange(const Question& question, const Expectation& expected)
{
    auto request = http::make_request(http::verb::get, question.path, question.body);
    if (!question.method.empty()) request.method_string(question.method);
    request.set(http::field::host, host_field(question.origin));
    for (const auto& [name, value] : question.fields) {
        if (http::equals_ignoring_case(name, "host"))
            request.set(http::field::host, value);
        else
            request.insert(name, value);
    }
    const http::FetchOptions options{.deadline = question.timeout, .preamble = question.preamble};
    tcp::endpoint connected;
    result<http::Response> answer(errc::cancelled);
    if (question.socket.empty())
        answer = co_await http::fetch(question.addresses, std::move(request), options, &connected);
    else
        answer = co_await http::fetch_local(question.socket, std::move(request), options);

    Result result;
    if (connected != tcp::endpoint{}) result.connected = connected;
    if (answer) {
        const auto status = answer->result_int();
        result.verdict = judge(Answer{status, http::reason_phrase(status), answer->body()}, expected);
        result.body = answer->body();
    } else {
        end_without_answer(answer.error(), question.timeout, result);
    }
    co_return result;
}

asio::awaitable<error_code> connect_to(tcp::endpoint address, Duration timeout)
{
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    const auto executor = co_await asio::this_coro::executor;
    tcp::socket socket(executor);
    Deadline deadline(socket);
    deadline.arm(timeout);
    const auto [error] = co_await socket.async_connect(address, no_throw);
    if (cancellation.cancelled() != asio::cancellation_type::none) co_return errc::cancelled;
    if (error && deadline.passed()) co_return errc::timed_out;
    co_return error;
}

/// As http::fetch(): each address has its share of the time, and the failure of the first one is the result.
asio::awaitable<Result> connect_to_one(std::vector<tcp::endpoint> addresses, Duration timeout)
{
    const auto give_up = Clock::now() + timeout;
    Result result{.verdict = {.detail = "connected"}};
    error_code first = asio::error::host_not_found;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
        const auto left = std::max<Duration>(give_up - Clock::now(), Duration::zero());
        const auto error = co_await connect_to(addresses[i], left / static_cast<std::int64_t>(addresses.size() - i));
        if (!error) {
            result.connected = addresses[i];
            co_return result;
        }
        if (i == 0 || error == errc::cancelled) first = error;
        if (error == errc::cancelled || is_own_shortage(first)) break;
    }
    end_without_answer(first, timeout, result);
    co_return result;
}

} // namespace

asio::awaitable<Result> ask(Question question, Expectation expected)
{
    const auto started = Clock::now();
    Result result;
    try {
        result = co_await exchange(question, expected);
    } catch (const std::exception& e) {
        result.end = Result::End::hindered;
        result.hindrance = e.what();
    }
    result.latency = Clock::now() - started;
    co_return result;
}

asio::awaitable<Result> connect(std::vector<tcp::endpoint> addresses, Duration timeout)
{
    const auto started = Clock::now();
    Result result;
    try {
        result = co_await connect_to_one(std::move(addresses), timeout);
    } catch (const std::exception& e) {
        result.end = Result::End::hindered;
        result.hindrance = e.what();
    }
    result.latency = Clock::now() - started;
    co_return result;
}

} // namespace hotspare::probe
