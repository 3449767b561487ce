// What happens before the balancer serves: the backends' names are looked up, and the port is made sure to be ours
// alone.
//
// Main thread, before any other exists. Failures are UsageErrors that name the flag or the place in the file.
#pragma once

#include "balancer/config.hpp"
#include "balancer/decide/names.hpp"
#include "common/http/address.hpp"
#include "common/socket.hpp"

#include <cstdint>
#include <vector>

namespace hotspare::balancer {

using http::Addresses;

struct ResolvedBackends {
    Config config;                      ///< with the backends that names stand for
    std::vector<Addresses> addresses{}; ///< of each, by BackendIndex
};
/// Waits up to 2 s for all answers. A name that does not resolve is warned of and has no address: its backend is down
/// until the monitor finds it. `expansion` follows `config` then, and has its answers.
ResolvedBackends resolve_backends(const Config& config, Expansion& expansion);

/// Listening sockets on one port, one per worker; the kernel spreads connections over them (SO_REUSEPORT).
struct Listeners {
    std::uint16_t port = 0;  ///< the real one
    std::vector<Fd> sockets; ///< bound, listening
    bool inherited = false;  ///< others hold them too: connections wait in them for the process after us
};
/// Those that were handed down to us (common/process/listen_sockets.hpp), else new ones. `count` at least: each
/// inherited socket needs a worker, or its connections would wait for ever.
Listeners open_listeners(const Config& config, unsigned count);

} // namespace hotspare::balancer
