#include "experiment/inject/gate.hpp"

#include "common/socket.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <iterator>
#include <list>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

namespace hotspare::experiment {
namespace {

constexpr std::size_t lane_limit = 256U << 10U; ///< bytes held per direction before the sender is slowed down
/// How often a server that refused is asked whether it listens again, so that the gate does, too.
constexpr auto refused_pause = milliseconds(5);
/// A bandwidth's bytes are handed out in portions of so long: smaller ones than a kernel's timer can pace make no
/// sense.
constexpr auto bandwidth_portion = milliseconds(10);

constexpr std::uint64_t wake_event = 0;
constexpr std::uint64_t listener_event = 1;
constexpr std::uint64_t knock_event = 2;
constexpr std::uint64_t first_link = 2; ///< the events of a link have the numbers 2 * link and 2 * link + 1

bool swallows(FaultKind kind)
{
    return kind == FaultKind::black_hole || kind == FaultKind::unroutable;
}

} // namespace

class Gate::Engine {
public:
    Engine(std::uint16_t target, std::uint64_t seed);
    ~Engine();

    std::uint16_t port() const noexcept { return port_; }
    void submit(std::optional<Step> fault);
    Counts counts() const;

private:
    struct Chunk {
        TimePoint due;
        std::string bytes;
        std::size_t given = 0;
        bool held = false; ///< by the fault, on purpose
    };
    /// One direction of a connection.
    struct Lane {
        std::deque<Chunk> queue;
        std::size_t queued = 0;
        bool ended = false;    ///< the sender has sent FIN
        bool end_sent = false; ///< and we have passed it on
        bool full = false;     ///< the receiver takes nothing at the moment
        TimePoint next;        ///< drip: when the next byte may go
    };
    struct Link {
        std::uint64_t number = 0;
        Fd client, server;
        std::uint32_t client_interest = 0, server_interest = 0;
        Lane up, down;
        bool connected = false;     ///< the server has accepted
        bool lost = false;          ///< swallowed bytes once, so it can never be passed on again
        std::uint64_t answered = 0; ///< bytes to the client since the fault was set
    };
    using Links = std::list<Link>;

    void run();
    void apply(const std::optional<Step>& fault);
    void listen(int backlog);
    void knock(TimePoint now);
    Fd connect() const;
    void accept_all(TimePoint now);
    void serve(Links::iterator link, bool client_ready, bool server_ready, TimePoint now);
    enum class State : std::uint8_t { goes_on, over, broken };
    State move(Link& link, bool client_ready, bool server_ready, TimePoint now);
    /// False if the sender is gone.
    bool take(Link& link, bool upwards, TimePoint now);
    State give_up(Link& link);
    State give_down(Link& link, TimePoint now);
    static void lose(Link& link);
    void update_interest(Link& link);
    void set_interest(const Fd& fd, std::uint32_t& present, std::uint32_t wanted, std::uint64_t id) const;
    void drop(Links::iterator link, bool with_reset);
    void pause_listening(TimePoint now);
    std::optional<TimePoint> next_moment(const Link& link) const;
    double burst() const noexcept;
    std::size_t affordable(std::size_t wanted, TimePoint now);
    void acted(std::uint64_t times = 1) noexcept { acted_.fetch_add(times, std::memory_order_relaxed); }
    bool is(FaultKind kind) const noexcept { return fault_ && fault_->fault == kind; }

    const config::HostPort target_;
    const Fd reservation_; ///< keeps the port ours while the gate does not listen on it
    const std::uint16_t port_;
    const Fd epoll_;
    const WakeUp wake_;

    // The gate's thread only.
    Fd listener_;
    Fd knock_;                          ///< asks whether the server listens again
    std::optional<TimePoint> knock_at_; ///< when to ask next; not empty: the server does not listen, nor do we
    std::vector<Fd> fillers_;           ///< occupy the backlog under FaultKind::unroutable
    Links links_;                       ///< served in turn when the bandwidth is scarce
    std::unordered_map<std::uint64_t, Links::iterator> by_number_;
    std::uint64_t last_number_ = first_link;
    std::optional<Step> fault_;
    std::mt19937_64 random_;
    double tokens_ = 0; ///< bandwidth: bytes that may go to clients now
    TimePoint tokens_at_;
    std::array<char, 64U << 10U> scratch_{};

