// The bytes of a request for the backends: its head and framed body, by position from the first byte on. As long as the
// whole of it is kept, any attempt can begin at position 0; once it is larger than what may be kept, what an attempt
// has sent is dropped, and only the attempt that runs can go on.
//
// Thread: its worker's. Owner: the Exchange.
#pragma once

#include "balancer/serve/buffer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hotspare::balancer {

class ReplayBuffer {
public:
    /// Forgets everything: the head of another request is appended to the buffer that it returns.
    Buffer& begin() noexcept
    {
        bytes_.clear();
        base_ = 0;
        whole_ = true;
        return bytes_;
    }
    void head_ends() noexcept { head_ = bytes_.size(); }
    /// Empty once it was dropped.
    std::string_view head() const noexcept { return base_ == 0 ? bytes_.text().substr(0, head_) : std::string_view(); }

    Buffer& bytes() noexcept { return bytes_; } ///< to append to, and to give back storage
    const Buffer& bytes() const noexcept { return bytes_; }

    /// Behind the last byte that was read.
    std::uint64_t end() const noexcept { return base_ + bytes_.size(); }
    std::span<const char> from(std::uint64_t position) const noexcept
    {
        return bytes_.data().subspan(static_cast<std::size_t>(position - base_));
    }

    /// Whether it still begins with the first byte.
    bool whole() const noexcept { return whole_; }
    /// How much of the body may still be appended: one byte more than the `replayable` that are kept, which tells that
    /// there are more.
    std::size_t room(std::size_t replayable) const noexcept
    {
        return head_ + replayable + 1 - std::min(head_ + replayable, bytes_.size());
    }
    /// True if it has just become larger than may be kept: it is not whole any more.
    bool outgrows(std::size_t replayable) noexcept
    {
        if (!whole_ || bytes_.size() <= head_ + replayable) return false;
        whole_ = false;
        return true;
    }
    /// Of bytes that are not kept, those up to `position` are of no more use.
    void drop_until(std::uint64_t position) noexcept
    {
        if (whole_) return;
        bytes_.consume(static_cast<std::size_t>(position - base_));
        base_ = position;
    }
    /// `count` bytes went from the client to the backend without being kept. Only if it is empty and not whole().
    void passed(std::size_t count) noexcept { base_ += count; }
    /// Nothing of it will be sent any more.
    void discard() noexcept { bytes_.clear(); }

private:
    Buffer bytes_;
    std::uint64_t base_ = 0; ///< position of the first of bytes_
    std::size_t head_ = 0;
    bool whole_ = true;
};

} // namespace hotspare::balancer
