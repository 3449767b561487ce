#include "balancer/serve/stream.hpp"

#include <boost/asio/buffer.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace hotspare::balancer {

template <class T> struct Stream::OpAllocator {
    using value_type = T;

    explicit OpAllocator(Stream* s) noexcept : stream(s) {}
    template <class U> OpAllocator(const OpAllocator<U>& other) noexcept : stream(other.stream) {}

    T* allocate(std::size_t n)
    {
        if (n * sizeof(T) <= op_size && !stream->op_memory_used_) {
            stream->op_memory_used_ = true;
            return reinterpret_cast<T*>(stream->op_memory_);
        }
        return static_cast<T*>(::operator new(n * sizeof(T)));
    }

    void deallocate(T* p, std::size_t) noexcept
    {
        if (reinterpret_cast<std::byte*>(p) == stream->op_memory_)
            stream->op_memory_used_ = false;
        else
            ::operator delete(p);
    }

    template <class U> bool operator==(const OpAllocator<U>& other) const noexcept { return stream == other.stream; }

    Stream* stream;
};

// The handler's pointer keeps the stream, and with it the operation's memory, alive: Asio moves the handler out of that
// memory before it frees the memory and calls the handler.
struct Stream::Ready {
    using allocator_type = OpAllocator<char>;
    allocator_type get_allocator() const noexcept { return allocator_type(stream.get()); }

    void operator()(const error_code& ec) const
    {
        switch (what) {
        case Socket::wait_read:
            stream->read_armed_ = false;
            stream->readable_ = true;
            break;
        case Socket::wait_write:
            stream->write_armed_ = false;
            stream->writable_ = true;
            break;
        case Socket::wait_error:
            stream->break_armed_ = false;
            stream->broken_ = ec != asio::error::operation_aborted;
            break;
        }
        if (ec == asio::error::operation_aborted) return;
        if (stream->listener_ != nullptr) stream->listener_->stream_ready(*stream);
    }

    Ptr stream;
    Socket::wait_type what;
};

struct Stream::Connected {
    void operator()(const error_code& ec) const
    {
        if (!stream->connecting_) return;
        if (ec && !stream->connect_error_) stream->connect_error_ = ec; // the preferred address's tells most
        if (ec && !stream->further_.empty() && !is_own_shortage(stream->connect_error_)) {
            const auto next = stream->further_.back();
            stream->further_.pop_back();
            error_code ignored;
            stream->socket_.close(ignored);
            return stream->connect_to(next);
        }
        stream->connecting_ = false;
        if (!ec) stream->prepare_connected();
        if (stream->listener_ != nullptr) stream->listener_->stream_ready(*stream);
    }

    Ptr stream;
};

Stream::Stream(Socket socket) : socket_(std::move(socket))
{
    if (socket_.is_open()) {
        error_code ignored;
        socket_.non_blocking(true, ignored);
    }
}

void Stream::connect(std::span<const tcp::endpoint> addresses)
{
    connecting_ = true;
    if (addresses.empty()) {
        asio::post(socket_.get_executor(), [self = Ptr(this)] { Connected{self}(asio::error::host_not_found); });
        return;
    }
    further_.assign(addresses.rbegin(), addresses.rend() - 1);
    connect_to(addresses.front());
}

void Stream::connect_to(const tcp::endpoint& address)
{
    error_code ec;
    socket_.open(address.protocol(), ec);
    if (!ec) socket_.non_blocking(true, ec);
    if (ec) {
        // EMFILE and the like: reported through the listener as every other failure, never from inside connect().
        asio::post(socket_.get_executor(), [self = Ptr(this), ec] { Connected{self}(ec); });
        return;
    }
    socket_.async_connect(address, Connected{Ptr(this)});
}

