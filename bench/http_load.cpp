#include "bench/http_load.hpp"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <ctime>

namespace hotspare::bench {
namespace {

constexpr auto expiry_interval = std::chrono::milliseconds(20);

std::string request_head(const LoadPlan& plan)
{
    auto head = plan.method + " " + plan.path + " HTTP/1.1\r\nHost: " + plan.target.host + ":" +
                std::to_string(plan.target.port) + "\r\n";
    if (plan.method != "GET") head += "Content-Length: " + std::to_string(plan.body) + "\r\n";
    return head + "\r\n";
}

timespec to_timespec(Clock::duration duration)
{
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
    return {ns / 1'000'000'000, ns % 1'000'000'000};
}

} // namespace

Clock::duration quantile(std::span<const Clock::duration> sorted, double share)
{
    if (sorted.empty()) return Clock::duration::zero();
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    return sorted[std::max<std::size_t>(rank, 1) - 1];
}

HttpLoad::HttpLoad(LoadPlan plan, OnSample on_sample)
    : plan_(std::move(plan)), on_sample_(std::move(on_sample)), head_(request_head(plan_)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC))
{
    plan_.most_connections = std::max(plan_.connections, plan_.most_connections);
    ::prctl(PR_SET_TIMERSLACK, 1UL); // the default 50 us would show as latency that the server does not have
}

void HttpLoad::run()
{
    while (connections_.size() < plan_.connections) idle_.push_back(connect());
    start_ = Clock::now();
    end_ = start_ + plan_.duration;
    auto next_expiry = start_ + expiry_interval;
    std::array<epoll_event, 256> events{};
    for (;;) {
        auto now = Clock::now();
        if (now >= next_expiry) {
            expire(now);
            next_expiry = now + expiry_interval;
        }
        send_due(now);
        if (busy_ == 0 && !more_to_come(now)) return;

        auto wake = next_expiry;
        // A request that is still due here waits for a connection: an event, not a moment, will let it go.
        if (open_loop() && due(next_) > now) wake = std::min(wake, due(next_));
        now = Clock::now();
        const auto wait = to_timespec(std::max(wake - now, Clock::duration::zero()));
        const int n = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()), &wait, nullptr);
        for (int i = 0; i < n; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            dispatch(event.data.fd, event.events);
        }
    }
}

Clock::time_point HttpLoad::due(std::uint64_t index) const
{
    const auto offset = std::chrono::duration<double>(static_cast<double>(index) / plan_.rate);
    return start_ + std::chrono::duration_cast<Clock::duration>(offset);
}

bool HttpLoad::more_to_come(Clock::time_point now) const
{
    if (stop_.load(std::memory_order_relaxed)) return false;
    return open_loop() ? due(next_) < end_ : now < end_;
}

void HttpLoad::send_due(Clock::time_point now)
{
    // In closed loop a server that refuses at once must not keep us here: one try per connection, then back to the
    // events.
    const auto most = open_loop() ? plan_.most_connections : plan_.connections;
    for (unsigned tries = 0; tries < most && more_to_come(now); ++tries) {
        if (open_loop() && due(next_) > now) return;
        const int key = free_connection();
        if (key < 0) return;
        start(key, open_loop() ? due(next_) : now);
        ++next_;
    }
}

int HttpLoad::free_connection()
{
    const bool may_open = connections_.size() < (open_loop() ? plan_.most_connections : plan_.connections);
    if (may_open && (idle_.empty() || plan_.prefer_new)) return connect();
    if (idle_.empty()) return -1;
    const int key = idle_.front();
    idle_.pop_front();
    return key;
}

int HttpLoad::connect()
{
    Fd fd = start_connect(plan_.target);
    const int key = fd.get();
    watch(EPOLL_CTL_ADD, key, EPOLLIN);
    connections_[key].fd = std::move(fd);
    return key;
}

void HttpLoad::start(int key, Clock::time_point due)
{
    Connection& connection = connections_.at(key);
    connection.due = due;
    connection.busy = true;
    connection.head_sent = connection.head_seen = false;
    connection.body_sent = 0;
    connection.in.clear();
    ++busy_;
    if (!write(connection)) complete(key, failure(connection));
}

