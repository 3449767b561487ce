// Asks another service by URL: one request on a connection of its own, with a deadline over everything, the lookup of
// its name included. What an answer means, its caller decides.
//
// Thread: the io_context's. Owner: the component that asks, whose coroutines must have ended before this is destroyed.
#pragma once

#include "common/http/message.hpp"
#include "common/http/problem.hpp"
#include "monitor/check/names.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/result.hpp>

#include <string>

namespace hotspare::monitor {

class PeerClient {
public:
    struct Reply {
        unsigned status = 0;
        std::string body{};
    };
    using Answer = boost::system::result<Reply, http::Problem>;

    explicit PeerClient(boost::asio::io_context& context) : names_(context) {}

    /// Whatever the status of the answer is. 504 if there was none in time, 502 if there was none for another reason;
    /// `who` names the service in that problem.
    boost::asio::awaitable<Answer> get(std::string who, std::string url);
    /// `body` is JSON, or empty.
    boost::asio::awaitable<Answer> post(std::string who, std::string url, std::string body = {});

private:
    boost::asio::awaitable<Answer> ask(std::string who, std::string url, http::verb method, std::string body);

    Names names_;
};

/// Where the balancer that a target names tells its status: the target's URL, or /status if that has no path.
std::string status_url_of(const std::string& balancer);

} // namespace hotspare::monitor
