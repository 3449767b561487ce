// How many retries and hedges may be sent, as a share of the requests that were sent: when everything fails, retries
// must not multiply the load (the idea is Finagle's RetryBudget). Over the last ten seconds at most `ratio` times the
// requests of that time plus ten times `per_second` retries are granted, so that a quiet service may retry too. Time is
// remembered in steps of one second: what happened ten seconds ago is forgotten up to one step early.
//
// PURE: the caller brings the time. One thread; owned by the sender of the requests (the balancer: one per worker and
// pool).
#pragma once

#include "common/clock.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace hotspare::resilience {

class RetryBudget {
public:
    /// `ratio` and `per_second` are not negative; fractions below a millionth of a retry are lost.
    RetryBudget(double ratio, double per_second, Duration window = seconds(10));

    /// One request was sent for the first time. `now` must not be earlier than in the last call (if it is, it counts as
    /// the time of the last call).
    void deposit(TimePoint now) noexcept
    {
        if (now >= slot_end_) advance(now);
        slots_[slot_] += per_request_;
        balance_ += per_request_;
    }

    /// Asks for one retry; true grants it.
    bool withdraw(TimePoint now) noexcept
    {
        if (now >= slot_end_) advance(now);
        if (balance_ < retry) return false;
        slots_[slot_] -= retry;
        balance_ -= retry;
        return true;
    }

    /// Retries that would be granted now, one after the other.
    std::uint64_t available(TimePoint now) noexcept
    {
        if (now >= slot_end_) advance(now);
        return balance_ < 0 ? 0 : static_cast<std::uint64_t>(balance_ / retry);
    }

private:
    static constexpr std::int64_t retry = 1'000'000; ///< what one retry costs; everything else is in millionths of it
    static constexpr std::size_t slot_count = 10;

    void advance(TimePoint now) noexcept;

    std::int64_t per_request_;
    std::int64_t balance_; ///< the reserve plus all slots
    Duration slot_width_;
    TimePoint slot_end_{}; ///< of the current slot; the first call sets it
    std::size_t slot_ = 0;
    std::array<std::int64_t, slot_count> slots_{}; ///< deposits less withdrawals; forgotten when older than the window
};

} // namespace hotspare::resilience
