// A server in the hands of the test: it answers health probes by itself and hands every other request to the test
// together with its connection, on which the test says what it likes, when it likes, and sees how it ends.
//
// Threads: one accepts and one reads each connection until its first request that is not a probe. next() is called by
// the test's thread.
#pragma once

#include "tests/support/socket.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace hotspare::test {

class ManualOrigin {
public:
    /// A request whose head has arrived; what follows it on `socket` is left to the test.
    struct Call {
        Fd socket;
        std::string head; ///< and as much behind it as came with it

        explicit operator bool() const noexcept { return static_cast<bool>(socket); }
        bool send(std::string_view bytes) const { return send_all(socket, bytes, Clock::now() + patience); }
        /// Reads and drops. Returns how the connection ended within `bound`.
        enum class End { open, closed, reset };
        End end(milliseconds bound = patience) const;
        /// The same without reading, as a server that has hung or has nothing to say: only a reset shows.
        bool was_reset(milliseconds bound = patience) const;
    };

    ManualOrigin();
    ~ManualOrigin();

    ManualOrigin(const ManualOrigin&) = delete;
    ManualOrigin& operator=(const ManualOrigin&) = delete;

    std::uint16_t port() const noexcept { return port_; }

    /// The next request that is no probe; an empty one if none comes within `bound`.
    Call next(milliseconds bound = patience);

private:
    void accept_loop();
    void serve(Fd socket);

    Fd listener_;
    std::uint16_t port_;
    WakeUp stop_;
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Call> calls_;
    std::list<std::thread> threads_; ///< the acceptor's, until it has ended
    std::thread acceptor_;
};

} // namespace hotspare::test
