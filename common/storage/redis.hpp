// One connection to a Redis server: commands out, replies in, one deadline over both. It connects when it is first used
// and again after every failure; when to try again, and what a reply means, is the caller's business. RESP2 without
// TLS, no push messages: SUBSCRIBE and MONITOR are not for this connection.
//
// Thread: that of its executor. Owner: the component that asks, whose coroutines must have ended before it is
// destroyed. One run() at a time: a command that blocks (XREADGROUP … BLOCK) needs a connection of its own.
#pragma once

#include "common/clock.hpp"
#include "common/deadline.hpp"
#include "common/error.hpp"
#include "common/storage/resp.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <string>
#include <vector>

namespace hotspare::storage::redis {

namespace asio = boost::asio;

struct Target {
    asio::ip::tcp::endpoint endpoint;
    std::string user; ///< empty: Redis' default user
    std::string password;
    std::string passfile; ///< where the password is if there is none; empty: nowhere
    unsigned database = 0;
    std::string prefix; ///< of all keys; empty: none
    std::string shown;  ///< the URL without the password, for messages
};

/// redis://[[USER]:PASSWORD@]HOST[:PORT][/DB][?prefix=PREFIX&passfile=FILE], of which both parameters may be left out;
/// the port defaults to 6379, the database to 0, and %XX stands for any byte of a name, a password or a file's name.
/// PREFIX is 1 to 64 letters, digits or :._- that the caller puts before each key, so that several users can share a
/// database. FILE is one of libpq's password files (PostgreSQL documentation, "The Password File"), of which the first
/// line counts, whatever host it names: every user of the machine can read a password on a command line. It is read at
/// each connect, so it may be made after this. Main thread, before any event loop runs: it blocks until the
/// name is resolved. Throws UsageError, whose message begins with `source` and never holds the password.
Target resolve(const std::string& url, const std::string& source);

/// Whether it has that form; no name is looked up.
bool is_url(const std::string& url);

class Connection {
public:
    Connection(asio::any_io_executor executor, Target target);

    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Sends the commands in one write and returns as many replies, in that order; nothing is sent and nothing returned
    /// for no commands. Where the server refuses a command there is an error among the replies. Failures, after which
    /// the connection is closed and the commands may or may not have been carried out:
    /// errc::timed_out       the deadline passed
    /// errc::cancelled       the calling coroutine was cancelled, or close() was called
    /// errc::closed_early    the server closed before it had answered everything
    /// errc::malformed       the answer is not RESP2, or is longer than the replies that were asked for
    /// errc::too_large       the request or the answer is larger than max_exchange
    /// asio::error::connection_reset  the server died or reset the connection
    /// And failures before any of them was sent:
    /// asio::error::connection_refused, host_unreachable, ...  no connection
    /// errc::unavailable     the server refused the password or the database: last_refusal()
    asio::awaitable<result<std::vector<Reply>>> run(std::vector<Command> commands, Duration deadline);

    /// As far as is known: that the server has gone shows when it is asked next.
    bool is_open() const noexcept { return open_; }
    /// A run() that is under way fails.
    void close() noexcept;

    const Target& target() const noexcept { return target_; }
    /// Why errc::unavailable, in the server's words; empty when the latest connect was not refused.
    const std::string& last_refusal() const noexcept { return last_refusal_; }

private:
    asio::awaitable<result<std::vector<Reply>>> connect_and_exchange(std::string request, std::size_t replies);
    asio::awaitable<error_code> connect();
    asio::awaitable<result<std::vector<Reply>>> exchange(std::string request, std::size_t replies);
    bool is_quiet() noexcept;

    Target target_;
    asio::ip::tcp::socket socket_;
    Deadline deadline_;
    std::unique_ptr<ReplyReader> reader_; ///< of the present connection or the latest
    std::vector<char> input_;
    bool open_ = false;
    std::string last_refusal_;
};

} // namespace hotspare::storage::redis
