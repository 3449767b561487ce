// A deadline over whatever one socket is doing. When it passes, the socket's operations are cancelled and passed()
// turns true, which is how the caller tells its own timeout from a cancellation and from a failure of the peer.
//
// Thread: the socket's. Owner: the session that owns the socket, which must live at least as long and not be moved.
#pragma once

#include "common/clock.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <memory>

namespace hotspare {

class Deadline {
public:
    explicit Deadline(boost::asio::ip::tcp::socket& socket);
    /// The same over a descriptor, for the sockets that a library has opened.
    explicit Deadline(boost::asio::posix::stream_descriptor& descriptor);
    ~Deadline();

    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    /// Starts over: passed() is false and turns true after `span`. Until disarm() every operation that is started after
    /// the deadline passed is cancelled as well (within 20 ms).
    void arm(Duration span);
    void disarm() noexcept;
    bool passed() const noexcept;

private:
    struct State;
    static void wait(std::shared_ptr<State> state);

    std::shared_ptr<State> state_; ///< shared with the timer's handler, which may still be queued when we are destroyed
};

} // namespace hotspare
