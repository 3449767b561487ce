// Coroutines that wait for something to happen here, each until a moment of its own, in the order in which they came.
// Whoever makes it happen wakes one of them, or all; who is woken looks again, as somebody else may have been quicker.
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
        boost::asio::steady_timer timer(context_, until);
        const auto place = waiting_.insert(waiting_.end(), &timer);
        co_await boost::asio::this_coro::throw_if_cancelled(false); // the entry must be erased in any case
        co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        waiting_.erase(place);
        co_await boost::asio::this_coro::throw_if_cancelled(true);
    }

    /// Who has been woken and has not run yet is still in the list: waking one more than once may wake the same.
    void wake_one()
    {
        if (!waiting_.empty()) waiting_.front()->cancel();
    }
    void wake_all()
    {
        for (auto* timer : waiting_) timer->cancel();
    }

    std::size_t size() const noexcept { return waiting_.size(); }

private:
    boost::asio::io_context& context_;
    std::list<boost::asio::steady_timer*> waiting_; ///< each on its coroutine's frame
};

} // namespace hotspare
