#include "common/process/listen_sockets.hpp"

#include "common/clock.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

namespace hotspare::process {
namespace {

constexpr int first_descriptor = 3; ///< sd_listen_fds(3)
constexpr int most_descriptors = 1024;
/// Where copy_listeners() looks: a daemon has what it inherited at the lowest numbers.
constexpr int most_searched = first_descriptor + 64;
constexpr int longest_queue = 65535; ///< the kernel takes net.core.somaxconn if that is less

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

std::optional<Address> parse(const config::HostPort& from)
{
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV; // no name is looked up; fe80::1%eth0 is an address, too
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(from.host.c_str(), std::to_string(from.port).c_str(), &hints, &found) != 0) return std::nullopt;
    Address out;
    std::memcpy(&out.storage, found->ai_addr, found->ai_addrlen);
    out.size = found->ai_addrlen;
    ::freeaddrinfo(found);
    return out;
}

result<Fd> open_one(const Address& address, bool share)
{
    Fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (share && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        ::bind(fd.get(), address.get(), address.size) != 0)
        return last_system_error();
    return fd;
}

bool listens(int socket) noexcept
{
    int yes = 0;
    socklen_t size = sizeof yes;
    return ::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) == 0 && yes != 0;
}

struct Inherited {
    std::string name;
    Fd fd;
};

struct Claimed {
    std::mutex mutex;
    std::vector<Inherited> sockets;
};

/// What the process was given; there is one environment and one table of descriptors.
Claimed& claimed()
{
    static Claimed all;
    return all;
}

std::optional<std::uint64_t> number_in(const char* variable, std::uint64_t most)
{
    const char* const text = std::getenv(variable);
    if (text == nullptr) return std::nullopt;
    const auto parsed = config::parse_unsigned(text, most);
    return parsed ? std::optional(*parsed) : std::nullopt;
}

} // namespace

result<std::vector<Fd>> open_listeners(const config::HostPort& address, std::size_t count)
{
    auto to = parse(address);
    if (!to) return error_code(errc::malformed);
    // Sharing the port among our own sockets must not mean sharing it with a process that already listens there: a
    // socket that does not share finds out.
    {
        const auto alone = open_one(*to, false);
        if (!alone) return alone.error();
    }
    std::vector<Fd> out;
    while (out.size() < count) {
        auto fd = open_one(*to, count > 1);
        if (!fd) return fd.error();
        if (::listen(fd->get(), longest_queue) != 0) return last_system_error();
        if (out.empty()) to = parse({address.host, bound_to(fd->get()).port}); // the others share what port 0 became
        out.push_back(std::move(*fd));
    }
    return out;
}

config::HostPort bound_to(int socket)
{
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (storage.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
        return {::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size()), ntohs(v4.sin_port)};
    }
    if (storage.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
        return {::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size()), ntohs(v6.sin6_port)};
    }
    return {};
}

std::vector<Fd> copy_listeners(int pidfd, const config::HostPort& address)
{
    std::vector<Fd> out;
    for (int theirs = first_descriptor; theirs < most_searched; ++theirs) {
        Fd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, theirs, 0)));
        if (!copy && errno == EPERM) break;
        if (copy && listens(copy.get()) && bound_to(copy.get()) == address) out.push_back(std::move(copy));
    }
    return out;
}

void claim_inherited()
{
    const auto pid = number_in("LISTEN_PID", ~0U);
    const auto count = number_in("LISTEN_FDS", most_descriptors);
    const char* const given = std::getenv("LISTEN_FDNAMES");
    std::string names = given != nullptr ? given : "";
    for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(variable);
    if (!count || pid != static_cast<std::uint64_t>(::getpid())) return;

    const std::lock_guard lock(claimed().mutex);
    for (int fd = first_descriptor; fd < first_descriptor + static_cast<int>(*count); ++fd) {
        const auto end = names.find(':');
        std::string name = names.substr(0, end);
        names = end == std::string::npos ? "" : names.substr(end + 1);
        const int flags = ::fcntl(fd, F_GETFL);
        if (flags < 0) continue; // named, and not there
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        claimed().sockets.push_back({std::move(name), Fd(fd)});
    }
}

std::vector<Fd> take_inherited(std::string_view name, const config::HostPort& address)
{
    const std::lock_guard lock(claimed().mutex);
    auto& sockets = claimed().sockets;
    const auto named = [&](const Inherited& socket) { return socket.name == name; };
    const auto bound = [&](const Inherited& socket) { return bound_to(socket.fd.get()) == address; };
    const bool by_name = std::ranges::any_of(sockets, named);
    std::vector<Fd> out;
    std::erase_if(sockets, [&](Inherited& socket) {
        if (by_name ? !named(socket) : !bound(socket)) return false;
        // The process before us may have stopped listening (Server::suspend()).
        if (::listen(socket.fd.get(), longest_queue) != 0) return false;
        out.push_back(std::move(socket.fd));
        return true;
    });
    return out;
}

Fd take_channel(std::string_view name)
{
    const std::lock_guard lock(claimed().mutex);
    auto& sockets = claimed().sockets;
    const auto found = std::ranges::find_if(sockets, [&](const Inherited& socket) { return socket.name == name; });
    if (found == sockets.end()) return {};
    Fd out = std::move(found->fd);
    sockets.erase(found);
    return out;
}

std::vector<std::string> unused_inherited()
{
    const std::lock_guard lock(claimed().mutex);
    std::vector<std::string> out;
    for (const Inherited& socket : claimed().sockets)
        out.push_back(socket.name + " on " + config::format_host_port(bound_to(socket.fd.get())));
    return out;
}

} // namespace hotspare::process
