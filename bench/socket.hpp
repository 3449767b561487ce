// The few socket operations that the benchmark programs share. They speak epoll directly instead of Asio: the load and
// the origin share one core while a proxy is measured on the other, so each must cost less per request than what it
// measures.
//
// Thread: none of its own; every value belongs to the event loop that created it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace hotspare::bench {

/// Closes its descriptor when it goes.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) noexcept : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept
    {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd();

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    void reset() noexcept { Fd().swap(*this); }
    void swap(Fd& other) noexcept { std::swap(fd_, other.fd_); }

private:
    int fd_ = -1;
};

/// An IPv4 address and port, "127.0.0.1:5000".
struct Endpoint {
    std::string host;
    std::uint16_t port = 0;

    /// Throws std::invalid_argument that names `text`.
    static Endpoint parse(std::string_view text);
};

/// A non-blocking listener with the largest backlog the kernel allows. Throws std::system_error.
Fd listen_on(const Endpoint& endpoint);

/// Starts a non-blocking connect with TCP_NODELAY; the outcome is what the first write meets. Throws std::system_error
/// only when no socket can be made at all (descriptors exhausted).
Fd start_connect(const Endpoint& endpoint);

/// Sends up to `count` bytes of meaningless text. Returns the number sent: less than `count` when the socket is full,
/// -1 when the connection is gone.
std::int64_t send_body(int socket, std::uint64_t count);

/// Discards up to `count` received bytes in the kernel, without copying them out. Same results as recv(2).
std::int64_t discard(int socket, std::uint64_t count);

/// The value of a header field in a complete header section, name compared without case; empty when absent.
std::string_view field(std::string_view header, std::string_view name);

/// The number `text` says, or `otherwise` when it is not one.
std::uint64_t number(std::string_view text, std::uint64_t otherwise);

} // namespace hotspare::bench
