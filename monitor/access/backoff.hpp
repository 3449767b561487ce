// How often a client may try a password. After three failures in a row its address has to pause, at first for a second,
// then twice as long after every further failure, up to a minute: 8 tries in the first minute, and then one a minute.
// Tries during a pause are refused unlooked at and do not count.
//
// What is in progress may fail: together with the failures so far it is bounded as these are, so that tries at the same
// time are no way around the pauses. A success clears the failures, and so do ten minutes without one.
//
// An IPv6 address counts by its first 64 bits, as its owner chooses the others. The number of addresses with failures
// is bounded; a new one displaces that whose last failure is oldest, so a client of many thousand networks gets more
// tries. What bounds all clients together is the time that a look takes.
//
// PURE: `now` is an argument. One thread. Owned by the authenticator. Every call costs O(log n).
#pragma once

#include "common/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string_view>

namespace hotspare::monitor {

/// What counts as one client: an IPv4 address, or the network that an IPv6 address is in. An IPv4-mapped one counts as
/// IPv4; all texts that are no address count as one.
struct ClientNetwork {
    enum class Family : std::uint8_t { none, v4, v6 };

    Family family = Family::none;
    std::uint64_t bits = 0;

    friend bool operator==(const ClientNetwork&, const ClientNetwork&) = default;
    friend bool operator<(const ClientNetwork& a, const ClientNetwork& b) noexcept
    {
        return a.family != b.family ? a.family < b.family : a.bits < b.bits;
    }
};
ClientNetwork network_of(std::string_view address);

struct BackoffSettings {
    unsigned free_failures = 3; ///< not 0
    Duration first_pause = seconds(1);
    Duration longest_pause = seconds(60);
    Duration memory = std::chrono::minutes(10); ///< more than the longest pause
    std::size_t most_networks = 10'000;         ///< not 0
};

class Backoff {
public:
    explicit Backoff(BackoffSettings settings = {}) : settings_(settings) {}

    /// How long the client still has to pause; nothing if it need not.
    std::optional<Duration> pause_left(const ClientNetwork& client, TimePoint now) const;

    /// Whether a try during this pause is the first one; the later ones change nothing.
    bool first_in_pause(const ClientNetwork& client);

    /// Begins a try; then one of the three functions below must be called. If the client has to wait, for how long:
    /// then no try has begun.
    std::optional<Duration> begin(const ClientNetwork& client, TimePoint now);

    /// Returns the pause that begins now; zero if there is none yet.
    Duration failed(const ClientNetwork& client, TimePoint now);
    void succeeded(const ClientNetwork& client);
    /// The try was not looked at.
    void withdrawn(const ClientNetwork& client);

    /// Those that are remembered.
    std::size_t networks() const noexcept { return records_.size(); }

private:
    struct Record {
        unsigned failures = 0; ///< in a row
        unsigned in_progress = 0;
        TimePoint last_failure{};
        TimePoint paused_until = TimePoint::min();
        bool tried_in_pause = false;
        std::list<ClientNetwork>::iterator place{}; ///< in `by_age_`, if there are failures
    };
    using Records = std::map<ClientNetwork, Record>;

    Duration pause_after(unsigned failures) const noexcept;
    /// The record of a client with a try in progress, which is no longer; nothing if there was none.
    Records::iterator end_try(const ClientNetwork& client);
    /// Clears the failures, and drops the record if nothing is in progress.
    void clear(Records::iterator record);
    void forget_old(TimePoint now);

    BackoffSettings settings_;
    Records records_;
    std::list<ClientNetwork> by_age_; ///< those with failures, that of the oldest last failure first
};

} // namespace hotspare::monitor
