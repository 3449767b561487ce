#include "experiment/load/load.hpp"

#include "common/format.hpp"
#include "common/socket.hpp"
#include "experiment/load/answer.hpp"

#include <fmt/format.h>

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <iterator>
#include <stdexcept>
#include <unordered_map>
#include <utility>

namespace hotspare::experiment {
namespace {

constexpr std::uint64_t stop_event = ~std::uint64_t{0};
/// So many requests that are overdue together are sent before answers are looked at again.
constexpr int burst = 64;
/// After a refusal a closed loop would try again at once, and do nothing else.
constexpr auto refused_pause = milliseconds(1);

/// The request without what differs from one to the next.
std::string constant_head(const LoadPlan& plan, const LoadRequest& request)
{
    const auto host = plan.host.empty() ? config::format_host_port(plan.target) : plan.host;
    auto head = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.path, host);
    const auto size = request.filler > 0 ? request.filler : request.body.size();
    if (request.numbered) return head; // its length depends on the number
    // RFC 9110 section 8.6: a request without a body says so where the method expects one.
    if (size > 0 || request.method == "POST" || request.method == "PUT" || request.method == "PATCH")
        head += fmt::format("Content-Length: {}\r\n", size);
    return head;
}

std::string with_id(std::string text, std::string_view id)
{
    constexpr auto here = LoadRequest::id_here;
    for (auto at = text.find(here); at != std::string::npos; at = text.find(here, at + id.size()))
        text.replace(at, here.size(), id);
    return text;
}

/// The kernel's usual 50 us of slack on every timer would show as latency that the server does not have.
class ExactTimers {
public:
    ExactTimers() : before_(::prctl(PR_GET_TIMERSLACK)) { ::prctl(PR_SET_TIMERSLACK, 1UL); }
    ~ExactTimers()
    {
        if (before_ > 0) ::prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(before_));
    }
    ExactTimers(const ExactTimers&) = delete;
    ExactTimers& operator=(const ExactTimers&) = delete;

private:
    int before_;
};

} // namespace

class Load::Engine {
public:
    Engine(LoadPlan plan, OnFinished on_finished);

    void run(TimePoint start);
    void stop() noexcept
    {
        stop_.store(true, std::memory_order_relaxed);
        wake_.raise();
    }
    std::uint64_t started() const noexcept { return started_.load(std::memory_order_relaxed); }
    std::size_t open_connections() const noexcept { return open_.load(std::memory_order_relaxed); }

private:
    struct Request {
        std::uint64_t index = 0;
        std::uint32_t stream = 0;
        TimePoint due;
        bool waited = false;
    };

    struct Connection {
        Fd fd;
        bool fresh = true; ///< made for the request that it carries
        bool busy = false;
        bool any_sent = false; ///< of this request
        bool any_received = false;
        bool wants_write = false;
        Request request;
        TimePoint sent, first_byte;
        std::string out;
        std::size_t out_sent = 0;
        std::uint64_t filler_left = 0;
        AnswerReader answer;

        bool all_sent() const noexcept { return out_sent == out.size() && filler_left == 0; }
    };
    enum class Written : std::uint8_t { so_far, dead };

    /// When a request under way has failed for want of an answer; the connection may carry another one by then.
    struct Deadline {
        TimePoint at;
        int key;
        std::uint64_t index;
    };

    bool open_loop() const noexcept { return !plan_.schedule.empty(); }
    std::string id_of(const Request& request) const { return fmt::format("{}-{}", plan_.id_prefix, request.index); }
    TimePoint due(std::uint64_t index) const { return start_ + plan_.schedule[index].at; }
    bool more_to_come(TimePoint now) const;
    TimePoint next_moment(TimePoint now) const;
    void send_due(TimePoint now);
    bool begin(Request request);
    int free_connection();
    int connect();
    void load_request(Connection& connection, const Request& request);
    void dispatch(int key, std::uint32_t events);
    Written write(Connection& connection);
    void receive(int key, Connection& connection);
    void after(int key, AnswerReader::State state, TimePoint at);
    void broken_off(int key);
    Outcome judge(const Connection& connection) const;
    void finish(int key, Outcome outcome, TimePoint at);
    void report(const Request& request, Outcome outcome, const Connection* connection, TimePoint at);
    void expire(TimePoint now);

