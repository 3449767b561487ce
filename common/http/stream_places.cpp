#include "common/http/stream_places.hpp"

#include "common/http/guard.hpp"

#include <algorithm>

#include <arpa/inet.h>

namespace hotspare::http {
namespace {

/// What an address is counted by: an IPv4 address as a whole, of IPv6 the first 64 bits.
std::string client_of(std::string_view address)
{
    std::string text(address);
    in6_addr v6{};
    if (::inet_pton(AF_INET6, text.c_str(), &v6) != 1) return text;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) return text;
    std::fill(std::begin(v6.s6_addr) + 8, std::end(v6.s6_addr), std::uint8_t{0});
    char network[INET6_ADDRSTRLEN];
    return ::inet_ntop(AF_INET6, &v6, network, sizeof network) != nullptr ? network : text;
}

} // namespace

StreamPlaces::Refusal StreamPlaces::take(std::string_view address)
{
    const bool local = is_loopback(address);
    const std::size_t kept = local ? 0 : std::min(limits_.kept_for_loopback, limits_.all);
    if (taken_ >= limits_.all - kept) return Refusal::all_taken;
    if (!local) {
        std::size_t& own = by_client_[client_of(address)];
        if (own >= limits_.per_address) return Refusal::address_has_enough;
        ++own;
    }
    ++taken_;
    return Refusal::none;
}

void StreamPlaces::give_back(std::string_view address)
{
    --taken_;
    const auto own = by_client_.find(client_of(address));
    if (own == by_client_.end()) return;
    if (--own->second == 0) by_client_.erase(own);
}

} // namespace hotspare::http
