#include "tests/support/socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace hotspare::test {
namespace {

[[noreturn]] void fail(const char* what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_in loopback(std::uint16_t port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

Fd tcp_socket()
{
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) fail("socket");
    return socket;
}

template <class Call> int retry_interrupted(Call call)
{
    int n = 0;
    do n = static_cast<int>(call());
    while (n < 0 && errno == EINTR);
    return n;
}

} // namespace

void Fd::close() noexcept
{
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Fd::reset() noexcept
{
    if (fd_ < 0) return;
    const linger abort{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    close();
}

WakeUp::WakeUp() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    if (!fd_) fail("eventfd");
}

void WakeUp::raise() const noexcept
{
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = ::write(fd_.get(), &one, sizeof one);
}

void WakeUp::lower() const noexcept
{
    std::uint64_t count = 0;
    [[maybe_unused]] const auto n = ::read(fd_.get(), &count, sizeof count);
}

Fd bind_loopback(std::uint16_t port)
{
    Fd socket = tcp_socket();
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = loopback(port);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
    return socket;
}

Fd listen_loopback(std::uint16_t port, int backlog)
{
    Fd socket = bind_loopback(port);
    if (::listen(socket.get(), backlog) != 0) fail("listen");
    return socket;
}

std::uint16_t local_port(const Fd& socket)
{
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
    return ntohs(address.sin_port);
}

Fd start_connect(std::uint16_t port)
{
    Fd socket = tcp_socket();
    set_nonblocking(socket);
    set_nodelay(socket);
    const sockaddr_in address = loopback(port);
    // A refusal can be reported here or later; connect_outcome() finds both, because poll() reports the socket
    // writable.
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS && errno != ECONNREFUSED && errno != EINTR)
        fail("connect");
    return socket;
}

int connect_outcome(const Fd& socket) noexcept
{
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return error;
    sockaddr_in peer{};
    size = sizeof peer;
    return ::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0 ? 0 : ECONNREFUSED;
}

Fd connect_loopback(std::uint16_t port, milliseconds bound)
{
    Fd socket = start_connect(port);
    pollfd p{.fd = socket.get(), .events = POLLOUT, .revents = 0};
    const timespec timeout = until(Clock::now() + bound);
    const int n = retry_interrupted([&] { return ::ppoll(&p, 1, &timeout, nullptr); });
    if (n == 0) throw std::system_error(ETIMEDOUT, std::generic_category(), "connect");
    if (const int error = connect_outcome(socket)) throw std::system_error(error, std::generic_category(), "connect");
    const int flags = ::fcntl(socket.get(), F_GETFL);
    ::fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK);
    return socket;
}

void set_nonblocking(const Fd& socket)
{
    const int flags = ::fcntl(socket.get(), F_GETFL);
    if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0) fail("fcntl");
}

void set_nodelay(const Fd& socket) noexcept
{
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

timespec until(TimePoint deadline) noexcept
{
    const auto left = std::max(deadline - Clock::now(), Clock::duration::zero());
    const auto whole = std::chrono::duration_cast<seconds>(left);
    return {.tv_sec = whole.count(), .tv_nsec = std::chrono::nanoseconds(left - whole).count()};
}

namespace {

bool wait_for(short events, const Fd& fd, std::optional<TimePoint> deadline, const WakeUp* stop)
{
    std::array<pollfd, 2> p{pollfd{.fd = fd.get(), .events = events, .revents = 0},
                            pollfd{.fd = stop ? stop->fd() : -1, .events = POLLIN, .revents = 0}};
    const int n = retry_interrupted([&] {
        timespec timeout{};
        if (deadline) timeout = until(*deadline);
        return ::ppoll(p.data(), p.size(), deadline ? &timeout : nullptr, nullptr);
    });
    return n > 0 && p[0].revents != 0 && p[1].revents == 0;
}

} // namespace

bool wait_readable(const Fd& fd, std::optional<TimePoint> deadline, const WakeUp* stop)
{
    return wait_for(POLLIN, fd, deadline, stop);
}

bool send_all(const Fd& socket, std::string_view bytes, std::optional<TimePoint> deadline, const WakeUp* stop)
{
    while (!bytes.empty()) {
        const auto n = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(n));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(POLLOUT, socket, deadline, stop)) return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

} // namespace hotspare::test
