// Looks up names while no event loop waits for it: getaddrinfo() blocks for as long as a name server is silent and
// cannot be interrupted, so each lookup has a thread of its own, and its answer is posted to an event loop.
//
// Threads: construct, look_up() and destroy on one, the event loop's or, before that runs, the one that will run it.
// Owner: who asks; a lookup that is under way when the Resolver is destroyed ends unheard.
#pragma once

#include "common/error.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace hotspare::http {

/// All addresses of a name, the one to try first in front. Empty: it does not resolve.
using Addresses = std::vector<boost::asio::ip::tcp::endpoint>;

class Resolver {
public:
    using Done = std::function<void(result<Addresses>)>;

    explicit Resolver(boost::asio::io_context& context);
    ~Resolver();

    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    /// `done` is called by the event loop, also when no thread can be made. Each lookup that is under way has a thread:
    /// the caller bounds their number.
    void look_up(std::string host, std::uint16_t port, Done done);

private:
    struct Audience;

    std::shared_ptr<Audience> audience_; ///< shared with the threads
};

} // namespace hotspare::http
