#include "balancer/control/events.hpp"

#include "common/time.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace hotspare::balancer {
namespace {

bool is_failover(Event::Kind kind)
{
    return kind == Event::Kind::failover || kind == Event::Kind::failback;
}

} // namespace

nlohmann::json to_json(const ReportedEvent& reported)
{
    const Event& event = reported.event;
    nlohmann::json json{{"event", to_string(event.kind)},
                        {"at", format_rfc3339(reported.at)},
                        {"cause", event.cause},
                        {"evidence", event.evidence}};
    if (event.pool) json["pool"] = reported.pool;
    if (is_failover(event.kind)) {
        json["from"] = reported.previous;
        json["to"] = reported.backend;
        json["detection_ms"] = to_ms(event.detection);
        json["failover_ms"] = to_ms(reported.failover);
        return json;
    }
    if (event.backend) json["backend"] = reported.backend;
    if (event.kind == Event::Kind::transition) {
        json["from"] = to_string(event.from);
        json["to"] = to_string(event.to);
        if (event.detection > Duration::zero()) json["detection_ms"] = to_ms(event.detection);
    }
    return json;
}

std::string to_text(const ReportedEvent& reported)
{
    const Event& event = reported.event;
    const std::string& backend = reported.backend;
    const std::string& pool = reported.pool;
    switch (event.kind) {
    case Event::Kind::transition:
        return fmt::format("'{}' is {}, was {} ({})", backend, to_string(event.to), to_string(event.from),
                           event.evidence);
    case Event::Kind::failover:
        return fmt::format("failover of pool '{}' from '{}' to '{}': detected in {:.1f} ms, done after {:.1f} ms ({})",
                           pool, reported.previous, backend, to_ms(event.detection), to_ms(reported.failover),
                           event.evidence);
    case Event::Kind::failback:
        return fmt::format("failback of pool '{}' from '{}' to '{}' ({})", pool, reported.previous, backend,
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
    case Event::Kind::announcement: return fmt::format("'{}' is {} ({})", backend, to_string(event.to), event.evidence);
    case Event::Kind::configuration: return fmt::format("configuration changed: {}", event.evidence);
    case Event::Kind::clock_jump:
        return fmt::format("clock jump: {}; discarding the results of probes in flight, probing all backends again",
                           event.evidence);
    }
    return {};
}

} // namespace hotspare::balancer
