#include "common/http/stream.hpp"

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <string>

namespace hotspare::http {
namespace TEST_FILE {

TEST(FormatEvent, FollowsTheEventStreamFormat)
{
    EXPECT_EQ(format_event("7", "transition", "{\"a\":1}"), "id: 7\nevent: transition\ndata: {\"a\":1}\n\n");
    EXPECT_EQ(format_event("", "", "one\ntwo"), "data: one\ndata: two\n\n");
    EXPECT_EQ(format_event("", "", ""), "data: \n\n");
}

TEST(Outbox, EndsTheStreamOfASubscriberThatLags)
{
    asio::io_context context;
    Outbox outbox(context, 10);
    EXPECT_TRUE(outbox.send("12345"));
    EXPECT_TRUE(outbox.send("12345"));
    EXPECT_FALSE(outbox.closed());
    EXPECT_FALSE(outbox.send("1"));
    EXPECT_TRUE(outbox.closed());
    EXPECT_FALSE(outbox.send("1"));
}

TEST(Outbox, TakesNothingOnceClosed)
{
    asio::io_context context;
    Outbox outbox(context, 10);
    outbox.close();
    EXPECT_FALSE(outbox.send("1"));
}

} // namespace TEST_FILE
} // namespace hotspare::http
