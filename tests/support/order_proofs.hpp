// What the order pipeline promises, put to the proof: one kind of fault as often as wanted while clients place orders,
// then an audit of everything. The tests run these in short, orders_prove for long.
//
// Thread: the caller's; clients and fakes have their own.
#pragma once

#include "tests/support/order_trial.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::test {

/// What a series of faults came to.
struct Proof {
    std::size_t faults = 0; ///< that happened as intended
    OrderAudit audit{};
    std::vector<std::string>
        problems{};     ///< what is no order's fate: a process that ended otherwise than it should, ...
    std::string note{}; ///< figures for people

    bool holds() const noexcept { return audit.clean() && problems.empty(); }
    /// The figures in one line.
    std::string summary() const;
    /// All that is known, as after a failure.
    std::string text() const;
};

struct Series {
    std::size_t cycles = 1;
    std::uint64_t seed = 1;
    std::function<void(std::size_t done)> progress = [](std::size_t) {}; ///< called after each cycle
};

/// A worker is killed while the validator has its call and has not answered.
Proof prove_crashes_after_claim(Engine engine, const Series& series);
/// A worker is killed when the validator has answered and order_service does not know yet.
Proof prove_crashes_before_completion(Engine engine, const Series& series);
/// Every process of the system of config/ that runs on `engine`, its database and its Redis included, is killed and
/// started again at random, one or two at a time, while `rate` orders per second become due.
Proof prove_random_kills(Engine engine, const Series& series, double rate);

// --- On SQLite -------------------------------------------------------------------------------------------------------

/// order_service is killed at `point`, at random moments of a load of creations, and sometimes once more while it
/// recovers.
Proof prove_crashes_at(FaultyDisk::Point point, const Series& series);
/// The machine loses power at random moments of a load of creations. `flags` of order_service.
Proof prove_losses_of_power(const Series& series, std::vector<std::string> flags = {});

// --- On PostgreSQL and Redis -----------------------------------------------------------------------------------------

/// One of two order_service, or both, are killed at random moments of a load of creations. Clients turn to the other.
Proof prove_crashes_of_order_services(const Series& series);

enum class EngineFault : std::uint8_t {
    redis_killed,        ///< and started again, empty
    redis_flushed,       ///< forgets everything
    redis_frozen,        ///< for a while
    postgres_restarted,  ///< crashes and comes back at once
    postgres_killed,     ///< its main process; it may stay away for a while
    backends_terminated, ///< every connection to PostgreSQL is cut by the server
};
std::string_view to_string(EngineFault fault);

/// `fault` happens again and again while `rate` orders per second become due at two order_service, with two workers.
/// Beside the audit, each time: a new order comes to its end before Redis is back or as soon as PostgreSQL is, and the
/// load goes on. A creation is answered within 2 s, where no process is away that it needs.
Proof prove_engine_faults(EngineFault fault, const Series& series, double rate);
/// The negative control: PostgreSQL is killed, and order_service has not waited for its log to be written. Must lose
/// orders.
Proof prove_crashes_without_waiting_for_the_disk(const Series& series, double rate);

} // namespace hotspare::test
