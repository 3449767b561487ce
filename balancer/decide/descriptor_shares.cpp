#include "balancer/decide/descriptor_shares.hpp"

#include <algorithm>

namespace hotspare::balancer {
namespace {

/// The process's own: event loops, listeners, logs, probes.
constexpr std::size_t own = 64;
/// A page is done in milliseconds unless its client is slow: more at once are an attack.
constexpr std::size_t most_pages = 64;
constexpr std::size_t most_streams = 256;

} // namespace

DescriptorShares share_out(std::size_t limit)
{
    // Three quarters for clients. Of the last quarter, pages and streams get a fourth each at two descriptors apiece,
    // and connections to servers, which are reused, the other half.
    const std::size_t rest = limit - std::min(own, limit / 2);
    const auto part = [&](std::size_t most) { return std::clamp<std::size_t>(rest / 32, 1, most); };
    return {
        .clients = std::max<std::size_t>(1, rest / 4 * 3), .pages = part(most_pages), .streams = part(most_streams)};
}

} // namespace hotspare::balancer
