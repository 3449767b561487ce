#include "balancer/control/events.hpp"

#include "common/time.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

namespace hotspare::balancer {
namespace {

const std::string& name(const Config& config, BackendIndex backend)
{
    return config.backends[backend].name;
}

bool is_failover(Event::Kind kind)
{
    return kind == Event::Kind::failover || kind == Event::Kind::failback;
}

} // namespace

nlohmann::json to_json(const ReportedEvent& reported, const Config& config)
{
    const Event& event = reported.event;
    nlohmann::json json{{"event", to_string(event.kind)},
                        {"at", format_rfc3339(reported.at)},
                        {"cause", event.cause},
                        {"evidence", event.evidence}};
    if (event.pool) json["pool"] = config.pools[*event.pool].name;
    if (is_failover(event.kind)) {
        json["from"] = name(config, *event.previous);
        json["to"] = name(config, *event.backend);
        json["detection_ms"] = to_ms(event.detection);
        json["failover_ms"] = to_ms(reported.failover);
        return json;
    }
    if (event.backend) json["backend"] = name(config, *event.backend);
    if (event.kind == Event::Kind::transition) {
        json["from"] = to_string(event.from);
        json["to"] = to_string(event.to);
        if (event.detection > Duration::zero()) json["detection_ms"] = to_ms(event.detection);
    }
    return json;
}

std::string to_text(const ReportedEvent& reported, const Config& config)
{
    const Event& event = reported.event;
    const std::string backend = event.backend ? name(config, *event.backend) : "";
    const std::string pool = event.pool ? config.pools[*event.pool].name : "";
    switch (event.kind) {
    case Event::Kind::transition:
        return fmt::format("'{}' is {}, was {} ({})", backend, to_string(event.to), to_string(event.from),
                           event.evidence);
    case Event::Kind::failover:
        return fmt::format("failover of pool '{}' from '{}' to '{}': detected in {:.1f} ms, done after {:.1f} ms ({})",
                           pool, name(config, *event.previous), backend, to_ms(event.detection),
                           to_ms(reported.failover), event.evidence);
    case Event::Kind::failback:
        return fmt::format("failback of pool '{}' from '{}' to '{}' ({})", pool, name(config, *event.previous), backend,
                           event.evidence);
    case Event::Kind::outage: return fmt::format("outage of pool '{}': {}", pool, event.evidence);
    case Event::Kind::outage_over: return fmt::format("outage of pool '{}' is over: {}", pool, event.evidence);
    case Event::Kind::fail_open: return fmt::format("pool '{}' fails open: {}", pool, event.evidence);
    case Event::Kind::fail_open_over: return fmt::format("pool '{}' no longer fails open: {}", pool, event.evidence);
    case Event::Kind::quarantine:
        return fmt::format("'{}' is quarantined in pool '{}' ({})", backend, pool, event.evidence);
    case Event::Kind::quarantine_over:
        return fmt::format("'{}' leaves quarantine in pool '{}' ({})", backend, pool, event.evidence);
    case Event::Kind::preference:
        if (!event.backend) return fmt::format("pool '{}': {}", pool, event.evidence);
        return fmt::format("'{}' is preferred in pool '{}' ({})", backend, pool, event.evidence);
    case Event::Kind::clock_jump:
        return fmt::format("clock jump: {}; discarding the results of probes in flight, probing all backends again",
                           event.evidence);
    }
    return {};
}

EventLog::EventLog(std::string origin, std::size_t capacity)
    : origin_(std::move(origin)), capacity_(std::max<std::size_t>(capacity, 1))
{
}

void EventLog::append(const ReportedEvent& reported, const Config& config)
{
    LogEntry entry;
    entry.number = ++last_number_;
    entry.id = fmt::format("{}-{}", origin_, entry.number);
    entry.kind = to_string(reported.event.kind);
    auto json = to_json(reported, config);
    json["id"] = entry.id;
    entry.json = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    entry.text = fmt::format("{} {}", format_rfc3339(reported.at), to_text(reported, config));
    entries_.push_back(std::move(entry));
    if (entries_.size() > capacity_) entries_.pop_front();
    for (const auto& listener : listeners_) listener(entries_.back());
}

std::vector<const LogEntry*> EventLog::after(std::string_view id) const
{
    const auto dash = id.rfind('-');
    std::uint64_t number = 0;
    if (dash == std::string_view::npos || id.substr(0, dash) != origin_) return latest(entries_.size());
    const std::string_view digits = id.substr(dash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number > last_number_)
        return latest(entries_.size());
    return latest(static_cast<std::size_t>(std::min<std::uint64_t>(last_number_ - number, entries_.size())));
}

std::vector<const LogEntry*> EventLog::latest(std::size_t count) const
{
    std::vector<const LogEntry*> result;
    for (std::size_t i = entries_.size() - std::min(count, entries_.size()); i < entries_.size(); ++i)
        result.push_back(&entries_[i]);
    return result;
}

} // namespace hotspare::balancer
