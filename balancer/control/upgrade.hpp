// An upgrade: the program is started again, with the arguments of this process, on the same sockets, and is handed what
// is known here. Once it serves, this process retires: it takes no new work and ends with its last connection. If it
// does not come to that, nothing has changed.
//
// Thread: the main thread, which runs the io_context. Owner: main; the io_context must run out of work before it is
// destroyed.
#pragma once

#include "common/clock.hpp"
#include "common/process/spawn.hpp"
#include "common/task_group.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <string>

#include <sys/types.h>

namespace hotspare::balancer {

/// How long the new process may take until it serves. It reads its configuration, looks names up for two seconds at
/// most, and needs some milliseconds else.
constexpr Duration upgrade_patience = seconds(30);

struct UpgradeReport {
    enum class End : std::uint8_t {
        done,    ///< process `pid` serves
        refused, ///< another upgrade is under way or done, or this process ends
        failed,
    };
    End end = End::done;
    pid_t pid = 0;
    std::string error{}; ///< unless done
};

class Upgrade {
public:
    struct Steps {
        /// What is to be started: program, arguments, sockets.
        std::function<process::Command()> command;
        /// Asks for what the new process is to be handed, which is passed to `done` on any thread.
        std::function<void(std::function<void(std::string)> done)> save;
        /// The new process serves: take no new work, and call `done` on any thread when none comes here any more.
        /// Called once.
        std::function<void(std::function<void()> done)> retire;
    };

    Upgrade(asio::io_context& context, Steps steps);

    Upgrade(const Upgrade&) = delete;
    Upgrade& operator=(const Upgrade&) = delete;

    /// `done` is called, if there is one, when the outcome is known.
    void begin(std::function<void(UpgradeReport)> done);

    /// This process is about to end: a new one that does not serve yet is ended, and none is started any more.
    void cancel();

private:
    asio::awaitable<void> run(std::function<void(UpgradeReport)> done, std::string document);

    asio::io_context& context_;
    const Steps steps_;
    bool under_way_ = false;
    bool done_ = false;
    bool cancelled_ = false;
    TaskGroup tasks_;
};

} // namespace hotspare::balancer
