#include "common/socket.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

namespace hotspare {
namespace {

/// A socket address of either family.
struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    explicit Address(const config::HostPort& from)
    {
        auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
        auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
        if (::inet_pton(AF_INET, from.host.c_str(), &v4.sin_addr) == 1) {
            v4.sin_family = AF_INET;
            v4.sin_port = htons(from.port);
            size = sizeof v4;
        } else if (::inet_pton(AF_INET6, from.host.c_str(), &v6.sin6_addr) == 1) {
            v6.sin6_family = AF_INET6;
            v6.sin6_port = htons(from.port);
            size = sizeof v6;
        } else {
            throw std::invalid_argument("not an IP address: " + config::in_quotes(from.host));
        }
    }

    const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

Fd make_socket(const Address& address)
{
    Fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) throw_errno("socket");
    return fd;
}

void set_nodelay(const Fd& socket) noexcept
{
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

} // namespace

std::size_t descriptor_limit() noexcept
{
    rlimit limit{};
    // It fails only for an unknown resource.
    return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur) : 1024;
}

Fd::~Fd()
{
    if (fd_ >= 0) ::close(fd_);
}

WakeUp::WakeUp() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    if (!fd_) throw_errno("eventfd");
}

void WakeUp::raise() const noexcept
{
    const std::uint64_t one = 1;
    static_cast<void>(::write(fd_.get(), &one, sizeof one)); // fails only when it is raised already
}

void WakeUp::lower() const noexcept
{
    std::uint64_t count = 0;
    static_cast<void>(::read(fd_.get(), &count, sizeof count));
}

void throw_errno(std::string_view what)
{
    throw std::system_error(errno, std::generic_category(), std::string(what));
}

timespec to_timespec(Duration duration) noexcept
{
    const auto left = std::max(duration, Duration::zero());
    const auto whole = std::chrono::floor<seconds>(left);
    return {static_cast<std::time_t>(whole.count()), static_cast<long>(std::chrono::nanoseconds(left - whole).count())};
}

Fd make_epoll()
{
    Fd fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!fd) throw_errno("epoll_create1");
    return fd;
}

void watch(const Fd& epoll, int operation, int fd, std::uint32_t interest, std::uint64_t data)
{
    epoll_event event{};
    event.events = interest;
    event.data.u64 = data;
    if (::epoll_ctl(epoll.get(), operation, fd, &event) != 0) throw_errno("epoll_ctl");
}

Fd bind_to(const config::HostPort& address)
{
    const Address to(address);
    Fd fd = make_socket(to);
    const int on = 1;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(fd.get(), to.get(), to.size) != 0)
        throw_errno("bind to " + config::format_host_port(address));
    return fd;
}

Fd listen_on(const config::HostPort& address)
{
    Fd fd = bind_to(address);
    if (::listen(fd.get(), 65535) != 0) throw_errno("listen on " + config::format_host_port(address));
    return fd;
}

std::uint16_t local_port(const Fd& socket) noexcept
{
    Address address({"127.0.0.1", 0});
    address.size = sizeof address.storage;
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0) return 0;
    return ntohs(address.storage.ss_family == AF_INET6
                     ? reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_port
                     : reinterpret_cast<const sockaddr_in&>(address.storage).sin_port);
}

Fd start_connect(const config::HostPort& address)
{
    const Address to(address);
    Fd fd = make_socket(to);
    set_nodelay(fd);
    if (::connect(fd.get(), to.get(), to.size) != 0 &&
        is_own_shortage(error_code(errno, boost::system::generic_category())))
        throw_errno("connect to " + config::format_host_port(address));
    return fd;
}

Fd accept_from(const Fd& listener) noexcept
{
    Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) set_nodelay(fd);
    return fd;
}

int take_error(const Fd& socket) noexcept
{
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

bool is_stale(const Fd& socket) noexcept
{
    char byte = 0;
    return ::recv(socket.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

void close_with_reset(Fd& socket) noexcept
{
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    socket.reset();
}

std::int64_t send_filler(const Fd& socket, std::uint64_t count) noexcept
{
    // Copied from a buffer that stays in the second-level cache: on loopback that moves twice the bytes per second that
    // sendfile from memory does, whose page-sized fragments also make the receiver work harder.
    static constexpr auto text = [] {
        std::array<char, 256U << 10U> bytes{};
        for (char& byte : bytes) byte = 'x';
        return bytes;
    }();
    std::uint64_t sent = 0;
    while (sent < count) {
        const auto room = std::min<std::uint64_t>(count - sent, text.size());
        const auto n = ::send(socket.get(), text.data(), room, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) return -1;
        sent += static_cast<std::uint64_t>(n);
        if (static_cast<std::uint64_t>(n) < room) break; // full: asking again would cost a call to hear so
    }
    return static_cast<std::int64_t>(sent);
}

std::int64_t discard(const Fd& socket, std::uint64_t count) noexcept
{
    // MSG_TRUNC on a TCP socket (tcp(7)) drops the bytes instead of storing them, so the buffer is never touched.
    constexpr std::uint64_t largest = 4U << 20U;
    return ::recv(socket.get(), nullptr, std::min(count, largest), MSG_TRUNC);
}

} // namespace hotspare
