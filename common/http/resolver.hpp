// Looks up names without waiting for them: the hosts file, then DNS over c-ares, whose sockets and timers are watched
// by an event loop. How often to ask, and what to do with an answer, is the caller's. Modules of the name service
// switch other than `files` and `dns` are not asked: they block, and know no time to live.
//
// Each lookup has a channel of c-ares of its own. That reads /etc/resolv.conf anew, so that a machine that moves to
// another network is asked no questions about it; it lets one lookup be given up without the others, which c-ares
// cannot do within a channel; and each lookup is sent from another port, which makes answers hard to forge (RFC 5452
// §9.2).
//
// Threads: the event loop's, or, before that runs, the one that will run it. Owner: who asks; a lookup that is under
// way when the Resolver is destroyed ends unheard.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/http/address.hpp"

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::http {

struct NameAnswer {
    Addresses addresses; ///< at least one; IPv4 first, as preferred_address() does
    /// The smallest one of the records, CNAME included; nothing if the answer is not from DNS.
    std::optional<Duration> ttl;
    /// False: one of the address families could not be looked up, the name may have more addresses.
    bool complete = true;
};

/// One SRV record (RFC 2782).
struct ServiceRecord {
    std::string host;
    std::uint16_t port = 0;
    std::uint16_t priority = 0; ///< the lowest is to be tried first
    std::uint16_t weight = 0;   ///< share within a priority; 0 = hardly any

    bool operator==(const ServiceRecord&) const = default;
};

struct ServiceAnswer {
    std::vector<ServiceRecord> records; ///< empty: the service is decidedly not available (RFC 2782, target ".")
    Duration ttl{};
};

class Resolver {
public:
    struct Settings {
        /// Name servers as ADDRESS or ADDRESS:PORT, an IPv6 address with a port in brackets; empty = those of
        /// resolv_conf.
        std::vector<std::string> servers{};
        /// Name servers, search domains, `ndots`.
        std::string resolv_conf = "/etc/resolv.conf";
        Duration patience = seconds(5); ///< for one lookup, all of its tries together
        std::size_t most = 32;          ///< lookups at a time; others wait for their turn
    };

    using Done = std::function<void(result<NameAnswer>)>;
    using DoneService = std::function<void(result<ServiceAnswer>)>;

    explicit Resolver(boost::asio::io_context& context) : Resolver(context, Settings{}) {}
    Resolver(boost::asio::io_context& context, Settings settings);
    ~Resolver();

    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    /// `done` is called by the event loop, never from here. A name that does not exist fails with
    /// asio::error::host_not_found, one without an address with no_data, a silent name server with errc::timed_out;
    /// what a name server says else has a message of its own. `localhost` and the names below it are this machine, and
    /// those below `invalid` do not exist: nothing is asked for either (RFC 6761 §6.3, §6.4).
    void look_up(std::string host, std::uint16_t port, Done done);

    /// The SRV records of `name`, in which service and protocol have an underscore: _http._tcp.example.com.
    void look_up_service(std::string name, DoneService done);

    /// Every lookup ends unheard. Nothing of this keeps the event loop running after that.
    void cancel();

private:
    struct State;

    std::shared_ptr<State> state_;
};

/// What a name stands for if it is looked up with these settings of resolv.conf(5): the names to ask for, in this
/// order.
std::vector<std::string> search_list(const std::string& name, unsigned ndots, const std::vector<std::string>& domains);

} // namespace hotspare::http
