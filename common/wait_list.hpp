// Coroutines that wait for something to happen here, each until a moment of its own, in the order in which they came.
// The cause of it wakes one of them, or all; a woken one looks again, as another may have been quicker.
//
// Thread: the io_context's. Owner: the component whose coroutines wait; they must have ended before it is destroyed.
#pragma once

#include "common/clock.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <list>

namespace hotspare {

class WaitList {
public:
    explicit WaitList(boost::asio::io_context& context) : context_(context) {}

    WaitList(const WaitList&) = delete;
    WaitList& operator=(const WaitList&) = delete;

    /// Until it is woken, or `until`.
    boost::asio::awaitable<void> wait(TimePoint until);

    /// Two calls wake two, whether or not the first has run in between.
    void wake_one();
    void wake_all();

    /// Those that have been woken do not count.
    std::size_t size() const noexcept { return waiting_.size(); }

private:
    struct Waiter;

    boost::asio::io_context& context_;
    std::list<Waiter*> waiting_; ///< each on its coroutine's frame
};

} // namespace hotspare
