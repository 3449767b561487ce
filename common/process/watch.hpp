// The end of a process as an event of an event loop.
//
// Thread: that of the io_context. Owner: the coroutine that awaits it.
#pragma once

#include "common/process/process.hpp"

#include <boost/asio/awaitable.hpp>

namespace hotspare::process {

/// Completes when the process has ended, at once if it already has, or with errc::cancelled when the coroutine is
/// cancelled. The process need not outlive the call's begin. It is not waited for: Process::reap() does that.
boost::asio::awaitable<result<void>> end_of(const Process& process);

} // namespace hotspare::process
