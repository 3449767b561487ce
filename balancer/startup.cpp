#include "balancer/startup.hpp"

#include "common/config.hpp"
#include "common/error.hpp"
#include "common/http/address.hpp"
#include "common/log.hpp"
#include "common/process/listen_sockets.hpp"

#include <boost/asio/executor_work_guard.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hotspare::balancer {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

} // namespace

std::vector<Addresses> resolve_backends(const Config& config)
{
    constexpr Duration patience = seconds(2);
    asio::io_context context(1);
    const auto open = asio::make_work_guard(context);
    std::vector<result<Addresses>> found(config.backends.size(), result<Addresses>(error_code(asio::error::timed_out)));
    std::size_t missing = config.backends.size();
    Resolver resolver(context);
    for (std::size_t i = 0; i < config.backends.size(); ++i)
        resolver.look_up(config.backends[i].host, config.backends[i].port, [&found, &missing, i](auto answer) {
            found[i] = std::move(answer);
            --missing;
        });
    const auto until = Clock::now() + patience;
    while (missing > 0 && context.run_one_until(until) > 0) {
    }

    std::vector<Addresses> addresses;
    for (std::size_t i = 0; i < config.backends.size(); ++i) {
        const BackendConfig& backend = config.backends[i];
        addresses.push_back(found[i] ? std::move(*found[i]) : Addresses{});
        if (!found[i])
            log::warn("{}: the name '{}' of backend '{}' does not resolve ({}); the backend is down until it does",
                      backend.source, backend.host, backend.name, found[i].error().message());
    }
    return addresses;
}

Listeners open_listeners(asio::io_context& context, const Config& config, unsigned count)
{
    const std::string source = config.listen_source.empty() ? "listen" : config.listen_source;
    Listeners result;
    result.endpoint = http::resolve(config.listen_host, config.listen_port, source);

    const auto refuse = [&](const error_code& ec) {
        throw UsageError(fmt::format("{}: cannot listen on {}: {}; expected an address of this machine and a free port",
                                     source, config::format_host_port({config.listen_host, config.listen_port}),
                                     ec.message()));
    };
    // While no balancer serves these, connections wait in them for the next one.
    auto inherited = process::take_inherited("listen", {result.endpoint.address().to_string(), result.endpoint.port()});
    if (!inherited.empty()) {
        const auto bound = process::bound_to(inherited.front().get());
        result.endpoint = {asio::ip::make_address(bound.host), bound.port};
        result.inherited = true;
        if (inherited.size() > count)
            log::warn("{} sockets were handed down for {} workers: one more worker serves each of the others",
                      inherited.size(), count);
        for (std::size_t i = 0; i < std::max<std::size_t>(count, inherited.size()); ++i) {
            // Fewer sockets than workers: several workers accept from one.
            const int own = i < inherited.size()
                                ? inherited[i].release()
                                : ::fcntl(result.descriptors[i % inherited.size()], F_DUPFD_CLOEXEC, 0);
            if (own < 0) throw StartupError(fmt::format("cannot share a socket: {}", std::strerror(errno)));
            result.descriptors.push_back(own);
        }
        return result;
    }

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
