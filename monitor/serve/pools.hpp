// Closes the pools of the balancers that this monitor may operate while a window asks for it, and opens them again:
// asks a balancer's /status, has decide/closing.hpp say what to do, has the recorder store what is closed, and gives
// the orders, each with a deadline. What did not work is tried again each second. During a window a balancer is asked
// every 5 s, so that one that was restarted is closed again; one that no window is about and of which nothing is closed
// is not asked.
//
// Thread: the io_context's. Owner: main; it must live until the io_context has run out of work after stop().
#pragma once

#include "common/log.hpp"
#include "common/task_group.hpp"
#include "common/wait_list.hpp"
#include "monitor/decide/closing.hpp"
#include "monitor/serve/peer_client.hpp"
#include "monitor/serve/recorder.hpp"
#include "monitor/serve/settings.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::monitor {

class Pools {
public:
    Pools(asio::io_context& context, const MonitorSettings& settings, Recorder& recorder);

    Pools(const Pools&) = delete;
    Pools& operator=(const Pools&) = delete;

    void start();
    /// Begins the end. What is closed stays closed until the next start, which knows of it.
    void stop();

    /// A window has changed.
    void look() { woken_.wake_all(); }

    /// Balancers whose pools are not yet as they should be.
    std::size_t pending() const noexcept;

private:
    struct Balancer {
        OperatedBalancer operated{};
        std::size_t index = 0;
        std::string status_url{};
        std::string admin_url{};
        bool pending = false;
        std::optional<PoolAnnouncement> settled_for{}; ///< what is closed, if it is as it should be
        TimePoint ask_again{};                         ///< while nothing is to be done
    };

    asio::awaitable<void> watch(Balancer& balancer);
    asio::awaitable<bool> work(Balancer& balancer, std::optional<PoolAnnouncement> wanted);
    asio::awaitable<std::optional<PoolStatus>> ask(Balancer& balancer);
    asio::awaitable<bool> give(Balancer& balancer, PoolOrder order, std::optional<PoolAnnouncement> wanted);
    std::vector<ClosedBackend> remembered(const Balancer& balancer) const;
    void complain(const Balancer& balancer, int kind, std::string_view what);

    Recorder& recorder_;
    PeerClient peers_;
    std::deque<Balancer> balancers_; ///< never resized after the constructor: coroutines refer to them
    WaitList woken_;
    bool stopping_ = false;
    log::Throttle throttle_;
    TaskGroup tasks_;
};

} // namespace hotspare::monitor
