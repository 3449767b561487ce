#include "tests/support/gate.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

namespace hotspare::test {
namespace {

constexpr std::size_t lane_limit = 256 * 1024; ///< bytes held per direction before the sender is slowed down

} // namespace

Gate::Gate(std::uint16_t target) : target_(target), reservation_(bind_loopback(0)), port_(local_port(reservation_))
{
    open_listener(1024);
    thread_ = std::thread([this] { run(); });
}

Gate::~Gate()
{
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.raise();
    thread_.join();
    for (Link& link : links_) {
        link.client.reset();
        link.server.reset();
    }
}

void Gate::set(const Fault& fault)
{
    submit(fault, false);
}
void Gate::reset_all()
{
    submit(std::nullopt, true);
}
void Gate::crash()
{
    submit(Fault::refuse(), true);
}

void Gate::submit(std::optional<Fault> fault, bool reset_all)
{
    std::unique_lock lock(mutex_);
    if (fault) wanted_ = fault;
    reset_wanted_ = reset_wanted_ || reset_all;
    const std::uint64_t mine = ++submitted_;
    wake_.raise();
    applied_.wait(lock, [&] { return done_ >= mine || stopping_; });
}

Gate::Counts Gate::counts() const
{
    const std::lock_guard lock(mutex_);
    return counts_;
}

void Gate::open_listener(int backlog)
{
    if (!fillers_.empty()) {
        fillers_.clear();
        listener_.close();
    }
    if (!listener_) listener_ = bind_loopback(port_);
    if (::listen(listener_.get(), backlog) != 0) throw std::system_error(errno, std::generic_category(), "listen");
    set_nonblocking(listener_);
}

void Gate::swallow(Link& link)
{
    link.swallowing = true;
    link.up = {};
    link.down = {};
}

void Gate::apply()
{
    const std::lock_guard lock(mutex_);
    if (wanted_) {
        fault_ = *std::exchange(wanted_, std::nullopt);
        switch (fault_.kind) {
        case Fault::Kind::refuse:
            fillers_.clear();
            listener_.close();
            break;
        case Fault::Kind::unroutable:
            open_listener(0);
            // A backlog of 0 still holds one connection; the SYN of the next is dropped.
            for (int i = 0; i < 2; ++i) fillers_.push_back(start_connect(port_));
            break;
        default: open_listener(1024);
        }
        for (Link& link : links_) {
            link.answered = 0;
            if (fault_.kind != Fault::Kind::half_open && fault_.kind != Fault::Kind::unroutable) continue;
            link.server.reset();
            swallow(link);
        }
    }
    if (std::exchange(reset_wanted_, false)) {
        for (Link& link : links_) {
            link.client.reset();
            link.server.reset();
        }
        links_.clear();
        counts_.open = 0;
    }
    done_ = submitted_;
    applied_.notify_all();
}

void Gate::accept_some()
{
    for (;;) {
        Link link;
        link.client = Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!link.client) return;
        set_nodelay(link.client);
        link.swallowing = fault_.kind == Fault::Kind::black_hole;
        if (!link.swallowing) link.server = start_connect(target_);
        links_.push_back(std::move(link));
        const std::lock_guard lock(mutex_);
        ++counts_.accepted;
        counts_.open = links_.size();
    }
}

void Gate::run()
{
    std::vector<pollfd> fds;
    for (;;) {
        const TimePoint now = Clock::now();
        const bool accepting =
            listener_ && fault_.kind != Fault::Kind::silent && fault_.kind != Fault::Kind::unroutable;
        std::optional<TimePoint> next;

        fds.clear();
        fds.push_back({.fd = wake_.fd(), .events = POLLIN, .revents = 0});
        fds.push_back({.fd = accepting ? listener_.get() : -1, .events = POLLIN, .revents = 0});
        for (const Link& link : links_) {
            const auto interest = [&](const Fd& fd, const Lane& in, const Lane& out) {
                short events = 0;
                if (!in.ended && in.queued < lane_limit) events |= POLLIN;
                if (link.swallowing) return pollfd{.fd = fd.get(), .events = events, .revents = 0};
                if (!out.queue.empty() && out.queue.front().due <= now) events |= POLLOUT;
                if (!out.queue.empty() && out.queue.front().due > now)
                    next = next ? std::min(*next, out.queue.front().due) : out.queue.front().due;
                if (out.queue.empty() && out.ended && !out.end_sent) events |= POLLOUT;
                // A descriptor without interest is left out: poll() would report its hang-up again and again.
                const bool still = fault_.kind == Fault::Kind::silent || events == 0;
                return pollfd{.fd = still ? -1 : fd.get(), .events = events, .revents = 0};
            };
            fds.push_back(interest(link.client, link.up, link.down));
            fds.push_back(interest(link.server, link.down, link.up));
        }

        const timespec timeout = next ? until(*next) : timespec{};
        if (::ppoll(fds.data(), fds.size(), next ? &timeout : nullptr, nullptr) < 0) continue;

        std::size_t i = 2;
        for (auto link = links_.begin(); link != links_.end();) {
            const short client_events = fds[i++].revents;
            const short server_events = fds[i++].revents;
            if (serve(*link, client_events, server_events, Clock::now())) {
                ++link;
                continue;
            }
            link = links_.erase(link);
            const std::lock_guard lock(mutex_);
            counts_.open = links_.size();
        }
        if (fds[1].revents) accept_some();
        if (fds[0].revents) {
            wake_.lower();
            apply();
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
        }
    }
}

