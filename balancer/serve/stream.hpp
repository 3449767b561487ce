// A connection of the data plane, driven by readiness, not by completion: reads and writes are tried at once, and only
// when nothing can move is the listener told that trying again makes sense. An idle connection therefore holds no
// buffer.
//
// The exchange of a request knows this interface only: tcp_stream has the one for real connections, the tests have one
// that plays a script. Nothing is promised here that only TCP could keep.
//
// Thread: one worker. Owner: intrusive pointers (not atomic).
#pragma once

#include "balancer/decide/ip_address.hpp"
#include "common/error.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace hotspare::balancer {

/// What a try to read or write came to.
enum class Io : std::uint8_t {
    done,    ///< at least one byte moved
    blocked, ///< nothing moved; the listener will be told when to try again
    eof,     ///< read only: the peer finished sending
    failed,  ///< the connection is dead: reset, timed out by the kernel
};

struct IoResult {
    Io io = Io::blocked;
    std::size_t bytes = 0;
};

class Stream;

/// Told when a stream that was blocked, or connecting, is worth another try. Never from inside a call to the stream.
/// Implemented by the client session and by the pool of idle upstream connections.
class StreamListener {
public:
    virtual void stream_ready(Stream& stream) = 0;

protected:
    ~StreamListener() = default;
};

class Stream : public boost::intrusive_ref_counter<Stream, boost::thread_unsafe_counter> {
public:
    using Ptr = boost::intrusive_ptr<Stream>;

    virtual ~Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// The listener that is told; nullptr = none. The listener must detach itself before it dies.
    void listen(StreamListener* listener) noexcept { listener_ = listener; }

    /// A new connection is connecting() until the listener is told; connect_error() says then how that ended.
    bool connecting() const noexcept { return connecting_; }
    const error_code& connect_error() const noexcept { return connect_error_; }

    /// Where a connection that was made leads; unspecified of one that was accepted, or whose peer has no address.
    const boost::asio::ip::tcp::endpoint& peer() const noexcept { return peer_; }

    virtual IoResult read(std::span<char> into) = 0;
    virtual IoResult write(std::span<const char> from) = 0;

    /// As read(), but the bytes stay where they are until drop() takes them out. One peer's bytes are then held for
    /// this process for as long as another peer does not take them.
    virtual IoResult peek(std::span<char> into) = 0;
    /// Takes out `bytes.size()` bytes that peek() has shown; `bytes` is scratch. `all`: no more were there. False if
    /// the connection is dead and they could not be taken out.
    virtual bool drop(std::span<char> bytes, bool all) = 0;

    /// Asks to be told when there may be something to read or room to write, without trying first.
    virtual void await_readable() = 0;
    virtual void await_writable() = 0;
    /// Whether a read may find something: false from the moment one found nothing until the listener would be told.
    bool readable() const noexcept { return readable_; }
    /// Whether a write may move something: false from the moment less was taken than was given until more is taken.
    bool writable() const noexcept { return writable_; }

    /// Asks to be told when the connection breaks, for a stream that has been read to its end or is not read now.
    /// has_broken() is true from then on.
    virtual void await_break() = 0;
    bool has_broken() const noexcept { return has_broken_; }

    /// Whether the peer has neither closed the connection nor sent anything that was not read.
    virtual bool is_quiet() = 0;
    /// The same for a connection on which another request is to be sent (RFC 9112 §9.2); what happened in the last
    /// moments may be missed, which any proxy may: it can also happen a moment later.
    virtual bool may_be_reused() { return is_quiet(); }
    /// Whether may_be_reused() would say so without asking anybody.
    virtual bool is_known_quiet() const { return false; }

    /// Where the peer has connected to, if the stream knows.
    virtual std::optional<IpEndpoint> local_endpoint() const { return std::nullopt; }

    /// No more writes: the peer sees the end behind what was written.
    virtual void shutdown_send() noexcept = 0;
    /// Closes, and forgets the listener. With `reset`, unsent bytes are dropped and the peer sees that the connection
    /// was broken off.
    virtual void close(bool reset = false) noexcept = 0;

protected:
    Stream() = default;

    /// May destroy the stream, unless the caller holds it.
    void tell()
    {
        if (listener_ != nullptr) listener_->stream_ready(*this);
    }

    StreamListener* listener_ = nullptr;
    error_code connect_error_;
    boost::asio::ip::tcp::endpoint peer_;
    bool connecting_ = false;
    bool readable_ = true;
    bool writable_ = true;
    bool has_broken_ = false;
};

} // namespace hotspare::balancer
