// Listening sockets that outlive the process which serves them. A supervisor opens them and hands them down as systemd
// does (sd_listen_fds(3): LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID); the daemon takes those that are for its address.
// While no daemon serves them, the kernel keeps new connections in their queues, so that the next one answers what its
// predecessor could not.
//
// Several sockets for one address share its port (SO_REUSEPORT), so that each of a daemon's threads has its own queue.
//
// Like the environment that tells of them, inherited sockets belong to the process: claim_inherited() is called once,
// by run_app(), before other threads exist; take_inherited() by the component that listens. Any thread after that.
#pragma once

#include "common/config.hpp"
#include "common/error.hpp"
#include "common/socket.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::process {

/// A listening socket for a child. `name` tells which setting it is for: the flag's name, such as "listen" or "port".
struct HandedDown {
    std::string name; ///< without ':'
    int descriptor = -1;
};

/// `count` sockets that listen on one address, a free port for port 0. Fails if something else listens there, also if
/// that would share the port. errc::malformed: the host is no IP address.
result<std::vector<Fd>> open_listeners(const config::HostPort& address, std::size_t count);

/// The address that a socket is bound to; port 0 if it is no TCP socket.
config::HostPort bound_to(int socket);

/// Copies of the sockets on `address` that another process has, which it keeps: those that a dead supervisor handed
/// down to a daemon that still runs. Empty if the kernel does not permit it (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS)
/// or there are none. `pidfd` refers to the process.
std::vector<Fd> copy_listeners(int pidfd, const config::HostPort& address);

/// Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and unsets them, so that no child of ours takes the sockets for its
/// own. What is addressed to another process is ignored.
void claim_inherited();

/// The inherited sockets named `name`, or if there are none those that are bound to `address`; the caller owns them.
/// They are non-blocking and listen. Empty if none was handed down; each is taken once.
std::vector<Fd> take_inherited(std::string_view name, const config::HostPort& address);

/// The inherited socket named `name`, which does not listen: a connection to the process that started this one. None if
/// it was not handed down.
Fd take_channel(std::string_view name);

/// "NAME on HOST:PORT" of each inherited socket that was not taken: connections to it would never be answered.
std::vector<std::string> unused_inherited();

} // namespace hotspare::process
