// A TCP connection driven by readiness, not by completion: reads and writes are tried at once, and only when the kernel
// says "not now" is a wait armed, after which the listener is told that trying again makes sense. An idle connection
// therefore holds no buffer, and a request costs two waits, two reads and two writes.
//
// Thread: one worker. Owner: intrusive pointers (not atomic); a pending wait holds one, so a Stream outlives its waits.
#pragma once

#include "common/error.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace hotspare::balancer {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

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

/// Told when a stream that was blocked, or connecting, is worth another try. Implemented by the client session and by
/// the pool of idle upstream connections.
class StreamListener {
public:
    virtual void stream_ready(Stream& stream) = 0;

protected:
    ~StreamListener() = default;
};

class Stream : public boost::intrusive_ref_counter<Stream, boost::thread_unsafe_counter> {
public:
    using Socket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;
    using Ptr = boost::intrusive_ptr<Stream>;

    /// Takes over a connected socket (accepted) or an unopened one (connect() follows).
    explicit Stream(Socket socket);
    static Ptr make(Socket socket) { return Ptr(std::make_unique<Stream>(std::move(socket)).release()); }

    /// The listener that is told; nullptr = none. The listener must detach itself before it dies.
    void listen(StreamListener* listener) noexcept { listener_ = listener; }

    /// Starts to connect to the first address that takes the connection; without any, the error is that of the first
    /// one, or host_not_found. The listener is told when it is over: connecting() is then false and connect_error()
    /// says how.
    void connect(std::span<const tcp::endpoint> addresses);
    bool connecting() const noexcept { return connecting_; }
    const error_code& connect_error() const noexcept { return connect_error_; }

    IoResult read(std::span<char> into);
    IoResult write(std::span<const char> from);

    /// As read(), but the bytes stay in the socket until drop() takes them out. One peer's bytes are then held by the
    /// kernel for as long as another peer does not take them.
    IoResult peek(std::span<char> into);
    /// Takes out `bytes.size()` bytes that peek() has shown; `bytes` is scratch. `all`: no more were there. False if
    /// the connection is dead and they could not be taken out.
    bool drop(std::span<char> bytes, bool all);

    /// Asks to be told when there is something to read, without trying first.
    void await_readable();
    void await_writable();
    /// Whether a read may find something. False while a wait is pending.
    bool readable() const noexcept { return readable_; }
    /// Whether a write may move something: false from the moment the kernel took less than it was given until it takes
    /// more again.
    bool writable() const noexcept { return writable_; }

    /// Asks to be told when the connection breaks (RST), for a stream that has been read to its end. has_broken() is
    /// true from then on.
    void await_break();
    bool has_broken() const noexcept { return broken_; }

    /// Whether the peer has closed or reset the connection, or sent bytes that were not read yet. One system call.
    bool is_stale();

    /// No more writes: sends FIN after what was written.
    void shutdown_send() noexcept;
    /// Closes. With `reset`, unsent bytes are dropped and the peer sees RST.
    void close(bool reset = false) noexcept;
    bool is_open() const noexcept { return socket_.is_open(); }

    /// Gives the descriptor away; the stream is closed afterwards. -1 if that failed.
    int release();

    Socket& socket() noexcept { return socket_; }

private:
    struct Ready;
    struct Connected;
    template <class T> struct OpAllocator;

    void connect_to(const tcp::endpoint& address);
    void prepare_connected();

    // Memory for the one pending read wait, so that arming it allocates nothing. 128 bytes hold Asio 1.26's wait
    // operation (104); a larger one falls back to the heap.
    static constexpr std::size_t op_size = 128;

    Socket socket_;
    StreamListener* listener_ = nullptr;
    error_code connect_error_;
    std::vector<tcp::endpoint> further_; ///< still to try, the last one first
    bool connecting_ = false;
    bool readable_ = true;
    bool writable_ = true;
    bool read_armed_ = false;
    bool write_armed_ = false;
    bool break_armed_ = false;
    bool broken_ = false;
    bool op_memory_used_ = false;
    alignas(std::max_align_t) std::byte op_memory_[op_size];
};

} // namespace hotspare::balancer
