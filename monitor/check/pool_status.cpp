#include "monitor/check/pool_status.hpp"

#include "common/json_document.hpp"
#include "common/time.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace hotspare::monitor {
namespace {

using nlohmann::json;

std::string string_of(const json& value)
{
    return value.is_string() ? value.get<std::string>() : std::string();
}

std::optional<PoolAnnouncement> announcement_of(const json& maintenance)
{
    if (!maintenance.is_object()) return std::nullopt;
    PoolAnnouncement announcement{.message = string_of(member_of(maintenance, "message"))};
    if (const auto until = parse_rfc3339(string_of(member_of(maintenance, "until")))) announcement.until = *until;
    return announcement;
}

} // namespace

boost::system::result<PoolStatus, std::string> read_pool_status(std::string_view text)
{
    const json document = read_json_document(text);
    const json& backends = member_of(document, "backends");
    const json& pools = member_of(document, "pools");
    PoolStatus status;
    status.run = string_of(member_of(document, "started"));
    if (document.is_discarded() || !backends.is_array() || !pools.is_array() || status.run.empty())
        return std::string("its answer is not the status of a balancer");
    for (const json& entry : backends) {
        const auto word = string_of(member_of(entry, "status"));
        PoolStatus::Backend backend{.name = string_of(member_of(entry, "name")),
                                    .out = word == "draining" || word == "maintenance"};
        if (backend.name.empty() || word.empty())
            return std::string("its status has a backend without a name or state");
        if (word == "maintenance") backend.announcement = announcement_of(member_of(entry, "maintenance"));
        status.backends.push_back(std::move(backend));
    }
    for (const json& entry : pools) {
        PoolStatus::Pool pool{.name = string_of(member_of(entry, "name"))};
        const json& candidates = member_of(entry, "candidates");
        if (pool.name.empty() || !candidates.is_array())
            return std::string("its status has a pool without a name or candidates");
        for (const json& candidate : candidates) {
            auto name = string_of(member_of(candidate, "backend"));
            if (name.empty()) return std::string("its status has a candidate without a name");
            pool.backends.push_back(std::move(name));
        }
        status.pools.push_back(std::move(pool));
    }
    return status;
}

} // namespace hotspare::monitor
