// A PgBouncer of the test's own before a PostgresServer, in one of its pool modes. As root, which it refuses to run as,
// it runs as the user `postgres`.
//
// Thread: the test's. Everything ends with the object.
#pragma once

#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace hotspare::test {

class PgBouncer {
public:
    /// Whether the package pgbouncer is installed.
    static bool available();

    /// `mode`: session, transaction or statement. `connections`: to the server, at most. Throws std::runtime_error with
    /// what it printed if it does not start.
    PgBouncer(std::uint16_t server, const std::string& mode, unsigned connections);

    /// postgres://hotspare@127.0.0.1:PORT/orders
    std::string url() const;

private:
    TempDir folder_;
    std::uint16_t port_;
    std::unique_ptr<Process> process_;
};

} // namespace hotspare::test