    LoadPlan plan_;
    OnFinished on_finished_;
    std::vector<std::string> heads_; ///< by stream
    Fd epoll_;
    WakeUp wake_;
    TimePoint start_;
    std::uint64_t next_ = 0;                          ///< index of the next request
    bool all_busy_ = false;                           ///< the next request is due and has no connection
    TimePoint resume_at_;                             ///< closed loop: nothing is sent before
    TimePoint waited_until_;                          ///< whatever was due before found all connections busy
    std::unordered_map<int, Connection> connections_; ///< by descriptor
    std::deque<int> idle_;                            ///< oldest first, so that every connection carries its share
    std::deque<Deadline> deadlines_;                  ///< in order of `at`
    std::size_t busy_ = 0;
    std::array<char, 64U << 10U> scratch_{};
    std::atomic<std::uint64_t> started_{0};
    std::atomic<std::size_t> open_{0}; ///< as of the loop's latest turn
    std::atomic<bool> stop_{false};
};

Load::Engine::Engine(LoadPlan plan, OnFinished on_finished)
    : plan_(std::move(plan)), on_finished_(std::move(on_finished)), epoll_(make_epoll())
{
    for (const Due& due : plan_.schedule)
        if (due.stream >= plan_.requests.size()) throw std::invalid_argument("a stream without its request");
    if (plan_.requests.empty()) throw std::invalid_argument("a load without a request");
    for (const LoadRequest& request : plan_.requests) {
        if ((request.idempotency_key || request.numbered) && plan_.id_prefix.empty())
            throw std::invalid_argument("ids of requests need a prefix that makes them unique");
        heads_.push_back(constant_head(plan_, request));
    }
    plan_.most_connections = open_loop() ? std::max(plan_.connections, plan_.most_connections) : plan_.connections;
    watch(epoll_, EPOLL_CTL_ADD, wake_.fd(), EPOLLIN, stop_event);
}

void Load::Engine::run(TimePoint start)
{
    const ExactTimers exact;
    start_ = start;
    while (connections_.size() < plan_.connections) idle_.push_back(connect());
    std::array<epoll_event, 256> events{};
    for (;;) {
        auto now = Clock::now();
        expire(now);
        send_due(now);
        open_.store(connections_.size(), std::memory_order_relaxed);
        now = Clock::now();
        if (busy_ == 0 && !more_to_come(now)) return;
        const auto wait = to_timespec(next_moment(now) - now);
        const int n = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()), &wait, nullptr);
        for (int i = 0; i < n; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            if (event.data.u64 == stop_event)
                wake_.lower();
            else
                dispatch(static_cast<int>(event.data.u64), event.events);
        }
    }
}

bool Load::Engine::more_to_come(TimePoint now) const
{
    if (stop_.load(std::memory_order_relaxed)) return false;
    return open_loop() ? next_ < plan_.schedule.size() : now < start_ + plan_.duration;
}

/// When something must happen even if no event comes.
TimePoint Load::Engine::next_moment(TimePoint now) const
{
    auto next = deadlines_.empty() ? TimePoint::max() : deadlines_.front().at;
    if (!more_to_come(now)) return std::min(next, now + seconds(3600));
    if (!open_loop()) {
        return busy_ < plan_.connections ? std::min(next, std::max(start_, resume_at_)) : next;
    }
    return std::min(next, all_busy_ ? due(next_) + plan_.timeout : due(next_));
}

void Load::Engine::send_due(TimePoint now)
{
    if (std::exchange(all_busy_, false)) waited_until_ = now;
    if (!open_loop()) {
        // A server that refuses at once must not keep us here: one try per connection, then back to the events.
        for (unsigned tries = 0; tries < plan_.connections; ++tries) {
            now = Clock::now();
            if (now < std::max(start_, resume_at_) || !more_to_come(now)) return;
            if (!begin({.index = next_, .due = now})) return;
            started_.store(++next_, std::memory_order_relaxed);
        }
        return;
    }
    for (int sent = 0; sent < burst && more_to_come(now); ++sent) {
        const auto moment = due(next_);
        if (moment > now && moment > (now = Clock::now())) return;
        const bool waited = moment <= waited_until_;
        if (!begin({.index = next_, .stream = plan_.schedule[next_].stream, .due = moment, .waited = waited})) {
            all_busy_ = true;
            return;
        }
        started_.store(++next_, std::memory_order_relaxed);
    }
}

/// False if there is no connection to be had.
bool Load::Engine::begin(Request request)
{
    for (;;) {
        const int key = free_connection();
        if (key < 0) return false;
        const auto found = connections_.find(key);
        Connection& connection = found->second;
        load_request(connection, request);
        if (write(connection) == Written::dead && !connection.fresh && !connection.any_sent) {
            connections_.erase(found);
            continue;
        }
        ++busy_;
        connection.busy = true;
        const Deadline deadline{request.due + plan_.timeout, key, request.index};
        auto place = deadlines_.end();
        while (place != deadlines_.begin() && std::prev(place)->at > deadline.at) --place;
        deadlines_.insert(place, deadline);
        return true;
    }
}

