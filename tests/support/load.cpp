#include "tests/support/load.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <deque>
#include <exception>
#include <list>
#include <optional>
#include <thread>
#include <utility>

namespace hotspare::test {
namespace {

std::string with_id(std::string text, const std::string& id)
{
    for (std::size_t at = 0; (at = text.find("{id}", at)) != text.npos; at += id.size()) text.replace(at, 4, id);
    return text;
}

class Generator {
public:
    Generator(const LoadPlan& plan, TimePoint start) : plan_(plan), start_(start)
    {
        result_.start = start;
        const auto total =
            static_cast<std::size_t>(std::llround(plan.rate * std::chrono::duration<double>(plan.duration).count()));
        result_.samples.resize(total);
        for (std::size_t i = 0; i < total; ++i) {
            result_.samples[i].number = i;
            result_.samples[i].due = start + std::chrono::duration_cast<Clock::duration>(
                                                 std::chrono::duration<double>(static_cast<double>(i) / plan.rate));
        }
        for (std::size_t i = 0; i < plan.connections; ++i) connect();
    }

    LoadResult run()
    {
        while (answered_ < result_.samples.size()) {
            issue_what_is_due();
            wait_and_serve();
            expire();
        }
        return std::move(result_);
    }

private:
    struct Connection {
        Fd socket;
        bool connected = false;
        bool used = false;     ///< has carried a whole answer
        bool gone = false;     ///< closed by the server while idle
        bool retiring = false; ///< the server announced that it closes
        Sample* sample = nullptr;
        std::string out;
        MessageReader reader{MessageReader::Kind::response, 0};
    };

    Connection& connect()
    {
        Connection& c = connections_.emplace_back();
        c.socket = start_connect(plan_.port);
        return c;
    }

    void issue_what_is_due()
    {
        while (next_ < result_.samples.size() && result_.samples[next_].due <= Clock::now())
            waiting_.push_back(&result_.samples[next_++]);
        while (!waiting_.empty()) {
            Connection* c = free_connection();
            if (!c) return;
            Sample& sample = *waiting_.front();
            waiting_.pop_front();
            send(*c, sample);
        }
    }

    /// The one that has been idle longest, so that all of them are in use; a new one if every other is busy.
    Connection* free_connection()
    {
        for (auto c = connections_.begin(); c != connections_.end(); ++c) {
            if (c->sample || c->retiring) continue;
            connections_.splice(connections_.end(), connections_, c);
            return &*c;
        }
        return connections_.size() < plan_.max_connections ? &connect() : nullptr;
    }

    void send(Connection& c, Sample& sample)
    {
        c.sample = &sample;
        const std::string id = plan_.id_prefix + "-" + std::to_string(sample.number);
        c.out = plan_.method + " " + with_id(plan_.target, id) + " HTTP/1.1\r\nHost: load\r\nX-Test-Id: " + id + "\r\n";
        for (const auto& [name, value] : plan_.headers) c.out += name + ": " + with_id(value, id) + "\r\n";
        const auto body = with_id(plan_.body, id);
        if (!body.empty() || plan_.method == "POST" || plan_.method == "PUT")
            c.out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
        c.out += "\r\n" + body;
        c.reader.restart();
        if (plan_.method == "HEAD") c.reader.expect_no_body();
        sample.sent = Clock::now();
        result_.lag = std::max(result_.lag, sample.sent - sample.due);
        if (c.gone)
            finish(c, Failure::stale);
        else if (c.connected)
            flush(c);
    }

    void flush(Connection& c)
    {
        while (!c.out.empty()) {
            const auto n = ::send(c.socket.get(), c.out.data(), c.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n >= 0)
                c.out.erase(0, static_cast<std::size_t>(n));
            else if (errno == EAGAIN)
                return;
            else if (errno != EINTR)
                break; // what the server said before it closed is still to be read
        }
        c.out.clear();
    }

    void wait_and_serve()
    {
        std::vector<pollfd> fds;
        std::vector<Connection*> polled;
        for (Connection& c : connections_) {
            if (c.gone) continue;
            const bool writing = !c.connected || !c.out.empty();
            fds.push_back({.fd = c.socket.get(),
                           .events = static_cast<short>(writing ? POLLIN | POLLOUT : POLLIN),
                           .revents = 0});
            polled.push_back(&c);
        }
        TimePoint wake = Clock::now() + milliseconds(100);
        if (next_ < result_.samples.size()) wake = std::min(wake, result_.samples[next_].due);
        const timespec timeout = until(wake);
        if (::ppoll(fds.data(), fds.size(), &timeout, nullptr) <= 0) return;
        for (std::size_t i = 0; i < fds.size(); ++i)
            if (fds[i].revents) serve(*polled[i], fds[i].revents);
        connections_.remove_if([](const Connection& c) { return c.retiring; });
    }

    void serve(Connection& c, short events)
    {
        if (!c.connected) {
            if (!(events & (POLLOUT | POLLERR | POLLHUP))) return;
            if (connect_outcome(c.socket) != 0) {
                c.retiring = true;
                if (c.sample) finish(c, Failure::refused);
                return;
            }
            c.connected = true;
        }
        flush(c);
        if (events & (POLLIN | POLLERR | POLLHUP)) receive(c);
    }

