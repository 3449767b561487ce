// One HTTP probe: asks a server with GET on a connection of its own, as a new client would, judges the answer
// (common/probe/judge) and says how it ended. When to probe, which addresses a name has, and what a verdict leads to is
// left to its caller.
//
// Thread: that of the coroutine that calls it. It keeps no state.
#pragma once

#include "common/clock.hpp"
#include "common/config.hpp"
#include "common/probe/judge.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::probe {

namespace asio = boost::asio;

struct Question {
    /// Tried in this order until a connection is made, each with its share of `timeout`. Without any the probe ends as
    /// refused.
    std::vector<asio::ip::tcp::endpoint> addresses;
    config::HostPort origin; ///< what the Host field names
    std::string path = "/health";
    Duration timeout = seconds(2); ///< connect + send + whole answer
};

struct Result {
    enum class End : std::uint8_t {
        judged,
        cancelled, ///< the calling coroutine was cancelled: nothing is known
        hindered,  ///< for want of something of ours (descriptors, ports, memory): it says nothing about the server
    };

    End end = End::judged;
    Verdict verdict{};                                  ///< when judged
    std::string hindrance{};                            ///< when hindered: why
    Duration latency{};                                 ///< from the start to the end, whatever that was
    std::optional<std::string> body{};                  ///< of a complete answer
    std::optional<asio::ip::tcp::endpoint> connected{}; ///< to which of the addresses, if to any
};

/// Does not throw once it has started: what it cannot help is End::hindered.
asio::awaitable<Result> ask(Question question, Expectation expected);

} // namespace hotspare::probe
