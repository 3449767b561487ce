// A PostgreSQL of the test's own: a fresh cluster in a temporary folder, on a free loopback port, that can be crashed,
// killed and started again with what was on its disk. What it holds is asked and changed with psql, in blocking calls.
//
// Thread: the test's. Everything ends with the object; if the test dies first, the kernel shuts the server down. As
// root (whom PostgreSQL does not serve) the server runs as the user `postgres`, to whom the folder then belongs.
#pragma once

#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace hotspare::test {

class PostgresServer {
public:
    struct Options {
        bool fsync = true;                                         ///< off: quicker, and nothing survives a power loss
        std::vector<std::pair<std::string, std::string>> settings; ///< of postgresql.conf, added to ours
    };

    /// Initialises the cluster, starts it and creates the empty database `orders`; about a second. Throws
    /// std::runtime_error with what the program at fault printed, or with the package that is missing.
    PostgresServer() : PostgresServer(Options{}) {}
    explicit PostgresServer(Options options);
    ~PostgresServer();

    PostgresServer(const PostgresServer&) = delete;
    PostgresServer& operator=(const PostgresServer&) = delete;

    /// postgres://hotspare@127.0.0.1:PORT/orders; the user is the superuser, and no password is asked for.
    std::string url() const;
    /// The same as long as the object lives.
    std::uint16_t port() const noexcept { return port_; }

    /// Starts a server that has ended and returns when it takes connections, after a crash with what its log brings
    /// back. Throws std::runtime_error with its log if it does not.
    void start();
    /// Ends it in order: open transactions are rolled back, connections closed, everything is on the disk.
    void stop();
    /// Crash and return: an immediate shutdown, which writes nothing more, and a start.
    void restart_at_once();
    /// SIGKILL to the server's main process; the others, which notice by themselves, are gone too when this returns.
    void kill();
    /// Stops the process that writes the log on behalf of those who do not wait for it: until the server ends, what
    /// they commit stays in memory.
    void freeze_log_writer();
    bool running() { return process_ && process_->running(); }

    /// The rows that the statements yield in database `orders`, one a line, columns divided by `|`, without the last
    /// line feed. Throws std::runtime_error with psql's words if one fails or takes too long.
    std::string run(const std::string& sql) const;
    /// Cuts every connection but its own; returns how many there were.
    int terminate_backends() const;

    /// What all its processes have printed since the last start.
    std::string log() const { return process_ ? process_->err() : std::string(); }

private:
    std::string psql(const std::string& database, const std::string& sql) const;
    /// The main process: SIGTERM waits for clients, SIGINT cuts them off, SIGQUIT crashes.
    void end(int signal);

    TempDir folder_;
    std::string binaries_; ///< the folder of initdb, postgres and psql
    std::uint16_t port_;
    std::vector<std::string> command_;
    std::unique_ptr<Process> process_; ///< the latest, also when it has ended
    std::optional<pid_t> frozen_;      ///< the writer of its log
};

} // namespace hotspare::test