    std::atomic<std::uint64_t> accepted_{0}, open_{0}, to_server_{0}, to_client_{0}, acted_{0};

    std::mutex mutex_; ///< guards the rest
    std::condition_variable done_changed_;
    std::deque<std::optional<Step>> wanted_;
    std::uint64_t submitted_ = 0, done_ = 0;
    bool stopping_ = false;

    std::thread thread_;
};

Gate::Engine::Engine(std::uint16_t target, std::uint64_t seed)
    : target_{"127.0.0.1", target}, reservation_(bind_to({"127.0.0.1", 0})), port_(local_port(reservation_)),
      epoll_(make_epoll()), random_(seed)
{
    watch(epoll_, EPOLL_CTL_ADD, wake_.fd(), EPOLLIN, wake_event);
    listen(65535);
    thread_ = std::thread([this] { run(); });
}

Gate::Engine::~Engine()
{
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.raise();
    thread_.join();
    for (Link& link : links_) {
        close_with_reset(link.client);
        close_with_reset(link.server);
    }
}

void Gate::Engine::submit(std::optional<Step> fault)
{
    std::unique_lock lock(mutex_);
    wanted_.push_back(std::move(fault));
    const auto mine = ++submitted_;
    wake_.raise();
    done_changed_.wait(lock, [&] { return done_ >= mine; });
}

Gate::Counts Gate::Engine::counts() const
{
    return {.accepted = accepted_, .open = open_, .to_server = to_server_, .to_client = to_client_, .acted = acted_};
}

void Gate::Engine::run()
{
    std::array<epoll_event, 128> events{};
    for (;;) {
        auto next = knock_at_;
        for (const Link& link : links_)
            if (const auto moment = next_moment(link); moment && (!next || *moment < *next)) next = moment;
        const auto wait = next ? to_timespec(*next - Clock::now()) : timespec{};
        const int n = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                     next ? &wait : nullptr, nullptr);
        const auto now = Clock::now();
        bool woken = false, accepting = false, answered = false;
        for (int i = 0; i < n; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            const auto id = event.data.u64;
            woken = woken || id == wake_event;
            accepting = accepting || id == listener_event;
            answered = answered || id == knock_event;
            const auto found = by_number_.find(id / 2);
            if (found == by_number_.end()) continue;
            const bool of_client = id % 2 == 0;
            const bool in_error = (event.events & (EPOLLHUP | EPOLLERR)) != 0U;
            Link& link = *found->second;
            if (in_error || (event.events & EPOLLOUT) != 0U) (of_client ? link.down : link.up).full = false;
            const bool readable = in_error || (event.events & EPOLLIN) != 0U;
            serve(found->second, readable && of_client, readable && !of_client, now);
        }
        for (auto link = links_.begin(); link != links_.end();) { // what was due
            const auto current = link++;
            const auto moment = next_moment(*current);
            if (moment && *moment <= now) serve(current, false, false, now);
        }
        if (accepting) accept_all(now);
        if (answered || (knock_at_ && *knock_at_ <= now)) knock(now);
        if (!woken) continue;
        wake_.lower();
        const std::lock_guard lock(mutex_);
        for (; !wanted_.empty(); wanted_.pop_front()) apply(wanted_.front());
        done_ = submitted_;
        done_changed_.notify_all();
        if (stopping_) return;
    }
}

void Gate::Engine::apply(const std::optional<Step>& fault)
{
    const auto now = Clock::now();
    if (is(FaultKind::unroutable))
        listener_.reset(); // with everyone who waited in vain
    else if (listener_)
        accept_all(now); // they came before the fault
    fillers_.clear();
    fault_ = fault;
    acted_ = 0;
    tokens_ = 0;
    tokens_at_ = now;
    if (is(FaultKind::refuse) || is(FaultKind::unroutable)) {
        listener_.reset();
        knock_.reset();
        knock_at_.reset();
        acted();
    }
    if (is(FaultKind::unroutable)) {
        listen(0);
        // A queue of length 0 still holds one connection; from then on the SYN of every new client is dropped.
        for (int i = 0; i < 2; ++i) fillers_.push_back(start_connect({"127.0.0.1", port_}));
    } else if (!is(FaultKind::refuse) && !knock_at_) {
        listen(65535);
    }
    const bool swallowing = fault_ && swallows(fault_->fault);
    for (auto link = links_.begin(); link != links_.end();) {
        const auto current = link++;
        current->answered = 0;
        current->down.next = {};
        if (current->lost && !swallowing) {
            drop(current, true);
            continue;
        }
        for (Chunk& chunk : current->down.queue) {
            chunk.due = now;
            chunk.held = false;
        }
        const auto under_way = current->up.queued + current->down.queued;
        if (swallowing && under_way > 0) {
            acted(under_way);
            lose(*current);
        }
        if (is(FaultKind::half_open)) {
            close_with_reset(current->server);
            current->server_interest = 0;
            acted();
            lose(*current);
        }
        serve(current, false, false, now);
    }
}

