#include "balancer/startup.hpp"

#include "common/config.hpp"
#include "common/error.hpp"
#include "common/http/address.hpp"
#include "common/log.hpp"
#include "common/process/listen_sockets.hpp"

#include <boost/asio/executor_work_guard.hpp>

#include <fmt/format.h>

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hotspare::balancer {
namespace {

namespace asio = boost::asio;

} // namespace

std::vector<Addresses> resolve_backends(const Config& config)
{
    constexpr Duration patience = seconds(2);
    asio::io_context context(1);
    const auto open = asio::make_work_guard(context);
    std::vector<result<Addresses>> found(config.backends.size(), result<Addresses>(error_code(asio::error::timed_out)));
    std::size_t missing = config.backends.size();
    http::Resolver resolver(context);
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

Listeners open_listeners(const Config& config, unsigned count)
{
    const std::string source = config.listen_source.empty() ? "listen" : config.listen_source;
    const auto endpoint = http::resolve(config.listen_host, config.listen_port, source);
    const config::HostPort address{endpoint.address().to_string(), endpoint.port()};

    // While no balancer serves these, connections wait in them for the next one.
    Listeners result{.port = 0, .sockets = process::take_inherited("listen", address), .inherited = true};
    const auto inherited = result.sockets.size();
    if (inherited == 0) {
        auto own = process::open_listeners(address, count);
        if (!own)
            throw UsageError(
                fmt::format("{}: cannot listen on {}: {}; expected an address of this machine and a free port", source,
                            config::format_host_port({config.listen_host, config.listen_port}), own.error().message()));
        result.sockets = std::move(*own);
        result.inherited = false;
    }
    if (inherited > count)
        log::warn("{} sockets were handed down for {} workers: one more worker serves each of the others", inherited,
                  count);
    // Fewer sockets than workers: several workers accept from one.
    while (result.sockets.size() < count) {
        Fd shared(::fcntl(result.sockets[result.sockets.size() % inherited].get(), F_DUPFD_CLOEXEC, 0));
        if (!shared) throw StartupError(fmt::format("cannot share a socket: {}", std::strerror(errno)));
        result.sockets.push_back(std::move(shared));
    }
    result.port = process::bound_to(result.sockets.front().get()).port;
    return result;
}

} // namespace hotspare::balancer
