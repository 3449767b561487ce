// TCP connections on an event loop: what is told when, what a read or write comes to, and what is known without asking.
#include "balancer/serve/tcp_stream.hpp"

#include "common/unix_address.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/error.hpp>

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

namespace asio = boost::asio;
using Endpoint = TcpStream::Endpoint;

struct Listener : StreamListener {
    explicit Listener(EventLoop& l) : loop(l) {}
    void stream_ready(Stream&) override
    {
        ++told;
        loop.stop();
    }
    EventLoop& loop;
    int told = 0;
};

/// Runs the loop, which stops each time that a listener was told something, until `condition` holds.
[[nodiscard]] bool run_until(EventLoop& loop, const std::function<bool()>& condition)
{
    bool late = false;
    loop.on_alarm([&] {
        late = true;
        loop.stop();
    });
    loop.set_alarm(Clock::now() + test::patience);
    while (!condition() && !late) loop.run();
    loop.set_alarm(TimePoint::max());
    return !late;
}

/// One more turn of the loop, in which all that has happened by now is told.
void run_once(EventLoop& loop)
{
    loop.defer([&loop] { loop.stop(); });
    loop.run();
}

// --- Connecting ------------------------------------------------------------------------------------------------------

Endpoint loopback(std::uint16_t port)
{
    return {asio::ip::address_v4::loopback(), port};
}

/// A port that is taken and on which no connection is accepted.
struct Refusing {
    test::Fd socket = test::bind_loopback(0);
    Endpoint address = loopback(test::local_port(socket));
};

error_code connect(const std::vector<Endpoint>& addresses)
{
    EventLoop loop;
    Listener listener(loop);
    const auto stream = TcpStream::connect(loop, addresses, listener);
    EXPECT_TRUE(stream->connecting());
    EXPECT_EQ(listener.told, 0) << "told from inside connect()";
    EXPECT_TRUE(run_until(loop, [&] { return listener.told > 0; }));
    EXPECT_FALSE(stream->connecting());
    EXPECT_EQ(listener.told, 1);
    return stream->connect_error();
}

TEST(TcpStream, ConnectsToTheFirstAddressThatTakesTheConnection)
{
    const Refusing refusing, another;
    const test::Fd listening = test::listen_loopback(0);
    const auto good = loopback(test::local_port(listening));
    EXPECT_EQ(connect({good, refusing.address}), error_code());
    EXPECT_EQ(connect({refusing.address, another.address, good}), error_code());
}

TEST(TcpStream, TellsTheErrorOfItsFirstAddressWhenNoneTakesTheConnection)
{
    const Refusing refusing, another;
    EXPECT_EQ(connect({refusing.address, another.address}), asio::error::connection_refused);
    EXPECT_EQ(connect({}), asio::error::host_not_found);
}

TEST(TcpStream, ATriedConnectionThatIsClosedTellsNothingMore)
{
    const Refusing refusing;
    EventLoop loop;
    Listener listener(loop);
    TcpStream::connect(loop, std::vector{refusing.address}, listener)->close();
    TcpStream::connect(loop, {}, listener)->close();
    run_once(loop);
    run_once(loop);
    EXPECT_EQ(listener.told, 0);
}

// --- Unix sockets ----------------------------------------------------------------------------------------------------

TEST(UnixStream, APermissionThatIsMissingSaysSomethingAboutTheServer)
{
    const test::TempDir directory;
    const std::string path = (directory.path() / "s").string();
    const auto address = unix_address(path).value();
    const test::Fd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listening.get(), address.get(), address.size), 0);
    ASSERT_EQ(::listen(listening.get(), 1), 0);
    ASSERT_EQ(::chmod(path.c_str(), 0), 0);
    error_code error;
    // As another user, which only this thread is: root may connect to any socket.
    std::thread([&] {
        if (::geteuid() == 0) ::syscall(SYS_setfsuid, 65534);
        EventLoop loop;
        Listener listener(loop);
        const auto stream = TcpStream::connect_local(loop, path, listener);
        EXPECT_TRUE(run_until(loop, [&] { return listener.told > 0; }));
        error = stream->connect_error();
        stream->close();
    }).join();
    EXPECT_EQ(error.message(), "Permission denied");
    EXPECT_FALSE(is_own_shortage(error)) << "the request goes to another backend";
}

// --- A connection that was accepted ----------------------------------------------------------------------------------

