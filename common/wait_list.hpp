// Coroutines that wait for something to happen here, each until a moment of its own, in the order in which they came.
// The cause of it wakes one of them, or all; a woken one looks again, as another may have been quicker.
//
// Thread: the io_context's. Owner: the component whose coroutines wait; they must have ended before it is destroyed.
#pragma once

#include "common/clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <list>

namespace hotspare {

class WaitList {
public:
    explicit WaitList(boost::asio::io_context& context) : context_(context) {}

    WaitList(const WaitList&) = delete;
    WaitList& operator=(const WaitList&) = delete;

    /// Until it is woken, or `until`.
    boost::asio::awaitable<void> wait(TimePoint until)
    {
        Waiter waiter{boost::asio::steady_timer(context_, until)};
        const auto place = waiting_.insert(waiting_.end(), &waiter);
        co_await boost::asio::this_coro::throw_if_cancelled(false); // the entry must be erased in any case
        co_await waiter.timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        if (waiter.listed) waiting_.erase(place);
        co_await boost::asio::this_coro::throw_if_cancelled(true);
    }

    /// Two calls wake two, whether or not the first has run in between.
    void wake_one()
    {
        if (waiting_.empty()) return;
        auto* const waiter = waiting_.front();
        waiting_.pop_front();
        waiter->listed = false;
        waiter->timer.cancel();
    }
    void wake_all()
    {
        while (!waiting_.empty()) wake_one();
    }

    /// Those that have been woken do not count.
    std::size_t size() const noexcept { return waiting_.size(); }

private:
    struct Waiter {
        boost::asio::steady_timer timer;
        bool listed = true;
    };

    boost::asio::io_context& context_;
    std::list<Waiter*> waiting_; ///< each on its coroutine's frame
};

} // namespace hotspare
