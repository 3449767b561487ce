#include "balancer/control/handed_over.hpp"

#include "balancer/backend_url.hpp"
#include "balancer/config_routes.hpp"
#include "common/config.hpp"
#include "common/error.hpp"
#include "common/json_document.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace hotspare::balancer {
namespace {

using nlohmann::json;

// --- times: nanoseconds of the steady clock, which all processes of this boot share ---

json to_json(TimePoint at)
{
    return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

json to_json(std::optional<TimePoint> at)
{
    return at ? to_json(*at) : json();
}

json to_json(const Maintenance& maintenance)
{
    json out = {{"message", maintenance.message}};
    if (maintenance.until)
        out["until"] = std::chrono::duration_cast<milliseconds>(maintenance.until->time_since_epoch()).count();
    return out;
}

/// A member of an object: what it is, or what it is as at a start.
template <class T> T get(const json& object, const char* name, T otherwise = {})
{
    return object.value(name, std::move(otherwise));
}

TimePoint time_of(const json& object, const char* name)
{
    return TimePoint(std::chrono::nanoseconds(get<std::int64_t>(object, name)));
}

std::optional<TimePoint> optional_time_of(const json& object, const char* name)
{
    return member_of(object, name).is_null() ? std::nullopt : std::optional(time_of(object, name));
}

// --- words ---

constexpr std::array healths{Health::unknown, Health::down, Health::unhealthy, Health::degraded, Health::healthy};

Health health_of(const std::string& word)
{
    const auto found = std::ranges::find_if(healths, [&](Health health) { return to_string(health) == word; });
    return found != healths.end() ? *found : Health::unknown;
}

constexpr std::array resolves{std::pair(Resolve::any, "any"), std::pair(Resolve::each, "each"),
                              std::pair(Resolve::srv, "srv")};

// --- parts ---

json to_json(const resilience::Verdict& verdict)
{
    return {{"health", to_string(verdict.health)},
            {"since", to_json(verdict.since)},
            {"good_probe_started", to_json(verdict.good_probe_started)},
            {"last_failure", to_json(verdict.last_failure)},
            {"last_break", to_json(verdict.last_break)},
            {"recovered", verdict.recovered},
            {"flaps", verdict.flaps},
            {"last_flap", to_json(verdict.last_flap)}};
}

resilience::Verdict verdict_of(const json& from)
{
    return {.health = health_of(get<std::string>(from, "health")),
            .since = time_of(from, "since"),
            .good_probe_started = time_of(from, "good_probe_started"),
            .last_failure = time_of(from, "last_failure"),
            .last_break = time_of(from, "last_break"),
            .recovered = get<bool>(from, "recovered"),
            .flaps = get<unsigned>(from, "flaps"),
            .last_flap = time_of(from, "last_flap")};
}

json to_json(const SavedBackend& backend)
{
    json out = {{"name", backend.name},         {"url", backend.url},
                {"address", backend.address},   {"verdict", to_json(backend.verdict)},
                {"observed", backend.observed}, {"since", to_json(backend.since)},
                {"cause", backend.cause},       {"evidence", backend.evidence}};
    if (backend.word) out["word"] = *backend.word == OperatorWord::drain ? "drain" : "maintenance";
    if (backend.maintenance) out["maintenance"] = to_json(*backend.maintenance);
    return out;
}

SavedBackend backend_of(const json& from)
{
    SavedBackend out{.name = get<std::string>(from, "name"),
                     .url = get<std::string>(from, "url"),
                     .address = get<std::string>(from, "address"),
                     .verdict = verdict_of(member_of(from, "verdict")),
                     .observed = get<std::string>(from, "observed"),
                     .since = time_of(from, "since"),
                     .cause = get<std::string>(from, "cause"),
                     .evidence = get<std::string>(from, "evidence"),
                     .word = std::nullopt,
                     .maintenance = std::nullopt};
    const auto word = get<std::string>(from, "word");
    if (word == "drain") out.word = OperatorWord::drain;
    if (word == "maintenance") out.word = OperatorWord::maintenance;
    if (const json& maintenance = member_of(from, "maintenance"); maintenance.is_object()) {
        out.maintenance = Maintenance{.message = get<std::string>(maintenance, "message")};
        if (maintenance.contains("until"))
            out.maintenance->until = WallTime(milliseconds(get<std::int64_t>(maintenance, "until")));
    }
    return out;
}

json to_json(const SavedPool& pool)
{
    json members = json::array();
    for (const SavedMember& member : pool.members) {
        json failures = json::array();
        for (const TimePoint failure : member.failures) failures.push_back(to_json(failure));
        members.push_back({{"backend", member.backend},
                           {"quarantined_until", to_json(member.quarantined_until)},
                           {"serving_since", to_json(member.serving_since)},
                           {"failures", std::move(failures)}});
    }
    return {{"name", pool.name},
            {"active", pool.active},
            {"last_active", pool.last_active},
            {"preferred", pool.preferred},
            {"can_answer", pool.can_answer},
            {"fail_open", pool.fail_open},
            {"members", std::move(members)}};
}

SavedPool pool_of(const json& from)
{
    SavedPool out{.name = get<std::string>(from, "name"),
                  .active = get<std::string>(from, "active"),
                  .last_active = get<std::string>(from, "last_active"),
                  .preferred = get<std::string>(from, "preferred"),
                  .can_answer = get<bool>(from, "can_answer", true),
                  .fail_open = get<bool>(from, "fail_open"),
                  .members = {}};
    for (const json& member : member_of(from, "members")) {
        SavedMember& to =
            out.members.emplace_back(SavedMember{.backend = get<std::string>(member, "backend"),
                                                 .quarantined_until = optional_time_of(member, "quarantined_until"),
                                                 .serving_since = optional_time_of(member, "serving_since"),
                                                 .failures = {}});
        for (const json& failure : member_of(member, "failures"))
            to.failures.emplace_back(std::chrono::nanoseconds(failure.get<std::int64_t>()));
    }
    return out;
}

json to_json(const std::vector<BackendConfig>& members)
{
    json out = json::array();
    for (const BackendConfig& member : members) {
        const auto resolve =
            std::ranges::find_if(resolves, [&](const auto& known) { return known.first == member.resolve; });
        out.push_back({{"name", member.name},
                       {"url", member.url},
                       {"weight", member.weight},
                       {"max_connections", member.max_connections},
                       {"resolve", resolve->second}});
    }
    return out;
}

/// Throws json::exception for one without an address.
std::vector<BackendConfig> members_of(const json& from)
{
    std::vector<BackendConfig> out;
    for (const json& member : from) {
        BackendConfig& backend = out.emplace_back();
        backend.name = member.at("name").get<std::string>();
        backend.url = member.at("url").get<std::string>();
        backend.weight = get<unsigned>(member, "weight", 1U);
        backend.max_connections = get<unsigned>(member, "max_connections", limit_as_configured);
        const auto word = get<std::string>(member, "resolve");
        for (const auto& [resolve, name] : resolves)
            if (name == word) backend.resolve = resolve;
        if (is_backend_url(backend.url)) set_address(backend);
        backend.source = "a request before the upgrade";
    }
    return out;
}

/// With its secrets: the document goes to a process of the same user, and nowhere else.
json to_json(const std::vector<RouteSettings>& routes)
{
    RouteSettings defaults;
    const config::Value by_default = config::describe(defaults);
    json out = json::array();
    for (RouteSettings route : routes)
        out.push_back(
            {{"keys", config::json_of_changed(config::describe(route), by_default, config::Loader::Secrets::shown)},
             {"error_page_html", route.error_page_html}});
    return out;
}

/// Throws UsageError for keys that this version does not know.
std::vector<RouteSettings> routes_of(const json& from)
{
    std::vector<RouteSettings> out;
    for (const json& route : from) {
        RouteSettings settings;
        config::Loader(settings).load_json(member_of(route, "keys"));
        settings.error_page_html = get<std::string>(route, "error_page_html");
        out.push_back(std::move(settings));
    }
    return out;
}

} // namespace

std::string to_document(const HandedOver& handed_over)
{
    json backends = json::array(), pools = json::array(), requests = json::array();
    for (const SavedBackend& backend : handed_over.state.backends) backends.push_back(to_json(backend));
    for (const SavedPool& pool : handed_over.state.pools) pools.push_back(to_json(pool));
    for (const MembersRequest& request : handed_over.requests.members)
        requests.push_back({{"pool", request.pool},
                            {"instead_of", to_json(request.instead_of)},
                            {"members", to_json(request.members)}});
    json routes;
    if (const auto& request = handed_over.requests.routes)
        routes = {{"instead_of", to_json(request->instead_of)}, {"routes", to_json(request->routes)}};
    return json_text(json{{"generation", handed_over.state.generation},
                          {"backends", std::move(backends)},
                          {"pools", std::move(pools)},
                          {"requests", std::move(requests)},
                          {"routes", std::move(routes)},
                          {"sockets_held", handed_over.sockets_held}});
}

std::optional<HandedOver> read_handed_over(std::string_view document)
{
    const json from = read_json_document(document);
    if (!from.is_object()) return std::nullopt;
    try {
        HandedOver out;
        out.state.generation = get<std::uint64_t>(from, "generation");
        for (const json& backend : member_of(from, "backends")) out.state.backends.push_back(backend_of(backend));
        for (const json& pool : member_of(from, "pools")) out.state.pools.push_back(pool_of(pool));
        for (const json& request : member_of(from, "requests"))
            out.requests.members.push_back({.pool = get<std::string>(request, "pool"),
                                            .instead_of = members_of(member_of(request, "instead_of")),
                                            .members = members_of(member_of(request, "members"))});
        if (const json& routes = member_of(from, "routes"); routes.is_object())
            out.requests.routes = RoutesRequest{.instead_of = routes_of(member_of(routes, "instead_of")),
                                                .routes = routes_of(member_of(routes, "routes"))};
        out.sockets_held = get<bool>(from, "sockets_held");
        return out;
    } catch (const json::exception&) { // of another type than any version has written
        return std::nullopt;
    } catch (const UsageError&) { // a key of a route that only another version knows
        return std::nullopt;
    }
}

} // namespace hotspare::balancer
