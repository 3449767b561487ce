// The value of a Date field, as RFC 9110 §6.6.1 wants it in every response that a server with a clock sends on without
// one. Formatted once per second instead of once per response; reading the clock is left to the caller.
//
// One thread. Owner: the component that writes heads on that thread.
#pragma once

#include "common/clock.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace hotspare::balancer {

class DateField {
public:
    /// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7), rounded down. The view holds until the next call.
    std::string_view at(WallTime now);

private:
    std::chrono::sys_seconds second_ = std::chrono::sys_seconds::min();
    std::string text_;
};

} // namespace hotspare::balancer
