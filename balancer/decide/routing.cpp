#include "balancer/decide/routing.hpp"

namespace hotspare::balancer {

std::string_view to_string(Status status) noexcept
{
    switch (status) {
    case Status::unknown: return "unknown";
    case Status::healthy: return "healthy";
    case Status::degraded: return "degraded";
    case Status::unhealthy: return "unhealthy";
    case Status::down: return "down";
    case Status::draining: return "draining";
    case Status::maintenance: return "maintenance";
    }
    return "invalid";
}

std::string_view to_string(Policy policy) noexcept
{
    switch (policy) {
    case Policy::failover: return "failover";
    case Policy::round_robin: return "round_robin";
    case Policy::random: return "random";
    case Policy::least_connections: return "least_connections";
    }
    return "invalid";
}

std::string_view to_string(EvidenceKind kind) noexcept
{
    switch (kind) {
    case EvidenceKind::success: return "success";
    case EvidenceKind::refused: return "refused";
    case EvidenceKind::reset: return "reset";
    case EvidenceKind::timed_out: return "timed_out";
    case EvidenceKind::malformed: return "malformed";
    case EvidenceKind::diverted: return "diverted";
    case EvidenceKind::outpaced: return "outpaced";
    case EvidenceKind::uncompared: return "uncompared";
    }
    return "invalid";
}

} // namespace hotspare::balancer
