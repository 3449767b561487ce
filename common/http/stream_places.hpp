// How many event streams may be open: a bound for all of them, a smaller one for each client address, and places that
// only clients of this machine get, so that an operator can always watch.
//
// An address of IPv6 counts by its network of 64 bits: that is what one client is given.
//
// PURE. Thread: that of the server whose streams it counts. Owner: the EventFeed.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace hotspare::http {

struct StreamLimits {
    std::size_t all = 256;              ///< each costs a descriptor and up to a backlog of memory
    std::size_t per_address = 32;       ///< not for loopback: behind a proxy of this machine all clients are that
    std::size_t kept_for_loopback = 32; ///< of `all`
};

class StreamPlaces {
public:
    enum class Refusal : unsigned char { none, all_taken, address_has_enough };

    explicit StreamPlaces(StreamLimits limits = {}) : limits_(limits) {}

    /// Takes a place for a client at `address`, an IP address; Refusal::none if it got one.
    Refusal take(std::string_view address);
    /// Of an address that has a place.
    void give_back(std::string_view address);

    std::size_t taken() const noexcept { return taken_; }

private:
    StreamLimits limits_;
    std::size_t taken_ = 0;
    std::map<std::string, std::size_t, std::less<>> by_client_; ///< without loopback
};

} // namespace hotspare::http
