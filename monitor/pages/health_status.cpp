#include "monitor/pages/health_status.hpp"

#include "common/json_document.hpp"
#include "monitor/pages/json_parts.hpp"
#include "monitor/pages/wording.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace hotspare::monitor {
namespace {

using resilience::Health;
using OrderedJson = nlohmann::ordered_json;

} // namespace

Health overall_health(std::span<const Health> all) noexcept
{
    if (all.empty()) return Health::unknown;
    const auto is = [](Health wanted) { return [wanted](Health health) { return health == wanted; }; };
    if (std::all_of(all.begin(), all.end(), is(all.front()))) return all.front();
    if (std::any_of(all.begin(), all.end(), is(Health::down))) return Health::unhealthy;
    for (const auto word : {Health::unhealthy, Health::degraded})
        if (std::any_of(all.begin(), all.end(), is(word))) return word;
    return Health::unknown;
}

std::string health_status_json(std::span<const TargetHealth> targets, Instant now)
{
    std::vector<Health> all;
    all.reserve(targets.size());
    std::string services; // an ordered object looks through its members for each one that is added
    for (const TargetHealth& target : targets) {
        all.push_back(target.health);
        OrderedJson service{
            {"status", to_string(target.health)},
            {"response_time",
             target.latency ? OrderedJson(static_cast<double>(target.latency->count()) / 1e6) : OrderedJson()},
            {"since", machine_time(target.since)},
            {"cause", target.health == Health::healthy ? OrderedJson("answers in time") : text_or_null(target.cause)},
            {"last_error", text_or_null(target.last_error)},
            {"url", text_or_null(target.url)}};
        if (target.paused) service["paused"] = *target.paused;
        services.append(services.empty() ? "" : ",").append(json_text(OrderedJson(target.name))).append(":");
        services += json_text(service);
    }
    return fmt::format(R"({{"timestamp":"{}","overall":"{}","services":{{{}}}}})", machine_time(now),
                       to_string(overall_health(all)), services);
}

} // namespace hotspare::monitor
