// How much memory bodies take on their way: how large a piece is moved at once, what the requests of a worker hold
// together, and when freed storage goes back to the system.
//
// PURE. Thread: its worker's. Owner: PieceSize belongs to the relay of one body, RelayMemory to the DataPlane.
#pragma once

#include "common/clock.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace hotspare::balancer {

/// Largest piece moved at once. On loopback and fast networks what a body costs is mostly the waking of the next in
/// line: with 1 MiB a core moves 1.8 times as much as with 128 KiB.
inline constexpr std::size_t relay_window = 1024 * 1024;
/// What is read of a stream when it is not known what will come; also the most that one body has waiting in memory
/// when its sink stops taking bytes.
inline constexpr std::size_t read_ahead = 16 * 1024;

/// The size of the next piece of a body that passes straight through.
class PieceSize {
public:
    /// A body begins. Where much is expected the first piece is as large as it can be; what has no length may be a
    /// stream of small messages.
    void restart(bool much) noexcept
    {
        size_ = much ? relay_window : read_ahead;
        short_ = false;
    }

    std::size_t next() const noexcept { return size_; }

    /// Whether a piece of `size` bytes is only looked at in its socket until the sink has taken it: what the sink does
    /// not take then stays in the kernel. A small piece is read at once, which saves one system call, unless the sink
    /// did not take all of the piece before.
    bool peeks(std::size_t size) const noexcept { return size > read_ahead || short_; }

    /// The source had `got` bytes of a piece of next() bytes, and the sink took `sent` of them.
    void moved(std::size_t got, std::size_t sent) noexcept
    {
        short_ = sent < got;
        if (short_) // the rest was copied for nothing: ask for as much as the sink takes
            size_ = std::clamp((sent + read_ahead - 1) / read_ahead * read_ahead, read_ahead, relay_window);
        else if (got >= size_)
            size_ = std::min(size_ * 4, relay_window);
    }

private:
    std::size_t size_ = read_ahead;
    bool short_ = false; ///< the latest write was
};

/// What the requests of one worker hold in their buffers while they wait for a peer.
///
/// When the bound is reached nothing is lost and no request waits for another one: each may still hold one piece of
/// read_ahead bytes, so what its sink takes can always be replaced. full() only takes away what goes beyond that: a
/// second piece, and the part of a request that is kept for a retry.
class RelayMemory {
public:
    /// Less freed storage is not worth the walk through the heap.
    static constexpr std::size_t worth_trimming = 1024 * 1024;
    static constexpr Duration trim_interval = seconds(2);

    /// `bound` in bytes for the whole process, of which each of `workers` gets its share: the kernel spreads
    /// connections over them.
    RelayMemory(std::uint64_t bound, unsigned workers) noexcept
        : bound_(bound / workers), interval_(trim_interval * workers)
    {
    }

    /// A request that was counted with `before` bytes holds `now` bytes.
    void change(std::size_t before, std::size_t now) noexcept
    {
        held_ += now;
        held_ -= before;
    }

    /// A peer has stalled or left, and `bytes` of storage went to the heap. What is kept for the next request does not
    /// count.
    void freed(std::size_t bytes) noexcept { freed_ += bytes; }

    std::uint64_t held() const noexcept { return held_; }
    bool full() const noexcept { return held_ >= bound_; }

    /// Bytes that may already wait for the sink when another piece is read.
    std::size_t most_waiting() const noexcept { return full() ? 0 : read_ahead / 2; }
    /// Bytes of a body that are kept for a retry where the configuration allows `wanted`.
    std::size_t replayable(std::size_t wanted) const noexcept { return full() ? std::min(wanted, read_ahead) : wanted; }

    /// Whether the heap should give free pages back to the system now: at most once in trim_interval for all workers
    /// together, and not for small requests, which free nothing.
    bool trim_due(TimePoint now) noexcept
    {
        if (freed_ < worth_trimming || now < next_trim_) return false;
        freed_ = 0;
        next_trim_ = now + interval_;
        return true;
    }

private:
    const std::uint64_t bound_;
    const Duration interval_;
    std::uint64_t held_ = 0;
    std::uint64_t freed_ = 0; ///< since the last trim
    TimePoint next_trim_{};
};

} // namespace hotspare::balancer
