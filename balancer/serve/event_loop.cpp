#include "balancer/serve/event_loop.hpp"

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

namespace hotspare::balancer {
EventLoop::EventLoop() : epoll_(make_epoll())
{
    hotspare::watch(epoll_, EPOLL_CTL_ADD, wake_up_.fd(), EPOLLIN, 0); // no watcher
}

error_code EventLoop::add(int descriptor, Watcher& watcher, std::uint32_t events) noexcept
{
    epoll_event event{};
    event.events = events;
    event.data.ptr = &watcher;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0 ? error_code() : last_system_error();
}

error_code EventLoop::watch(int descriptor, Watcher& watcher) noexcept
{
    return add(descriptor, watcher, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

error_code EventLoop::watch_listener(int descriptor, Watcher& watcher) noexcept
{
    return add(descriptor, watcher, EPOLLIN | EPOLLEXCLUSIVE);
}

void EventLoop::unwatch(int descriptor, Watcher& watcher) noexcept
{
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
    forget(watcher);
}

void EventLoop::forget(Watcher& watcher) noexcept
{
    for (int i = acted_; i < count_; ++i) {
        auto& event = events_[static_cast<std::size_t>(i)];
        if (event.data.ptr == &watcher) event.data.ptr = nullptr;
    }
}

void EventLoop::post(Function function)
{
    bool first;
    {
        const std::lock_guard lock(mutex_);
        first = posted_.empty();
        posted_.push_back(std::move(function));
    }
    if (first) wake_up_.raise();
}

void EventLoop::run()
{
    for (stopped_ = false; !stopped_;) {
        if (acted_ == count_) { // else look() was told more after the last one had acted
            count_ = acted_ = 0;
            const bool forever = deferred_.empty() && alarm_at_ == TimePoint::max();
            wait(deferred_.empty() && !forever ? alarm_at_ - Clock::now() : Duration(0), forever);
        }
        while (acted_ < count_) {
            void* const watcher = events_[static_cast<std::size_t>(acted_++)].data.ptr;
            if (watcher != nullptr) static_cast<Watcher*>(watcher)->act();
        }
        if (std::exchange(woken_, false)) run_posted();
        run_deferred();
        if (alarm_at_ != TimePoint::max() && Clock::now() >= alarm_at_) {
            alarm_at_ = TimePoint::max();
            alarm_();
        }
    }
}

void EventLoop::wait(Duration limit, bool forever)
{
    epoll_event* const into = events_.data() + count_;
    const int room = most_events - count_;
    int count = -1;
    if (precise_) {
        const timespec time = to_timespec(limit);
        count = ::epoll_pwait2(epoll_.get(), into, room, forever ? nullptr : &time, nullptr);
        precise_ = count >= 0 || errno == EINTR; // an old kernel has no such call, a sandbox may forbid it
    }
    if (!precise_) {
        // Rounded up: an alarm that comes early would be asked for again at once. An hour: the argument is an int.
        const auto time = std::clamp<Duration>(limit, Duration(0), std::chrono::hours(1));
        count = ::epoll_wait(epoll_.get(), into, room,
                             forever ? -1 : static_cast<int>(std::chrono::ceil<milliseconds>(time).count()));
    }
    if (count < 0) return; // a signal: nothing was told
    known_until_ = count < room ? Clock::now() : TimePoint::min();
    ++looks_;
    count_ += count;
    for (const epoll_event& event : std::span(into, static_cast<std::size_t>(count))) {
        if (event.data.ptr != nullptr)
            static_cast<Watcher*>(event.data.ptr)->note(event.events);
        else
            woken_ = true;
    }
}

void EventLoop::look()
{
    if (count_ < most_events) wait(Duration(0), false);
}

void EventLoop::run_posted()
{
    wake_up_.lower();
    std::vector<Function> functions;
    {
        const std::lock_guard lock(mutex_);
        functions.swap(posted_);
    }
    for (Function& function : functions) function();
}

void EventLoop::run_deferred()
{
    // Those that are deferred meanwhile have their turn in the next one.
    const auto functions = std::exchange(deferred_, {});
    for (const Function& function : functions) function();
}

} // namespace hotspare::balancer