void Gate::Engine::listen(int backlog)
{
    if (listener_) return;
    listener_ = bind_to({"127.0.0.1", port_});
    if (::listen(listener_.get(), backlog) != 0) throw_errno("listen");
    if (backlog > 0) watch(epoll_, EPOLL_CTL_ADD, listener_.get(), EPOLLIN, listener_event);
}

/// The server does not listen: neither does the gate, so that clients meet the same refusal.
void Gate::Engine::pause_listening(TimePoint now)
{
    if (!listener_ || is(FaultKind::unroutable)) return;
    listener_.reset();
    knock_at_ = now + refused_pause;
}

/// Asks whether the server listens again, or hears the answer.
void Gate::Engine::knock(TimePoint now)
{
    if (!knock_at_) return;
    if (knock_) {
        const bool open = take_error(knock_) == 0;
        knock_.reset();
        if (open) {
            knock_at_.reset();
            return listen(65535);
        }
    } else if (Fd fd = connect()) {
        knock_ = std::move(fd);
        watch(epoll_, EPOLL_CTL_ADD, knock_.get(), EPOLLOUT, knock_event);
    }
    knock_at_ = now + refused_pause;
}

/// To the server; none when this machine is short of descriptors.
Fd Gate::Engine::connect() const
{
    try {
        return start_connect(target_);
    } catch (const std::system_error&) {
        return Fd();
    }
}

void Gate::Engine::accept_all(TimePoint now)
{
    while (Fd client = accept_from(listener_)) {
        ++accepted_;
        Link link;
        link.lost = fault_ && swallows(fault_->fault);
        if (!link.lost) {
            link.server = connect();
            if (!link.server || take_error(link.server) != 0) {
                close_with_reset(client);
                return pause_listening(now);
            }
        }
        link.client = std::move(client);
        link.number = ++last_number_;
        links_.push_back(std::move(link));
        const auto created = std::prev(links_.end());
        by_number_[created->number] = created;
        open_ = links_.size();
        update_interest(*created);
    }
    // Out of descriptors: asking again at once would only burn the processor.
    if (errno != EAGAIN && errno != ECONNABORTED) pause_listening(now);
}

void Gate::Engine::serve(Links::iterator link, bool client_ready, bool server_ready, TimePoint now)
{
    if (link->server && !link->connected) {
        if (const int error = take_error(link->server); error != 0) {
            drop(link, true);
            if (error == ECONNREFUSED) pause_listening(now);
            return;
        }
    }
    const auto before = to_client_.load(std::memory_order_relaxed);
    const State state = move(*link, client_ready, server_ready, now);
    if (state != State::goes_on) return drop(link, state == State::broken);
    update_interest(*link);
    // A link that has just used the limited bandwidth is the last to get more.
    if (is(FaultKind::bandwidth) && to_client_.load(std::memory_order_relaxed) > before)
        links_.splice(links_.end(), links_, link);
}

Gate::Engine::State Gate::Engine::move(Link& link, bool client_ready, bool server_ready, TimePoint now)
{
    const bool client_here = !client_ready || take(link, true, now);
    const bool server_here = !server_ready || take(link, false, now);
    if (link.lost) { // the two sides no longer know of each other
        if (link.server && (!server_here || link.down.ended)) {
            link.server.reset();
            link.server_interest = 0;
        }
        return client_here && !link.up.ended ? State::goes_on : State::broken;
    }
    if (!client_here || !server_here) return State::broken;
    if (const State state = give_up(link); state != State::goes_on) return state;
    if (const State state = give_down(link, now); state != State::goes_on) return state;
    return link.up.end_sent && link.down.end_sent ? State::over : State::goes_on;
}

