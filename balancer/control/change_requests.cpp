#include "balancer/control/change_requests.hpp"

#include "balancer/backend_url.hpp"
#include "balancer/config_routes.hpp"
#include "common/config.hpp"
#include "common/http/message.hpp"
#include "common/text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace hotspare::balancer {
namespace {

using nlohmann::json;

constexpr std::int64_t most_weight = 1000;
constexpr std::int64_t most_connections = 1'000'000;
constexpr std::int64_t most_order = 1'000'000;

struct Member {
    BackendConfig backend;
    std::int64_t order = 0;
};

http::Problem wrong(const std::string& field, std::string_view what)
{
    return {422, fmt::format("the field '{}' {}", field, what), {{"field", field}}};
}

bool is_number(const json& value, std::int64_t least, std::int64_t most)
{
    return value.is_number_integer() && value >= least && value <= most;
}

boost::system::result<Member, http::Problem> read_member(const json& value, const std::string& place)
{
    if (!value.is_object()) return wrong(place, "is not an object with 'name' and 'url'");
    Member member;
    member.backend.max_connections = limit_as_configured;
    for (const auto& [key, content] : value.items()) {
        const std::string field = place + "." + shortened(key, 64);
        if (key == "name") {
            if (!content.is_string() || !config::is_name(content.get_ref<const std::string&>()))
                return wrong(field, fmt::format("is not {}", config::a_name));
            member.backend.name = content.get<std::string>();
        } else if (key == "url") {
            if (!content.is_string() || !is_backend_url(content.get_ref<const std::string&>()))
                return wrong(field, fmt::format("is not {}", a_backend_url));
            member.backend.url = content.get<std::string>();
        } else if (key == "weight") {
            if (!is_number(content, 1, most_weight))
                return wrong(field, fmt::format("is not a whole number from 1 to {}", most_weight));
            member.backend.weight = content.get<unsigned>();
        } else if (key == "max_connections") {
            if (!is_number(content, 0, most_connections))
                return wrong(field, fmt::format("is not a whole number from 0 to {}", most_connections));
            member.backend.max_connections = content.get<unsigned>();
        } else if (key == "order") {
            if (!is_number(content, -most_order, most_order))
                return wrong(field, fmt::format("is not a whole number from {} to {}", -most_order, most_order));
            member.order = content.get<std::int64_t>();
        } else {
            return wrong(field, "is unknown, expected 'name', 'url', 'weight', 'max_connections' and 'order'");
        }
    }
    if (member.backend.name.empty()) return wrong(place + ".name", "is missing");
    if (member.backend.url.empty()) return wrong(place + ".url", "is missing");
    set_address(member.backend);
    member.backend.source = fmt::format("a request's {}.url", place);
    return member;
}

} // namespace

boost::system::result<std::vector<BackendConfig>, http::Problem> read_members(std::string_view text)
{
    const auto body = http::parse_json(text);
    if (!body) return body.error();
    if (!body->is_object()) return http::Problem{422, "the body is not an object with 'backends'"};
    for (const auto& [key, value] : body->items())
        if (key != "backends") return wrong(shortened(key, 64), "is unknown, expected 'backends'");
    const auto list = body->find("backends");
    if (list == body->end()) return wrong("backends", "is missing");
    if (!list->is_array()) return wrong("backends", "is not a list");
    if (list->size() > most_backends) return wrong("backends", fmt::format("has more than {} entries", most_backends));

    std::vector<Member> members;
    std::set<std::string> names;
    for (std::size_t i = 0; i < list->size(); ++i) {
        const std::string place = fmt::format("backends[{}]", i);
        auto member = read_member((*list)[i], place);
        if (!member) return std::move(member.error());
        if (!names.insert(member->backend.name).second)
            return wrong(place + ".name", fmt::format("is a duplicate name: '{}'", member->backend.name));
        members.push_back(std::move(*member));
    }
    std::stable_sort(members.begin(), members.end(),
                     [](const Member& a, const Member& b) { return a.order < b.order; });
    std::vector<BackendConfig> ordered;
    for (Member& member : members) ordered.push_back(std::move(member.backend));
    return ordered;
}

