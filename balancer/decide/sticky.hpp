// Sticky sessions: which backend a client's cookie stands for, and the cookie that it gets.
//
// PURE. A backend's token is a hash of its name and of nothing else, so every balancer of one configuration gives and
// understands the same cookies, before and after a restart. It is no secret and proves nothing: a client that forges
// one chooses among the backends of the pool, as anyone can who deletes the cookie and tries again.
#pragma once

#include "balancer/decide/routing.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

struct StickyConfig {
    std::string cookie{}; ///< its name; empty = requests go where the policy says
    bool secure = false;  ///< only for connections that are encrypted as far as the client sees
    Duration max_age{};   ///< 0 = until the client ends its session

    bool operator==(const StickyConfig&) const = default;
};

/// 16 hexadecimal digits.
std::string sticky_token(std::string_view backend);

/// The cookies of one pool.
class StickyCookies {
public:
    struct Member {
        std::string_view name;
        BackendIndex backend = 0;
    };

    /// `members` is read only here.
    StickyCookies(const StickyConfig& config, const std::vector<Member>& members);

    /// The backend that the value of a Cookie field names: by the first pair of our name whose value is the token of a
    /// member. What is not a pair is passed over, as RFC 6265 §5.2 asks of those who read cookies.
    std::optional<BackendIndex> find(std::string_view cookie_field) const noexcept;

    /// A Set-Cookie line with its CRLF for a response of `backend`; empty for one that is no member.
    std::string_view line_for(BackendIndex backend) const noexcept;

private:
    struct Cookie {
        std::string token;
        BackendIndex backend;
        std::string line;
    };

    std::string name_;
    std::vector<Cookie> cookies_;
};

} // namespace hotspare::balancer
