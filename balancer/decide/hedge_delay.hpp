// How long a safe request may wait before it is also sent to another backend: a multiple of the recent p99, so that at
// most about one request in a hundred is hedged in good times, however slow the service is by nature (Dean and Barroso,
// "The Tail at Scale", 2013). The multiple shrinks towards one as the p99 grows, so that a few slow answers do not make
// a server that falls silent cost every client a second.
//
// PURE. One per worker and pool; one thread.
#pragma once

#include "common/clock.hpp"

#include <array>
#include <cstdint>

namespace hotspare::balancer {

class HedgeDelay {
public:
    HedgeDelay(Duration floor, double factor) noexcept : floor_(floor), factor_(factor), delay_(10 * floor) {}

    /// Records the latency of an answer (request sent -> response header).
    void observe(Duration latency) noexcept;

    /// The delay to use now. Until enough answers were seen: ten times the floor.
    Duration current() const noexcept { return delay_; }

private:
    // Bucket i holds latencies in [2^(i/4), 2^((i+1)/4)) microseconds: 19 % wide, up to 2^25 us = 34 s.
    static constexpr std::size_t buckets = 100;
    static constexpr std::uint32_t recompute_every = 128;
    static constexpr std::uint32_t first_estimate = 16;
    static constexpr std::uint32_t window = 4096; ///< when this many are counted, all counts are halved
    /// What the multiple may add up to. The p99 itself may be longer: to hedge sooner than that would spend, on
    /// requests that are merely slow, the budget that a crash will need.
    static constexpr Duration longest_multiple = milliseconds(250);

    void recompute() noexcept;

    Duration floor_;
    double factor_;
    Duration delay_;
    std::array<std::uint32_t, buckets> counts_{};
    std::uint32_t total_ = 0;
    std::uint32_t since_ = 0;
};

} // namespace hotspare::balancer
