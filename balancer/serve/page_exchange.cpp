#include "balancer/serve/page_exchange.hpp"

#include "balancer/serve/own_answer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace hotspare::balancer {
namespace {

/// The pages answer within milliseconds, and an operator's request waits for the monitor for a second at most.
constexpr Duration longest_wait = seconds(30);
/// Heads of the pages are ours.
constexpr http::HeadLimits page_limits{.request_line = 8 * 1024, .head = 16 * 1024, .fields = FieldList::max_fields};
constexpr std::size_t most_waiting = 64 * 1024;
constexpr std::size_t most_moved = 4 * relay_window;

} // namespace

PageExchange::PageExchange(DataPlane& plane, Stream& client, Buffer& client_in, Stream::Ptr page,
                           StreamListener& listener, const RequestHead& head, TimePoint now)
    : plane_(plane), client_(client), client_in_(client_in), page_(std::move(page)),
      keep_alive_(head.keep_alive && !plane.draining), to_head_(head.method == beast_http::verb::head),
      version_(head.version), last_progress_(now)
{
    page_->listen(&listener);
    request_body_.begin(head.framing, head.content_length, head.framing == Framing::chunked);
}

PageExchange::~PageExchange()
{
    page_->close(phase_ != Phase::relaying || !response_body_.complete());
}

TimePoint PageExchange::next_deadline() const noexcept
{
    switch (phase_) {
    case Phase::asking: return last_progress_ + longest_wait;
    case Phase::relaying:
        return response_out_.empty() ? TimePoint::max() : last_progress_ + plane_.topology().timeouts.body_idle;
    case Phase::tunnel: return tunnel_.deadline();
    }
    return TimePoint::max();
}

PageExchange::Progress PageExchange::advance(TimePoint now)
{
    moved_ = 0;
    if (phase_ == Phase::asking) {
        const Progress progress = ask(now);
        if (phase_ == Phase::asking) return progress;
    }
    return phase_ == Phase::tunnel ? run_tunnel(now) : relay(now);
}

PageExchange::Progress PageExchange::ask(TimePoint now)
{
    for (std::size_t before = moved_;; before = moved_) {
        pass_request(now);
        if (!take_response(now)) return give_up(503, "the balancer's own pages do not answer", now);
        if (phase_ != Phase::asking) return Progress::blocked;
        if (moved_ == before) break;
        if (moved_ >= most_moved) return Progress::busy;
    }
    if (flush(now) == Io::failed) return Progress::abort; // an interim response
    if (now >= last_progress_ + longest_wait)
        return give_up(504, "the balancer's own pages did not answer in time", now);
    return watch_client() ? Progress::blocked : Progress::abort;
}

/// Moves what the client has sent of the body.
void PageExchange::pass_request(TimePoint now)
{
    while (!page_ended_) {
        while (!request_out_.empty()) {
            const IoResult io = page_->write(request_out_.data());
            if (io.io == Io::blocked) return;
            if (io.io == Io::failed) {
                page_ended_ = true;
                request_out_.clear();
                return;
            }
            request_out_.consume(io.bytes);
            last_progress_ = now;
        }
        if (request_body_.complete() || moved_ >= most_moved) return;
        const BodyRelay::Step step = request_body_.read(client_, client_in_, request_out_);
        if (step.end != BodyRelay::End::none) {
            // Cut or malformed: what the pages make of a body that ends there is the answer.
            page_ended_ = true;
            page_->shutdown_send();
            return;
        }
        moved_ += step.taken;
        if (step.taken == 0) return;
    }
}

/// False if the pages have closed without an answer.
bool PageExchange::take_response(TimePoint now)
{
    while (phase_ == Phase::asking) {
        const IoResult io = page_->read(response_in_.prepare(read_ahead));
        if (io.io == Io::blocked) return true;
        if (io.io != Io::done) return false;
        response_in_.commit(io.bytes);
        moved_ += io.bytes;
        while (phase_ == Phase::asking && take_head(now)) {
        }
    }
    return true;
}

