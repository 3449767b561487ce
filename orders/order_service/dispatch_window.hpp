// PURE: how many of the due orders are in the stream. Redis is told of a part of the backlog only, enough to keep every
// worker busy until the next sweep: its memory does not grow with the backlog, and what it loses is soon told again.
//
// Thread: one. Owner: the queue.
#pragma once

#include <algorithm>
#include <cstddef>

namespace hotspare::orders {

class DispatchWindow {
public:
    /// Two sweeps' worth at 10,000 orders a second.
    static constexpr std::size_t most = 2'048;

    /// The stream had so many entries just now.
    void measured(std::size_t length) noexcept { length_ = length; }

    /// Whether an order that has just become due is told at once; what is not, a sweep finds when there is room.
    bool admit() noexcept
    {
        if (length_ >= most) return false;
        ++length_;
        return true;
    }

    /// How many a sweep may add. Nothing while the stream is half full: those that wait longest are in it already, and
    /// would only be told twice.
    std::size_t room() const noexcept { return length_ < most / 2 ? most - length_ : 0; }

private:
    std::size_t length_ = 0; ///< as far as known
};

} // namespace hotspare::orders
