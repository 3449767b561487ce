// The order pipeline on trial: its real processes on an engine that can be made to fail, with a validator that
// remembers what it did. The proofs (order_proofs.hpp) and the tests do the rest.
//
// Thread: the caller's, which must outlive the trial; clients and fakes have their own.
#pragma once

#include "tests/support/faulty_disk.hpp"
#include "tests/support/order_audit.hpp"
#include "tests/support/order_clients.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/postgres_server.hpp"
#include "tests/support/process.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::test {

/// A validator that honours the Idempotency-Key, and remembers what it acted upon. It rejects more than 1,000 pieces.
class FakeValidator {
public:
    FakeValidator();

    Origin& origin() noexcept { return origin_; }
    Effects effects() const;
    /// The script that it begins with, for others to go back to or to call.
    Reply validate(const Message& request);

private:
    mutable std::mutex mutex_;                                          ///< guards the next
    std::map<std::string, std::pair<std::string, std::string>> by_key_; ///< key -> order, verdict
    Origin origin_;
};

/// What keeps the orders.
enum class Engine : std::uint8_t {
    sqlite,         ///< order_service itself, on a faulty disk
    postgres_redis, ///< a PostgreSQL and a Redis of the trial's own
};
/// As run.sh calls it.
std::string_view to_string(Engine engine);

/// As many order_service as its engine allows, and as many workers as are started.
class OrderTrial {
public:
    /// Long enough for a worker that runs to keep its jobs on a busy machine, short enough to wait for one that is
    /// not.
    static constexpr milliseconds usual_lease = seconds(1);

    struct Options {
        Engine engine = Engine::sqlite;
        std::size_t services = 1;         ///< order_service; on SQLite one
        std::vector<std::string> flags{}; ///< of order_service, beside the lease
        milliseconds lease = usual_lease;
    };

    OrderTrial() : OrderTrial(Options{}) {}
    explicit OrderTrial(Options options);

    FaultyDisk& disk() noexcept { return disk_; }
    /// Only with Engine::postgres_redis; so is redis().
    PostgresServer& postgres() { return *postgres_; }
    RedisServer& redis() { return *redis_; }
    FakeValidator& validator() noexcept { return validator_; }
    /// Where order_service listens, whenever it runs. `service` from 0, here and below.
    std::uint16_t port(std::size_t service = 0) const { return ports_.at(service); }
    const std::vector<std::uint16_t>& ports() const noexcept { return ports_; }

    /// Starts order_service again, on the same data and the same port; wait_ready() is the caller's.
    Process& launch_orders(std::size_t service = 0);
    /// The same, ready.
    Process& start_orders(std::size_t service = 0);
    /// Each of them.
    void start_all_orders();
    Process& orders(std::size_t service = 0) { return *orders_.at(service); }

    /// Another validation_service, ready, which takes its orders from `orders_url` and asks `validator_url`; empty: the
    /// trial's own, of several order_service one after the other.
    Process& start_worker(const std::string& orders_url = {}, const std::string& validator_url = {});
    /// All of them, with SIGKILL.
    void kill_workers() { workers_.clear(); }

    /// Waits until every order has ended; false after `bound`.
    bool drained(milliseconds bound = seconds(60)) const;
    /// Reads everything back and holds it against what was `placed`.
    OrderAudit audit(const std::vector<PlacedOrder>& placed) const;

private:
    const Options options_;
    std::vector<std::uint16_t> ports_;
    TempDir dir_;
    std::filesystem::path database_;
    FaultyDisk disk_;
    std::optional<PostgresServer> postgres_;
    std::optional<RedisServer> redis_;
    FakeValidator validator_;
    std::vector<std::unique_ptr<Process>> orders_; ///< by service; null before its first start
    std::vector<std::unique_ptr<Process>> workers_;
};

/// "--lease", "1000ms"
std::vector<std::string> lease_flag(milliseconds duration);
/// Whether the order_service at `port` says that no order is Processing. Not GET /queue, which may tell of a moment
/// ago.
bool none_processing(std::uint16_t port);

} // namespace hotspare::test
