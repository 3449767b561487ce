// The event loop of a worker: whose turn comes when.
#include "balancer/serve/event_loop.hpp"

#include "tests/support/socket.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <string>
#include <thread>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

TEST(EventLoop, CallsWhatOtherThreadsPostInTheirOrder)
{
    EventLoop loop;
    constexpr int count = 1000;
    std::vector<int> called;
    std::thread other([&] {
        for (int i = 0; i < count; ++i) loop.post([&called, i] { called.push_back(i); });
        loop.post([&loop] { loop.stop(); });
    });
    loop.run();
    other.join();
    ASSERT_EQ(called.size(), std::size_t{count});
    for (int i = 0; i < count; ++i) EXPECT_EQ(called[static_cast<std::size_t>(i)], i);
}

TEST(EventLoop, CallsWhatIsDeferredOneTurnLater)
{
    EventLoop loop;
    std::string order;
    loop.defer([&] {
        order += 'a';
        loop.defer([&] {
            order += 'c';
            loop.stop();
        });
        loop.post([&] { order += 'b'; });
    });
    loop.run();
    EXPECT_EQ(order, "abc");
}

TEST(EventLoop, GivesTheAlarmWhenItsTimeHasComeAndOnce)
{
    EventLoop loop;
    TimePoint given{};
    int alarms = 0;
    loop.on_alarm([&] {
        ++alarms;
        given = Clock::now();
        loop.set_alarm(Clock::now() + milliseconds(5));
        if (alarms == 2) loop.stop();
    });
    const TimePoint at = Clock::now() + milliseconds(20);
    loop.set_alarm(Clock::now() + std::chrono::hours(1));
    loop.set_alarm(at);
    loop.run();
    EXPECT_EQ(alarms, 2);
    EXPECT_GE(given, at + milliseconds(5));
}

TEST(EventLoop, AnAlarmThatHasPassedIsGivenAtOnce)
{
    EventLoop loop;
    loop.on_alarm([&] { loop.stop(); });
    loop.set_alarm(Clock::now() - seconds(1));
    loop.run();
}

struct Acceptor : EventLoop::Watcher {
    explicit Acceptor(EventLoop& l) : loop(l) {}
    void note(std::uint32_t) override {}
    void act() override
    {
        ++told;
        loop.stop();
    }
    EventLoop& loop;
    int told = 0;
};

TEST(EventLoop, TellsOfAListenerInEachTurnWhileConnectionsWait)
{
    EventLoop loop;
    Acceptor acceptor(loop);
    const test::Fd listening = test::listen_loopback(0);
    ASSERT_FALSE(loop.watch_listener(listening.get(), acceptor));
    const test::Fd client = test::connect_loopback(test::local_port(listening));
    loop.run();
    loop.run();
    EXPECT_EQ(acceptor.told, 2) << "it was not accepted";

    loop.unwatch(listening.get(), acceptor);
    loop.defer([&] { loop.stop(); });
    loop.run();
    EXPECT_EQ(acceptor.told, 2);

    ASSERT_FALSE(loop.watch_listener(listening.get(), acceptor));
    loop.run();
    EXPECT_EQ(acceptor.told, 3) << "watched again";
}

/// Also outside of the watchers' own turn, as in a function that was deferred: an edge is told only once.
TEST(EventLoop, LosesNothingThatALookHasFound)
{
    EventLoop loop;
    const test::Fd listening = test::listen_loopback(0);
    const test::Fd far = test::connect_loopback(test::local_port(listening));
    const Fd near(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    struct Counting : EventLoop::Watcher {
        explicit Counting(EventLoop& owner) : loop(owner) {}
        void note(std::uint32_t events) override { noted += (events & EPOLLIN) != 0; }
        void act() override
        {
            if (noted == 0) return; // that it takes bytes
            acted = true;
            loop.stop();
        }
        EventLoop& loop;
        int noted = 0;
        bool acted = false;
    } watcher(loop);
    ASSERT_FALSE(loop.watch(near.get(), watcher));
    loop.defer([&] {
        ASSERT_TRUE(test::send_all(far, "x"));
        loop.look();
        EXPECT_EQ(watcher.noted, 1);
        EXPECT_FALSE(watcher.acted);
    });
    loop.run();
    EXPECT_TRUE(watcher.acted);
    EXPECT_EQ(watcher.noted, 1);
    loop.unwatch(near.get(), watcher);
}

TEST(EventLoop, SaysWhyItCannotWatch)
{
    EventLoop loop;
    Acceptor acceptor(loop);
    EXPECT_EQ(loop.watch(-1, acceptor).value(), EBADF);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
