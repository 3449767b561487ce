// A TCP connection of a worker's event loop.
//
// Thread, owner: as of every Stream. The loop must outlive it.
#pragma once

#include "balancer/serve/event_loop.hpp"
#include "balancer/serve/stream.hpp"
#include "common/socket.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace hotspare::balancer {

IpEndpoint ip_endpoint(const boost::asio::ip::tcp::endpoint& endpoint) noexcept;

class TcpStream final : public Stream, private EventLoop::Watcher {
public:
    using Endpoint = boost::asio::ip::tcp::endpoint;

    /// A connection that is there already; non-blocking. Any socket of bytes will do. Null if the loop cannot watch it,
    /// which closes it.
    static Ptr adopt(EventLoop& loop, Fd socket);

    /// Starts to connect to the first address that takes the connection; without any, the error is that of the first
    /// one, or host_not_found.
    static Ptr connect(EventLoop& loop, std::span<const Endpoint> addresses, StreamListener& listener);

    /// The same to a Unix socket, whose path fits into its address. Such a stream has no peer().
    static Ptr connect_local(EventLoop& loop, const std::string& path, StreamListener& listener);

    /// Without a socket: for accepted() and connect().
    explicit TcpStream(EventLoop& loop) noexcept : loop_(loop) {}
    ~TcpStream();

    IoResult read(std::span<char> into) override;
    IoResult write(std::span<const char> from) override;
    IoResult peek(std::span<char> into) override;
    bool drop(std::span<char> bytes, bool all) override;
    void await_readable() override;
    void await_writable() override;
    void await_break() override;
    bool is_quiet() override;
    bool may_be_reused() override;
    bool is_known_quiet() const override;
    std::optional<IpEndpoint> local_endpoint() const override;
    void shutdown_send() noexcept override;
    void close(bool reset = false) noexcept override;

private:
    void note(std::uint32_t events) override;
    void act() override;
    static boost::intrusive_ptr<TcpStream> connecting(EventLoop& loop, StreamListener& listener);
    void connect_to(const Endpoint& address);
    void connect_to(const sockaddr* address, socklen_t size, int protocol);
    void connected(error_code ec);
    void connected_later(error_code ec);
    void tell_later();
    void tell_if_wanted();
    IoResult nothing_to_read() noexcept;
    void emptied() noexcept;

    EventLoop& loop_;
    Fd socket_;
    std::vector<Endpoint> further_; ///< still to try, the last one first
    std::uint64_t read_look_ = 0;   ///< the loop's latest look when it was last read
    bool read_wanted_ = false;
    bool write_wanted_ = false;
    bool break_wanted_ = false;
    bool peer_ended_ = false; ///< its FIN or RST is in the socket: a read finds that, if nothing else
    bool hung_up_ = false;    ///< reset, or closed on both sides
};

} // namespace hotspare::balancer
