#include "monitor/pages/versions.hpp"

#include "common/json_document.hpp"
#include "common/text.hpp"
#include "common/time.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {
namespace {

using nlohmann::json;

constexpr std::size_t longest_text = 300;
constexpr std::size_t most_versions = 64;
constexpr double greatest_ms = 1e9;

std::string text_of(const json& value)
{
    return value.is_string() ? shortened(printable(value.get_ref<const std::string&>()), longest_text) : std::string();
}

std::optional<Instant> instant_of(const json& value)
{
    if (!value.is_string()) return std::nullopt;
    const auto moment = parse_rfc3339(value.get_ref<const std::string&>());
    return moment ? std::optional(*moment) : std::nullopt;
}

std::optional<double> milliseconds_of(const json& value)
{
    if (!value.is_number()) return std::nullopt;
    const auto number = value.get<double>();
    return number >= 0 && number <= greatest_ms ? std::optional(number) : std::nullopt;
}

std::optional<LastFailover> failover_of(const json& event)
{
    if (!event.is_object()) return std::nullopt;
    return LastFailover{.from = text_of(member_of(event, "from")),
                        .to = text_of(member_of(event, "to")),
                        .cause = text_of(member_of(event, "cause")),
                        .evidence = text_of(member_of(event, "evidence")),
                        .detection_ms = milliseconds_of(member_of(event, "detection_ms")),
                        .failover_ms = milliseconds_of(member_of(event, "failover_ms")),
                        .at = instant_of(member_of(event, "at"))};
}

/// A version may be in several pools: the latest end counts.
void read_quarantine(const json& pools, std::vector<Version>& versions)
{
    if (!pools.is_array()) return;
    for (const json& pool : pools) {
        const json& candidates = member_of(pool, "candidates");
        if (!candidates.is_array()) continue;
        for (const json& candidate : candidates) {
            const auto until = instant_of(member_of(candidate, "quarantined_until"));
            if (!until) continue;
            const auto version = std::ranges::find(versions, text_of(member_of(candidate, "backend")), &Version::name);
            if (version != versions.end())
                version->quarantined_until = std::max(version->quarantined_until.value_or(*until), *until);
        }
    }
}

} // namespace

std::optional<Versions> read_versions(const json& balancer_status)
{
    const json& backends = member_of(balancer_status, "backends");
    if (!backends.is_array()) return std::nullopt;
    Versions result{.active = text_of(member_of(balancer_status, "active"))};
    for (const json& backend : backends) {
        Version version{.name = text_of(member_of(backend, "name")),
                        .url = text_of(member_of(backend, "url")),
                        .status = text_of(member_of(backend, "status")),
                        .since = instant_of(member_of(backend, "since")),
                        .cause = text_of(member_of(backend, "cause")),
                        .evidence = text_of(member_of(backend, "evidence"))};
        if (version.name.empty()) continue;
        if (result.versions.size() == most_versions) break;
        version.active = version.name == result.active;
        result.versions.push_back(std::move(version));
    }
    read_quarantine(member_of(balancer_status, "pools"), result.versions);
    result.last_failover = failover_of(member_of(balancer_status, "last_failover"));
    return result;
}

} // namespace hotspare::monitor