bool Gate::serve(Link& link, short client_events, short server_events, TimePoint now)
{
    constexpr short readable = POLLIN | POLLHUP | POLLERR;
    bool client_here = !(client_events & readable) || take(link, link.client, link.up, true, now);
    bool server_here = !(server_events & readable) || take(link, link.server, link.down, false, now);
    if (client_here && (client_events & POLLOUT)) client_here = give(link, link.client, link.down, true, now);
    if (server_here && (server_events & POLLOUT)) server_here = give(link, link.server, link.up, false, now);

    if (link.swallowing) {
        // The two sides no longer know of each other.
        if (!server_here || link.down.ended) link.server.close();
        return client_here && !link.up.ended;
    }
    if (!client_here || !server_here) {
        link.client.reset();
        link.server.reset();
        return false;
    }
    return !(link.up.end_sent && link.down.end_sent);
}

bool Gate::take(Link& link, Fd& from, Lane& lane, bool upwards, TimePoint now)
{
    if (lane.ended || lane.queued >= lane_limit) return true;
    std::array<char, 65536> buffer;
    const auto n = ::recv(from.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
        lane.ended = true;
        return true;
    }
    const auto size = static_cast<std::size_t>(n);
    if (upwards) {
        const std::lock_guard lock(mutex_);
        counts_.to_server += size;
    }
    if (fault_.kind == Fault::Kind::black_hole) swallow(link);
    if (link.swallowing) return true;

    const bool late = fault_.kind == Fault::Kind::delay && !upwards;
    lane.queue.push_back({late ? now + fault_.delay : now, std::string(buffer.data(), size)});
    lane.queued += size;
    return true;
}

bool Gate::give(Link& link, Fd& to, Lane& lane, bool downwards, TimePoint now)
{
    while (!lane.queue.empty() && lane.queue.front().due <= now) {
        std::string& bytes = lane.queue.front().bytes;
        std::size_t allowed = bytes.size();
        const bool ends_here = downwards && (fault_.kind == Fault::Kind::reset || fault_.kind == Fault::Kind::cut) &&
                               link.answered + bytes.size() > fault_.after;
        if (ends_here) allowed = fault_.after - std::min<std::size_t>(fault_.after, link.answered);
        if (fault_.kind == Fault::Kind::slice) allowed = std::min<std::size_t>(allowed, 1);

        if (allowed > 0) {
            const auto n = ::send(to.get(), bytes.data(), allowed, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0) return errno == EAGAIN || errno == EINTR;
            const auto size = static_cast<std::size_t>(n);
            if (downwards) {
                link.answered += size;
                const std::lock_guard lock(mutex_);
                counts_.to_client += size;
            }
            bytes.erase(0, size);
            lane.queued -= size;
            if (bytes.empty()) lane.queue.pop_front();
            if (fault_.kind == Fault::Kind::slice) return true;
            if (size < allowed) return true;
        }
        if (ends_here) {
            if (fault_.kind == Fault::Kind::reset) return false;
            // FIN, not RST: the client must see an orderly end, so what it still sends is read and dropped.
            ::shutdown(to.get(), SHUT_WR);
            link.server.close();
            swallow(link);
            return true;
        }
    }
    if (lane.queue.empty() && lane.ended && !lane.end_sent) {
        ::shutdown(to.get(), SHUT_WR);
        lane.end_sent = true;
    }
    return true;
}

} // namespace hotspare::test
