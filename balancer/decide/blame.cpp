#include "balancer/decide/blame.hpp"

#include <algorithm>

namespace hotspare::balancer {

std::optional<BackendIndex> first_sent_to(std::span<const Attempt> trail) noexcept
{
    const auto first =
        std::find_if(trail.begin(), trail.end(), [](const Attempt& a) { return a.stage != Stage::not_sent; });
    return first == trail.end() ? std::nullopt : std::optional(first->backend);
}

bool sent_only_to(BackendIndex backend, std::span<const Attempt> trail) noexcept
{
    return std::all_of(trail.begin(), trail.end(),
                       [backend](const Attempt& a) { return a.stage == Stage::not_sent || a.backend == backend; });
}

} // namespace hotspare::balancer
