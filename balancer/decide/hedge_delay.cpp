#include "balancer/decide/hedge_delay.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace hotspare::balancer {

void HedgeDelay::observe(Duration latency) noexcept
{
    const auto us = static_cast<std::uint64_t>(
        std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::microseconds>(latency).count()));
    // Four steps per octave: the exponent, then the two bits below the leading one (linear inside the octave).
    const auto exponent = static_cast<unsigned>(std::bit_width(us)) - 1;
    const auto quarter = exponent >= 2 ? (us >> (exponent - 2)) & 3U : (us << (2 - exponent)) & 3U;
    const auto bucket = std::min<std::size_t>(buckets - 1, exponent * 4 + quarter);
    ++counts_[bucket];
    ++total_;
    if (++since_ >= recompute_every || total_ == first_estimate) recompute();
}

void HedgeDelay::recompute() noexcept
{
    since_ = 0;
    const std::uint32_t rank = total_ - total_ / 100;
    std::uint32_t seen = 0;
    std::size_t bucket = 0;
    while (bucket < buckets - 1 && (seen += counts_[bucket]) < rank) ++bucket;
    const double upper_us = std::ldexp(1.0 + static_cast<double>(bucket % 4 + 1) / 4, static_cast<int>(bucket / 4));
    const auto p99 = std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::micro>(upper_us));
    const auto multiple = std::min(std::chrono::duration_cast<Duration>(p99 * factor_), longest_multiple);
    delay_ = std::max({floor_, p99, multiple});

    if (total_ >= window) {
        total_ = 0;
        for (auto& count : counts_) total_ += count /= 2;
    }
}

} // namespace hotspare::balancer
