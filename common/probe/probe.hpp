// One probe: asks an HTTP server on a connection of its own, as a new client would, judges the answer
// (common/probe/judge) and says how it ended; or only connects. When to probe, which addresses a name has, and what a
// verdict leads to is left to its caller.
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
#include <utility>
#include <vector>

namespace hotspare::probe {

namespace asio = boost::asio;

struct Question {
    /// Tried in this order until a connection is made, each with its share of `timeout`. Without any the probe ends as
    /// refused.
    std::vector<asio::ip::tcp::endpoint> addresses;
    std::string socket{};    ///< path of a Unix socket, which is asked instead of any address
    config::HostPort origin; ///< what the Host field names
    std::string path = "/health";
    Duration timeout = seconds(2); ///< connect + send + whole answer
    std::string method{};          ///< empty: GET
    /// Header fields, sent as they are. A Host field takes the place of `origin`.
    std::vector<std::pair<std::string, std::string>> fields{};
    std::string body{};
    std::string preamble{}; ///< bytes in front of the request, which the server takes for no part of it: a PROXY header
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

/// Connects to the first of the addresses that takes it, and closes. Ok, or how connecting failed; otherwise as ask().
asio::awaitable<Result> connect(std::vector<asio::ip::tcp::endpoint> addresses, Duration timeout);

} // namespace hotspare::probe
