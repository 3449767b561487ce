// Makes the active version of a balancer's backends fail on purpose, as the dashboard offers, and reads what the
// balancer says of them. Which one is active and what happens then, the balancer decides.
//
// Thread: the io_context's. Owner: the service, whose coroutines must have ended before this is destroyed.
#pragma once

#include "common/http/problem.hpp"
#include "monitor/check/settings.hpp"
#include "monitor/pages/versions.hpp"
#include "monitor/serve/peer_client.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/result.hpp>

#include <string>
#include <string_view>

namespace hotspare::monitor {

class Chaos {
public:
    template <class T> using Answer = boost::system::result<T, http::Problem>;

    /// `balancer` is a complete target that checks a balancer.
    Chaos(boost::asio::io_context& context, const TargetSettings& balancer);

    /// 502 or 504 if the balancer does not tell.
    boost::asio::awaitable<Answer<Versions>> versions();

    enum class Action { cpu, corruption, crash, reset };
    struct Plan {
        std::string version{}; ///< the active one
        std::string url{};     ///< to be posted to
        Action action = Action::reset;
    };
    /// Nothing has happened yet. 503 if no version is active.
    boost::asio::awaitable<Answer<Plan>> plan(Action action);
    boost::asio::awaitable<Answer<void>> act(Plan plan);

private:
    PeerClient peers_;
    std::string status_url_;
};

std::string_view to_string(Chaos::Action action) noexcept;

} // namespace hotspare::monitor
