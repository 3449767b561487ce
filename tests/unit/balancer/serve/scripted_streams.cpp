#include "tests/unit/balancer/serve/scripted_streams.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace hotspare::balancer {

ScriptedStream::ScriptedStream(std::string name, std::vector<std::string>& misuse, Reading reading)
    : name_(std::move(name)), misuse_(misuse), reading_(reading)
{
}

ScriptedStream::Ptr ScriptedStream::accepted(std::string name, std::vector<std::string>& misuse, Reading reading)
{
    return std::make_unique<ScriptedStream>(std::move(name), misuse, reading).release();
}

ScriptedStream::Ptr ScriptedStream::connecting_to(std::string name, std::vector<std::string>& misuse, Reading reading,
                                                  StreamListener& listener)
{
    Ptr stream = accepted(std::move(name), misuse, reading);
    stream->listener_ = &listener;
    stream->connecting_ = true;
    stream->readable_ = stream->writable_ = false;
    return stream;
}

// ------------------------------------------------------------------------------------------------- what the peer does

void ScriptedStream::accepts()
{
    if (connecting_) connected_ = error_code{};
}

void ScriptedStream::fails_to_connect(const error_code& why)
{
    if (connecting_) connected_ = why;
}

void ScriptedStream::sends(std::string_view bytes)
{
    if (closed_ || ended_ || broken_ || bytes.empty()) return;
    pieces_.emplace_back(bytes);
    if (!connecting_) readable_ = true;
}

void ScriptedStream::sends_in_pieces(std::string_view bytes, std::size_t size)
{
    for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) sends(bytes.substr(0, size));
}

void ScriptedStream::finishes()
{
    if (closed_) return;
    ended_ = true;
    if (!connecting_) readable_ = true;
}

void ScriptedStream::breaks()
{
    if (closed_) return;
    broken_ = true;
    if (!connecting_) readable_ = writable_ = true;
}

void ScriptedStream::takes(std::size_t bytes)
{
    room_ = bytes;
    if (bytes > 0 && !connecting_) writable_ = true;
}

void ScriptedStream::takes_all()
{
    room_.reset();
    if (!connecting_) writable_ = true;
}

std::string ScriptedStream::take_got() noexcept
{
    return std::exchange(got_, {});
}

std::size_t ScriptedStream::unread() const noexcept
{
    std::size_t bytes = 0;
    for (const std::string& piece : pieces_) bytes += piece.size();
    return bytes;
}

// --------------------------------------------------------------------------------------------------------- for the
// world

bool ScriptedStream::due() const noexcept
{
    if (closed_) return false;
    if (connecting_) return connected_.has_value();
    return (read_wanted_ && readable_) || (write_wanted_ && writable_) || (break_wanted_ && broken_ && !has_broken_);
}

void ScriptedStream::deliver()
{
    const Ptr self(this);
    if (connecting_) {
        connecting_ = false;
        connect_error_ = *connected_;
        readable_ = writable_ = !connect_error_;
        tell();
        return;
    }
    if (readable_) read_wanted_ = false;
    if (writable_) write_wanted_ = false;
    if (break_wanted_ && broken_) has_broken_ = true;
    tell();
}

// ----------------------------------------------------------------------------------------------- what the data plane
// does

void ScriptedStream::complain(const std::string& what)
{
    misuse_.push_back(name_ + ": " + what);
}

bool ScriptedStream::usable(const char* what)
{
    if (closed_)
        complain(std::string(what) + " after close");
    else if (connecting_)
        complain(std::string(what) + " while connecting");
    else if (connect_error_)
        complain(std::string(what) + " without a connection");
    else
        return true;
    return false;
}

IoResult ScriptedStream::nothing_to_read() noexcept
{
    readable_ = false;
    read_wanted_ = true;
    return {};
}

std::size_t ScriptedStream::copy(std::span<char> into) const noexcept
{
    std::size_t copied = 0;
    for (const std::string& piece : pieces_) {
        const auto n = std::min(piece.size(), into.size() - copied);
        std::copy_n(piece.data(), n, into.data() + copied);
        copied += n;
        if (reading_ == Reading::pieces) break;
    }
    return copied;
}

void ScriptedStream::consume(std::size_t bytes) noexcept
{
    while (bytes > 0 && !pieces_.empty()) {
        std::string& piece = pieces_.front();
        const auto n = std::min(piece.size(), bytes);
        piece.erase(0, n);
        bytes -= n;
        if (piece.empty()) pieces_.pop_front();
    }
}

IoResult ScriptedStream::peek(std::span<char> into)
{
    if (!usable("a read")) return {Io::failed, 0};
    // recv() of no bytes returns 0, which reads as the end of the connection.
    if (into.empty()) complain("a read of no bytes");
    if (!readable_) return nothing_to_read();
    if (pieces_.empty()) {
        if (broken_) return {Io::failed, 0};
        if (ended_) return {Io::eof, 0};
        return nothing_to_read();
    }
    peeked_ = copy(into);
    return {Io::done, peeked_};
}

IoResult ScriptedStream::read(std::span<char> into)
{
    const IoResult io = peek(into);
    if (io.io != Io::done) return io;
    consume(io.bytes);
    peeked_ = 0;
    if (reading_ == Reading::socket && io.bytes < into.size()) readable_ = ended_ || broken_;
    return io;
}

bool ScriptedStream::drop(std::span<char> bytes, bool all)
{
    if (!usable("a drop")) return false;
    if (bytes.size() > peeked_) complain("a drop of more than was shown");
    consume(bytes.size());
    peeked_ = 0;
    if (reading_ == Reading::socket && all) readable_ = ended_ || broken_;
    return true;
}

IoResult ScriptedStream::write(std::span<const char> from)
{
    if (!usable("a write")) return {Io::failed, 0};
    if (from.empty()) complain("a write of no bytes");
    if (shut_) complain("a write after the end");
    if (broken_) return {Io::failed, 0};
    const std::size_t taken = std::min(room_.value_or(from.size()), from.size());
    if (!writable_ || taken == 0) {
        writable_ = false;
        write_wanted_ = true;
        return {};
    }
    got_.append(from.data(), taken);
    if (room_) *room_ -= taken;
    writable_ = taken == from.size();
    return {Io::done, taken};
}

void ScriptedStream::await_readable()
{
    if (!closed_) read_wanted_ = true;
}

void ScriptedStream::await_writable()
{
    if (!closed_) write_wanted_ = true;
}

void ScriptedStream::await_break()
{
    if (!closed_) break_wanted_ = true;
}

bool ScriptedStream::is_quiet()
{
    if (!usable("a look")) return false;
    if (!pieces_.empty() || ended_ || broken_) return false;
    readable_ = false;
    return true;
}

bool ScriptedStream::may_be_reused()
{
    return unnoticed_ || is_quiet();
}

void ScriptedStream::shutdown_send() noexcept
{
    if (!usable("an end")) return;
    shut_ = true;
}

void ScriptedStream::close(bool reset) noexcept
{
    listener_ = nullptr;
    connecting_ = false;
    if (std::exchange(closed_, true)) return;
    was_reset_ = reset;
    pieces_.clear();
}

} // namespace hotspare::balancer
