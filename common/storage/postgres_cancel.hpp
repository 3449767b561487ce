// Ends at the server what a connection has given up. Closing a connection does not: PostgreSQL goes on with a
// statement, and keeps its locks and its place among max_connections, until it has something to send. libpq's cancel
// request opens a connection of its own and blocks, so it is made on a thread that has nothing else to do.
//
// Thread: cancel() on one, usually that of the event loop; it never waits. Owner: the pool whose connections use it.
#pragma once

#include <memory>

struct pg_conn;

namespace hotspare::storage::postgres {

class Canceller {
public:
    Canceller() = default;
    /// Waits a second for the request in progress. One to a server that takes connections and is silent is left behind:
    /// libpq cannot be told to stop, and the thread has nothing of ours.
    ~Canceller();

    Canceller(const Canceller&) = delete;
    Canceller& operator=(const Canceller&) = delete;

    /// Asks the server of `connection` to end what it does for it, and closes it then: a connection pooler knows only
    /// by the open connection what is to be ended. Owns the connection from now on. One too many is closed at once; the
    /// server ends its statement at the statement_timeout.
    void cancel(pg_conn* connection) noexcept;

private:
    struct State;

    static void run(const std::shared_ptr<State>& state);

    std::shared_ptr<State> state_; ///< none until the first request
};

} // namespace hotspare::storage::postgres
