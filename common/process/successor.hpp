// A process that takes the place of this one while clients are served: it is started on the same sockets, gets what
// this one knows, and says when it serves. Until then nothing changes; if it fails, this process goes on.
//
// Thread: the io_context's that runs the coroutine.
#pragma once

#include "common/clock.hpp"
#include "common/process/spawn.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>

#include <string>

namespace hotspare::process {

/// Starts `command`, hands `document` over (predecessor.hpp is the other side), and completes when the process serves.
/// Otherwise with the reason: it could not be started, ended, said why it cannot serve, or was not ready within
/// `patience`. It is killed then, and has ended; so it is when the coroutine is cancelled.
boost::asio::awaitable<boost::system::result<Process, std::string>>
start_successor(Command command, std::string document, Duration patience);

} // namespace hotspare::process
