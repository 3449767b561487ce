#include "orders/monitor_service/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hotspare::orders::monitor {
namespace {

constexpr std::size_t most_services = 256;
constexpr Duration shortest = milliseconds(1);
constexpr Duration longest = std::chrono::hours(1);

bool is_service_list(const std::vector<WatchedService>& list)
{
    return !list.empty() && list.size() <= most_services;
}
constexpr auto a_service_list = "1 to 256 services, as the key `services` or as --service NAME=URL";

std::string assign_services(Settings& settings, const std::vector<std::string>& values)
{
    std::vector<WatchedService> services;
    for (const auto& value : values) {
        const auto equals = std::min(value.find('='), value.size());
        WatchedService service{value.substr(0, equals), equals < value.size() ? value.substr(equals + 1) : ""};
        if (!config::is_name(service.name) || !config::is_http_origin(service.url))
            return config::not_valid(config::without_password(value),
                                     fmt::format("NAME=URL with {} and {}", config::a_name, config::an_http_origin))
                .message;
        services.push_back(std::move(service));
    }
    if (services.size() > most_services)
        return fmt::format("{} services, expected {}", services.size(), a_service_list);
    settings.services = std::move(services);
    return {};
}

} // namespace

// Static, not in the anonymous namespace: config::Fields finds it by argument-dependent lookup.
static void fields(config::Fields& field, WatchedService& s)
{
    field("name", s.name, "name of the service in responses", {config::is_name, config::a_name});
    field("url", s.url, "address of the service: http://HOST[:PORT]; probes are GET /health",
          {config::is_http_origin, config::an_http_origin});
}

void fields(config::Fields& field, Settings& s)
{
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free port");
    field("interval", s.interval, "time between two probes of a service", {shortest, longest});
    field("fast_interval", s.fast_interval,
          "time between two probes while the status may change: at start, after a failure, during recovery",
          {shortest, longest});
    field("timeout", s.timeout, "probe timeout", {shortest, longest});
    field("slow", s.slow, "a successful probe that takes longer marks the service degraded", {shortest, longest});
    field("services", s.services, "services to monitor", {is_service_list, a_service_list});
    field("drain", s.drain, "maximum time for requests in flight to complete after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
}

void flags(config::Flags& list, Settings& settings)
{
    config::Flag service;
    service.name = "service";
    service.metavar = "NAME=URL";
    service.help = "service to monitor; repeatable; replaces the services of the file and the defaults";
    service.path = "services";
    service.repeatable = true;
    service.assign = [&settings](const std::vector<std::string>& values) { return assign_services(settings, values); };
    list.push_back(std::move(service));
}

void finish(Settings& s, const config::Places& places)
{
    for (std::size_t i = 0; i < s.services.size(); ++i)
        for (std::size_t other = 0; other < i; ++other)
            if (s.services[i].name == s.services[other].name)
                places.fail(fmt::format("services[{}].name", i),
                            fmt::format("duplicate name '{}', expected another than that of services[{}]",
                                        s.services[i].name, other));
    // A default is lowered silently; a configured value is an error.
    const auto fit = [&places](const char* path, Duration& value, const char* limit_path, Duration limit) {
        if (value <= limit) return;
        if (places.contains(path))
            places.fail(path, fmt::format("{} is more than {} ({}), expected at most that",
                                          config::format_duration(value), limit_path, config::format_duration(limit)));
        value = limit;
    };
    fit("fast_interval", s.fast_interval, "interval", s.interval);
    fit("slow", s.slow, "timeout", s.timeout);
}

} // namespace hotspare::orders::monitor