bool Gate::Engine::take(Link& link, bool upwards, TimePoint now)
{
    Lane& lane = upwards ? link.up : link.down;
    const Fd& from = upwards ? link.client : link.server;
    if (!from || lane.ended || lane.queued >= lane_limit) return true;
    const auto n = ::recv(from.get(), scratch_.data(), scratch_.size(), 0);
    if (n < 0) return errno == EAGAIN || (!upwards && errno == ENOTCONN);
    const bool swallowing = fault_ && swallows(fault_->fault);
    if (n == 0) {
        lane.ended = true;
        if (swallowing) lose(link);
        return true;
    }
    if (!upwards) link.connected = true;
    const auto size = static_cast<std::size_t>(n);
    if (upwards) to_server_ += size;
    if (swallowing) {
        acted(size);
        lose(link);
    }
    if (link.lost) return true;

    Chunk chunk{.due = now, .bytes = std::string(scratch_.data(), size)};
    if (!upwards && (is(FaultKind::latency) || is(FaultKind::jitter))) {
        auto delay = fault_->delay;
        if (is(FaultKind::jitter))
            delay = Duration(std::uniform_int_distribution<Duration::rep>(0, delay.count())(random_));
        chunk.held = true;
        chunk.due = now + delay;
        if (!lane.queue.empty()) chunk.due = std::max(chunk.due, lane.queue.back().due);
    }
    lane.queue.push_back(std::move(chunk));
    lane.queued += size;
    return true;
}

