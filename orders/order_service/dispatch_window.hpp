// PURE: how many of the due orders are in the stream. Redis is told of a part of the backlog only, enough to keep every
// worker busy until the next sweep: its memory does not grow with the backlog, and what it loses is soon told again.
//
// Thread: one. Owner: the queue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

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

    /// Whether a sweep is to look for what is due and was not told. Not while the stream is half full: that suffices.
    bool is_low() const noexcept { return length_ < most / 2; }

    /// Of the orders that are `due`, in their order, those that a sweep is to tell: none that is in the stream (while
    /// none are taken they stay due, and once is enough), and no more than there is room for.
    std::vector<std::int64_t> choose(const std::vector<std::int64_t>& due, const std::set<std::int64_t>& in_stream)
    {
        std::vector<std::int64_t> out;
        for (const auto number : due) {
            if (in_stream.contains(number)) continue;
            if (!admit()) break;
            out.push_back(number);
        }
        return out;
    }

private:
    std::size_t length_ = 0; ///< as far as known
};

} // namespace hotspare::orders
