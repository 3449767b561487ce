// POSIX sockets on loopback, just enough for the test support. The support library shares no code with the programs
// that it judges: a mistake in their I/O must not be repeated by the instrument that should show it.
#pragma once

#include "tests/support/eventually.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace hotspare::test {

/// Owns a file descriptor.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) noexcept : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept
    {
        if (this != &other) {
            close();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~Fd() { close(); }

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    void close() noexcept;
    /// Closes a TCP socket with RST instead of FIN.
    void reset() noexcept;

private:
    int fd_ = -1;
};

/// Wakes a poll() in another thread. Once raised it stays readable until lowered.
class WakeUp {
public:
    WakeUp();
    int fd() const noexcept { return fd_.get(); }
    void raise() const noexcept;
    void lower() const noexcept;

private:
    Fd fd_;
};

/// A socket bound to 127.0.0.1:`port` (0 = any free one) that does not listen yet. Throws std::system_error.
Fd bind_loopback(std::uint16_t port);
/// The same, listening.
Fd listen_loopback(std::uint16_t port, int backlog = 1024);
std::uint16_t local_port(const Fd& socket);

/// A connected socket, blocking, without Nagle's delay. Throws std::system_error when refused, or after `bound`.
Fd connect_loopback(std::uint16_t port, milliseconds bound = patience);
/// Starts to connect without blocking; the socket becomes writable when that has succeeded or failed.
Fd start_connect(std::uint16_t port);
/// 0, or the errno with which start_connect() failed.
int connect_outcome(const Fd& socket) noexcept;

void set_nonblocking(const Fd& socket);
void set_nodelay(const Fd& socket) noexcept;

/// Waits until `fd` is readable, closed by the peer or in error; false at `deadline` or as soon as `stop` is raised.
[[nodiscard]] bool wait_readable(const Fd& fd, std::optional<TimePoint> deadline, const WakeUp* stop = nullptr);

/// Sends all of `bytes`, waiting for room; false when the peer is gone, at `deadline`, or as soon as `stop` is raised.
[[nodiscard]] bool send_all(const Fd& socket, std::string_view bytes, std::optional<TimePoint> deadline = {},
                            const WakeUp* stop = nullptr);

/// What poll() and ppoll() expect for "until then": never negative.
timespec until(TimePoint deadline) noexcept;

} // namespace hotspare::test
