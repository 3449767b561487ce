// Two connections after a 101 (RFC 9110 §7.8): bytes pass both ways, whatever they mean, until both sides have ended.
//
// Thread: its worker's. Owner: the Exchange, which closes the connections.
#pragma once

#include "balancer/serve/body_relay.hpp"
#include "balancer/serve/buffer.hpp"
#include "balancer/serve/stream.hpp"
#include "common/clock.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hotspare::balancer {

/// Silence after which a connection counts as closed that one side has finished: a tunnel, or a response without an end
/// whose client sent FIN after it had begun.
constexpr Duration closing_grace = milliseconds(500);

class Tunnel {
public:
    enum class State : std::uint8_t {
        open,
        over,   ///< both sides have ended, and everything was passed on
        broken, ///< a side has broken off
        silent, ///< neither side has moved for as long as it may, or the time of end_by() has come
    };

    /// One end of it: what was read from it and not taken yet, and what waits for it.
    struct Side {
        Stream& stream;
        Buffer& read;
        Buffer& waiting;
    };
    /// How much may move at one go. `window` is scratch.
    struct Share {
        std::span<char> window;
        std::size_t most_waiting;
        std::size_t most_moved;
    };

    /// `idle`: how long both sides may be silent.
    void begin(Duration idle, TimePoint now);

    /// Moves bytes until both sides block or `share` is used up; adds them to `moved`.
    State run(Side client, Side backend, const Share& share, std::size_t& moved, TimePoint now);

    /// However busy it is, it ends then.
    void end_by(TimePoint limit) noexcept { limit_ = std::min(limit_, limit); }

    TimePoint deadline() const noexcept { return std::min(limit_, last_progress_ + patience()); }
    TimePoint last_progress() const noexcept { return last_progress_; }

private:
    struct Direction {
        explicit Direction(http::Sender sender) : bytes(sender) {}
        BodyRelay bytes;
        bool ended = false; ///< and the other side has been told
    };

    bool pump(Direction& direction, Side& from, Side& to, const Share& share, std::size_t& moved, TimePoint now);
    Duration patience() const noexcept;

    Direction up_{http::Sender::client};
    Direction down_{http::Sender::server};
    Duration idle_{};
    TimePoint last_progress_{};
    TimePoint limit_ = TimePoint::max();
};

} // namespace hotspare::balancer
