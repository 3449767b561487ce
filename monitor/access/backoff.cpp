#include "monitor/access/backoff.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <arpa/inet.h>

namespace hotspare::monitor {

ClientNetwork network_of(std::string_view address)
{
    using Family = ClientNetwork::Family;
    if (address.find('\0') != std::string_view::npos) return {};  // inet_pton would stop there
    const std::string text(address.substr(0, address.find('%'))); // without the zone
    in_addr v4{};
    if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return {Family::v4, ntohl(v4.s_addr)};
    in6_addr v6{};
    if (::inet_pton(AF_INET6, text.c_str(), &v6) != 1) return {};
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6);
    ClientNetwork network{mapped ? Family::v4 : Family::v6, 0};
    const std::size_t begin = mapped ? 12 : 0;
    const std::size_t end = mapped ? 16 : 8;
    for (std::size_t i = begin; i < end; ++i) network.bits = network.bits << 8 | v6.s6_addr[i];
    return network;
}

std::optional<Duration> Backoff::pause_left(const ClientNetwork& client, TimePoint now) const
{
    const auto found = records_.find(client);
    if (found == records_.end() || found->second.paused_until <= now) return std::nullopt;
    return found->second.paused_until - now;
}

bool Backoff::first_in_pause(const ClientNetwork& client)
{
    const auto found = records_.find(client);
    return found != records_.end() && !std::exchange(found->second.tried_in_pause, true);
}

std::optional<Duration> Backoff::begin(const ClientNetwork& client, TimePoint now)
{
    forget_old(now);
    if (const auto left = pause_left(client, now)) return left;
    Record& record = records_[client];
    const unsigned room = record.failures < settings_.free_failures ? settings_.free_failures - record.failures : 1;
    if (record.in_progress >= room) return settings_.first_pause;
    ++record.in_progress;
    return std::nullopt;
}

Duration Backoff::failed(const ClientNetwork& client, TimePoint now)
{
    const auto record = end_try(client);
    if (record == records_.end()) return Duration::zero();
    Record& r = record->second;
    if (r.failures > 0)
        by_age_.splice(by_age_.end(), by_age_, r.place);
    else
        r.place = by_age_.insert(by_age_.end(), client);
    ++r.failures;
    r.last_failure = now;
    const auto pause = pause_after(r.failures);
    if (pause > Duration::zero()) {
        r.paused_until = std::max(r.paused_until, now + pause);
        r.tried_in_pause = false;
    }
    if (by_age_.size() > settings_.most_networks) clear(records_.find(by_age_.front()));
    return pause;
}

void Backoff::succeeded(const ClientNetwork& client)
{
    if (const auto record = end_try(client); record != records_.end()) clear(record);
}

void Backoff::withdrawn(const ClientNetwork& client)
{
    const auto record = end_try(client);
    if (record != records_.end() && record->second.failures == 0) clear(record);
}

Duration Backoff::pause_after(unsigned failures) const noexcept
{
    if (failures < settings_.free_failures) return Duration::zero();
    Duration pause = settings_.first_pause;
    for (unsigned i = settings_.free_failures; i < failures && pause < settings_.longest_pause; ++i) pause *= 2;
    return std::min(pause, settings_.longest_pause);
}

Backoff::Records::iterator Backoff::end_try(const ClientNetwork& client)
{
    const auto record = records_.find(client);
    if (record == records_.end() || record->second.in_progress == 0) return records_.end();
    --record->second.in_progress;
    return record;
}

void Backoff::clear(Records::iterator record)
{
    Record& r = record->second;
    if (r.failures > 0) by_age_.erase(r.place);
    r.failures = 0;
    r.paused_until = TimePoint::min();
    if (r.in_progress == 0) records_.erase(record);
}

void Backoff::forget_old(TimePoint now)
{
    while (!by_age_.empty()) {
        const auto oldest = records_.find(by_age_.front());
        if (now - oldest->second.last_failure < settings_.memory) return;
        clear(oldest);
    }
}

} // namespace hotspare::monitor