void Stream::prepare_connected()
{
    // Connecting has left the descriptor registered for EPOLLOUT, and Asio never takes that back: every acknowledgement
    // would wake the event loop for nothing. A new registration starts without it.
    error_code ec;
    const auto protocol = socket_.local_endpoint(ec).protocol();
    const int descriptor = socket_.release(ec);
    if (!ec) {
        socket_.assign(protocol, descriptor, ec);
        if (ec) ::close(descriptor);
    }
    if (!ec) socket_.non_blocking(true, ec);
    if (!ec) socket_.set_option(tcp::no_delay(true), ec);
    connect_error_ = ec;
    readable_ = false; // no server of HTTP speaks first
}

IoResult Stream::read(std::span<char> into)
{
    if (!readable_) {
        await_readable();
        return {Io::blocked, 0};
    }
    error_code ec;
    const std::size_t n = socket_.read_some(asio::buffer(into.data(), into.size()), ec);
    if (!ec) {
        // A short read emptied the socket: another try would only fetch EAGAIN. A FIN or more data that came meanwhile
        // fires the wait at once, because arming it re-examines the socket.
        if (n < into.size()) readable_ = false;
        return {Io::done, n};
    }
    if (ec == asio::error::would_block || ec == asio::error::try_again) {
        readable_ = false;
        await_readable();
        return {Io::blocked, 0};
    }
    return {ec == asio::error::eof ? Io::eof : Io::failed, 0};
}

IoResult Stream::peek(std::span<char> into)
{
    if (!readable_) {
        await_readable();
        return {Io::blocked, 0};
    }
    for (;;) {
        const auto n = ::recv(socket_.native_handle(), into.data(), into.size(), MSG_PEEK | MSG_DONTWAIT);
        if (n > 0) return {Io::done, static_cast<std::size_t>(n)};
        if (n == 0) return {Io::eof, 0};
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) return {Io::failed, 0};
        readable_ = false;
        await_readable();
        return {Io::blocked, 0};
    }
}

bool Stream::drop(std::span<char> bytes, bool all)
{
    while (!bytes.empty()) {
        // Of a TCP socket MSG_TRUNC takes bytes out without copying them (tcp(7)).
        const auto n = ::recv(socket_.native_handle(), bytes.data(), bytes.size(), MSG_TRUNC | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    if (all) readable_ = false; // as after a short read
    return true;
}

IoResult Stream::write(std::span<const char> from)
{
    if (!writable_) {
        await_writable();
        return {Io::blocked, 0};
    }
    error_code ec;
    const std::size_t n = socket_.write_some(asio::buffer(from.data(), from.size()), ec);
    if (!ec) {
        if (n < from.size()) writable_ = false;
        return {Io::done, n};
    }
    if (ec == asio::error::would_block || ec == asio::error::try_again) {
        writable_ = false;
        await_writable();
        return {Io::blocked, 0};
    }
    return {Io::failed, 0};
}

void Stream::await_readable()
{
    if (read_armed_ || !socket_.is_open()) return;
    read_armed_ = true;
    readable_ = false;
    socket_.async_wait(Socket::wait_read, Ready{Ptr(this), Socket::wait_read});
}

void Stream::await_writable()
{
    if (write_armed_ || !socket_.is_open()) return;
    write_armed_ = true;
    socket_.async_wait(Socket::wait_write, Ready{Ptr(this), Socket::wait_write});
}

void Stream::await_break()
{
    if (break_armed_ || broken_ || !socket_.is_open()) return;
    break_armed_ = true;
    socket_.async_wait(Socket::wait_error, Ready{Ptr(this), Socket::wait_error});
}

bool Stream::is_stale()
{
    char byte;
    const auto n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return !(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

void Stream::shutdown_send() noexcept
{
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
}

void Stream::close(bool reset) noexcept
{
    listener_ = nullptr;
    connecting_ = false;
    if (!socket_.is_open()) return;
    error_code ignored;
    if (reset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    socket_.close(ignored);
}

int Stream::release()
{
    listener_ = nullptr;
    error_code ec;
    const int fd = socket_.release(ec);
    return ec ? -1 : fd;
}

} // namespace hotspare::balancer
