// Non-blocking TCP by plain system calls, for instruments that must cost less than what they measure: the load
// generator, the gate and the benchmark's origin. Daemons use Asio (common/http) instead.
//
// Thread: none of its own; every value belongs to the event loop that created it, except WakeUp::raise().
#pragma once

#include "common/clock.hpp"
#include "common/config.hpp"

#include <cstdint>
#include <ctime>
#include <string_view>
#include <utility>

namespace hotspare {

/// Closes its descriptor when it goes.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) noexcept : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept
    {
        Fd(std::move(other)).swap(*this);
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd();

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    void reset() noexcept { Fd().swap(*this); }
    int release() noexcept { return std::exchange(fd_, -1); } ///< the caller closes it
    void swap(Fd& other) noexcept { std::swap(fd_, other.fd_); }

private:
    int fd_ = -1;
};

/// How many descriptors this process may have (RLIMIT_NOFILE).
std::size_t descriptor_limit() noexcept;

/// Wakes the epoll_wait() of another thread: readable from raise() until lower().
class WakeUp {
public:
    WakeUp(); ///< Throws std::system_error.
    int fd() const noexcept { return fd_.get(); }
    void raise() const noexcept; ///< any thread, and in a signal handler
    void lower() const noexcept;

private:
    Fd fd_;
};

/// How long ppoll() or epoll_pwait2() shall wait; not at all for a negative duration.
timespec to_timespec(Duration duration) noexcept;

/// Throws std::system_error with the present errno and `what`.
[[noreturn]] void throw_errno(std::string_view what);

/// epoll_create1 and epoll_ctl. Both throw std::system_error.
Fd make_epoll();
void watch(const Fd& epoll, int operation, int fd, std::uint32_t interest, std::uint64_t data);

/// A non-blocking socket that has the address but does not listen yet; others may bind to it, too, until one listens.
/// Throws std::system_error, or std::invalid_argument when the host is not an IP address.
Fd bind_to(const config::HostPort& address);

/// The same, listening with the largest backlog that the kernel allows.
Fd listen_on(const config::HostPort& address);

std::uint16_t local_port(const Fd& socket) noexcept;

/// Starts a non-blocking connect with TCP_NODELAY. A refusal is not reported here but to the first write. Throws
/// std::system_error when this machine is short of descriptors, ports or memory, std::invalid_argument when the host is
/// not an IP address.
Fd start_connect(const config::HostPort& address);

/// An accepted connection, non-blocking with TCP_NODELAY; none if no client waits or no descriptor is free.
Fd accept_from(const Fd& listener) noexcept;

/// The pending error of a socket, 0 if there is none; asking clears it.
int take_error(const Fd& socket) noexcept;

/// Whether a connection on which nothing is expected has been closed or has received something all the same.
bool is_stale(const Fd& socket) noexcept;

/// Closes with RST instead of FIN.
void close_with_reset(Fd& socket) noexcept;

/// Sends up to `count` bytes of meaningless text. Returns the number sent: less than `count` when the socket is full,
/// -1 when the connection is gone.
std::int64_t send_filler(const Fd& socket, std::uint64_t count) noexcept;

/// Discards up to `count` received bytes in the kernel, without copying them out. Same results as recv(2).
std::int64_t discard(const Fd& socket, std::uint64_t count) noexcept;

} // namespace hotspare
