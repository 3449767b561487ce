#include "monitor/serve/settings.hpp"

#include "common/http/guard.hpp"
#include "common/storage/postgres.hpp"
#include "common/text.hpp"
#include "monitor/access/password.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

namespace hotspare::monitor {
namespace {

constexpr Duration longest = std::chrono::hours(24);

bool is_url_or_empty(const std::string& text)
{
    return text.empty() ||
           ((text.starts_with("http://") || text.starts_with("https://")) && text.size() > 8 && text.size() <= 500 &&
            text.back() != '/' && std::all_of(text.begin(), text.end(), [](char c) {
                return c > ' ' && c < 0x7f && c != '"' && c != '<' && c != '>' && c != '\'';
            }));
}

/// It becomes the realm of WWW-Authenticate, and a line of mails and feeds.
bool is_title(const std::string& text)
{
    return text.size() <= 100 && is_utf8(text) && !is_blank(text) && !has_control_character(text);
}

bool are_lines(const std::vector<std::string>& list)
{
    return std::all_of(list.begin(), list.end(), [](const std::string& text) {
        return !text.empty() && is_utf8(text) && !has_control_character(text);
    });
}
constexpr auto lines = "texts without control characters";

/// The password of the files of the demonstration, which every reader knows.
void refuse_demo_password(const MonitorSettings& settings, const config::Places& places)
{
    if (http::is_loopback(settings.host)) return; // there it is only warned of, at the start
    for (std::size_t i = 0; i < settings.users.size(); ++i)
        if (matches(settings.users[i].password_hash, demo_password))
            places.fail(fmt::format("users[{}].password_hash", i),
                        fmt::format("'{}' has the password of the demonstration, which is for a loopback address only; "
                                    "`monitor --hash-password` makes the hash of another",
                                    settings.users[i].name));
}

std::optional<std::string> environment(const std::string& variable)
{
    const char* const value = std::getenv(variable.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

/// Adds the offset to the ports of this machine's addresses, as a second copy of a system shifts all of its ports.
class PortShift {
public:
    PortShift(unsigned offset, const config::Places& places) : offset_(offset), places_(places) {}

    std::uint16_t operator()(std::uint16_t port) const
    {
        if (port == 0) return 0;
        if (port + offset_ > 65535)
            places_.fail("port_offset",
                         fmt::format("port {} + {} is more than 65535, expected a smaller offset", port, offset_));
        return static_cast<std::uint16_t>(port + offset_);
    }

    void shift_url(std::string& url) const
    {
        auto parts = parse_http_url(url);
        if (!parts || !is_here(parts->origin)) return;
        parts->origin.port = (*this)(parts->origin.port);
        url = fmt::format("http://{}{}", config::format_host_port(parts->origin), parts->target);
    }

    void shift_address(std::string& text) const
    {
        auto address = config::parse_host_port(text);
        if (!address || !is_here(*address)) return;
        address->port = (*this)(address->port);
        text = config::format_host_port(*address);
    }

private:
    static bool is_here(const config::HostPort& address)
    {
        return address.host == "localhost" || http::is_loopback(address.host);
    }

    unsigned offset_;
    const config::Places& places_;
};

} // namespace

void fields(config::Fields& field, MonitorSettings& s)
{
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free port");
    field("name", s.name, "name of this monitor in mails and calls, where receivers tell it from others",
          {config::is_name, config::a_name});
    field("title", s.title, "title of the status page",
          {is_title, "a text of 1 to 100 bytes of UTF-8 without control characters"});
    field("url", s.url, "URL at which readers find the public pages; empty = http://HOST:PORT",
          {is_url_or_empty, "http://... or https://... without a slash at the end"});
    field("data", s.data, "file of the history (SQLite); created when it does not exist");
    field("store", s.store,
          "PostgreSQL database with the maintenance windows in its table system_maintenance: "
          "postgres://USER@HOST:PORT/DATABASE; empty = windows are in the history's file",
          {[](const std::string& text) { return text.empty() || storage::postgres::is_url(text); },
           "postgres://USER@HOST:PORT/DATABASE, or nothing", config::Secret::url});
    field("targets", s.targets, "what is checked", {is_target_list, a_target_list});
    field("objective", s.objective, "share of time that a target should be available, in percent", {0.0001, 100.});
    field("jump_tolerance", s.jump_tolerance,
          "longest time for which the monitor may not run; after a longer one the checks that were under way do not "
          "count",
          {milliseconds(10), std::chrono::minutes(1)});
    field("users", s.users, "who may announce maintenance and see what is not public", {is_user_list, a_user_list});
    field("hosts", s.hosts, "names by which the pages may be asked for, beside localhost and IP addresses",
          {are_lines, lines});
    field("origins", s.origins,
          "origins, such as https://status.example.org, whose pages may send operators' requests and read the event "
          "stream, beside the monitor's own; that of a TLS proxy in front of it",
          {are_lines, lines});
    field("public_pages", s.public_pages,
          "false = credentials are needed for every page but /health, /push and /metrics");
    field("channels", s.channels, "where notifications go", {is_channel_list, a_channel_list});
    field("gather", s.gather, "how long outages are gathered before they are told together",
          {Duration::zero(), std::chrono::minutes(10)});
    field("digest_above", s.digest_above, "more outages at once than this are one message", {1, 1000});
    field("cooldown", s.cooldown, "an outage of a target within this time after one that was told is held back",
          {Duration::zero(), longest});
    field("notice", s.notice, "how long before its start maintenance must be announced",
          {Duration::zero(), std::chrono::hours(24 * 90)});
    field("dashboard", s.dashboard,
          "name of a `balancer` target: / is a dashboard of its backends, with actions that make the active one fail");
    field("drain", s.drain, "maximum time for requests in flight to complete after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
}

void flags(config::Flags& list, MonitorSettings& settings)
{
    config::Flag offset;
    offset.name = "port-offset";
    offset.metavar = "N";
    offset.help = "number added to the port and to the ports of targets on this machine [0]";
    offset.path = "port_offset";
    offset.assign = [&settings](const std::vector<std::string>& values) -> std::string {
        const auto value = config::parse_unsigned(values.back(), 65535);
        if (!value) return value.error().message;
        settings.port_offset = static_cast<unsigned>(*value);
        return {};
    };
    list.push_back(std::move(offset));
}

void finish_from_environment(MonitorSettings& settings)
{
    finish_channels(settings.channels, {}, "channels", environment);
}

void finish(MonitorSettings& s, const config::Places& places)
{
    finish_targets(s.targets, places, "targets");
    finish_users(s.users, places, "users");
    refuse_demo_password(s, places);
    {
        // A copy: what is in the environment must not be in a printed configuration.
        auto channels = s.channels;
        finish_channels(channels, places, "channels", environment);
    }
    if (s.port_offset != 0) {
        const PortShift shift(s.port_offset, places);
        s.port = shift(s.port);
        for (TargetSettings& target : s.targets) {
            shift.shift_url(target.url);
            shift.shift_url(target.balancer);
            shift.shift_address(target.tcp);
        }
        s.port_offset = 0;
    }
    if (!s.dashboard.empty()) {
        const auto target = std::find_if(s.targets.begin(), s.targets.end(),
                                         [&](const TargetSettings& one) { return one.name == s.dashboard; });
        if (target == s.targets.end() || target->kind() != CheckKind::balancer)
            places.fail("dashboard", fmt::format("no target '{}' that checks a balancer", s.dashboard));
        if (s.users.empty())
            places.fail("dashboard", "the dashboard needs credentials, expected at least one of `users`");
    }
}

} // namespace hotspare::monitor
