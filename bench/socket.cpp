#include "bench/socket.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <system_error>

namespace hotspare::bench {
namespace {

[[noreturn]] void throw_errno(const std::string& what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_in address_of(const Endpoint& endpoint)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    if (::inet_pton(AF_INET, endpoint.host.c_str(), &address.sin_addr) != 1)
        throw std::invalid_argument("not an IPv4 address: " + endpoint.host);
    return address;
}

const sockaddr* generic(const sockaddr_in& address)
{
    return reinterpret_cast<const sockaddr*>(&address);
}

} // namespace

Fd::~Fd()
{
    if (fd_ >= 0) ::close(fd_);
}

Endpoint Endpoint::parse(std::string_view text)
{
    const auto colon = text.rfind(':');
    const auto port = colon == text.npos ? 0 : number(text.substr(colon + 1), 0);
    if (port == 0 || port > 65535) throw std::invalid_argument("expected HOST:PORT, not '" + std::string(text) + "'");
    return {std::string(text.substr(0, colon)), static_cast<std::uint16_t>(port)};
}

Fd listen_on(const Endpoint& endpoint)
{
    const auto address = address_of(endpoint);
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(fd.get(), generic(address), sizeof address) != 0 || ::listen(fd.get(), 65535) != 0)
        throw_errno("listen on " + endpoint.host + ":" + std::to_string(endpoint.port));
    return fd;
}

Fd start_connect(const Endpoint& endpoint)
{
    const auto address = address_of(endpoint);
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) throw_errno("socket");
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // A connect that fails at once leaves the error to the first write, where every other failure arrives too.
    static_cast<void>(::connect(fd.get(), generic(address), sizeof address));
    return fd;
}

std::int64_t send_body(int socket, std::uint64_t count)
{
    // Copied from a buffer that stays in the second-level cache: on loopback that moves twice the bytes per second that
    // sendfile from memory does, whose page-sized fragments also make the receiver work harder.
    static const std::string text(256U << 10U, 'x');
    std::uint64_t sent = 0;
    while (sent < count) {
        const auto room = std::min<std::uint64_t>(count - sent, text.size());
        const auto n = ::send(socket, text.data(), room, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) return -1;
        sent += static_cast<std::uint64_t>(n);
        if (static_cast<std::uint64_t>(n) < room) break; // full: asking again would cost a call to hear so
    }
    return static_cast<std::int64_t>(sent);
}

std::int64_t discard(int socket, std::uint64_t count)
{
    // MSG_TRUNC on a TCP socket (tcp(7)) drops the bytes instead of storing them, so the buffer is never touched.
    constexpr std::uint64_t largest = 4U << 20U;
    return ::recv(socket, nullptr, std::min(count, largest), MSG_TRUNC);
}

std::string_view field(std::string_view header, std::string_view name)
{
    for (auto line = header.find("\r\n"); line != header.npos; line = header.find("\r\n", line + 2)) {
        const auto text = header.substr(line + 2);
        if (text.size() <= name.size() || text[name.size()] != ':') continue;
        if (::strncasecmp(text.data(), name.data(), name.size()) != 0) continue;
        auto value = text.substr(name.size() + 1, text.find("\r\n") - name.size() - 1);
        while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
        return value;
    }
    return {};
}

std::uint64_t number(std::string_view text, std::uint64_t otherwise)
{
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? value : otherwise;
}

} // namespace hotspare::bench
