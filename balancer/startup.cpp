#include "balancer/startup.hpp"

#include "common/error.hpp"
#include "common/http/address.hpp"

#include <fmt/format.h>

#include <sys/socket.h>

#include <algorithm>

namespace hotspare::balancer {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

} // namespace

std::vector<tcp::endpoint> resolve_backends(const Config& config)
{
    std::vector<tcp::endpoint> endpoints;
    for (const BackendConfig& backend : config.backends)
        endpoints.push_back(http::resolve(backend.host, backend.port, backend.source));
    return endpoints;
}

Listeners open_listeners(asio::io_context& context, const Config& config, unsigned count)
{
    const std::string source = config.listen_source.empty() ? "listen" : config.listen_source;
    Listeners result;
    result.endpoint = http::resolve(config.listen_host, config.listen_port, source);

    const auto refuse = [&](const error_code& ec) {
        throw UsageError(
            fmt::format("{}: cannot listen on {}:{}: {}; expected an address of this machine and a free port", source,
                        config.listen_host, config.listen_port, ec.message()));
    };
    const auto open = [&](bool share) {
        tcp::acceptor acceptor(context);
        error_code ec;
        acceptor.open(result.endpoint.protocol(), ec);
        if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
        if (!ec && share) acceptor.set_option(ReusePort(true), ec);
        if (!ec) acceptor.bind(result.endpoint, ec);
        if (!ec) result.endpoint = acceptor.local_endpoint(ec);
        if (!ec && share) acceptor.listen(tcp::acceptor::max_listen_connections, ec);
        if (ec) refuse(ec);
        return acceptor;
    };

    // Sharing the port among our workers must not mean sharing it with a balancer that already runs: a socket that does
    // not share finds out.
    open(false).close();
    for (unsigned i = 0; i < count; ++i) result.descriptors.push_back(open(true).release());
    return result;
}

} // namespace hotspare::balancer
