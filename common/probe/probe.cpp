#include "common/probe/probe.hpp"

#include "common/http/client.hpp"

#include <exception>
#include <utility>

namespace hotspare::probe {
namespace {

using asio::ip::tcp;

/// Everything but the time that it took.
asio::awaitable<Result> exchange(const Question& question, const Expectation& expected)
{
    auto request = http::make_request(http::verb::get, question.path);
    request.set(http::field::host, host_field(question.origin));
    const http::FetchOptions options{.deadline = question.timeout};
    tcp::endpoint connected;
    const auto answer = co_await http::fetch(question.addresses, std::move(request), options, &connected);

    Result result;
    if (connected != tcp::endpoint{}) result.connected = connected;
    if (answer) {
        const auto status = answer->result_int();
        result.verdict = judge(Answer{status, http::reason_phrase(status), answer->body()}, expected);
        result.body = answer->body();
    } else if (answer.error() == errc::cancelled) {
        result.end = Result::End::cancelled;
    } else if (is_own_shortage(answer.error())) {
        result.end = Result::End::hindered;
        result.hindrance = answer.error().message();
    } else {
        result.verdict = judge(answer.error(), question.timeout);
    }
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

} // namespace hotspare::probe
