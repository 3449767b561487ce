// Trials of the order pipeline: real processes, real clients, one kind of fault as often as wanted, and an audit of
// everything in the end. The tests run them in short, orders_prove for long.
//
// Thread: the caller's, which must outlive the trial; clients and fakes have their own.
#pragma once

#include "tests/support/faulty_disk.hpp"
#include "tests/support/order_audit.hpp"
#include "tests/support/order_clients.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
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

/// An order_service on a faulty disk, and as many workers as are started.
class OrderTrial {
public:
    /// Long enough for a worker that is well to keep its jobs on a busy machine, short enough to wait for one that is
    /// not.
    static constexpr milliseconds usual_lease = seconds(1);

    /// `flags` of order_service, beside the lease.
    explicit OrderTrial(std::vector<std::string> flags = {}, milliseconds lease = usual_lease);

    FaultyDisk& disk() noexcept { return disk_; }
    FakeValidator& validator() noexcept { return validator_; }
    /// Where order_service listens, whenever it runs.
    std::uint16_t port() const noexcept { return port_; }

    /// Starts order_service again, on the same data and the same port; wait_ready() is the caller's.
    Process& launch_orders();
    /// The same, ready.
    Process& start_orders();
    Process& orders() { return *orders_; }

    /// Another validation_service, ready, which takes its orders from `orders_url` and asks `validator_url`; empty: the
    /// trial's own.
    Process& start_worker(const std::string& orders_url = {}, const std::string& validator_url = {});
    /// All of them, with SIGKILL.
    void kill_workers() { workers_.clear(); }

    /// Waits until every order has ended; false after `bound`.
    bool drained(milliseconds bound = seconds(60)) const;
    /// Reads everything back and holds it against what was `placed`.
    OrderAudit audit(const std::vector<PlacedOrder>& placed) const;

private:
    std::uint16_t port_;
    TempDir dir_;
    std::filesystem::path database_;
    FaultyDisk disk_;
    std::vector<std::string> flags_;
    FakeValidator validator_;
    std::unique_ptr<Process> orders_;
    std::vector<std::unique_ptr<Process>> workers_;
};

/// What a series of faults came to.
struct Proof {
    std::size_t faults = 0; ///< that happened as intended
    OrderAudit audit{};
    std::vector<std::string>
        problems{};     ///< what is no order's fate: a process that ended otherwise than it should, ...
    std::string note{}; ///< figures for people

    bool holds() const noexcept { return audit.clean() && problems.empty(); }
    std::string text() const;
};

struct Series {
    std::size_t cycles = 1;
    std::uint64_t seed = 1;
    std::function<void(std::size_t done)> progress = [](std::size_t) {}; ///< called after each cycle
};

/// order_service is killed at `point`, at random moments of a load of creations, and sometimes once more while it
/// recovers.
Proof prove_crashes_at(FaultyDisk::Point point, const Series& series);
/// A worker is killed while the validator has its call and has not answered.
Proof prove_crashes_after_claim(const Series& series);
/// A worker is killed when the validator has answered and order_service does not know yet.
Proof prove_crashes_before_completion(const Series& series);
/// The machine loses power at random moments of a load of creations. `flags` of order_service.
Proof prove_losses_of_power(const Series& series, std::vector<std::string> flags = {});
/// All daemons of config/orders.system, one or two at a time at random, are killed and started again while `rate`
/// orders per second become due.
Proof prove_random_kills(const Series& series, double rate);

} // namespace hotspare::test
