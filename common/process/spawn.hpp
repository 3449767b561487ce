// Starts a program. What the child does between fork() and exec() is safe while other threads run: no allocation, no
// lock. Nothing of ours is inherited but what the command names: no descriptor, no signal handler or mask.
//
// A record of the child can be made before its program begins (`recorded`): the child waits for that, and ends if we
// die first. So there is no moment at which a program runs that no record names.
//
// Any thread; no state.
#pragma once

#include "common/error.hpp"
#include "common/process/listen_sockets.hpp"
#include "common/process/process.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::process {

struct Command {
    std::filesystem::path program;                                  ///< a path; PATH is not searched
    std::vector<std::string> arguments{};                           ///< without the program's name
    std::vector<std::pair<std::string, std::string>> environment{}; ///< added to ours, or in place of it
    std::filesystem::path directory{};                              ///< where it starts; empty = where we are

    /// Descriptors that become its standard output and error; -1 = ours. Its standard input is empty. They, and those
    /// of the sockets, need only stay open until spawn() returns.
    int out = -1;
    int err = -1;
    std::vector<HandedDown> sockets{}; ///< as LISTEN_FDS and LISTEN_FDNAMES

    enum class Group {
        ours,        ///< ^C in our terminal ends it too
        own,         ///< a process group of its own
        own_session, ///< the same, and no terminal
    };
    Group group = Group::own_session;
    /// The kernel ends it (SIGKILL) when the thread that started it ends.
    bool ends_with_us = false;
    std::optional<std::size_t> descriptor_limit{}; ///< its RLIMIT_NOFILE
};

/// Called with the child's identity before its program begins; a failure ends the child.
using Recorded = std::function<result<void>(const Identity&)>;

/// Starts it. The error of exec() (no such program, no permission), of `recorded`, or why there can be no process.
result<Process> spawn(const Command& command, const Recorded& recorded = {});

} // namespace hotspare::process