int Load::Engine::free_connection()
{
    const bool may_open = connections_.size() < plan_.most_connections;
    if (may_open && plan_.prefer_new) return connect();
    while (!idle_.empty()) {
        const int key = idle_.front();
        idle_.pop_front();
        const auto found = connections_.find(key);
        // Its end may have come after we last looked at the events; in closed loop it has only just answered.
        if (!open_loop() || !is_stale(found->second.fd)) {
            found->second.fresh = false;
            return key;
        }
        connections_.erase(found);
    }
    return connections_.size() < plan_.most_connections ? connect() : -1;
}

int Load::Engine::connect()
{
    const auto now = Clock::now();
    Fd fd = start_connect(plan_.target);
    const int key = fd.get();
    watch(epoll_, EPOLL_CTL_ADD, key, EPOLLIN, static_cast<std::uint64_t>(key));
    Connection& connection = connections_[key];
    connection.fd = std::move(fd);
    connection.sent = now;
    return key;
}

void Load::Engine::load_request(Connection& connection, const Request& request)
{
    const LoadRequest& content = plan_.requests[request.stream];
    connection.request = request;
    connection.any_sent = connection.any_received = false;
    connection.out_sent = 0;
    connection.out = heads_[request.stream];
    if (!plan_.id_prefix.empty()) {
        append(connection.out, "X-Request-Id: {}-{}\r\n", plan_.id_prefix, request.index);
        if (content.idempotency_key)
            append(connection.out, "Idempotency-Key: {}-{}\r\n", plan_.id_prefix, request.index);
    }
    if (content.numbered) {
        const auto body = with_id(content.body, id_of(request));
        append(connection.out, "Content-Length: {}\r\n\r\n{}", body.size(), body);
        connection.filler_left = 0;
    } else {
        connection.out += "\r\n";
        connection.filler_left = content.filler;
        if (content.filler == 0) connection.out += content.body;
    }
    connection.answer.restart(content.method == "HEAD", !content.expect_body.empty());
    if (!connection.fresh) connection.sent = Clock::now();
}

/// Sends what the socket takes. Dead: it will take no more; whether it has something for us is for receive() to say.
Load::Engine::Written Load::Engine::write(Connection& connection)
{
    bool dead = false;
    if (connection.out_sent < connection.out.size()) {
        const auto n = ::send(connection.fd.get(), connection.out.data() + connection.out_sent,
                              connection.out.size() - connection.out_sent,
                              MSG_NOSIGNAL | (connection.filler_left > 0 ? MSG_MORE : 0));
        dead = n < 0 && errno != EAGAIN;
        if (n > 0) {
            connection.out_sent += static_cast<std::size_t>(n);
            connection.any_sent = true;
        }
    }
    if (!dead && connection.out_sent == connection.out.size() && connection.filler_left > 0) {
        const auto n = send_filler(connection.fd, connection.filler_left);
        dead = n < 0;
        if (n > 0) connection.filler_left -= static_cast<std::uint64_t>(n);
    }
    const bool wants_write = !dead && !connection.all_sent();
    if (wants_write != connection.wants_write) {
        connection.wants_write = wants_write;
        const int key = connection.fd.get();
        watch(epoll_, EPOLL_CTL_MOD, key, wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN, static_cast<std::uint64_t>(key));
    }
    return dead ? Written::dead : Written::so_far;
}

void Load::Engine::dispatch(int key, std::uint32_t events)
{
    // An event may be about a connection that is gone, or about an earlier one with the same descriptor. So it is only
    // a hint; the system calls that follow tell what is the case.
    const auto found = connections_.find(key);
    if (found == connections_.end()) return;
    Connection& connection = found->second;
    if (!connection.busy) {
        if (!is_stale(connection.fd)) return;
        std::erase(idle_, key);
        connections_.erase(found);
        return;
    }
    if ((events & EPOLLOUT) != 0U && write(connection) == Written::dead && !connection.any_sent) return broken_off(key);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0U) receive(key, connection);
}