/// True if there was a whole head.
bool PageExchange::take_head(TimePoint now)
{
    if (response_in_.empty() || scanner_.scan(response_in_.text(), page_limits) != HeadScanner::Found::complete)
        return false;
    ResponseHead& head = plane_.response_head;
    const std::size_t size = scanner_.head_size();
    if (parse_response(response_in_.text().substr(0, size), to_head_, head)) return false;
    last_progress_ = now;

    const bool interim = head.status / 100 == 1 && head.status != 101;
    // A stream has no end that another request could follow.
    if (!interim && head.framing == Framing::until_close) keep_alive_ = false;
    if (!interim && !request_body_.complete()) keep_alive_ = false;
    if (!interim || version_ >= 11)
        write_response(head,
                       {.served_by = {},
                        .request_id = {},
                        .client_version = version_,
                        .keep_alive = interim || keep_alive_,
                        .chunked = head.framing == Framing::chunked},
                       response_out_);
    response_in_.consume(size);
    scanner_.reset();
    if (interim) return true;
    if (head.status == 101) {
        tunnel_.begin(plane_.topology().timeouts.tunnel_idle, now);
        phase_ = Phase::tunnel;
        return true;
    }
    response_body_.begin(head.framing, head.content_length, head.framing == Framing::chunked);
    phase_ = Phase::relaying;
    return true;
}

PageExchange::Progress PageExchange::relay(TimePoint now)
{
    for (std::size_t before = moved_;; before = moved_) {
        const BodyRelay::Step step =
            response_body_.pass(*page_, response_in_, client_, response_out_, plane_.window(), most_waiting);
        if (step.taken > 0) last_progress_ = now;
        moved_ += step.taken + step.sent;
        if (step.end != BodyRelay::End::none) return Progress::abort;
        const Io flushed = flush(now);
        if (flushed == Io::failed) return Progress::abort;
        if (flushed == Io::done && response_body_.complete()) return delivered();
        if (moved_ == before) break;
        if (moved_ >= most_moved) return Progress::busy;
    }
    if (now >= next_deadline()) return Progress::abort;
    return watch_client() ? Progress::blocked : Progress::abort;
}

PageExchange::Progress PageExchange::delivered() const noexcept
{
    const bool more = keep_alive_ && request_body_.complete() && (!client_ended_ || !client_in_.empty());
    return more ? Progress::reusable : Progress::close;
}

PageExchange::Progress PageExchange::run_tunnel(TimePoint now)
{
    switch (tunnel_.run({client_, client_in_, response_out_}, {*page_, response_in_, request_out_},
                        {plane_.window(), most_waiting, most_moved}, moved_, now)) {
    case Tunnel::State::open: break;
    case Tunnel::State::over:
    case Tunnel::State::silent: return Progress::close;
    case Tunnel::State::broken: return Progress::abort;
    }
    return moved_ >= most_moved ? Progress::busy : Progress::blocked;
}

/// done: everything is written.
Io PageExchange::flush(TimePoint now)
{
    while (!response_out_.empty()) {
        const IoResult io = client_.write(response_out_.data());
        if (io.io != Io::done) return io.io;
        response_out_.consume(io.bytes);
        moved_ += io.bytes;
        last_progress_ = now;
    }
    return Io::done;
}

/// Behind its request the client can pipeline another, half-close, which the pages shall know of, or vanish: false.
bool PageExchange::watch_client()
{
    client_.await_break();
    if (client_.has_broken()) return false;
    if (!request_body_.complete() || client_ended_) return true;
    if (!client_.readable()) {
        client_.await_readable();
        return true;
    }
    if (client_in_.size() >= plane_.topology().limits.header) return true;
    const IoResult io = client_.read(client_in_.prepare(read_ahead));
    switch (io.io) {
    case Io::done:
        client_in_.commit(io.bytes);
        client_.await_readable();
        return true;
    case Io::blocked: return true;
    case Io::eof:
        client_ended_ = true;
        page_->shutdown_send();
        return true;
    case Io::failed: return false;
    }
    return true;
}

PageExchange::Progress PageExchange::give_up(unsigned status, std::string_view detail, TimePoint now)
{
    std::array<char, 32> id;
    keep_alive_ = keep_alive_ && request_body_.complete();
    write_answer({status, std::string(detail)},
                 {.request_id = plane_.new_request_id(id),
                  .date = plane_.date.at(std::chrono::system_clock::now()),
                  .client_version = version_,
                  .to_head = to_head_,
                  .keep_alive = keep_alive_},
                 response_out_);
    response_body_.begin(Framing::none, 0, false);
    phase_ = Phase::relaying;
    return relay(now);
}

} // namespace hotspare::balancer
