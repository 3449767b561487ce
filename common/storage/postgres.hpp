// PostgreSQL through libpq, without ever blocking the event loop: a connection that sends several statements at once
// and waits for all their results (libpq's pipeline mode), and a pool that opens, lends and renews connections.
//
// A statement that is given up, because its time is over or its coroutine ends, is cancelled at the server.
//
// Behind a connection pooler (PgBouncer in transaction mode) a connection is another session of the server in each
// transaction. It is told by the process id, which the pooler makes up. Then settings go with each transaction, and
// statements are not prepared; advisory locks of a session, LISTEN and temporary tables would not work.
//
// What may be lost with a connection, and what is to be repeated, is the caller's affair: see the failures of run().
//
// Thread: the io_context's. Owner: the store; its coroutines must have ended before the pool is destroyed.
#pragma once

#include "common/clock.hpp"
#include "common/deadline.hpp"
#include "common/error.hpp"
#include "common/storage/postgres_cancel.hpp"
#include "common/wait_list.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct pg_conn;
struct pg_result;

namespace hotspare::storage::postgres {

namespace asio = boost::asio;

/// Where a database is: postgres://[USER[:PASSWORD]@][HOST[:PORT]][/DATABASE][?NAME=VALUE], as libpq reads it. One
/// host: libpq tries several one after the other without a limit of time for each, so that a silent one would hide the
/// others.
struct Target {
    std::string url;
    std::string address; ///< libpq's hostaddr: the host of the URL, resolved; empty for a socket of Unix
    std::string shown;   ///< for messages: without a password
};

/// Whether it begins as the URL of a database does.
bool is_url(std::string_view text);
/// Resolves the host, once and blocking: main thread, before the event loop runs. Throws UsageError, which begins with
/// `source` and never holds the password, if libpq cannot read the URL or the name does not resolve.
Target resolve(const std::string& url, const std::string& source);

/// A statement and its parameters, as text; nothing = NULL. Equal texts are prepared once on each connection, so what
/// varies belongs into the parameters.
struct Command {
    std::string_view sql; ///< one statement, of static lifetime
    std::vector<std::optional<std::string>> parameters{};
};

/// What one statement returned.
class Rows {
public:
    explicit Rows(pg_result* result) : result_(result) {}

    std::size_t size() const noexcept;
    /// Valid as long as the Rows. Row and column from 0.
    std::string_view text(std::size_t row, int column) const;
    std::int64_t integer(std::size_t row, int column) const;
    bool is_null(std::size_t row, int column) const;
    /// That an INSERT, UPDATE or DELETE wrote.
    std::int64_t affected() const;

private:
    struct Clear {
        void operator()(pg_result* result) const noexcept;
    };
    std::unique_ptr<pg_result, Clear> result_;
};

/// What each session begins with.
struct Session {
    std::vector<std::pair<std::string, std::string>> settings{}; ///< name and value, in force in all its transactions
    std::string setup{};                                         ///< any number of statements, in one transaction
};

class Connection {
public:
    /// `canceller` may be null and must outlive it.
    Connection(const asio::any_io_executor& executor, Canceller* canceller)
        : socket_(executor), deadline_(socket_), canceller_(canceller)
    {
    }
    ~Connection() { close(); }

    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Connects and begins the session. Fails with errc::unavailable; message() says why.
    asio::awaitable<result<void>> open(const Target& target, const Session& session, TimePoint until);

    /// Sends all of it at once. Without a BEGIN among them they are one transaction, which has been committed when this
    /// returns with success. After a failure none of those that follow has run. Failures:
    /// errc::conflict     a unique key exists
    /// errc::unavailable  no answer, or one that says "not now": unknown whether it was done
    /// errc::storage      anything else, by the server's own word: it was not done
    /// errc::storage_full the same, as its disk is full
    /// message() says more.
    asio::awaitable<result<std::vector<Rows>>> run(std::vector<Command> commands, TimePoint until);

    /// Open, nothing under way, outside a transaction, and as far as can be told without asking not closed by the
    /// server.
    bool is_idle() noexcept;
    /// What libpq or the server said to the latest failure, in one line.
    const std::string& message() const noexcept { return message_; }
    /// Whether there is a connection pooler before the server.
    bool pooled() const noexcept { return pooled_; }

    void close() noexcept;

private:
    struct Finish {
        void operator()(pg_conn* connection) const noexcept;
    };

    struct Sent {
        std::string_view sql;
        bool preparation = false; ///< its rows are not returned
    };

    asio::awaitable<bool> connect(const Target& target);
    asio::awaitable<bool> begin(const Session& session);
    asio::awaitable<bool> query(std::string sql, std::string* value);
    bool watch_socket();
    asio::awaitable<bool> wait(asio::posix::stream_descriptor::wait_type what);
    asio::awaitable<bool> flush();
    asio::awaitable<std::optional<pg_result*>> next_result();
    bool send(const std::vector<Command>& commands, std::vector<Sent>& sent);
    bool send_one(const Command& command, std::vector<Sent>& sent);
    bool send_settings(std::vector<Sent>& sent);
    asio::awaitable<result<std::vector<Rows>>> receive(std::vector<Sent> sent);
    error_code judge(const pg_result* result);
    error_code lost();

    std::unique_ptr<pg_conn, Finish> connection_;
    asio::posix::stream_descriptor socket_; ///< a duplicate of libpq's
    Deadline deadline_;
    std::map<std::string_view, std::string> prepared_; ///< statement -> its name at the server
    std::size_t names_ = 0;
    bool busy_ = false; ///< results are outstanding
    Canceller* canceller_;
    bool pooled_ = false;
    std::string settings_; ///< pooled: the statement that sets them in a transaction
    std::string message_;
};

struct PoolSettings {
    Target target;
    Session session;
    std::size_t connections = 8; ///< at most
};

class Pool {
public:
    Pool(asio::io_context& context, PoolSettings settings);

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// A connection out of the pool. Goes back when it is destroyed, or is closed if it cannot be used again.
    class Lent {
    public:
        Lent(Pool& pool, std::unique_ptr<Connection> connection) : pool_(&pool), connection_(std::move(connection)) {}
        ~Lent();
        Lent(Lent&& other) noexcept = default;
        Lent& operator=(Lent&&) = delete;

        Connection* operator->() const noexcept { return connection_.get(); }
        Connection& operator*() const noexcept { return *connection_; }

    private:
        Pool* pool_;
        std::unique_ptr<Connection> connection_;
    };

    /// Waits for one, and for the server to come back, until `until`; then errc::unavailable.
    asio::awaitable<result<Lent>> borrow(TimePoint until);

    /// Why there is no connection at the moment, by the latest attempt that had time to find out; none if there is one,
    /// or none was asked for.
    const std::optional<std::string>& trouble() const noexcept { return trouble_; }

private:
    class Slot;

    std::unique_ptr<Connection> take_idle();
    void give_back(std::unique_ptr<Connection> connection);
    void note(std::optional<std::string> trouble);

    asio::io_context& context_;
    const PoolSettings settings_;
    Canceller canceller_; ///< before the connections, which use it
    bool pooler_known_ = false;
    std::vector<std::unique_ptr<Connection>> idle_; ///< the latest used last
    std::size_t open_ = 0;                          ///< idle, lent, or being opened
    WaitList waiting_;
    TimePoint retry_at_{}; ///< no new connection before
    std::optional<std::string> trouble_;
};

} // namespace hotspare::storage::postgres
