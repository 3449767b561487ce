// Blocking HTTP requests: probes, the backends' control requests. common/http/client with an event
// loop of its own around it. fetch() makes one; a Conversation makes many to one server, on one connection.
//
// Thread: any, for a Conversation one; blocks it for `deadline` at most.
#pragma once

#include "common/config.hpp"
#include "common/http/client.hpp"

#include <boost/asio/io_context.hpp>

#include <string>

namespace hotspare::experiment {

/// Fails as http::fetch() does. `at` is an address, not a name.
result<http::Response> fetch(const config::HostPort& at, http::verb method, std::string path, Duration deadline);

class Conversation {
public:
    /// `server` is an address, not a name.
    explicit Conversation(const config::HostPort& server);

    /// Fails as http::fetch() does. What is sent must be safe to repeat: an idle connection may have been closed.
    result<http::Response> get(std::string path, Duration deadline);
    result<http::Response> post(std::string path, std::string json, Duration deadline);

private:
    result<http::Response> send(http::Request request, Duration deadline);

    boost::asio::io_context context_{1};
    http::Client client_;
};

/// The address that a name stands for; an address is returned as it is. Throws UsageError.
config::HostPort resolve(const config::HostPort& name);

} // namespace hotspare::experiment
