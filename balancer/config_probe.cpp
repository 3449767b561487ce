#include "balancer/config_probe.hpp"

#include "common/http/grammar.hpp"
#include "common/http/status_range_setting.hpp"
#include "common/probe/request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace hotspare::balancer {
namespace {

constexpr Duration shortest_gap = milliseconds(1);
constexpr Duration longest_gap = std::chrono::hours(24);

bool is_method_or_empty(const std::string& text)
{
    return text.empty() || probe::is_method(text);
}

bool is_target_or_empty(const std::string& text)
{
    return text.empty() || config::is_target(text);
}

/// HOST or HOST:PORT, as it stands in the field (RFC 9110 §7.2); whether the host exists does not matter.
bool is_host_or_empty(const std::string& text)
{
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("-._~:[]%").find(c) != std::string_view::npos;
    });
}
constexpr auto a_host = "HOST or HOST:PORT";

constexpr auto headers_help = "header fields of the probe, `NAME: VALUE`";

void check_headers(const std::vector<std::string>& headers, const std::string& path, const config::Places& places)
{
    const auto fields = probe::parse_fields(headers);
    if (!fields) places.fail(path + ".headers", fields.error());
    for (const auto& [name, value] : *fields)
        if (http::equals_ignoring_case(name, "Host"))
            places.fail(path + ".headers", "the field Host is what `host` says, expected it there");
}

/// Which key of `probe` needs a body in the response; null if none does.
const char* wants_body(const ProbeConfig& probe)
{
    if (!probe.expect_body.empty()) return "expect_body";
    return probe.expect_json_field.empty() ? nullptr : "expect_json_field";
}

} // namespace

void fields(config::Fields& field, ProbeConfig& c)
{
    field("path", c.path, "request target of the probe", {config::is_target, config::a_target});
    field("method", c.method, "request method of the probe; a response to HEAD has no body",
          {probe::is_method, probe::a_method});
    field("host", c.host, "Host field of the probe; empty = host and port of the backend", {is_host_or_empty, a_host});
    field("headers", c.headers, headers_help, {nullptr, "", config::Secret::field});
    field("port", c.port, "port that is probed; 0 = the one that requests are sent to");
    field("interval", c.interval, "time between two probes", {shortest_gap, longest_gap});
    field("fast_interval", c.fast_interval,
          "time between two probes while the status may change: at start, after a failure, during recovery; a fifth "
          "of it while no backend is available",
          {shortest_gap, longest_gap});
    field("timeout", c.timeout, "probe timeout", {shortest_gap, longest_gap});
    field("slow", c.slow, "a successful probe that takes longer marks the backend degraded",
          {shortest_gap, longest_gap});
    field("jitter", c.jitter, "random variation of the intervals, as a share of them", {0, 0.5});
    field("fall", c.fall,
          "consecutive failed probes that mark the backend down (no response) or unhealthy (wrong response)",
          {1, 1000});
    field("rise", c.rise, "consecutive successful probes that mark the backend healthy", {1, 1000});
    field("expect_status", c.expect_status, "response statuses of a successful probe",
          {probe::is_status_list, probe::a_status_list});
    field("expect_body", c.expect_body, "text that the response body must contain; empty = any body");
    field("expect_json_field", c.expect_json_field,
          "FIELD=VALUE that the JSON response body must have at its top level; empty = any body",
          {probe::is_field_match, probe::a_field_match});
}

void fields(config::Fields& field, OwnProbe& c)
{
    field("path", c.path, "request target of its probes; empty = that of the pool",
          {is_target_or_empty, config::a_target});
    field("method", c.method, "request method of its probes; empty = that of the pool",
          {is_method_or_empty, probe::a_method});
    field("host", c.host, "Host field of its probes; empty = that of the pool", {is_host_or_empty, a_host});
    field("headers", c.headers,
          "header fields of its probes, `NAME: VALUE`, in place of those of the pool; empty = these",
          {nullptr, "", config::Secret::field});
    field("port", c.port, "port that is probed; 0 = that of the pool");
}

void check_probe(const ProbeConfig& probe, const std::string& path, const config::Places& places)
{
    check_headers(probe.headers, path, places);
    if (const char* const key = wants_body(probe); key != nullptr && probe.method == "HEAD")
        places.fail(fmt::format("{}.{}", path, key), "together with the method HEAD, whose response has no body");
}

void check_probe(const OwnProbe& probe, const std::string& path, const config::Places& places)
{
    check_headers(probe.headers, path, places);
}

void check_probes_together(const OwnProbe& own, const std::string& path, const ProbeConfig& pool,
                           const config::Places& places)
{
    if (const char* const key = wants_body(pool); key != nullptr && own.method == "HEAD")
        places.fail(path + ".probe.method",
                    fmt::format("HEAD has no response body, but the pool's probe has `{}`", key));
}

} // namespace hotspare::balancer
