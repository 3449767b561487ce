// A Stream whose peer is the test: what arrives, what is taken and how it ends is scripted, what the data plane did is
// kept to be looked at. It promises what stream.hpp promises and no more, and takes down every call that the interface
// does not allow.
//
// Nothing happens by itself: the world asks each stream whether its listener is due() to be told, and tells it.
//
// Thread: the test's. Owner: intrusive pointers; the world holds one to each until it ends.
#pragma once

#include "balancer/serve/stream.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

/// What a read is like where the interface leaves that open.
enum class Reading : std::uint8_t {
    pieces, ///< one read returns one piece at most, and a short one says nothing about what is left
    socket, ///< as of TCP: pieces run together, and after a short read readable() is false
};

class ScriptedStream final : public Stream {
public:
    using Ptr = boost::intrusive_ptr<ScriptedStream>;

    /// `misuse` gets a sentence for every call that is not allowed; it outlives the stream.
    ScriptedStream(std::string name, std::vector<std::string>& misuse, Reading reading);

    static Ptr accepted(std::string name, std::vector<std::string>& misuse, Reading reading);
    static Ptr connecting_to(std::string name, std::vector<std::string>& misuse, Reading reading,
                             StreamListener& listener);

    const std::string& name() const noexcept { return name_; }

    // What the peer does

    void is_at(const boost::asio::ip::tcp::endpoint& address) { peer_ = address; }
    void accepts(); ///< the connection is made
    void fails_to_connect(const error_code& why);
    void sends(std::string_view bytes); ///< as one piece
    void sends_in_pieces(std::string_view bytes, std::size_t size);
    void finishes();               ///< FIN behind what was sent
    void breaks();                 ///< RST: what was sent can still be read, nothing can be written
    void takes(std::size_t bytes); ///< room for so many more bytes; 0 = takes nothing
    void takes_all();
    /// What it did last has not been noticed when the pool looks at the connection (Stream::may_be_reused).
    void goes_unnoticed() noexcept { unnoticed_ = true; }

    // What the peer has seen

    const std::string& got() const noexcept { return got_; }
    std::string take_got() noexcept;
    bool got_end() const noexcept { return shut_ || (closed_ && !was_reset_); }
    bool open() const noexcept { return !closed_; }
    bool closed() const noexcept { return closed_ && !was_reset_; }
    bool was_reset() const noexcept { return was_reset_; }
    bool is_connecting() const noexcept { return connecting_; }
    /// Bytes that the peer has sent and the data plane has not read.
    std::size_t unread() const noexcept;
    const StreamListener* listener() const noexcept { return listener_; }

    // For the world

    bool due() const noexcept;
    void deliver();

    IoResult read(std::span<char> into) override;
    IoResult write(std::span<const char> from) override;
    IoResult peek(std::span<char> into) override;
    bool drop(std::span<char> bytes, bool all) override;
    void await_readable() override;
    void await_writable() override;
    void await_break() override;
    bool is_quiet() override;
    bool may_be_reused() override;
    void shutdown_send() noexcept override;
    void close(bool reset = false) noexcept override;

private:
    bool usable(const char* what);
    void complain(const std::string& what);
    std::size_t copy(std::span<char> into) const noexcept;
    void consume(std::size_t bytes) noexcept;
    IoResult nothing_to_read() noexcept;

    const std::string name_;
    std::vector<std::string>& misuse_;
    const Reading reading_;

    std::deque<std::string> pieces_; ///< sent by the peer, not read yet
    bool ended_ = false;
    bool broken_ = false;
    bool unnoticed_ = false;
    std::optional<error_code> connected_;
    std::optional<std::size_t> room_; ///< none: takes everything

    std::string got_;
    std::size_t peeked_ = 0;
    bool read_wanted_ = false;
    bool write_wanted_ = false;
    bool break_wanted_ = false;
    bool shut_ = false;
    bool closed_ = false;
    bool was_reset_ = false;
};

} // namespace hotspare::balancer
