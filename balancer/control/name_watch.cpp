#include "balancer/control/name_watch.hpp"

#include "common/log.hpp"

#include <algorithm>
#include <utility>

namespace hotspare::balancer {

NameWatch::NameWatch(boost::asio::io_context& context, http::Resolver::Settings settings, std::uint32_t seed,
                     Hearing hearing)
    : resolver_(context, std::move(settings)), random_(seed), hearing_(std::move(hearing)), timer_(context)
{
}

void NameWatch::watch(const std::vector<Name>& names)
{
    std::map<NameQuery, Duration> intervals;
    for (const Name& name : names) {
        const auto [it, is_new] = intervals.emplace(name.query, name.interval);
        if (is_new || name.interval == Duration::zero()) continue;
        it->second = it->second == Duration::zero() ? name.interval : std::min(it->second, name.interval);
    }
    std::erase_if(entries_, [&](const auto& entry) { return !intervals.contains(entry.first); });
    const TimePoint now = Clock::now();
    for (const auto& [query, interval] : intervals) {
        const auto [it, is_new] =
            entries_.try_emplace(query, Entry{LookupSchedule(interval, static_cast<std::uint32_t>(random_()))});
        if (!is_new) it->second.schedule.set_interval(interval, now);
    }
    arm();
}

void NameWatch::doubt(const NameQuery& query)
{
    const auto it = entries_.find(query);
    if (it == entries_.end()) return;
    it->second.schedule.doubt(Clock::now());
    arm();
}

const Addresses& NameWatch::known(const NameQuery& query) const
{
    static const Addresses nothing;
    const auto it = entries_.find(query);
    return it != entries_.end() ? it->second.known : nothing;
}

bool NameWatch::is_unanswered(const NameQuery& query) const
{
    const auto it = entries_.find(query);
    return it != entries_.end() && !it->second.answered;
}

const std::string& NameWatch::error(const NameQuery& query) const
{
    static const std::string none;
    const auto it = entries_.find(query);
    return it != entries_.end() ? it->second.error : none;
}

void NameWatch::stop()
{
    stopped_ = true;
    timer_.cancel();
    resolver_.cancel();
}

void NameWatch::arm()
{
    if (stopped_) return;
    auto due = TimePoint::max();
    for (const auto& [query, entry] : entries_) due = std::min(due, entry.schedule.due());
    if (std::exchange(timer_at_, due) == due) return;
    timer_.expires_at(due);
    if (due == TimePoint::max()) return;
    timer_.async_wait([this](const error_code& error) {
        if (error || stopped_) return;
        timer_at_ = TimePoint::max();
        const TimePoint now = Clock::now();
        for (auto& [query, entry] : entries_)
            if (entry.schedule.due() <= now) look_up(query, entry);
        arm();
    });
}

void NameWatch::look_up(const NameQuery& query, Entry& entry)
{
    entry.schedule.begin();
    if (query.service) {
        resolver_.look_up_service(query.host, [this, query](const result<http::ServiceAnswer>& found) {
            const auto* const known =
                ended(query, found ? error_code() : found.error(), found ? found->ttl : std::optional<Duration>());
            if (known != nullptr && found) hearing_.records(query, *found);
        });
        return;
    }
    resolver_.look_up(query.host, query.port, [this, query](const result<http::NameAnswer>& found) {
        auto* const known =
            ended(query, found ? error_code() : found.error(), found ? found->ttl : std::optional<Duration>());
        if (known == nullptr || !found) return;
        take_over(known->known, found->addresses, found->complete);
        hearing_.addresses(query, *found);
    });
}

NameWatch::Entry* NameWatch::ended(const NameQuery& query, const error_code& error, std::optional<Duration> ttl)
{
    const auto it = entries_.find(query);
    if (it == entries_.end()) return nullptr;
    Entry& entry = it->second;
    entry.answered = true;
    const TimePoint now = Clock::now();
    if (error)
        entry.schedule.failed(now);
    else
        entry.schedule.answered(ttl, now);
    arm();
    const std::string why = error ? error.message() : "";
    if (std::exchange(entry.error, why) != why) {
        if (error)
            log::warn("the name '{}' cannot be looked up ({}); what is known of it is used further", query.host, why);
        else
            log::info("the name '{}' can be looked up again", query.host);
    }
    return &entry;
}

} // namespace hotspare::balancer