json members_json(const Topology& topology, PoolIndex index)
{
    const PoolConfig& pool = topology.pools[index];
    json backends = json::array();
    for (std::size_t i = 0; i < pool.backends.size(); ++i) {
        const BackendConfig& backend = topology.backends[pool.backends[i]];
        backends.push_back({{"name", backend.name},
                            {"url", backend.url},
                            {"weight", i < pool.weights.size() ? pool.weights[i] : backend.weight},
                            {"max_connections", backend.max_connections}});
    }
    return {{"pool", pool.name},
            {"generation", topology.generation},
            {"source", pool.by_request ? "request" : "configuration"},
            {"backends", std::move(backends)}};
}

// Neither is in the unnamed namespace: config::Fields finds `fields` by argument-dependent lookup.
struct RouteList {
    std::vector<RouteSettings> routes;
};
static void fields(config::Fields& field, RouteList& list)
{
    field("routes", list.routes, "routes", {is_route_list, a_route_list});
}

namespace {

http::Problem wrong_routes(const UsageError& error)
{
    // Without a file each message begins with the path of its key.
    const std::string& first = error.messages.front();
    return {422, fmt::format("{}", fmt::join(error.messages, "; ")), {{"field", first.substr(0, first.find(": "))}}};
}

} // namespace

boost::system::result<std::vector<RouteSettings>, http::Problem> read_routes(std::string_view text,
                                                                             const Topology& topology)
{
    const auto body = http::parse_json(text);
    if (!body) return body.error();
    if (!body->is_object()) return http::Problem{422, "the body is not an object with 'routes'"};
    if (!body->contains("routes")) return wrong("routes", "is missing");
    std::vector<std::string> pools;
    for (const PoolIndex p : topology.present_pools) pools.push_back(topology.pools[p].name);
    // No file is read for a request: Wanted takes the pages that the configuration has.
    const auto page = [](const std::string&) {
        return boost::system::result<std::string, std::string>(boost::system::in_place_value);
    };
    try {
        RouteList list;
        config::Loader(list).load_json(*body);
        const json& given = body->at("routes");
        for (std::size_t i = 0; i < list.routes.size(); ++i) {
            if (!given[i].value("dynamic", true))
                return wrong(fmt::format("routes[{}].dynamic", i), "is false, expected true: it is set by request");
            list.routes[i].dynamic = true;
        }
        complete(list.routes, pools, page, {});
        return std::move(list.routes);
    } catch (const UsageError& error) {
        return wrong_routes(error);
    }
}

nlohmann::ordered_json routes_json(const Topology& topology)
{
    RouteSettings defaults;
    const config::Value by_default = config::describe(defaults);
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (RouteSettings route : topology.stated_routes)
        list.push_back(config::json_of_changed(config::describe(route), by_default, config::Loader::Secrets::hidden));
    return {{"generation", topology.generation},
            {"source", topology.dynamic_by_request ? "request" : "configuration"},
            {"routes", std::move(list)}};
}

json to_json(const ChangeReport& report)
{
    return {{"generation", report.generation},
            {"changed", report.said},
            {"needs_restart", report.needs_restart},
            {"replaced", report.replaced},
            {"routes_replaced", report.routes_replaced}};
}

http::Problem to_problem(const ChangeReport& report)
{
    const unsigned status = report.end == ChangeReport::End::invalid   ? 422
                            : report.end == ChangeReport::End::changed ? 412
                                                                       : 409;
    return {status,
            fmt::format("nothing has changed: {}", fmt::join(report.errors, "; ")),
            {{"generation", report.generation}}};
}

std::string tag_of(std::uint64_t generation)
{
    return fmt::format("\"{}\"", generation);
}

} // namespace hotspare::balancer
