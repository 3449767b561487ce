#include "balancer/startup.hpp"

#include "balancer/places.hpp"
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
#include <map>
#include <utility>

namespace hotspare::balancer {
namespace {

namespace asio = boost::asio;

} // namespace

ResolvedBackends resolve_backends(const Config& config, Expansion& expansion)
{
    constexpr Duration patience = seconds(2);
    asio::io_context context(1);
    const auto open = asio::make_work_guard(context);
    http::Resolver resolver(context, {.servers = config.resolvers});
    const auto until = Clock::now() + patience;
    std::size_t missing = 0;
    const auto await_answers = [&] {
        while (missing > 0 && context.run_one_until(until) > 0) {
        }
    };
    std::map<NameQuery, result<Addresses>> found;
    const auto look_up = [&](const NameQuery& name) {
        if (!found.emplace(name, error_code(asio::error::timed_out)).second) return;
        ++missing;
        if (name.service)
            resolver.look_up_service(name.host, [&, name](const result<http::ServiceAnswer>& answer) {
                --missing;
                if (answer) expansion.answered(name, places_of(*answer));
                found.at(name) = answer ? result<Addresses>(Addresses{}) : result<Addresses>(answer.error());
            });
        else
            resolver.look_up(name.host, name.port, [&, name](const result<http::NameAnswer>& answer) {
                --missing;
                if (answer) expansion.answered(name, places_of(name, *answer));
                found.at(name) = answer ? result<Addresses>(answer->addresses) : result<Addresses>(answer.error());
            });
    };
    const auto own_address = [](const BackendConfig& backend) {
        return http::literal_address(backend.address.empty() ? backend.host : backend.address, backend.port);
    };

    const auto needs_lookup = [&](const BackendConfig& backend) {
        return backend.socket.empty() && !own_address(backend);
    };

    expansion.follow(config);
    for (const BackendConfig& backend : config.backends)
        if (needs_lookup(backend)) look_up(query_of(backend));
    await_answers();

    ResolvedBackends all{.config = expansion.expanded(config)};
    if (all.config.backends.size() > most_backends) {
        log::error("the names of backends stand for {} backends, expected at most {}; those that stand for several are "
                   "down until they are fewer",
                   all.config.backends.size(), most_backends);
        all.config = config;
    }
    for (const BackendConfig& backend : all.config.backends) // the targets of SRV records
        if (needs_lookup(backend)) look_up(query_of(backend));
    await_answers();

    for (const BackendConfig& backend : all.config.backends) {
        if (const auto address = own_address(backend)) {
            all.addresses.push_back({*address});
            continue;
        }
        if (!backend.socket.empty()) {
            all.addresses.emplace_back();
            continue;
        }
        auto& answer = found.at(query_of(backend));
        all.addresses.push_back(answer && backend.resolve == Resolve::any ? *answer : Addresses{});
        if (!answer)
            log::warn("{}: the name '{}' of backend '{}' does not resolve ({}); the backend is down until it does",
                      backend.source, backend.host, backend.name, answer.error().message());
    }
    return all;
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