Gate::Engine::State Gate::Engine::give_up(Link& link)
{
    Lane& lane = link.up;
    while (!lane.queue.empty() && !lane.full) {
        Chunk& chunk = lane.queue.front();
        const auto n =
            ::send(link.server.get(), chunk.bytes.data() + chunk.given, chunk.bytes.size() - chunk.given, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return State::broken;
        if (n < 0) {
            lane.full = true;
            break;
        }
        link.connected = true;
        chunk.given += static_cast<std::size_t>(n);
        lane.queued -= static_cast<std::size_t>(n);
        if (chunk.given == chunk.bytes.size()) lane.queue.pop_front();
    }
    if (lane.queue.empty() && lane.ended && !lane.end_sent) {
        if (::shutdown(link.server.get(), SHUT_WR) != 0) return State::broken;
        lane.end_sent = true;
    }
    return State::goes_on;
}

Gate::Engine::State Gate::Engine::give_down(Link& link, TimePoint now)
{
    Lane& lane = link.down;
    while (!lane.queue.empty() && !lane.full && lane.queue.front().due <= now) {
        Chunk& chunk = lane.queue.front();
        auto allowed = chunk.bytes.size() - chunk.given;
        const bool ends_here = (is(FaultKind::reset) || is(FaultKind::cut)) && link.answered + allowed > fault_->bytes;
        if (ends_here) allowed = fault_->bytes - std::min(fault_->bytes, link.answered);
        if (is(FaultKind::drip)) {
            if (lane.next > now) break;
            allowed = 1;
        }
        if (is(FaultKind::bandwidth)) {
            const auto most = affordable(allowed, now);
            if (most < allowed && !std::exchange(chunk.held, true)) acted();
            if (most == 0) break;
            allowed = most;
        }
        if (allowed > 0) {
            // Counted before the client can see it: a client that has met the fault must find it counted.
            if (is(FaultKind::drip) && lane.next != TimePoint()) acted(); // the first byte of all does not wait
            if ((is(FaultKind::latency) || is(FaultKind::jitter)) && std::exchange(chunk.held, false)) acted();
            const auto n = ::send(link.client.get(), chunk.bytes.data() + chunk.given, allowed, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN) return State::broken;
            if (n < 0) {
                lane.full = true;
                break;
            }
            const auto size = static_cast<std::size_t>(n);
            if (is(FaultKind::drip)) lane.next = now + fault_->delay;
            if (is(FaultKind::bandwidth)) tokens_ -= static_cast<double>(size);
            link.answered += size;
            to_client_ += size;
            chunk.given += size;
            lane.queued -= size;
            if (chunk.given == chunk.bytes.size()) lane.queue.pop_front();
            if (size < allowed) continue;
        }
        if (!ends_here) continue;
        acted();
        if (is(FaultKind::reset)) return State::broken;
        // FIN, not RST: the client must see an orderly end, so what it still sends is read and dropped.
        ::shutdown(link.client.get(), SHUT_WR);
        close_with_reset(link.server);
        link.server_interest = 0;
        lose(link);
        return State::goes_on;
    }
    if (lane.queue.empty() && lane.ended && !lane.end_sent) {
        ::shutdown(link.client.get(), SHUT_WR);
        lane.end_sent = true;
    }
    return State::goes_on;
}

void Gate::Engine::lose(Link& link)
{
    link.lost = true;
    for (Lane* lane : {&link.up, &link.down}) {
        lane->queue.clear();
        lane->queued = 0;
    }
}

void Gate::Engine::update_interest(Link& link)
{
    const auto wanted = [&](const Lane& in, bool blocked) {
        std::uint32_t interest = 0;
        if (!in.ended && in.queued < lane_limit) interest |= EPOLLIN;
        if (blocked) interest |= EPOLLOUT;
        return interest;
    };
    set_interest(link.client, link.client_interest, wanted(link.up, link.down.full), 2 * link.number);
    const bool sending = !link.lost && link.up.full;
    set_interest(link.server, link.server_interest, wanted(link.down, sending), 2 * link.number + 1);
}

/// A descriptor that nothing is wanted of is left out: its hang-up would be reported again and again.
void Gate::Engine::set_interest(const Fd& fd, std::uint32_t& present, std::uint32_t wanted, std::uint64_t id) const
{
    if (!fd || wanted == present) return;
    const int operation = present == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    watch(epoll_, operation, fd.get(), wanted, id);
    present = wanted;
}

void Gate::Engine::drop(Links::iterator link, bool with_reset)
{
    if (with_reset) {
        close_with_reset(link->client);
        close_with_reset(link->server);
    }
    by_number_.erase(link->number);
    links_.erase(link);
    open_ = links_.size();
}

/// When bytes that wait here may go on.
std::optional<TimePoint> Gate::Engine::next_moment(const Link& link) const
{
    const Lane& lane = link.down;
    if (lane.queue.empty() || lane.full) return std::nullopt;
    const Chunk& first = lane.queue.front();
    if (is(FaultKind::drip)) return std::max(first.due, lane.next);
    if (!is(FaultKind::bandwidth)) return first.due;
    if (fault_->bytes == 0) return std::nullopt;
    const double wanted = std::min(burst(), static_cast<double>(first.bytes.size() - first.given));
    const auto wait =
        std::chrono::duration<double>(std::max(0.0, wanted - tokens_) / static_cast<double>(fault_->bytes));
    return std::max(first.due, tokens_at_ + std::chrono::ceil<Duration>(wait));
}

double Gate::Engine::burst() const noexcept
{
    return std::max(1.0, static_cast<double>(fault_->bytes) * std::chrono::duration<double>(bandwidth_portion).count());
}

/// How many of the bytes the bandwidth has room for now; none until there is room for a whole portion of them.
std::size_t Gate::Engine::affordable(std::size_t wanted, TimePoint now)
{
    const auto passed = std::chrono::duration<double>(std::max(now - tokens_at_, Duration::zero())).count();
    tokens_ = std::min(burst(), tokens_ + static_cast<double>(fault_->bytes) * passed);
    tokens_at_ = std::max(now, tokens_at_);
    const double portion = std::min(burst(), static_cast<double>(wanted));
    if (tokens_ + 1e-6 < portion) return 0;
    return std::min(wanted, static_cast<std::size_t>(tokens_ + 1e-6));
}

Gate::Gate(std::uint16_t target, std::uint64_t seed) : engine_(std::make_unique<Engine>(target, seed)) {}
Gate::~Gate() = default;

std::uint16_t Gate::port() const noexcept
{
    return engine_->port();
}

void Gate::set(const Step& step)
{
    if (!is_gate_fault(step.fault)) throw std::invalid_argument("not a fault of the network");
    engine_->submit(step);
}

void Gate::open()
{
    engine_->submit(std::nullopt);
}

Gate::Counts Gate::counts() const
{
    return engine_->counts();
}

} // namespace hotspare::experiment
