#include "experiment/load/fetch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <fmt/format.h>

#include <future>

namespace hotspare::experiment {

namespace asio = boost::asio;
using asio::ip::tcp;

result<http::Response> fetch(const config::HostPort& at, http::verb method, std::string path, Duration deadline)
{
    asio::io_context context(1);
    const tcp::endpoint endpoint(asio::ip::make_address(at.host), at.port);
    auto request = http::make_request(method, std::move(path));
    auto answer =
        asio::co_spawn(context, http::fetch(endpoint, std::move(request), {.deadline = deadline}), asio::use_future);
    context.run();
    return answer.get();
}

Conversation::Conversation(const config::HostPort& server)
    : client_(tcp::endpoint(asio::ip::make_address(server.host), server.port))
{
}

result<http::Response> Conversation::get(std::string path, Duration deadline)
{
    return send(http::make_request(http::verb::get, std::move(path)), deadline);
}

result<http::Response> Conversation::post(std::string path, std::string json, Duration deadline)
{
    return send(http::make_request(http::verb::post, std::move(path), std::move(json), "application/json"), deadline);
}

result<http::Response> Conversation::send(http::Request request, Duration deadline)
{
    constexpr std::uint64_t largest = 16 * 1024 * 1024; // a page of a thousand orders may be more than one MiB
    const http::FetchOptions options{.deadline = deadline, .max_body = largest};
    context_.restart();
    auto answer = asio::co_spawn(context_, client_.send(std::move(request), options), asio::use_future);
    context_.run();
    return answer.get();
}

config::HostPort resolve(const config::HostPort& name)
{
    asio::io_context context(1);
    boost::system::error_code error;
    tcp::resolver resolver(context);
    const auto found = resolver.resolve(tcp::v4(), name.host, std::to_string(name.port), error);
    if (error || found.empty())
        throw UsageError(fmt::format("{}: cannot find the host: {}", name.host, error.message()));
    return {found.begin()->endpoint().address().to_string(), name.port};
}

} // namespace hotspare::experiment