void HttpLoad::dispatch(int key, std::uint32_t events)
{
    const auto found = connections_.find(key);
    if (found == connections_.end()) return;
    Connection& connection = found->second;
    if (!connection.busy) { // an idle connection that becomes readable has been closed by the server
        std::erase(idle_, key);
        connections_.erase(found);
        return;
    }
    if ((events & EPOLLOUT) != 0U && !write(connection)) return complete(key, failure(connection));
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0U) return;
    if (!read(connection)) return complete(key, failure(connection));
    if (connection.head_seen && connection.body_left == 0) complete(key, Outcome::answered);
}

Outcome HttpLoad::failure(const Connection& connection)
{
    return connection.head_sent ? Outcome::broken : Outcome::refused;
}

bool HttpLoad::write(Connection& connection)
{
    const int fd = connection.fd.get();
    if (!connection.head_sent) {
        const auto n = ::send(fd, head_.data(), head_.size(), MSG_NOSIGNAL | (plan_.body > 0 ? MSG_MORE : 0));
        if (n < 0 && errno != EAGAIN && errno != ENOTCONN) return false;
        connection.head_sent = n > 0;
    }
    if (connection.head_sent && connection.body_sent < plan_.body) {
        const auto n = send_body(fd, plan_.body - connection.body_sent);
        if (n < 0) return false;
        connection.body_sent += static_cast<std::uint64_t>(n);
    }
    const bool wants_write = !connection.head_sent || connection.body_sent < plan_.body;
    if (wants_write != connection.wants_write) {
        connection.wants_write = wants_write;
        watch(EPOLL_CTL_MOD, fd, wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
    return true;
}

bool HttpLoad::read(Connection& connection)
{
    if (connection.head_seen) {
        const auto n = discard(connection.fd.get(), connection.body_left);
        if (n <= 0) return n < 0 && errno == EAGAIN;
        connection.body_left -= static_cast<std::uint64_t>(n);
        return true;
    }
    std::array<char, 4096> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): recv fills it
    const auto n = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    connection.in.append(buffer.data(), static_cast<std::size_t>(n));
    return parse_head(connection);
}

bool HttpLoad::parse_head(Connection& connection)
{
    const auto end = connection.in.find("\r\n\r\n");
    if (end == std::string::npos) return connection.in.size() < (64U << 10U);
    const auto header = std::string_view(connection.in).substr(0, end + 2);
    if (!header.starts_with("HTTP/1.1 ") || header.size() < 12) return false;
    connection.status = static_cast<unsigned>(number(header.substr(9, 3), 0));
    const auto length = field(header, "Content-Length");
    if (length.empty()) return false; // every server that we measure states its length
    const auto body = number(length, 0);
    const auto received = connection.in.size() - end - 4;
    if (received > body) return false;
    connection.body_left = body - received;
    connection.close = field(header, "Connection") == "close";
    connection.head_seen = true;
    return true;
}

void HttpLoad::complete(int key, Outcome outcome)
{
    const auto found = connections_.find(key);
    Connection& connection = found->second;
    const bool answered = outcome == Outcome::answered;
    const auto due = connection.due;
    connection.busy = false;
    --busy_;
    on_sample_({due, Clock::now(), outcome, answered ? connection.status : 0,
                answered ? std::string_view(connection.in) : std::string_view()});
    if (answered && !connection.close && !connection.wants_write)
        idle_.push_back(key);
    else
        connections_.erase(found);
}

void HttpLoad::expire(Clock::time_point now)
{
    std::vector<int> late;
    for (const auto& [key, connection] : connections_)
        if (connection.busy && now - connection.due > plan_.timeout) late.push_back(key);
    for (const int key : late) complete(key, Outcome::timed_out);
}

void HttpLoad::watch(int operation, int fd, std::uint32_t interest)
{
    epoll_event event{};
    event.events = interest;
    event.data.fd = fd;
    ::epoll_ctl(epoll_.get(), operation, fd, &event);
}

} // namespace hotspare::bench