void Load::Engine::receive(int key, Connection& connection)
{
    if (const auto skippable = connection.answer.skippable(); skippable > 0) {
        const auto n = discard(connection.fd, skippable);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return broken_off(key);
        return after(key, connection.answer.skip(static_cast<std::uint64_t>(n)), Clock::now());
    }
    // A small first read leaves most of a large body to be discarded in the kernel.
    const std::size_t room = connection.any_received ? scratch_.size() : 4096;
    const auto n = ::recv(connection.fd.get(), scratch_.data(), room, 0);
    const auto now = Clock::now();
    if (n < 0) {
        if (errno != EAGAIN) broken_off(key);
        return;
    }
    if (n == 0) {
        if (connection.answer.end() != AnswerReader::State::complete) return broken_off(key);
        return after(key, AnswerReader::State::complete, now);
    }
    if (!std::exchange(connection.any_received, true)) connection.first_byte = now;
    after(key, connection.answer.feed({scratch_.data(), static_cast<std::size_t>(n)}), now);
}

void Load::Engine::after(int key, AnswerReader::State state, TimePoint at)
{
    if (state == AnswerReader::State::incomplete) return;
    finish(key, state == AnswerReader::State::complete ? judge(connections_.at(key)) : Outcome::malformed, at);
}

/// The connection has ended before the answer has.
void Load::Engine::broken_off(int key)
{
    const auto now = Clock::now();
    const auto found = connections_.find(key);
    const Connection& connection = found->second;
    if (connection.any_received) return finish(key, Outcome::truncated, now);
    if (connection.any_sent) return finish(key, Outcome::broken, now);
    if (connection.fresh) return finish(key, Outcome::refused, now);
    // Opened in advance and refused only now, before it could be used: as if it had never been there.
    const Request request = connection.request;
    connections_.erase(found);
    --busy_;
    static_cast<void>(begin(request)); // there is a connection to be had: one has just gone
}

Outcome Load::Engine::judge(const Connection& connection) const
{
    if (connection.answer.status() / 100 != 2) return Outcome::status;
    const LoadRequest& content = plan_.requests[connection.request.stream];
    const auto body = connection.answer.body();
    const bool is_expected = content.numbered
                                 ? body.find(with_id(content.expect_body, id_of(connection.request))) != body.npos
                                 : body.find(content.expect_body) != body.npos;
    return is_expected ? Outcome::good : Outcome::wrong_body;
}

void Load::Engine::finish(int key, Outcome outcome, TimePoint at)
{
    const auto found = connections_.find(key);
    Connection& connection = found->second;
    connection.busy = false;
    --busy_;
    report(connection.request, outcome, &connection, at);
    if (outcome == Outcome::refused) resume_at_ = at + refused_pause;
    const bool complete = outcome <= Outcome::wrong_body;
    if (complete && connection.answer.reusable() && connection.all_sent()) {
        idle_.push_back(key);
    } else {
        connections_.erase(found);
    }
}

void Load::Engine::report(const Request& request, Outcome outcome, const Connection* connection, TimePoint at)
{
    const auto since_start = [this](TimePoint moment) { return std::chrono::duration_cast<Nanos>(moment - start_); };
    Finished finished;
    Sample& sample = finished.sample;
    sample.waited = request.waited;
    sample.index = request.index;
    sample.stream = request.stream;
    sample.due = since_start(request.due);
    sample.sent = sample.first_byte = sample.done = since_start(at);
    sample.outcome = outcome;
    if (connection && outcome != Outcome::refused) {
        sample.sent = since_start(std::max(connection->sent, request.due));
        if (connection->any_received) sample.first_byte = since_start(connection->first_byte);
        sample.status = connection->answer.status();
        finished.header = connection->answer.head();
    }
    on_finished_(finished);
}

void Load::Engine::expire(TimePoint now)
{
    while (!deadlines_.empty()) {
        const Deadline& first = deadlines_.front();
        const auto found = connections_.find(first.key);
        const bool under_way =
            found != connections_.end() && found->second.busy && found->second.request.index == first.index;
        if (under_way && first.at > now) break;
        const int key = first.key;
        deadlines_.pop_front();
        if (under_way) finish(key, Outcome::timed_out, now);
    }
    // Those that are still waiting for a connection.
    while (all_busy_ && open_loop() && more_to_come(now) && due(next_) + plan_.timeout <= now) {
        report({.index = next_, .stream = plan_.schedule[next_].stream, .due = due(next_), .waited = true},
               Outcome::timed_out, nullptr, now);
        ++next_;
    }
}

Load::Load(LoadPlan plan, OnFinished on_finished)
    : engine_(std::make_unique<Engine>(std::move(plan), std::move(on_finished)))
{
}
Load::~Load() = default;

void Load::run(TimePoint start)
{
    engine_->run(start);
}

void Load::stop() noexcept
{
    engine_->stop();
}

std::uint64_t Load::started() const noexcept
{
    return engine_->started();
}

std::size_t Load::open_connections() const noexcept
{
    return engine_->open_connections();
}

} // namespace hotspare::experiment
