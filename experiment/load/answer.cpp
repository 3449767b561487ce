#include "experiment/load/answer.hpp"

#include <algorithm>

namespace hotspare::experiment {
namespace {

/// As many fields as a head can hold: an answer is measured, whatever it says.
constexpr http::HeadLimits limits{.request_line = AnswerReader::largest_head,
                                  .head = AnswerReader::largest_head,
                                  .fields = AnswerReader::largest_head};

} // namespace

void AnswerReader::restart(bool to_head, bool keep_body)
{
    to_head_ = to_head;
    keep_body_ = keep_body;
    head_.clear();
    head_size_ = 0;
    scanner_.reset();
    chunks_ = http::ChunkReader(http::Sender::server);
    body_.clear();
    body_left_ = 0;
    status_ = 0;
    reusable_ = false;
}

AnswerReader::State AnswerReader::feed(std::string_view bytes)
{
    if (status_ != 0) return read_body(bytes);
    head_.append(bytes);
    return read_head();
}

AnswerReader::State AnswerReader::read_head()
{
    for (;;) {
        const auto found = scanner_.scan(head_, limits);
        if (found == http::HeadScanner::Found::incomplete) return State::incomplete;
        if (found == http::HeadScanner::Found::rejected) return State::malformed;
        const auto size = scanner_.head_size();
        if (http::read_response(std::string_view(head_).substr(0, size), to_head_, parts_)) return State::malformed;
        // Switching protocols ends the exchange of messages, so 101 is final.
        const auto status = parts_.line.status;
        if (status / 100 == 1 && status != 101) {
            head_.erase(0, size);
            scanner_.reset();
            continue;
        }
        status_ = status;
        head_size_ = size;
        keep_alive_ = parts_.keep_alive && status != 101;
        framing_ = parts_.framing;
        const auto behind = std::string_view(head_).substr(size);
        if (framing_ == http::Framing::none) return complete(keep_alive_, !behind.empty());
        if (framing_ == http::Framing::length) body_left_ = parts_.length;
        return behind.empty() ? State::incomplete : read_body(behind);
    }
}

AnswerReader::State AnswerReader::read_body(std::string_view bytes)
{
    if (framing_ == http::Framing::chunked) return read_chunks(bytes);
    if (framing_ == http::Framing::until_close) {
        keep(bytes);
        return State::incomplete;
    }
    const auto ours = bytes.substr(0, std::min<std::uint64_t>(bytes.size(), body_left_));
    keep(ours);
    body_left_ -= ours.size();
    if (body_left_ > 0) return State::incomplete;
    return complete(keep_alive_, ours.size() < bytes.size());
}

AnswerReader::State AnswerReader::read_chunks(std::string_view bytes)
{
    using Chunk = http::ChunkReader::State;
    while (!bytes.empty()) {
        const auto step = chunks_.read(bytes);
        keep(step.content);
        bytes.remove_prefix(step.used);
        if (step.state == Chunk::malformed) return State::malformed;
        if (step.state == Chunk::done) return complete(keep_alive_, !bytes.empty());
    }
    return State::incomplete;
}

AnswerReader::State AnswerReader::end()
{
    if (status_ == 0 || framing_ != http::Framing::until_close) return State::incomplete;
    return complete(false, false);
}

AnswerReader::State AnswerReader::skip(std::uint64_t count)
{
    body_left_ -= count;
    return body_left_ > 0 ? State::incomplete : complete(keep_alive_, false);
}

AnswerReader::State AnswerReader::complete(bool keep_alive, bool more_behind)
{
    // Bytes behind an answer belong to no request: whatever comes next on that connection could be taken for the wrong
    // one.
    reusable_ = keep_alive && !more_behind;
    return State::complete;
}

void AnswerReader::keep(std::string_view body)
{
    if (keep_body_) body_.append(body.substr(0, kept_body - body_.size()));
}

} // namespace hotspare::experiment
