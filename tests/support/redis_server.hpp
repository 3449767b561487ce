// A Redis server of the test's own: Debian's redis-server on a free loopback port, with nothing on disk but an empty
// working directory. It can be killed, frozen and started again on the same port, and it forgets everything each time.
//
// Thread: the test's, which must outlive it (see process.hpp). Lifetime: the destructor kills the server.
#pragma once

#include "tests/support/process.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace hotspare::test {

class RedisServer {
public:
    /// Returns when it answers. With a `password` (letters and digits) clients must know it. Throws
    /// std::runtime_error when Redis is not installed, or with everything that it printed when it does not start.
    explicit RedisServer(std::string password = {});

    std::uint16_t port() const noexcept { return port_; }
    /// redis://127.0.0.1:PORT, with the password if there is one.
    std::string url() const;

    /// SIGKILL; returns when it is gone. The port stays reserved: connecting is refused, and no other process gets it.
    void kill();
    /// Once more, on the same port and empty; returns when it answers. Only after kill().
    void start();

    /// SIGSTOP: connections stand still and new ones wait until thaw(). Returns when it has stopped.
    void freeze();
    void thaw();

    /// Sends one inline command on a connection of its own ("XLEN orders") and returns the first line of the answer
    /// (":3"). Throws std::runtime_error when there is none, or when it is an error.
    std::string ask(const std::string& command) const;
    void flush_all() const { ask("FLUSHALL"); }

private:
    bool answers() const;

    const std::string password_;
    const TempDir directory_;
    const Fd reservation_ = bind_loopback(0);
    const std::uint16_t port_ = local_port(reservation_);
    std::unique_ptr<Process> process_; ///< none while killed
};

} // namespace hotspare::test
