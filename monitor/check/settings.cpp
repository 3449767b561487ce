#include "monitor/check/settings.hpp"

#include "common/http/status_range_setting.hpp"
#include "common/probe/request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace hotspare::config {

template <> struct Scalar<monitor::PushToken> {
    static Parsed<monitor::PushToken> parse(std::string_view text)
    {
        const auto fits = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        };
        if (!text.empty() && (text.size() < 16 || text.size() > 128 || !std::all_of(text.begin(), text.end(), fits)))
            return ParseError{"not a valid token, expected " + expected()};
        return monitor::PushToken{std::string(text)};
    }
    static std::string format(const monitor::PushToken& token) { return token.text; }
    static std::string expected() { return "a secret of 16 to 128 letters, digits, _ and -"; }
};

} // namespace hotspare::config

namespace hotspare::monitor {
namespace {

constexpr Duration shortest = milliseconds(100);
constexpr Duration shortest_in_doubt = milliseconds(10);
constexpr Duration longest = std::chrono::hours(24);
constexpr std::size_t most_targets = 10'000;

bool is_url_or_empty(const std::string& text)
{
    return text.empty() || parse_http_url(text).has_value();
}
constexpr auto a_url = "http://HOST[:PORT][/PATH]";

bool is_host_port_or_empty(const std::string& text)
{
    if (text.empty()) return true;
    const auto parsed = config::parse_host_port(text);
    return parsed && parsed->port != 0;
}
constexpr auto a_host_port = "HOST:PORT with a port from 1";

bool is_pool_list(const std::vector<std::string>& names)
{
    for (auto name = names.begin(); name != names.end(); ++name)
        if (!config::is_name(*name) || std::find(names.begin(), name, *name) != name) return false;
    return true;
}

/// Completes and checks one target; `here` is its key path.
class Finisher {
public:
    Finisher(TargetSettings& target, const config::Places& places, std::string here)
        : target_(target), places_(places), here_(std::move(here))
    {
    }

    void run()
    {
        refuse_other_than_one_kind();
        const auto kind = target_.kind();
        static const TargetSettings usual;
        if (kind != CheckKind::http) {
            refuse("method", target_.method != usual.method, "`url`");
            refuse("headers", !target_.headers.empty(), "`url`");
            refuse("body", !target_.body.empty(), "`url`");
            refuse("expect_status", !expects_usual_status(), "`url`");
            refuse("expect_body", !target_.expect_body.empty(), "`url`");
            refuse("expect_json_field", !target_.expect_json_field.empty(), "`url`");
            refuse("health_word", target_.health_word, "`url`");
        }
        if (kind != CheckKind::balancer) {
            refuse("operate", target_.operate, "`balancer`");
            refuse("pools", !target_.pools.empty(), "`balancer`");
        } else if (!target_.operate && !target_.pools.empty()) {
            places_.fail(path("pools"), "has no effect without `operate: true`");
        }
        if (kind == CheckKind::push) {
            refuse("timeout", target_.timeout != usual.timeout, "`url`, `tcp` and `balancer`");
            refuse("slow", target_.slow != usual.slow, "`url`, `tcp` and `balancer`");
            refuse("doubt_interval", target_.doubt_interval != usual.doubt_interval, "`url`, `tcp` and `balancer`");
            // The grace is what a report may be late; a second and a third one would add to it.
            if (!given("confirm_down")) target_.confirm_down = 1;
            if (!given("confirm_up")) target_.confirm_up = 1;
        } else {
            refuse("grace", target_.grace != usual.grace, "`push`");
            // One that is given may be longer: the checks that are due meanwhile are skipped.
            if (!given("timeout")) target_.timeout = std::min(target_.timeout, target_.interval);
            fit("doubt_interval", target_.doubt_interval, "interval", target_.interval);
            if (target_.doubt_interval > Duration::zero() && target_.doubt_interval < shortest_in_doubt)
                places_.fail(path("doubt_interval"), fmt::format("{} is too short, expected at least {}, or 0s",
                                                                 config::format_duration(target_.doubt_interval),
                                                                 config::format_duration(shortest_in_doubt)));
            if (target_.slow > target_.timeout) fit("slow", target_.slow, "timeout", target_.timeout);
        }
    }

private:
    std::string path(std::string_view key) const { return fmt::format("{}.{}", here_, key); }
    bool given(std::string_view key) const { return places_.contains(path(key)); }

    void refuse_other_than_one_kind() const
    {
        constexpr auto expected = "expected one of `url`, `tcp`, `balancer` and `push`";
        const std::array<bool, 4> kinds{!target_.url.empty(), !target_.tcp.empty(), !target_.balancer.empty(),
                                        !target_.push.text.empty()};
        const auto count = std::count(kinds.begin(), kinds.end(), true);
        if (count == 1) return;
        places_.fail(here_, fmt::format("the target '{}' has {}, {}", target_.name,
                                        count == 0 ? "nothing to check" : "several checks", expected));
    }

    /// A printed configuration names every key: only what differs from the default was meant.
    void refuse(std::string_view key, bool differs, std::string_view owner) const
    {
        if (differs && given(key))
            places_.fail(path(key), fmt::format("has no effect on a {} check, expected with {} only",
                                                to_string(target_.kind()), owner));
    }

    bool expects_usual_status() const
    {
        const auto& statuses = target_.expect_status;
        return statuses.size() == 1 && statuses[0].first == 200 && statuses[0].last == 299;
    }

    /// A default is lowered silently; a configured value is an error.
    void fit(std::string_view key, Duration& value, std::string_view limit_key, Duration limit) const
    {
        if (value <= limit) return;
        if (given(key))
            places_.fail(path(key),
                         fmt::format("{} is more than {} ({}), expected at most that", config::format_duration(value),
                                     limit_key, config::format_duration(limit)));
        value = limit;
    }

