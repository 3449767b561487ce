#include "tests/support/raw_client.hpp"

#include <nlohmann/json.hpp>

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace hotspare::test {

nlohmann::json Answer::json() const
{
    return nlohmann::json::parse(message.body, nullptr, false);
}

std::string_view to_string(Answer::End end) noexcept
{
    switch (end) {
    case Answer::End::complete: return "complete";
    case Answer::End::closed: return "closed";
    case Answer::End::reset: return "reset";
    case Answer::End::timed_out: return "timed out";
    case Answer::End::broken: return "broken";
    }
    return "invalid";
}

RawClient::RawClient(std::uint16_t port, int receive_buffer) : socket_(connect_loopback(port))
{
    if (receive_buffer > 0) ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
}

bool RawClient::send(std::string_view bytes, milliseconds bound)
{
    return send_all(socket_, bytes, Clock::now() + bound);
}

bool RawClient::send_sliced(std::string_view bytes)
{
    for (; !bytes.empty(); bytes.remove_prefix(1))
        if (!send(bytes.substr(0, 1))) return false;
    return true;
}

void RawClient::finish_sending()
{
    ::shutdown(socket_.get(), SHUT_WR);
}

Answer RawClient::read_response(milliseconds bound, bool head)
{
    const auto deadline = Clock::now() + bound;
    reader_.restart();
    if (head) reader_.expect_no_body();
    Answer answer;
    std::array<char, 65536> buffer;
    for (;;) {
        pending_.erase(0, reader_.feed(pending_));
        if (reader_.complete() || reader_.broken()) {
            answer.end = reader_.complete() ? Answer::End::complete : Answer::End::broken;
            break;
        }
        if (!wait_readable(socket_, deadline)) {
            answer.end = Answer::End::timed_out;
            break;
        }
        const auto n = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (n > 0) {
            pending_.append(buffer.data(), static_cast<std::size_t>(n));
            continue;
        }
        reader_.feed_end();
        answer.end = reader_.complete() ? Answer::End::complete : n < 0 ? Answer::End::reset : Answer::End::closed;
        break;
    }
    answer.message = reader_.message();
    return answer;
}

std::string RawClient::read_until_close(milliseconds bound, bool* closed)
{
    const auto deadline = Clock::now() + bound;
    std::string all = std::exchange(pending_, {});
    std::array<char, 65536> buffer;
    if (closed) *closed = false;
    while (wait_readable(socket_, deadline)) {
        const auto n = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (n <= 0) {
            if (closed) *closed = true;
            break;
        }
        all.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return all;
}

std::string RawClient::read_some(std::size_t limit, milliseconds bound)
{
    if (pending_.empty() && wait_readable(socket_, Clock::now() + bound)) {
        pending_.resize(limit);
        const auto n = ::recv(socket_.get(), pending_.data(), limit, 0);
        pending_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    }
    std::string some = pending_.substr(0, limit);
    pending_.erase(0, some.size());
    return some;
}

bool RawClient::closed_by_peer(milliseconds bound)
{
    bool closed = false;
    return read_until_close(bound, &closed).empty() && closed;
}

std::string format_request(std::string_view method, std::string_view target, const std::vector<Header>& headers,
                           std::string_view body)
{
    std::string text;
    text.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: localhost\r\n");
    for (const auto& [name, value] : headers) text.append(name).append(": ").append(value).append("\r\n");
    if (!body.empty() || method == "POST" || method == "PUT")
        text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
    return text.append("\r\n").append(body);
}

Answer request(std::uint16_t port, std::string_view method, std::string_view target, const std::vector<Header>& headers,
               std::string_view body, milliseconds bound)
{
    try {
        RawClient client(port);
        client.send(format_request(method, target, headers, body), bound);
        return client.read_response(bound, method == "HEAD");
    } catch (const std::system_error&) {
        Answer refused;
        refused.end = Answer::End::closed;
        return refused;
    }
}

} // namespace hotspare::test
