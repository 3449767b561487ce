#include "balancer/serve/tunnel.hpp"

#include <utility>

namespace hotspare::balancer {

void Tunnel::begin(Duration idle, TimePoint now)
{
    for (Direction* direction : {&up_, &down_}) {
        direction->bytes.begin(Framing::until_close, 0, false);
        direction->ended = false;
    }
    idle_ = idle;
    last_progress_ = now;
    limit_ = TimePoint::max();
}

Tunnel::State Tunnel::run(Side client, Side backend, const Share& share, std::size_t& moved, TimePoint now)
{
    if (!pump(up_, client, backend, share, moved, now) || !pump(down_, backend, client, share, moved, now))
        return State::broken;
    if (up_.ended && down_.ended) return State::over;
    return now >= deadline() ? State::silent : State::open;
}

/// Moves bytes one way until a side blocks. False when the tunnel is broken.
bool Tunnel::pump(Direction& direction, Side& from, Side& to, const Share& share, std::size_t& moved, TimePoint now)
{
    while (moved < share.most_moved) {
        while (!to.waiting.empty()) {
            const IoResult io = to.stream.write(to.waiting.data());
            if (io.io == Io::blocked) return true;
            if (io.io == Io::failed) return false;
            to.waiting.consume(io.bytes);
            last_progress_ = now;
        }
        if (direction.bytes.complete()) {
            if (std::exchange(direction.ended, true)) return true;
            to.stream.shutdown_send();
            last_progress_ = now;
            return true;
        }
        const BodyRelay::Step step =
            direction.bytes.pass(from.stream, from.read, to.stream, to.waiting, share.window, share.most_waiting);
        if (step.end != BodyRelay::End::none) return false;
        if (step.taken == 0 && !direction.bytes.complete()) return true;
        if (step.taken > 0) last_progress_ = now;
        moved += step.taken + step.sent;
    }
    return true;
}

/// A side that has finished sending has most likely closed (RFC 6455 has no half-closed connections): the other one
/// gets a moment for its last bytes.
Duration Tunnel::patience() const noexcept
{
    return up_.ended || down_.ended ? closing_grace : idle_;
}

} // namespace hotspare::balancer