class ConnectedStream : public testing::Test {
protected:
    ConnectedStream()
    {
        const test::Fd listening = test::listen_loopback(0);
        peer = test::connect_loopback(test::local_port(listening));
        Fd accepted(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        stream = TcpStream::adopt(loop, std::move(accepted));
        stream->listen(&listener);
    }
    ~ConnectedStream() override { stream->listen(nullptr); }

    /// What one try to read came to; the bytes in `text`.
    Io read(std::size_t size = 4096)
    {
        std::vector<char> into(size);
        const IoResult io = stream->read(into);
        text.assign(into.data(), io.bytes);
        return io.io;
    }
    /// Waits to be told that there is something to read.
    void await()
    {
        const int before = listener.told;
        stream->await_readable();
        EXPECT_TRUE(run_until(loop, [&] { return listener.told > before; }));
    }
    void send(std::string_view bytes) { ASSERT_TRUE(test::send_all(peer, bytes)); }
    void end() { ::shutdown(peer.get(), SHUT_WR); }

    EventLoop loop;
    Listener listener{loop};
    test::Fd peer;
    Stream::Ptr stream;
    std::string text;
};

TEST_F(ConnectedStream, IsToldOfEachArrivalOnce)
{
    EXPECT_EQ(read(), Io::blocked);
    for (const char* word : {"one", "two"}) {
        send(word);
        ASSERT_TRUE(run_until(loop, [&] { return stream->readable(); }));
        EXPECT_EQ(read(), Io::done);
        EXPECT_EQ(text, word);
        EXPECT_FALSE(stream->readable()) << "the short read emptied it";
        EXPECT_EQ(read(), Io::blocked);
    }
    EXPECT_EQ(listener.told, 2);
}

TEST_F(ConnectedStream, IsToldAtOnceOfWhatWasThereBefore)
{
    send("abcdef");
    await();
    EXPECT_EQ(read(3), Io::done);
    await(); // three bytes are left, and nothing new arrives
    EXPECT_EQ(read(), Io::done);
    EXPECT_EQ(text, "def");
}

TEST_F(ConnectedStream, FindsAnEndThatCameWithTheLastBytes)
{
    send("last");
    end();
    await();
    EXPECT_EQ(read(), Io::done);
    await();
    EXPECT_EQ(read(), Io::eof);
    EXPECT_FALSE(stream->has_broken());
    EXPECT_EQ(stream->write(std::string_view("still")).io, Io::done) << "the peer half-closed";
}

TEST_F(ConnectedStream, FindsAnEndThatCameAlone)
{
    send("x");
    await();
    EXPECT_EQ(read(), Io::done);
    end();
    await();
    EXPECT_EQ(read(), Io::eof);
}

TEST_F(ConnectedStream, TellsABreakToWhomAwaitsIt)
{
    end();
    await();
    EXPECT_EQ(read(), Io::eof);
    stream->await_break();
    run_once(loop);
    EXPECT_FALSE(stream->has_broken());
    peer.reset();
    EXPECT_TRUE(run_until(loop, [&] { return stream->has_broken(); }));
    EXPECT_EQ(stream->write(std::string_view("x")).io, Io::failed);
}

TEST_F(ConnectedStream, TellsABreakThatCameBeforeItWasAwaited)
{
    peer.reset();
    await();
    EXPECT_FALSE(stream->has_broken());
    stream->await_break();
    EXPECT_TRUE(run_until(loop, [&] { return stream->has_broken(); }));
    EXPECT_EQ(read(), Io::failed);
}

TEST_F(ConnectedStream, IsToldWhenAPeerThatDidNotReadTakesBytesAgain)
{
    const std::string piece(256 * 1024, 'x');
    while (stream->writable()) ASSERT_EQ(stream->write(piece).io, Io::done);
    EXPECT_EQ(stream->write(piece).io, Io::blocked);
    run_once(loop);
    EXPECT_EQ(listener.told, 0);
    EXPECT_FALSE(stream->writable());
    std::thread reader([fd = peer.get()] {
        std::array<char, 65536> sink;
        while (::recv(fd, sink.data(), sink.size(), 0) > 0) {
        }
    });
    EXPECT_TRUE(run_until(loop, [&] { return stream->writable(); }));
    EXPECT_EQ(listener.told, 1);
    EXPECT_EQ(stream->write(piece).io, Io::done);
    stream->close();
    reader.join();
}

TEST_F(ConnectedStream, PeekedBytesStayUntilTheyAreDropped)
{
    send("abc");
    await();
    std::array<char, 16> window;
    ASSERT_EQ(stream->peek(window).bytes, 3U);
    ASSERT_EQ(stream->peek(window).bytes, 3U);
    EXPECT_TRUE(stream->drop(std::span(window).first(2), false));
    EXPECT_EQ(read(), Io::done);
    EXPECT_EQ(text, "c");
    EXPECT_EQ(stream->peek(window).io, Io::blocked);
}

TEST_F(ConnectedStream, IsToldNothingAfterItWasClosed)
{
    // Both have something to tell in the same turn, and the first closes the second.
    struct Closing : StreamListener {
        void stream_ready(Stream& told) override
        {
            ++count;
            for (const auto& other : streams)
                if (other.get() != &told) other->close();
        }
        int count = 0;
        std::array<Stream::Ptr, 2> streams;
    } closing;
    const test::Fd listening = test::listen_loopback(0);
    std::array<test::Fd, 2> peers;
    for (std::size_t i = 0; i < 2; ++i) {
        peers[i] = test::connect_loopback(test::local_port(listening));
        closing.streams[i] =
            TcpStream::adopt(loop, Fd(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)));
        closing.streams[i]->listen(&closing);
        closing.streams[i]->await_readable();
    }
    run_once(loop); // room to write is no news
    for (std::size_t i = 0; i < 2; ++i) {
        std::array<char, 8> into;
        closing.streams[i]->read(into);
        closing.streams[i]->await_readable();
    }
    closing.count = 0;
    for (const test::Fd& sender : peers) ASSERT_TRUE(test::send_all(sender, "x"));
    run_once(loop);
    EXPECT_EQ(closing.count, 1);
}

