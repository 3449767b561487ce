// Names of backends: when one is looked up again, what becomes of an answer, and how a name whose addresses are
// backends of their own (`resolve: each`, `resolve: srv`) stands for several backends.
//
// PURE. Thread: the monitor's; what a Config becomes, also the main thread at start.
#pragma once

#include "balancer/config.hpp"
#include "common/clock.hpp"

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace hotspare::balancer {

// --- When
// --------------------------------------------------------------------------------------------------------------

/// When one name is looked up. After an answer: when its TTL, of which at least 1 s and at most an hour counts, or the
/// interval that is set, has passed. After a failed lookup: 1 s later, then 2 s and so on up to 5 s. While the backend
/// takes no connection: at once, but not within 1 s of the last lookup, nor before a retry after a failed one. All but
/// the last up to a tenth later, so that several balancers do not ask in step; not earlier, when a cache would give the
/// old answer once more.
class LookupSchedule {
public:
    /// Due at once. `interval`: zero = by TTL.
    LookupSchedule(Duration interval, std::uint32_t seed) : interval_(interval), random_(seed) {}

    /// Counts from the next answer on; from now, if the lookup that it asks for is nearer than the one that is due.
    void set_interval(Duration interval, TimePoint now);

    /// TimePoint::max() while a lookup is under way.
    TimePoint due() const noexcept { return running_ ? TimePoint::max() : due_; }

    void begin() noexcept { running_ = true; }
    /// `ttl`: nothing = of the hosts file, which says nothing of the kind.
    void answered(std::optional<Duration> ttl, TimePoint now);
    void failed(TimePoint now);

    /// A connection to what the name stands for could not be made.
    void doubt(TimePoint now) noexcept;

    static constexpr Duration shortest = seconds(1);
    static constexpr Duration longest = std::chrono::hours(1);
    static constexpr Duration hosts_file = seconds(60);
    static constexpr Duration longest_backoff = seconds(5);
    static constexpr double jitter = 0.1;

private:
    TimePoint later(TimePoint from, Duration by);

    Duration interval_;
    std::mt19937 random_;
    bool running_ = false;
    TimePoint due_ = TimePoint::min();
    TimePoint not_before_ = TimePoint::min(); ///< whatever is doubted
    unsigned failures_ = 0;                   ///< in a row
};

// --- What
// ----------------------------------------------------------------------------------------------------------------

/// What is looked up: the addresses of a host, or the SRV records of a service.
struct NameQuery {
    std::string host;
    std::uint16_t port = 0; ///< of a service: 0
    bool service = false;

    auto operator<=>(const NameQuery&) const = default; // NOLINT(modernize-use-nullptr): the 0 of its own comparison
};

/// Of the backend's name, also where it is an address.
NameQuery query_of(const BackendConfig& backend);

/// Makes `known` what `answer` says. What stays keeps its place, so that what works stays in front, and the answers of
/// a name server that turns its addresses round are the same answer. An answer that is not `complete` takes nothing
/// away. False if nothing changes.
template <class Address> bool take_over(std::vector<Address>& known, const std::vector<Address>& answer, bool complete);

// --- Several backends by one name
// ----------------------------------------------------------------------------------------

/// Where such a name leads: an address of the host, or an SRV record.
struct Place {
    std::string host; ///< the name itself, or the target of the record
    std::uint16_t port = 0;
    std::string address{}; ///< of `host`, which has others; empty for a record
    unsigned priority = 0; ///< SRV: the lowest is preferred
    unsigned weight = 0;   ///< SRV: as in the record

    bool operator==(const Place&) const = default;
};

/// Numbers the places of each name: a place keeps its number while it is in the answer, a new one gets the lowest that
/// is free and makes no other backend's name.
class Expansion {
public:
    /// The names in `config` that stand for several backends count from now on, and no others.
    void follow(const Config& config);
    const std::set<NameQuery>& names() const noexcept { return names_; }

    /// False if that is what is known already, or of a name that does not count. `complete`: as for take_over().
    bool answered(const NameQuery& name, std::vector<Place> places, bool complete = true);

    /// `config` with NAME-1, NAME-2 ... in the place of each backend NAME whose addresses are backends of their own, in
    /// every pool. One without an answer stays as it is.
    Config expanded(const Config& config);

private:
    std::set<NameQuery> names_;
    std::map<NameQuery, std::vector<Place>> answers_;
    /// By the backend's name: what has the number of the position plus one; nothing = free.
    std::map<std::string, std::vector<std::optional<std::string>>> numbers_;
};

// -----------------------------------------------------------------------------------------------------------------------

template <class Address> bool take_over(std::vector<Address>& known, const std::vector<Address>& answer, bool complete)
{
    const auto is_in = [](const std::vector<Address>& list) {
        return [&list](const Address& address) { return std::find(list.begin(), list.end(), address) != list.end(); };
    };
    const bool fewer = complete && std::erase_if(known, [&](const Address& a) { return !is_in(answer)(a); }) > 0;
    const std::size_t kept = known.size();
    std::remove_copy_if(answer.begin(), answer.end(), std::back_inserter(known),
                        [&](const Address& a) { return is_in(known)(a); });
    return fewer || known.size() > kept;
}

} // namespace hotspare::balancer
