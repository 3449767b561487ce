#include "balancer/serve/tcp_stream.hpp"

#include "common/error.hpp"
#include "common/unix_address.hpp"

#include <boost/asio/error.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <utility>

namespace hotspare::balancer {
namespace {

/// How old the loop's knowledge of a socket may be when a request is to be sent on it. Beyond that, and for a socket
/// that was read since, the kernel is asked.
constexpr Duration fresh_enough = microseconds(200);

bool would_block() noexcept
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

} // namespace

IpEndpoint ip_endpoint(const TcpStream::Endpoint& endpoint) noexcept
{
    const auto address = endpoint.address();
    if (address.is_v4()) return {IpAddress::v4(address.to_v4().to_bytes()), endpoint.port()};
    return {IpAddress::v6(address.to_v6().to_bytes()), endpoint.port()};
}

Stream::Ptr TcpStream::adopt(EventLoop& loop, Fd socket)
{
    const boost::intrusive_ptr stream(std::make_unique<TcpStream>(loop).release());
    stream->socket_ = std::move(socket);
    if (loop.watch(stream->socket_.get(), *stream)) return nullptr;
    return stream;
}

boost::intrusive_ptr<TcpStream> TcpStream::connecting(EventLoop& loop, StreamListener& listener)
{
    boost::intrusive_ptr stream(std::make_unique<TcpStream>(loop).release());
    stream->listener_ = &listener;
    stream->connecting_ = true;
    stream->readable_ = stream->writable_ = false;
    return stream;
}

Stream::Ptr TcpStream::connect_local(EventLoop& loop, const std::string& path, StreamListener& listener)
{
    const auto stream = connecting(loop, listener);
    if (const auto address = unix_address(path))
        stream->connect_to(address->get(), address->size, 0);
    else
        stream->connected_later({ENAMETOOLONG, boost::system::system_category()});
    return stream;
}

Stream::Ptr TcpStream::connect(EventLoop& loop, std::span<const Endpoint> addresses, StreamListener& listener)
{
    const auto stream = connecting(loop, listener);
    if (addresses.empty()) {
        stream->connected_later(boost::asio::error::host_not_found);
        return stream;
    }
    stream->further_.assign(addresses.rbegin(), addresses.rend() - 1);
    stream->connect_to(addresses.front());
    return stream;
}

TcpStream::~TcpStream()
{
    close();
}

// ---------------------------------------------------------------------------------------------------------- connecting

void TcpStream::connect_to(const Endpoint& address)
{
    peer_ = address;
    connect_to(address.data(), static_cast<socklen_t>(address.size()), IPPROTO_TCP);
}

void TcpStream::connect_to(const sockaddr* address, socklen_t size, int protocol)
{
    socket_ = Fd(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
    if (!socket_) return connected_later(last_system_error()); // EMFILE and the like
    const int started = ::connect(socket_.get(), address, size);
    if (started != 0 && errno != EINPROGRESS) // a Unix socket connects at once, or not
        return connected_later(address->sa_family == AF_UNIX ? connect_failure(errno) : last_system_error());
    // Not before connect(): a socket without a connection counts as hung up. After it, all that happens is told.
    if (const error_code ec = loop_.watch(socket_.get(), *this)) connected_later(ec);
}

void TcpStream::connected_later(error_code ec)
{
    loop_.defer([self = boost::intrusive_ptr(this), ec] {
        if (self->connecting_) self->connected(ec);
    });
}

void TcpStream::connected(error_code ec)
{
    if (ec && !connect_error_) connect_error_ = ec; // the preferred address's tells most
    if (ec) {
        if (socket_) loop_.forget(*this);
        socket_.reset();
        readable_ = writable_ = peer_ended_ = hung_up_ = false;
        if (!further_.empty() && !is_own_shortage(connect_error_)) {
            const auto next = further_.back();
            further_.pop_back();
            return connect_to(next);
        }
    } else {
        const int on = 1;
        ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connect_error_ = {};
    }
    connecting_ = false;
    tell();
}

// -------------------------------------------------------------------------------------------------------------- events

void TcpStream::note(std::uint32_t events)
{
    hung_up_ |= (events & (EPOLLERR | EPOLLHUP)) != 0;
    peer_ended_ |= hung_up_ || (events & EPOLLRDHUP) != 0;
    readable_ |= peer_ended_ || (events & EPOLLIN) != 0;
    writable_ |= hung_up_ || (events & EPOLLOUT) != 0;
}

void TcpStream::act()
{
    const Ptr self(this); // the listener may let go of it
    if (!connecting_) return tell_if_wanted();
    if (const int error = take_error(socket_)) return connected({error, boost::system::system_category()});
    if (writable_) connected({});
}

void TcpStream::tell_if_wanted()
{
    const bool read = read_wanted_ && readable_;
    const bool write = write_wanted_ && writable_;
    const bool broken = break_wanted_ && hung_up_ && !has_broken_;
    if (!read && !write && !broken) return;
    if (read) read_wanted_ = false;
    if (write) write_wanted_ = false;
    if (broken) has_broken_ = true;
    tell();
}

void TcpStream::tell_later()
{
    loop_.defer([self = boost::intrusive_ptr(this)] {
        if (self->socket_) self->tell_if_wanted();
    });
}

void TcpStream::await_readable()
{
    if (!socket_) return;
    if (!std::exchange(read_wanted_, true) && readable_) tell_later();
}

void TcpStream::await_writable()
{
    if (!socket_) return;
    if (!std::exchange(write_wanted_, true) && writable_) tell_later();
}

void TcpStream::await_break()
{
    if (!socket_) return;
    if (!std::exchange(break_wanted_, true) && hung_up_) tell_later();
}

// ------------------------------------------------------------------------------------------------- reading and writing

/// A short read emptied the socket: another try would only fetch EAGAIN. What came meanwhile the loop tells, but for an
/// end that it has told already.
void TcpStream::emptied() noexcept
{
    readable_ = peer_ended_;
}

IoResult TcpStream::nothing_to_read() noexcept
{
    readable_ = false;
    read_wanted_ = true;
    return {};
}

IoResult TcpStream::read(std::span<char> into)
{
    if (!readable_) return nothing_to_read();
    read_look_ = loop_.looks();
    for (;;) {
        const auto n = ::recv(socket_.get(), into.data(), into.size(), 0);
        if (n > 0) {
            if (static_cast<std::size_t>(n) < into.size()) emptied();
            return {Io::done, static_cast<std::size_t>(n)};
        }
        if (n == 0) return {Io::eof, 0};
        if (errno == EINTR) continue;
        if (would_block()) return nothing_to_read();
        return {Io::failed, 0};
    }
}

IoResult TcpStream::peek(std::span<char> into)
{
    if (!readable_) return nothing_to_read();
    read_look_ = loop_.looks();
    for (;;) {
        const auto n = ::recv(socket_.get(), into.data(), into.size(), MSG_PEEK);
        if (n > 0) return {Io::done, static_cast<std::size_t>(n)};
        if (n == 0) return {Io::eof, 0};
        if (errno == EINTR) continue;
        if (would_block()) return nothing_to_read();
        return {Io::failed, 0};
    }
}

bool TcpStream::drop(std::span<char> bytes, bool all)
{
    while (!bytes.empty()) {
        // Of a TCP socket MSG_TRUNC takes bytes out without copying them (tcp(7)).
        const auto n = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_TRUNC);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    if (all) emptied();
    return true;
}

IoResult TcpStream::write(std::span<const char> from)
{
    if (!writable_) {
        write_wanted_ = true;
        return {};
    }
    for (;;) {
        const auto n = ::send(socket_.get(), from.data(), from.size(), MSG_NOSIGNAL);
        if (n >= 0) {
            writable_ = static_cast<std::size_t>(n) == from.size();
            return {Io::done, static_cast<std::size_t>(n)};
        }
        if (errno == EINTR) continue;
        if (!would_block()) return {Io::failed, 0};
        writable_ = false;
        write_wanted_ = true;
        return {};
    }
}

bool TcpStream::is_known_quiet() const
{
    return !readable_ && read_look_ != loop_.looks() && Clock::now() < loop_.known_until() + fresh_enough;
}

bool TcpStream::may_be_reused()
{
    if (is_known_quiet()) return true;
    if (readable_) return is_quiet(); // as if it had been told so
    loop_.look();                     // which other connections of this turn profit from
    return is_known_quiet() || (!readable_ && is_quiet());
}

bool TcpStream::is_quiet()
{
    if (peer_ended_) return false;
    char byte;
    const auto n = ::recv(socket_.get(), &byte, 1, MSG_PEEK);
    if (n >= 0 || !would_block()) return false;
    readable_ = false;
    return true;
}

// ------------------------------------------------------------------------------------------------------------- closing

std::optional<IpEndpoint> TcpStream::local_endpoint() const
{
    Endpoint endpoint;
    auto size = static_cast<socklen_t>(endpoint.capacity());
    if (::getsockname(socket_.get(), endpoint.data(), &size) != 0) return std::nullopt;
    endpoint.resize(size);
    return ip_endpoint(endpoint);
}

void TcpStream::shutdown_send() noexcept
{
    ::shutdown(socket_.get(), SHUT_WR);
}

void TcpStream::close(bool reset) noexcept
{
    listener_ = nullptr;
    connecting_ = false;
    if (!socket_) return;
    loop_.forget(*this);
    if (reset)
        close_with_reset(socket_);
    else
        socket_.reset();
}

} // namespace hotspare::balancer
