#include "balancer/counters.hpp"

namespace hotspare::balancer {

std::string_view to_string(Saved reason) noexcept
{
    switch (reason) {
    case Saved::retry: return "retry";
    case Saved::hedge: return "hedge";
    case Saved::move: return "move";
    case Saved::park: return "park";
    case Saved::count_: break;
    }
    return "invalid";
}

std::string_view to_string(Lost reason) noexcept
{
    switch (reason) {
    case Lost::no_backend: return "no_backend";
    case Lost::not_replayable: return "not_replayable";
    case Lost::budget: return "budget";
    case Lost::deadline: return "deadline";
    case Lost::truncated: return "truncated";
    case Lost::connection_limit: return "connection_limit";
    case Lost::count_: break;
    }
    return "invalid";
}

std::string_view to_string(BadProxyHeader reason) noexcept
{
    switch (reason) {
    case BadProxyHeader::untrusted: return "untrusted";
    case BadProxyHeader::missing: return "missing";
    case BadProxyHeader::malformed: return "malformed";
    case BadProxyHeader::count_: break;
    }
    return "invalid";
}

} // namespace hotspare::balancer