    void receive(Connection& c)
    {
        const auto n = ::recv(c.socket.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (!c.sample) {
            // Idle: the end of the connection, or bytes that were not requested.
            c.gone = true;
            c.retiring = !c.used; // it never served: the next request would open another one anyway
            return;
        }
        if (n <= 0) {
            c.reader.feed_end();
            c.retiring = true;
            if (c.reader.complete())
                finish(c, Failure::none);
            else if (!c.reader.untouched())
                finish(c, Failure::truncated);
            else
                finish(c, n < 0 ? Failure::reset : Failure::closed);
            return;
        }
        if (c.sample->first_byte == TimePoint{}) c.sample->first_byte = Clock::now();
        const auto size = static_cast<std::size_t>(n);
        const bool surplus = c.reader.feed({buffer_.data(), size}) < size;
        if (c.reader.broken() || surplus) {
            c.retiring = true;
            finish(c, Failure::malformed);
        } else if (c.reader.complete()) {
            c.retiring = !c.reader.message().keep_alive();
            finish(c, Failure::none);
        }
    }

    void finish(Connection& c, Failure failure)
    {
        Sample& sample = *std::exchange(c.sample, nullptr);
        sample.done = Clock::now();
        sample.failure = failure;
        sample.status = c.reader.head_complete() ? c.reader.message().status() : 0;
        sample.served_by = c.reader.message().header("X-Served-By").value_or("");
        if (failure == Failure::none && (sample.status < 200 || sample.status > 299)) sample.failure = Failure::status;
        c.used = true;
        c.out.clear();
        if (failure == Failure::stale || failure == Failure::timed_out) c.retiring = true;
        ++answered_;
    }

    void expire()
    {
        const TimePoint now = Clock::now();
        if (now < next_expiry_check_) return;
        next_expiry_check_ = now + milliseconds(20);
        for (Connection& c : connections_)
            if (c.sample && c.sample->sent + plan_.timeout <= now) finish(c, Failure::timed_out);
        connections_.remove_if([](const Connection& c) { return c.retiring && !c.sample; });
    }

    const LoadPlan& plan_;
    TimePoint start_;
    TimePoint next_expiry_check_;
    LoadResult result_;
    std::size_t next_ = 0;        ///< first sample that is not due yet
    std::size_t answered_ = 0;    ///< or failed
    std::deque<Sample*> waiting_; ///< due, but every connection is busy
    std::list<Connection> connections_;
    std::array<char, 65536> buffer_;
};

} // namespace

std::string_view to_string(Failure failure) noexcept
{
    switch (failure) {
    case Failure::none: return "none";
    case Failure::refused: return "refused";
    case Failure::stale: return "stale connection";
    case Failure::reset: return "reset";
    case Failure::closed: return "closed unanswered";
    case Failure::truncated: return "truncated";
    case Failure::timed_out: return "timed out";
    case Failure::malformed: return "malformed";
    case Failure::status: return "bad status";
    }
    return "invalid";
}

double to_ms(Clock::duration d) noexcept
{
    return std::chrono::duration<double, std::milli>(d).count();
}

std::size_t LoadResult::count(Failure failure) const noexcept
{
    return static_cast<std::size_t>(
        std::count_if(samples.begin(), samples.end(), [&](const Sample& s) { return s.failure == failure; }));
}

std::size_t LoadResult::failed() const noexcept
{
    return total() - count(Failure::none);
}

std::size_t LoadResult::lost() const noexcept
{
    return failed() - count(Failure::refused) - count(Failure::stale) - count(Failure::status);
}

std::size_t LoadResult::served_by(std::string_view backend) const noexcept
{
    return static_cast<std::size_t>(
        std::count_if(samples.begin(), samples.end(), [&](const Sample& s) { return s.served_by == backend; }));
}

Clock::duration LoadResult::worst() const noexcept
{
    Clock::duration worst{};
    for (const Sample& s : samples) worst = std::max(worst, s.latency());
    return worst;
}

Clock::duration LoadResult::percentile(double q) const
{
    if (samples.empty()) return {};
    std::vector<Clock::duration> sorted;
    for (const Sample& s : samples) sorted.push_back(s.latency());
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(sorted.size())));
    const auto nth = sorted.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
    std::nth_element(sorted.begin(), nth, sorted.end());
    return *nth;
}

std::string LoadResult::summary() const
{
    std::string text = fmt::format("{} of {} failed, worst {:.1f} ms, p99 {:.1f} ms, p50 {:.1f} ms", failed(), total(),
                                   to_ms(worst()), to_ms(percentile(0.99)), to_ms(percentile(0.5)));
    std::array<std::size_t, 9> shown{};
    for (const Sample& s : samples) {
        if (s.failure == Failure::none) continue;
        if (shown[static_cast<std::size_t>(s.failure)]++ > 0) continue;
        text += fmt::format("; {} x {}, first {:.0f} ms after the start", count(s.failure), to_string(s.failure),
                            to_ms(s.due - start));
        if (s.failure == Failure::status) text += fmt::format(" ({})", s.status);
    }
    return text;
}

LoadResult run_load(const LoadPlan& plan, const std::vector<Action>& actions)
{
    // A moment for the connections that are opened in advance: connecting is not what is measured.
    const TimePoint start = Clock::now() + milliseconds(20);
    LoadResult result;
    std::exception_ptr error;
    std::thread thread([&] {
        try {
            result = Generator(plan, start).run();
        } catch (...) {
            error = std::current_exception();
        }
    });
    std::exception_ptr action_error;
    try {
        for (const Action& action : actions) {
            std::this_thread::sleep_until(start + action.at);
            action.act();
        }
    } catch (...) {
        action_error = std::current_exception();
    }
    thread.join();
    if (action_error) std::rethrow_exception(action_error);
    if (error) std::rethrow_exception(error);
    return result;
}

} // namespace hotspare::test
