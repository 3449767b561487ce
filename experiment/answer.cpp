#include "experiment/answer.hpp"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <optional>

namespace hotspare::experiment {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

/// The beginning of a body, if anyone wants it.
struct Kept {
    std::string bytes;
    bool wanted = false;

    void add(std::string_view more)
    {
        if (wanted) bytes.append(more.substr(0, AnswerReader::kept_body - bytes.size()));
    }
};

/// Beast's parser without a container for the fields: callers read them from the raw head.
class MessageParser final : public http::basic_parser<false> {
public:
    explicit MessageParser(Kept& kept) : kept_(kept)
    {
        header_limit(static_cast<std::uint32_t>(AnswerReader::largest_head));
        body_limit(boost::none);
    }

    unsigned status() const noexcept { return status_; }

private:
    void on_request_impl(http::verb, beast::string_view, beast::string_view, int, error_code&) override {}
    void on_response_impl(int code, beast::string_view, int, error_code&) override
    {
        status_ = static_cast<unsigned>(code);
    }
    void on_field_impl(http::field, beast::string_view, beast::string_view, error_code&) override {}
    void on_header_impl(error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(beast::string_view body, error_code&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code&) override
    {
        kept_.add({body.data(), body.size()});
        return body.size();
    }
    void on_finish_impl(error_code&) override {}

    Kept& kept_;
    unsigned status_ = 0;
};

} // namespace

class AnswerReader::Parser {
public:
    /// Beast's parser reads one message and cannot be used again.
    void restart(bool to_head)
    {
        message.emplace(kept);
        message->skip(to_head);
    }

    Kept kept;
    std::optional<MessageParser> message;
};

AnswerReader::AnswerReader() : parser_(std::make_unique<Parser>()) {}
AnswerReader::~AnswerReader() = default;
AnswerReader::AnswerReader(AnswerReader&&) noexcept = default;
AnswerReader& AnswerReader::operator=(AnswerReader&&) noexcept = default;

void AnswerReader::restart(bool to_head, bool keep_body)
{
    to_head_ = to_head;
    keep_body_ = keep_body;
    head_.clear();
    rest_.clear();
    parsed_ = 0;
    body_left_ = 0;
    status_ = 0;
    reusable_ = false;
    parser_->kept.bytes.clear();
    parser_->kept.wanted = keep_body;
    parser_->restart(to_head);
}

std::string_view AnswerReader::body() const noexcept
{
    return parser_->kept.bytes;
}

AnswerReader::State AnswerReader::feed(std::string_view bytes)
{
    if (status_ != 0) return read_body(bytes);
    head_.append(bytes);
    return read_head();
}

AnswerReader::State AnswerReader::read_head()
{
    while (parsed_ < head_.size()) {
        MessageParser& message = *parser_->message;
        error_code error;
        parsed_ += message.put(boost::asio::buffer(head_.data() + parsed_, head_.size() - parsed_), error);
        if (error == http::error::need_more) return State::incomplete;
        if (error) return State::malformed;
        if (!message.is_header_done()) continue;
        // Switching protocols ends the exchange of messages, so 101 is final.
        if (message.status() / 100 == 1 && message.status() != 101) {
            head_.erase(0, parsed_);
            parsed_ = 0;
            parser_->restart(to_head_);
            continue;
        }
        status_ = message.status();
        const auto behind = std::string_view(head_).substr(parsed_);
        if (message.is_done()) return complete(message.keep_alive() && status_ != 101, !behind.empty());
        if (message.chunked()) {
            framing_ = Framing::chunked;
            message.eager(true);
        } else if (const auto length = message.content_length()) {
            framing_ = Framing::sized;
            body_left_ = *length;
        } else {
            framing_ = Framing::until_close;
        }
        return behind.empty() ? State::incomplete : read_body(behind);
    }
    return State::incomplete;
}

AnswerReader::State AnswerReader::read_body(std::string_view bytes)
{
    if (framing_ == Framing::chunked) return read_chunks(bytes);
    if (framing_ == Framing::until_close) {
        parser_->kept.add(bytes);
        return State::incomplete;
    }
    const auto ours = bytes.substr(0, std::min<std::uint64_t>(bytes.size(), body_left_));
    parser_->kept.add(ours);
    body_left_ -= ours.size();
    if (body_left_ > 0) return State::incomplete;
    return complete(parser_->message->keep_alive(), ours.size() < bytes.size());
}

AnswerReader::State AnswerReader::read_chunks(std::string_view bytes)
{
    if (!rest_.empty()) {
        rest_.append(bytes);
        bytes = rest_;
    }
    MessageParser& message = *parser_->message;
    error_code error;
    std::size_t taken = 0;
    while (taken < bytes.size() && !error && !message.is_done())
        taken += message.put(boost::asio::buffer(bytes.data() + taken, bytes.size() - taken), error);
    if (error && error != http::error::need_more) return State::malformed;
    if (message.is_done()) return complete(message.keep_alive(), taken < bytes.size());
    if (bytes.size() - taken > largest_head) return State::malformed;
    rest_ = std::string(bytes.substr(taken));
    return State::incomplete;
}

AnswerReader::State AnswerReader::end()
{
    if (status_ == 0 || framing_ != Framing::until_close) return State::incomplete;
    return complete(false, false);
}

AnswerReader::State AnswerReader::skip(std::uint64_t count)
{
    body_left_ -= count;
    return body_left_ > 0 ? State::incomplete : complete(parser_->message->keep_alive(), false);
}

AnswerReader::State AnswerReader::complete(bool keep_alive, bool more_behind)
{
    // Bytes behind an answer belong to no request: whatever comes next on that connection could be taken for the wrong
    // one.
    reusable_ = keep_alive && !more_behind;
    return State::complete;
}

} // namespace hotspare::experiment