    TargetSettings& target_;
    const config::Places& places_;
    std::string here_;
};

} // namespace

std::string_view to_string(CheckKind kind) noexcept
{
    switch (kind) {
    case CheckKind::http: return "url";
    case CheckKind::tcp: return "tcp";
    case CheckKind::balancer: return "balancer";
    case CheckKind::push: return "push";
    }
    return "";
}

CheckKind TargetSettings::kind() const noexcept
{
    if (!push.text.empty()) return CheckKind::push;
    if (!balancer.empty()) return CheckKind::balancer;
    return !tcp.empty() ? CheckKind::tcp : CheckKind::http;
}

// Static, not in the anonymous namespace: config::Fields finds it by argument-dependent lookup.
static void fields(config::Fields& field, HeaderSettings& h)
{
    field("name", h.name, "name of the header field", {probe::is_field_name, probe::a_field_name});
    field("value", h.value, "value of the header field",
          {probe::is_field_value, probe::a_field_value, config::Secret::whole});
}

void fields(config::Fields& field, TargetSettings& t)
{
    field("name", t.name, "name of the target", {config::is_name, config::a_name});
    field("url", t.url, "HTTP check: http://HOST[:PORT][/PATH]", {is_url_or_empty, a_url, config::Secret::url});
    field("tcp", t.tcp, "TCP check: HOST:PORT to connect to", {is_host_port_or_empty, a_host_port});
    field("balancer", t.balancer,
          "check of a balancer and its backends, which become targets NAME/BACKEND: http://HOST[:PORT], where /status "
          "is read, or the URL of its status",
          {is_url_or_empty, a_url, config::Secret::url});
    field("push", t.push, "push check: the target must call /push/TOKEN in time; the token",
          {nullptr, "", config::Secret::whole});
    field("interval", t.interval, "time between two checks, or between two calls of a push check", {shortest, longest});
    field(
        "doubt_interval", t.doubt_interval,
        "time between two checks while the state is in doubt: until the first one is confirmed, and while a change is "
        "not confirmed; 0s = interval",
        {Duration::zero(), longest});
    field("timeout", t.timeout, "check timeout: the target is down if it takes longer", {milliseconds(1), longest});
    field("slow", t.slow, "the target is degraded if a successful check takes longer; 0s = never",
          {Duration::zero(), longest});
    field("grace", t.grace, "push check: how late a call may be", {Duration::zero(), longest});
    field("confirm_down", t.confirm_down, "consecutive failed checks that confirm an outage; of a push check 1",
          {1, 1000});
    field("confirm_up", t.confirm_up, "consecutive successful checks that end an outage; of a push check 1", {1, 1000});
    field("confirm_degraded", t.confirm_degraded,
          "consecutive degraded checks that make an available target degraded, and good ones that end that", {1, 1000});
    field("method", t.method, "request method", {probe::is_method, probe::a_method});
    field("headers", t.headers, "header fields of the request");
    field("body", t.body, "body of the request", {nullptr, "", config::Secret::whole});
    field("expect_status", t.expect_status, "response statuses of a successful check",
          {probe::is_status_list, probe::a_status_list});
    field("expect_body", t.expect_body, "text that the response body must contain; empty = any body");
    field("expect_json_field", t.expect_json_field,
          "FIELD=VALUE that the JSON response body must have at its top level; empty = any body",
          {probe::is_field_match, probe::a_field_match});
    field("operate", t.operate,
          "balancer check: the monitor may put the pools of this balancer into maintenance during windows that ask for "
          "it; the balancer needs `admin: true` and must run on the same machine");
    field("pools", t.pools, "pools that `operate` is about; empty = all that have a backend",
          {is_pool_list, "distinct names"});
    field(
        "health_word", t.health_word,
        "true = the member `status` of a successful check's JSON body counts if it is degraded, unhealthy or down, as "
        "services of this suite say of themselves");
}

bool is_target_list(const std::vector<TargetSettings>& list)
{
    return list.size() <= most_targets;
}

void finish_targets(std::vector<TargetSettings>& targets, const config::Places& places, std::string_view path)
{
    std::map<std::string_view, std::size_t> names, tokens;
    for (std::size_t i = 0; i < targets.size(); ++i) {
        const auto here = fmt::format("{}[{}]", path, i);
        Finisher(targets[i], places, here).run();
        if (const auto [same, is_new] = names.emplace(targets[i].name, i); !is_new)
            places.fail(here + ".name", fmt::format("duplicate name '{}', expected another than that of {}[{}]",
                                                    targets[i].name, path, same->second));
        if (targets[i].kind() != CheckKind::push) continue;
        if (const auto [same, is_new] = tokens.emplace(targets[i].push.text, i); !is_new)
            places.fail(here + ".push",
                        fmt::format("duplicate token, expected another than that of {}[{}]", path, same->second));
    }
}

std::optional<HttpUrl> parse_http_url(std::string_view text)
{
    constexpr std::string_view scheme = "http://";
    if (!text.starts_with(scheme)) return std::nullopt;
    const auto end = std::min(text.find_first_of("/?#", scheme.size()), text.size());
    const auto origin = config::parse_http_origin(text.substr(0, end));
    if (!origin) return std::nullopt;
    std::string target(text.substr(end));
    if (!target.starts_with('/')) target.insert(0, "/");
    if (!config::is_target(target)) return std::nullopt;
    return HttpUrl{*origin, std::move(target)};
}

} // namespace hotspare::monitor
