#include "common/task_group.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

namespace hotspare {
namespace TEST_FILE {

asio::awaitable<void> wait_for_ever(asio::io_context& context, bool& begun, bool& cancelled)
{
    begun = true;
    asio::steady_timer never(context, asio::steady_timer::time_point::max());
    const auto [error] = co_await never.async_wait(asio::as_tuple(asio::use_awaitable));
    cancelled = error == asio::error::operation_aborted;
}

asio::awaitable<void> join(TaskGroup& group, bool& joined)
{
    co_await group.join();
    joined = true;
}

class TaskGroupTest : public testing::Test {
protected:
    asio::io_context context{1};
    TaskGroup group{context};
    TaskGroup outer{context};
    bool begun = false, cancelled = false, joined = false;
};

TEST_F(TaskGroupTest, CancelsWhatRunsAndIsJoined)
{
    group.spawn("waits", wait_for_ever(context, begun, cancelled));
    while (!begun) context.run_one();
    group.cancel();
    outer.spawn("joins", join(group, joined));
    context.run();
    EXPECT_TRUE(cancelled);
    EXPECT_TRUE(joined);
}

TEST_F(TaskGroupTest, WhatIsCancelledBeforeItsFirstStepIsNeverStarted)
{
    // A daemon that is told to stop while it starts: nothing may escape from the event loop.
    group.spawn("never runs", wait_for_ever(context, begun, cancelled));
    group.cancel();
    outer.spawn("joins", join(group, joined));
    EXPECT_NO_THROW(context.run());
    EXPECT_FALSE(begun);
    EXPECT_TRUE(joined);
}

TEST_F(TaskGroupTest, StartsNothingAfterCancel)
{
    group.cancel();
    group.spawn("refused", wait_for_ever(context, begun, cancelled));
    EXPECT_EQ(group.size(), 0U);
    context.run();
    EXPECT_FALSE(begun);
}

} // namespace TEST_FILE
} // namespace hotspare