// --- Whether a connection may be used again --------------------------------------------------------------------------

TEST_F(ConnectedStream, IsQuietUntilSomethingArrives)
{
    EXPECT_TRUE(stream->is_quiet());
    send("x");
    EXPECT_FALSE(stream->is_quiet()) << "what the loop has not told yet counts";
    await();
    EXPECT_FALSE(stream->is_quiet());
    EXPECT_EQ(read(), Io::done);
    EXPECT_TRUE(stream->is_quiet());
    end();
    EXPECT_FALSE(stream->is_quiet());
}

TEST_F(ConnectedStream, MayNotBeReusedOnceTheLoopHasTold)
{
    send("x");
    await();
    EXPECT_EQ(read(), Io::done);
    EXPECT_TRUE(stream->may_be_reused());
    send("y");
    await();
    EXPECT_EQ(read(), Io::done);
    send("z");
    EXPECT_FALSE(stream->may_be_reused()) << "it was read since the loop was told, so the kernel is asked";
    run_once(loop);
    EXPECT_FALSE(stream->may_be_reused());
    EXPECT_EQ(read(), Io::done);
    end();
    run_once(loop);
    EXPECT_FALSE(stream->may_be_reused());
}

/// A look at one connection that was read in this turn serves the others.
TEST_F(ConnectedStream, OneLookTellsOfAllConnections)
{
    const test::Fd listening = test::listen_loopback(0);
    const test::Fd far = test::connect_loopback(test::local_port(listening));
    const auto other =
        TcpStream::adopt(loop, Fd(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)));
    run_once(loop);
    std::array<char, 8> into;
    send("x");
    ASSERT_TRUE(test::send_all(far, "x"));
    await();
    EXPECT_EQ(read(), Io::done);
    EXPECT_EQ(other->read(into).io, Io::done);
    EXPECT_FALSE(stream->is_known_quiet());
    EXPECT_FALSE(other->is_known_quiet());

    ASSERT_TRUE(test::send_all(far, "unasked"));
    EXPECT_TRUE(stream->may_be_reused());
    EXPECT_TRUE(stream->is_known_quiet());
    EXPECT_FALSE(other->is_known_quiet());
    EXPECT_FALSE(other->may_be_reused());
    run_once(loop);
    EXPECT_EQ(other->read(into).io, Io::done) << "what the look was told is not lost";
}

/// The one that acts first in a turn knows what has happened to the others: a request must not go out on a connection
/// whose end is in the same turn's events.
TEST_F(ConnectedStream, KnowsWhatHasHappenedToTheOthersOfATurn)
{
    struct Asking : StreamListener {
        void stream_ready(Stream&) override { reusable = other->may_be_reused(); }
        Stream::Ptr other;
        std::optional<bool> reusable;
    } asking;
    asking.other = stream;
    const test::Fd listening = test::listen_loopback(0);
    const test::Fd first = test::connect_loopback(test::local_port(listening));
    const auto asker =
        TcpStream::adopt(loop, Fd(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)));
    asker->listen(&asking);
    run_once(loop);
    std::array<char, 8> into;
    asker->read(into);
    asker->await_readable();
    ASSERT_TRUE(test::send_all(first, "x"));
    send("unasked");
    run_once(loop);
    EXPECT_EQ(asking.reusable, false);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
