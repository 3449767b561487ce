#include "balancer/serve/body_relay.hpp"

#include <algorithm>
#include <limits>

namespace hotspare::balancer {
namespace {

IoResult fill(Stream& source, Buffer& in)
{
    const IoResult io = source.read(in.prepare(read_ahead).first(read_ahead));
    if (io.io == Io::done) in.commit(io.bytes);
    return io;
}

bool is_over(const IoResult& io) noexcept
{
    return io.io == Io::eof || io.io == Io::failed;
}

} // namespace

void BodyRelay::begin(Framing framing, std::uint64_t length, bool chunked)
{
    framing_ = framing;
    chunked_ = chunked;
    left_ = length;
    complete_ = framing == Framing::none || (framing == Framing::length && length == 0);
    content_ = 0;
    piece_.restart(framing == Framing::length);
    if (framing == Framing::chunked)
        decoder_.emplace(sender_);
    else
        decoder_.reset();
}

std::uint64_t BodyRelay::owed() const noexcept
{
    if (complete_) return 0;
    return framing_ == Framing::length ? left_ : std::numeric_limits<std::uint64_t>::max();
}

std::uint64_t BodyRelay::content_bytes() const noexcept
{
    return decoder_ ? decoder_->content_bytes() : content_;
}

void BodyRelay::count(std::size_t taken) noexcept
{
    content_ += taken;
    if (framing_ != Framing::length) return;
    left_ -= taken;
    complete_ = left_ == 0;
}

BodyRelay::Step BodyRelay::read(Stream& source, Buffer& in, Buffer& out, std::size_t wanted)
{
    if (complete_) return {};
    if (framing_ == Framing::chunked) return read_chunks(source, in, out);
    if (framing_ == Framing::until_close) return read_until_close(source, in, out);

    std::size_t taken = 0;
    if (!in.empty()) {
        taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size()));
        out.append(in.text().substr(0, taken));
        in.consume(taken);
    } else {
        wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left_, wanted));
        const IoResult io = source.read(out.prepare(wanted).first(wanted));
        if (is_over(io)) return {.end = End::cut};
        out.commit(taken = io.bytes);
    }
    count(taken);
    return {.taken = taken};
}

BodyRelay::Step BodyRelay::read_until_close(Stream& source, Buffer& in, Buffer& out)
{
    if (in.empty()) {
        const IoResult io = fill(source, in);
        if (io.io == Io::failed) return {.end = End::cut};
        if (io.io == Io::eof) {
            if (chunked_) out.append("0\r\n\r\n");
            complete_ = true;
            return {};
        }
    }
    const std::size_t taken = in.size();
    if (taken == 0) return {};
    if (chunked_) {
        out.append_number(taken, 16);
        out.append("\r\n");
    }
    out.append(in.text());
    if (chunked_) out.append("\r\n");
    in.clear();
    count(taken);
    return {.taken = taken};
}

BodyRelay::Step BodyRelay::read_chunks(Stream& source, Buffer& in, Buffer& out)
{
    if (in.empty()) {
        const IoResult io = fill(source, in);
        if (is_over(io)) return {.end = End::cut};
        if (io.io == Io::blocked) return {};
    }
    const std::size_t before = in.size();
    const auto state = decoder_->decode(in, out, chunked_);
    if (state == ChunkDecoder::State::malformed) return {.end = End::malformed};
    complete_ = state == ChunkDecoder::State::done;
    std::size_t taken = before - in.size();
    if (!complete_ && taken == 0) {
        // The head of a chunk is split: the rest of it must be read behind what is there.
        const IoResult io = fill(source, in);
        if (is_over(io)) return {.end = End::cut};
        taken = io.bytes;
    }
    return {.taken = taken};
}

BodyRelay::Step BodyRelay::pass(Stream& source, Buffer& in, Stream& sink, Buffer& out, std::span<char> window,
                                std::size_t most_waiting)
{
    if (complete_) return {};
    if (!sink.writable()) {
        sink.await_writable();
        return {};
    }
    const bool plain = framing_ == Framing::length || (framing_ == Framing::until_close && !chunked_);
    if (!plain || !in.empty() || !out.empty()) {
        if (out.size() > most_waiting) return {};
        return read(source, in, out);
    }
    std::size_t wanted = std::min(piece_.next(), window.size());
    if (framing_ == Framing::length) wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left_, wanted));
    const auto piece = window.first(wanted);
    return piece_.peeks(wanted) ? pass_peeked(source, sink, out, piece) : pass_read(source, sink, out, piece);
}

BodyRelay::Step BodyRelay::pass_read(Stream& source, Stream& sink, Buffer& out, std::span<char> piece)
{
    const IoResult got = source.read(piece);
    if (got.io != Io::done) return at_end(got);
    const std::size_t sent = sink.write(piece.first(got.bytes)).bytes;
    if (sent < got.bytes) out.append({piece.data() + sent, got.bytes - sent});
    piece_.moved(got.bytes, sent);
    count(got.bytes);
    return {.taken = got.bytes, .sent = sent};
}

BodyRelay::Step BodyRelay::pass_peeked(Stream& source, Stream& sink, Buffer& out, std::span<char> piece)
{
    const IoResult got = source.peek(piece);
    if (got.io != Io::done) return at_end(got);
    const IoResult put = sink.write(piece.first(got.bytes));
    if (put.io == Io::blocked) return {};
    std::size_t taken = put.bytes;
    if (put.io == Io::failed) {
        taken = std::min(got.bytes, read_ahead);
        out.append({piece.data(), taken});
    }
    piece_.moved(got.bytes, taken);
    count(taken);
    const bool all = taken == got.bytes && got.bytes < piece.size();
    const bool dropped = source.drop(piece.first(taken), all);
    return {.end = dropped ? End::none : End::cut, .taken = taken, .sent = put.bytes};
}

/// The source had nothing: for now, or for good.
BodyRelay::Step BodyRelay::at_end(const IoResult& io) noexcept
{
    if (io.io == Io::blocked) return {};
    if (io.io == Io::failed || framing_ != Framing::until_close) return {.end = End::cut};
    complete_ = true;
    return {};
}

} // namespace hotspare::balancer
