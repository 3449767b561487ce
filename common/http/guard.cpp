#include "common/http/guard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include <arpa/inet.h>

namespace hotspare::http {
namespace {

constexpr std::string_view origin_scheme = "http://";
constexpr std::string_view default_port = "80";
/// Of a client's value in a message: enough to recognise it.
constexpr std::size_t quoted = 100;

std::string lower(std::string_view text)
{
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

enum class Kind : std::uint8_t { name, address, loopback };

/// What a host is: brackets of an IPv6 address are off already.
Kind kind_of(std::string_view host)
{
    const std::string text(host);
    if (text.find('\0') != std::string::npos) return Kind::name; // inet_pton would stop there
    in_addr v4{};
    if (::inet_pton(AF_INET, text.c_str(), &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127 ? Kind::loopback : Kind::address;
    in6_addr v6{};
    if (::inet_pton(AF_INET6, text.c_str(), &v6) != 1) return Kind::name;
    const bool loopback = IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    return loopback ? Kind::loopback : Kind::address;
}

struct Authority {
    std::string host; ///< lower case, without brackets
    std::string port; ///< 80 when none is given
    bool bracketed = false;
};

/// host [":" port] in pieces; nothing if it is not of that form.
std::optional<Authority> parse_authority(std::string_view text)
{
    Authority out;
    out.bracketed = text.starts_with('[');
    const std::size_t end = out.bracketed ? text.find(']') : std::min(text.find(':'), text.size());
    if (end == std::string_view::npos) return std::nullopt;
    out.host = lower(out.bracketed ? text.substr(1, end - 1) : text.substr(0, end));
    std::string_view rest = text.substr(out.bracketed ? end + 1 : end);
    if (out.host.empty() || (!rest.empty() && rest.front() != ':')) return std::nullopt;
    if (!rest.empty()) rest.remove_prefix(1);
    if (!std::all_of(rest.begin(), rest.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
    out.port = rest.empty() ? default_port : rest;
    return out;
}

bool is_listed(std::string_view value, const std::vector<std::string>& list)
{
    return std::find(list.begin(), list.end(), value) != list.end();
}

/// `localhost` and the names below it are loopback for every resolver and browser (RFC 6761 §6.3).
bool is_localhost(std::string_view name)
{
    return name == "localhost" || name.ends_with(".localhost");
}

/// Whether Host names this service in a way that no foreign name server can influence.
bool is_own_host(std::string_view field, Access access, const GuardSettings& settings)
{
    const auto authority = parse_authority(field);
    if (!authority) return false;
    const Kind kind = kind_of(authority->host);
    if (authority->bracketed && kind == Kind::name) return false;
    if (kind == Kind::loopback || is_localhost(authority->host) || is_listed(authority->host, settings.hosts))
        return true;
    return kind == Kind::address && access != Access::operate;
}

/// The media type alone, in lower case.
std::string media_type(std::string_view content_type)
{
    std::string_view type = content_type.substr(0, content_type.find(';'));
    while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
    return lower(type);
}

std::optional<Problem> refuse_host(const Caller& caller, Access access, const GuardSettings& settings)
{
    if (is_own_host(caller.host, access, settings)) return std::nullopt;
    // HTTP/1.0 and a request that no page can have sent: there is no browser that could be deceived.
    if (access != Access::operate && (caller.host.empty() || !caller.page_possible)) return std::nullopt;
    return Problem{403, fmt::format("Host '{}' is not a name of this service: use localhost or {} IP address, or add "
                                    "the name to `{}`",
                                    caller.host.substr(0, quoted), access == Access::operate ? "a loopback" : "an",
                                    settings.hosts_setting)};
}

std::optional<Problem> refuse_origin(const Caller& caller, const GuardSettings& settings)
{
    if (!caller.origin.empty()) {
        if (is_same_origin(caller.origin, caller.host) || is_listed(caller.origin, settings.origins))
            return std::nullopt;
        return Problem{403, fmt::format("pages of another origin may not send this request (Origin: {}); add the "
                                        "origin to `{}` to allow it",
                                        caller.origin.substr(0, quoted), settings.origins_setting)};
    }
    // A browser leaves Origin out of some requests, but then still says where they come from.
    if (caller.fetch_site.empty() || caller.fetch_site == "same-origin" || caller.fetch_site == "none")
        return std::nullopt;
    return Problem{403, fmt::format("pages of another site may not send this request (Sec-Fetch-Site: {})",
                                    caller.fetch_site.substr(0, quoted))};
}

} // namespace

bool is_loopback(std::string_view address)
{
    return kind_of(address) == Kind::loopback;
}

bool is_same_origin(std::string_view origin, std::string_view host)
{
    if (!lower(origin.substr(0, origin_scheme.size())).starts_with(origin_scheme)) return false;
    const auto theirs = parse_authority(origin.substr(origin_scheme.size()));
    const auto ours = parse_authority(host);
    return theirs && ours && theirs->host == ours->host && theirs->port == ours->port &&
           theirs->bracketed == ours->bracketed;
}

std::optional<Problem> refuse(const Caller& caller, Access access, const GuardSettings& settings)
{
    if (access == Access::operate) {
        if (!is_loopback(caller.peer))
            return Problem{403, "operators' requests are accepted from this machine only, over a loopback address"};
        if (caller.forwarded)
            return Problem{403, "operators' requests are not accepted through a proxy (the request has "
                                "X-Forwarded-For, Forwarded or Via, or its connection a PROXY header)"};
    }
    if (auto problem = refuse_host(caller, access, settings)) return problem;
    if (access == Access::read) return std::nullopt;
    if (auto problem = refuse_origin(caller, settings)) return problem;
    if (access != Access::stream && caller.method != "GET" && caller.method != "HEAD") {
        // What a form can send, a browser sends to any site. curl -d is a form as well, hence not all three types.
        const std::string type = media_type(caller.content_type);
        if (type == "text/plain" || type == "multipart/form-data")
            return Problem{403, fmt::format("Content-Type {} is not accepted, expected application/json", type)};
    }
    return std::nullopt;
}

} // namespace hotspare::http
