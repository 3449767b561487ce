// What a balancer says of itself and its backends in its /status, as states of the monitor's targets.
//
//     balancer   up if it answers requests; degraded while it serves from backends that fail their probes; down if no
//                backend of a pool can answer
//     backend    healthy: up; degraded: degraded; unhealthy, down: down; unknown, draining, maintenance: unknown, as
//                the balancer's word then says nothing about whether it works
//
// PURE. Any thread.
#pragma once

#include "common/clock.hpp"
#include "monitor/decide/uptime.hpp"

#include <boost/system/result.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

struct BackendStatus {
    std::string name;
    State state = State::unknown;
    std::string cause{};               ///< unless it is up
    std::optional<Duration> latency{}; ///< of the balancer's latest probe of it
    bool unhealthy = false;            ///< it is down, and yet it does answer, but not as it should

    friend bool operator==(const BackendStatus&, const BackendStatus&) = default;
};

struct BalancerStatus {
    State state = State::up;
    std::string cause{}; ///< unless it is up
    std::vector<BackendStatus> backends{};
};

/// The most backends that are read; a balancer has no more.
inline constexpr std::size_t most_balancer_backends = 256;

/// Fails with a clause for people when the text is not the status of a balancer.
boost::system::result<BalancerStatus, std::string> read_balancer_status(std::string_view text);

} // namespace hotspare::monitor
