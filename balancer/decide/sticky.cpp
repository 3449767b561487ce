#include "balancer/decide/sticky.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace hotspare::balancer {
namespace {

std::string_view trim(std::string_view text) noexcept
{
    constexpr std::string_view blanks = " \t";
    const auto begin = text.find_first_not_of(blanks);
    if (begin == text.npos) return {};
    return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

std::string_view unquote(std::string_view value) noexcept
{
    if (value.size() < 2 || value.front() != '"' || value.back() != '"') return value;
    return value.substr(1, value.size() - 2);
}

} // namespace

/// FNV-1a, with the last step of splitmix64: alike names shall not have alike tokens. Never to be changed: it would
/// move every session.
std::string sticky_token(std::string_view backend)
{
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : backend) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
    return fmt::format("{:016x}", hash ^ (hash >> 31));
}

StickyCookies::StickyCookies(const StickyConfig& config, const std::vector<Member>& members) : name_(config.cookie)
{
    std::string attributes = "; Path=/; HttpOnly; SameSite=Lax";
    if (config.secure) attributes += "; Secure";
    if (config.max_age > Duration::zero())
        attributes +=
            fmt::format("; Max-Age={}", std::chrono::duration_cast<std::chrono::seconds>(config.max_age).count());
    for (const Member& member : members) {
        std::string token = sticky_token(member.name);
        std::string line = fmt::format("Set-Cookie: {}={}{}\r\n", name_, token, attributes);
        cookies_.push_back({std::move(token), member.backend, std::move(line)});
    }
}

std::optional<BackendIndex> StickyCookies::find(std::string_view cookie_field) const noexcept
{
    while (!cookie_field.empty()) {
        const auto end = std::min(cookie_field.find(';'), cookie_field.size());
        const auto pair = cookie_field.substr(0, end);
        cookie_field.remove_prefix(std::min(end + 1, cookie_field.size()));
        const auto equals = pair.find('=');
        if (equals == pair.npos || trim(pair.substr(0, equals)) != name_) continue;
        const auto value = unquote(trim(pair.substr(equals + 1)));
        const auto cookie = std::find_if(cookies_.begin(), cookies_.end(),
                                         [value](const Cookie& known) { return known.token == value; });
        if (cookie != cookies_.end()) return cookie->backend;
    }
    return std::nullopt;
}

std::string_view StickyCookies::line_for(BackendIndex backend) const noexcept
{
    const auto cookie = std::find_if(cookies_.begin(), cookies_.end(),
                                     [backend](const Cookie& known) { return known.backend == backend; });
    return cookie != cookies_.end() ? std::string_view(cookie->line) : std::string_view{};
}

} // namespace hotspare::balancer
