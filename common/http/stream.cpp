#include "common/http/stream.hpp"

#include "common/no_throw.hpp"

#include <utility>

namespace hotspare::http {

Outbox::Outbox(asio::io_context& context, std::size_t limit) : limit_(limit), wake_(context) {}

bool Outbox::send(std::string message)
{
    if (closed_) return false;
    if (bytes_ + message.size() > limit_) {
        abandon();
        return false;
    }
    bytes_ += message.size();
    messages_.push_back(std::move(message));
    wake_.cancel();
    return true;
}

void Outbox::close()
{
    closed_ = true;
    wake_.cancel();
}

void Outbox::abandon()
{
    messages_.clear();
    bytes_ = 0;
    close();
}

asio::awaitable<std::optional<std::string>> Outbox::next(Duration heartbeat)
{
    if (messages_.empty() && !closed_) {
        wake_.expires_after(heartbeat);
        co_await wake_.async_wait(no_throw);
    }
    if (messages_.empty()) {
        if (closed_) co_return std::nullopt;
        co_return std::string();
    }
    auto message = std::move(messages_.front());
    messages_.pop_front();
    bytes_ -= message.size();
    co_return message;
}

std::string format_event(std::string_view id, std::string_view event, std::string_view data)
{
    std::string out;
    if (!id.empty()) out.append("id: ").append(id).append("\n");
    if (!event.empty()) out.append("event: ").append(event).append("\n");
    for (std::size_t start = 0; start <= data.size();) {
        const auto end = std::min(data.find('\n', start), data.size());
        out.append("data: ").append(data.substr(start, end - start)).append("\n");
        start = end + 1;
    }
    return out += '\n';
}

} // namespace hotspare::http
