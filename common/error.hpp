// Expected failures as values. Start-up and configuration errors are exceptions (UsageError, StartupError), caught once
// in run_app; everything that can fail while a daemon runs returns result<T>.
#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

#include <stdexcept>
#include <string>
#include <vector>

namespace hotspare {

template <class T> using result = boost::system::result<T>;
using boost::system::error_code;

/// Failures that the operating system and Asio have no code for. A deadline that passed, a cancellation that we asked
/// for and a failure of the peer are three different things and never share a code.
enum class errc {
    timed_out = 1,  ///< our deadline passed while the peer was silent
    cancelled,      ///< we gave up on purpose: shutdown, a hedge that lost, a move to another backend
    closed_early,   ///< the peer closed before the message was complete
    malformed,      ///< the peer's bytes are not valid HTTP
    too_large,      ///< a bound of ours was exceeded
    unavailable,    ///< nothing can answer at the moment
    conflict,       ///< the stored state is not what the caller expected
    not_found,      ///< no such thing
    storage,        ///< the store failed; the write was not made
    storage_full,   ///< the same, as its disk is full
    storage_broken, ///< the store failed in a way that leaves unknown what it holds, until it is opened again
};

const boost::system::error_category& hotspare_category() noexcept;
inline error_code make_error_code(errc e) noexcept
{
    return {static_cast<int>(e), hotspare_category()};
}

/// Whether the operation failed for want of something of ours (descriptors, ports, memory, permission): it says nothing
/// about the peer.
bool is_own_shortage(const error_code& error) noexcept;

/// What `errno` says.
error_code last_system_error() noexcept;

/// Bad flags or bad configuration: run_app prints each message on a line of its own and exits with 2.
struct UsageError : std::runtime_error {
    explicit UsageError(const std::string& message) : UsageError(std::vector{message}) {}
    /// `all` is not empty. what() is one of them a line.
    explicit UsageError(std::vector<std::string> all);

    std::vector<std::string> messages;
};

/// The process cannot start although its configuration is valid (a full disk, a refused bind): exit code 1.
struct StartupError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

} // namespace hotspare

template <> struct boost::system::is_error_code_enum<hotspare::errc> : std::true_type {
};
