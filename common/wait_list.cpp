#include "common/wait_list.hpp"

#include "common/no_throw.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

namespace hotspare {

struct WaitList::Waiter {
    boost::asio::steady_timer timer;
    bool listed = true;
};

boost::asio::awaitable<void> WaitList::wait(TimePoint until)
{
    Waiter waiter{boost::asio::steady_timer(context_, until)};
    const auto place = waiting_.insert(waiting_.end(), &waiter);
    co_await boost::asio::this_coro::throw_if_cancelled(false); // the entry must be erased in any case
    co_await waiter.timer.async_wait(no_throw);
    if (waiter.listed) waiting_.erase(place);
    co_await boost::asio::this_coro::throw_if_cancelled(true);
}

void WaitList::wake_one()
{
    if (waiting_.empty()) return;
    auto* const waiter = waiting_.front();
    waiting_.pop_front();
    waiter->listed = false;
    waiter->timer.cancel();
}

void WaitList::wake_all()
{
    while (!waiting_.empty()) wake_one();
}

} // namespace hotspare
