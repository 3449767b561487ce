// The instrument itself: what it promises to the data plane, and what it takes down.
#include "tests/unit/balancer/serve/scripted_streams.hpp"

#include <boost/asio/error.hpp>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

struct Ear final : StreamListener {
    void stream_ready(Stream&) override { ++told; }
    int told = 0;
};

class ScriptedStreamTest : public ::testing::Test {
protected:
    ScriptedStreamTest() { stream->listen(&ear); }

    std::string read(std::size_t size = 16)
    {
        const IoResult io = stream->read(std::span(bytes).first(size));
        if (io.io == Io::done) return {bytes.data(), io.bytes};
        return io.io == Io::blocked ? "blocked" : io.io == Io::eof ? "eof" : "failed";
    }
    std::string write(std::string_view text)
    {
        const IoResult io = stream->write(text);
        if (io.io == Io::done) return std::to_string(io.bytes);
        return io.io == Io::blocked ? "blocked" : "failed";
    }
    bool tell()
    {
        if (!stream->due()) return false;
        stream->deliver();
        return true;
    }

    std::array<char, 64> bytes{};
    std::vector<std::string> misuse;
    Ear ear;
    ScriptedStream::Ptr stream = ScriptedStream::accepted("it", misuse, Reading::pieces);
};

TEST_F(ScriptedStreamTest, TellsOnceAfterARead)
{
    EXPECT_TRUE(stream->readable());
    EXPECT_EQ(read(), "blocked");
    EXPECT_FALSE(stream->readable());
    EXPECT_FALSE(tell());
    stream->sends("one");
    stream->sends("two");
    EXPECT_EQ(ear.told, 0);
    EXPECT_TRUE(tell());
    EXPECT_FALSE(tell());
    EXPECT_EQ(ear.told, 1);
    EXPECT_EQ(read(), "one");
    EXPECT_TRUE(stream->readable());
    EXPECT_EQ(read(2), "tw");
    EXPECT_EQ(read(), "o");
    EXPECT_EQ(read(), "blocked");
}

TEST_F(ScriptedStreamTest, EndsBehindWhatWasSent)
{
    stream->sends("one");
    stream->finishes();
    EXPECT_FALSE(stream->is_quiet());
    EXPECT_EQ(read(), "one");
    EXPECT_EQ(read(), "eof");
    EXPECT_EQ(write("x"), "1");
    stream->breaks();
    EXPECT_EQ(write("x"), "failed");
    EXPECT_EQ(read(), "failed");
}

TEST_F(ScriptedStreamTest, TakesAsMuchAsItHasRoomFor)
{
    stream->takes(3);
    EXPECT_EQ(write("hello"), "3");
    EXPECT_FALSE(stream->writable());
    EXPECT_EQ(write("lo"), "blocked");
    stream->takes(1);
    EXPECT_TRUE(tell());
    EXPECT_EQ(write("lo"), "1");
    stream->takes_all();
    EXPECT_EQ(write("o"), "1");
    EXPECT_EQ(stream->got(), "hello");
}

TEST_F(ScriptedStreamTest, KeepsWhatWasOnlyShown)
{
    stream->sends("hello");
    EXPECT_EQ(stream->peek(bytes).bytes, 5U);
    EXPECT_EQ(stream->unread(), 5U);
    EXPECT_TRUE(stream->drop(std::span(bytes).first(2), false));
    EXPECT_EQ(read(), "llo");
    EXPECT_TRUE(misuse.empty());
}

TEST_F(ScriptedStreamTest, MayReadAsASocketDoes)
{
    stream = ScriptedStream::accepted("it", misuse, Reading::socket);
    stream->sends("one");
    stream->sends("two");
    EXPECT_EQ(read(), "onetwo");
    EXPECT_FALSE(stream->readable());
    stream->finishes();
    EXPECT_TRUE(stream->readable());
    EXPECT_EQ(read(), "eof");
}

TEST_F(ScriptedStreamTest, IsQuietUntilItsPeerDoesSomething)
{
    EXPECT_TRUE(stream->is_quiet());
    stream->sends("x");
    EXPECT_FALSE(stream->is_quiet());
    EXPECT_FALSE(stream->may_be_reused());
    stream->goes_unnoticed();
    EXPECT_TRUE(stream->may_be_reused());
}

TEST_F(ScriptedStreamTest, TellsOfABreakOnlyIfThatIsAwaited)
{
    stream->breaks();
    EXPECT_FALSE(tell());
    EXPECT_FALSE(stream->has_broken());
    stream->await_break();
    EXPECT_TRUE(tell());
    EXPECT_TRUE(stream->has_broken());
    EXPECT_FALSE(tell());
}

TEST_F(ScriptedStreamTest, ConnectsWhenThePeerSaysSo)
{
    stream = ScriptedStream::connecting_to("it", misuse, Reading::pieces, ear);
    EXPECT_TRUE(stream->connecting());
    EXPECT_FALSE(tell());
    stream->fails_to_connect(boost::asio::error::connection_refused);
    EXPECT_TRUE(stream->connecting());
    EXPECT_TRUE(tell());
    EXPECT_FALSE(stream->connecting());
    EXPECT_EQ(stream->connect_error(), boost::asio::error::connection_refused);
    EXPECT_EQ(write("x"), "failed");
    EXPECT_EQ(misuse, std::vector<std::string>{"it: a write without a connection"});
}

TEST_F(ScriptedStreamTest, TakesDownWhatIsNotAllowed)
{
    std::array<char, 4> scratch{};
    stream->sends("hello");
    stream->peek(scratch);
    stream->drop(std::span(bytes).first(5), true);
    stream->read({});
    stream->write({});
    stream->shutdown_send();
    write("x");
    stream->close();
    read();
    write("x");
    stream->is_quiet();
    stream->shutdown_send();
    stream->close(); // as often as one likes
    stream->await_readable();
    EXPECT_EQ(misuse, (std::vector<std::string>{"it: a drop of more than was shown", "it: a read of no bytes",
                                                "it: a write of no bytes", "it: a write after the end",
                                                "it: a read after close", "it: a write after close",
                                                "it: a look after close", "it: an end after close"}));
}

TEST_F(ScriptedStreamTest, ForgetsItsListenerWhenItIsClosed)
{
    read();
    stream->sends("x");
    stream->close(true);
    EXPECT_TRUE(stream->was_reset());
    EXPECT_FALSE(stream->closed());
    EXPECT_FALSE(tell());
    EXPECT_EQ(stream->listener(), nullptr);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
