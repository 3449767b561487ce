// storage::redis::Connection against a real server, one that dies or stands still, and peers that are no Redis at all.
#include "common/storage/redis.hpp"
#include "common/task_group.hpp"

#include "tests/support/gate.hpp"
#include "tests/support/one_shot_peer.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <future>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace hotspare::storage::redis {
namespace TEST_FILE {

using Kind = Reply::Kind;
using Replies = result<std::vector<Reply>>;

constexpr Duration long_enough = seconds(20);
constexpr Duration hasty = milliseconds(50);

std::string url_of(std::uint16_t port)
{
    return "redis://127.0.0.1:" + std::to_string(port);
}

/// A Connection, and an event loop that runs until the call is done.
class Caller {
public:
    explicit Caller(const std::string& url) : connection(context.get_executor(), resolve(url, "test")) {}

    Replies run(std::vector<Command> commands, Duration deadline = long_enough)
    {
        context.restart();
        auto replies = asio::co_spawn(context, connection.run(std::move(commands), deadline), asio::use_future);
        context.run();
        return replies.get();
    }

    /// The reply to one command. A failure fails the test.
    Reply ask(Command command)
    {
        const std::vector<Command> commands{std::move(command)};
        const auto replies = run(commands);
        if (!replies) ADD_FAILURE() << commands[0][0] << ": " << replies.error().message();
        return replies && replies->size() == 1 ? replies->front() : Reply();
    }

    asio::io_context context;
    Connection connection;
};

TEST(Redis, AnswersWithEveryKindOfReply)
{
    const test::RedisServer server;
    Caller caller(server.url());
    EXPECT_FALSE(caller.connection.is_open());
    const std::string bytes("a\0b\r\nc\xff", 7);
    EXPECT_EQ(caller.ask({"SET", "key", bytes}).text, "OK");
    EXPECT_TRUE(caller.connection.is_open());
    EXPECT_EQ(caller.ask({"GET", "key"}).text, bytes);
    EXPECT_EQ(caller.ask({"GET", "nothing"}).kind, Kind::nil);
    EXPECT_EQ(caller.ask({"DECR", "count"}).integer, -1);
    EXPECT_EQ(caller.ask({"KEYS", "x*"}).kind, Kind::list);
    EXPECT_EQ(caller.ask({"CONFIG", "GET", "maxclients"}).list.size(), 2U);
}

TEST(Redis, AnErrorIsAReplyAmongTheOthers)
{
    const test::RedisServer server;
    Caller caller(server.url());
    const auto replies = caller.run({{"SET", "key", "word"}, {"INCR", "key"}, {"NOSUCH"}, {"GET", "key"}});
    ASSERT_TRUE(replies);
    ASSERT_EQ(replies->size(), 4U);
    EXPECT_TRUE((*replies)[1].is_error());
    EXPECT_TRUE((*replies)[2].text.starts_with("ERR unknown command")) << (*replies)[2].text;
    EXPECT_EQ((*replies)[3].text, "word");
    EXPECT_TRUE(caller.connection.is_open());
}

TEST(Redis, PipelinesAThousandCommandsInOrder)
{
    const test::RedisServer server;
    Caller caller(server.url());
    std::vector<Command> commands;
    for (int i = 0; i < 1'000; ++i) commands.push_back({"ECHO", std::to_string(i) + std::string(500, '.')});
    const auto replies = caller.run(commands);
    ASSERT_TRUE(replies);
    ASSERT_EQ(replies->size(), commands.size());
    for (std::size_t i = 0; i < commands.size(); ++i) EXPECT_EQ((*replies)[i].text, commands[i][1]);
}

TEST(Redis, DoesNotTakeItselfForAServer)
{
    // A client that connects often enough to a port of the range that the kernel picks the near end from is at last
    // given that very port. Linux picks among the even ones first, some 14,000 by default: so many attempts hardly ever
    // miss.
    std::uint16_t port = 0;
    for (std::uint16_t candidate = 40'000; port == 0 && candidate < 50'000; candidate += 2) {
        try {
            (void)test::bind_loopback(candidate);
            port = candidate;
        } catch (const std::system_error&) {
            continue; // taken
        }
    }
    Caller caller(url_of(port));
    for (int i = 0; i < 60'000; ++i) ASSERT_EQ(caller.run({{"PING"}}).error(), asio::error::connection_refused);
}

TEST(Redis, NoCommandsNeedNoServer)
{
    Caller caller(url_of(1));
    const auto replies = caller.run({});
    ASSERT_TRUE(replies);
    EXPECT_TRUE(replies->empty());
}

TEST(Redis, ReadsAStreamThroughAConsumerGroup)
{
    const test::RedisServer server;
    Caller caller(server.url());
    ASSERT_EQ(caller.ask({"XGROUP", "CREATE", "orders", "workers", "0", "MKSTREAM"}).text, "OK");
    const auto first = caller.ask({"XADD", "orders", "*", "order", "o-1", "due", "5"}).text;
    const auto second = caller.ask({"XADD", "orders", "*", "order", "o-2"}).text;
    const Command read{"XREADGROUP", "GROUP", "workers", "me", "COUNT", "10", "STREAMS", "orders", ">"};
    const auto streams = caller.ask(read).list;
    ASSERT_EQ(streams.size(), 1U);
    ASSERT_EQ(streams[0].list.size(), 2U);
    EXPECT_EQ(streams[0].list[0].text, "orders");
    const auto& entries = streams[0].list[1].list;
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_EQ(entries[0].list.at(0).text, first);
    EXPECT_EQ(entries[0].list.at(1).list.at(1).text, "o-1");
    EXPECT_EQ(entries[0].list.at(1).list.at(3).text, "5");
    EXPECT_EQ(entries[1].list.at(0).text, second);
    EXPECT_EQ(caller.ask(read).kind, Kind::nil);
    EXPECT_EQ(caller.ask({"XACK", "orders", "workers", first, second}).integer, 2);
}

TEST(Redis, UnderstandsAnAnswerThatComesByteByByte)
{
    const test::RedisServer server;
    test::Gate gate(server.port());
    gate.set(test::Fault::slice());
    Caller caller(url_of(gate.port()));
    const auto replies = caller.run({{"ECHO", "one"}, {"GET", "nothing"}, {"TIME"}});
    ASSERT_TRUE(replies);
    EXPECT_EQ((*replies)[0].text, "one");
    EXPECT_EQ((*replies)[2].list.size(), 2U);
}

TEST(Redis, ConnectsAnewAfterARestartOfTheServer)
{
    test::RedisServer server;
    Caller caller(server.url());
    ASSERT_EQ(caller.ask({"SET", "key", "word"}).text, "OK");
    server.kill();
    EXPECT_EQ(caller.run({{"PING"}}).error(), asio::error::connection_refused);
    EXPECT_FALSE(caller.connection.is_open());
    server.start();
    EXPECT_EQ(caller.ask({"PING"}).text, "PONG");
    EXPECT_EQ(caller.ask({"GET", "key"}).kind, Kind::nil) << "the test's server keeps nothing";
}

TEST(Redis, ARestartBetweenTwoCallsFailsNeither)
{
    test::RedisServer server;
    Caller caller(server.url());
    ASSERT_EQ(caller.ask({"PING"}).text, "PONG");
    server.kill();
    server.start();
    EXPECT_EQ(caller.ask({"PING"}).text, "PONG");
}

TEST(Redis, SaysThatTheServerDiedBeforeItHadAnswered)
{
    test::RedisServer server;
    Caller caller(server.url());
    auto replies = std::async(std::launch::async, [&] {
        return caller.run({{"SET", "begun", "1"}, {"BLPOP", "nothing", "0"}});
    });
    ASSERT_TRUE(test::eventually([&] { return server.ask("EXISTS begun") == ":1"; }));
    server.kill();
    const auto error = replies.get().error();
    EXPECT_TRUE(error == errc::closed_early || error == asio::error::connection_reset) << error.message();
    EXPECT_EQ(caller.run({{"PING"}}).error(), asio::error::connection_refused);
}

TEST(Redis, HasADeadlineAndTakesNoLateReplyForAnother)
{
    test::RedisServer server;
    Caller caller(server.url());
    ASSERT_EQ(caller.ask({"PING"}).text, "PONG");
    server.freeze();
    EXPECT_EQ(caller.run({{"ECHO", "late"}}, hasty).error(), errc::timed_out);
    EXPECT_FALSE(caller.connection.is_open());
    EXPECT_EQ(caller.run({{"ECHO", "on a fresh connection"}}, hasty).error(), errc::timed_out);
    server.thaw();
    EXPECT_EQ(caller.ask({"ECHO", "mine"}).text, "mine");
    EXPECT_EQ(caller.ask({"ECHO", "next"}).text, "next");
}

TEST(Redis, TheDeadlineCoversConnectingAndTheGreeting)
{
    const test::RedisServer server;
    test::Gate gate(server.port());
    gate.set(test::Fault::unroutable());
    Caller caller(url_of(gate.port()) + "/1");
    EXPECT_EQ(caller.run({{"PING"}}, hasty).error(), errc::timed_out);
    gate.set(test::Fault::black_hole());
    EXPECT_EQ(caller.run({{"PING"}}, hasty).error(), errc::timed_out);
    EXPECT_FALSE(caller.connection.is_open());
    gate.set(test::Fault::pass());
    EXPECT_EQ(caller.ask({"PING"}).text, "PONG");
}

TEST(Redis, ABlockingReadMayTakeAllTheTimeThatItIsGiven)
{
    const test::RedisServer server;
    Caller caller(server.url());
    EXPECT_EQ(caller.ask({"XREAD", "BLOCK", "60", "STREAMS", "orders", "$"}).kind, Kind::nil);
    EXPECT_TRUE(caller.connection.is_open());
}

struct Blocked {
    static asio::awaitable<void> run(Connection& connection, std::optional<Replies>& outcome)
    {
        std::vector<Command> commands{{"BLPOP", "nothing", "0"}};
        outcome = co_await connection.run(std::move(commands), long_enough);
    }
};

TEST(Redis, SaysCancelledWhenItsTaskIs)
{
    const test::RedisServer server;
    Caller caller(server.url());
    std::optional<Replies> outcome;
    TaskGroup tasks(caller.context);
    tasks.spawn("blocked", Blocked::run(caller.connection, outcome));
    asio::steady_timer soon(caller.context, milliseconds(20));
    soon.async_wait([&](error_code) { tasks.cancel(); });
    caller.context.run();
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->error(), errc::cancelled);
    EXPECT_FALSE(caller.connection.is_open());
    EXPECT_EQ(caller.ask({"ECHO", "mine"}).text, "mine");
}

TEST(Redis, SaysCancelledWhenItIsClosed)
{
    const test::RedisServer server;
    Caller caller(server.url());
    std::optional<Replies> outcome;
    TaskGroup tasks(caller.context);
    tasks.spawn("blocked", Blocked::run(caller.connection, outcome));
    asio::steady_timer soon(caller.context, milliseconds(20));
    soon.async_wait([&](error_code) { caller.connection.close(); });
    caller.context.run();
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->error(), errc::cancelled);
    EXPECT_EQ(caller.ask({"ECHO", "mine"}).text, "mine");
}

TEST(Redis, GivesThePassword)
{
    const test::RedisServer server("hush");
    EXPECT_EQ(Caller(server.url()).ask({"PING"}).text, "PONG");
    EXPECT_EQ(Caller("redis://default:hush@127.0.0.1:" + std::to_string(server.port())).ask({"PING"}).text, "PONG");
}

TEST(Redis, TakesThePasswordFromAFileWhenItConnects)
{
    const test::RedisServer server("hu:sh");
    const test::TempDir dir;
    const auto file = dir.path() / "passfile";
    Caller caller("redis://127.0.0.1:" + std::to_string(server.port()) + "?passfile=" + file.string());
    EXPECT_TRUE(caller.ask({"PING"}).is_error()) << "there is no file yet";
    std::ofstream(file) << "*:*:*:*:hu\\:sh\n";
    caller.connection.close();
    EXPECT_EQ(caller.ask({"PING"}).text, "PONG");
}

TEST(Redis, SaysWhyThePasswordIsRefused)
{
    const test::RedisServer server("hush");
    Caller wrong("redis://:guess@127.0.0.1:" + std::to_string(server.port()));
    EXPECT_EQ(wrong.run({{"PING"}}).error(), errc::unavailable);
    EXPECT_TRUE(wrong.connection.last_refusal().starts_with("WRONGPASS")) << wrong.connection.last_refusal();
    EXPECT_FALSE(wrong.connection.is_open());

    const auto none = Caller(url_of(server.port())).ask({"PING"});
    EXPECT_TRUE(none.is_error());
    EXPECT_TRUE(none.text.starts_with("NOAUTH")) << none.text;
}

TEST(Redis, ForgetsARefusalOnceItIsLetIn)
{
    const test::RedisServer server;
    Caller caller("redis://:hush@127.0.0.1:" + std::to_string(server.port()));
    EXPECT_EQ(caller.run({{"PING"}}).error(), errc::unavailable);
    EXPECT_NE(caller.connection.last_refusal(), "");
    Caller operator_(server.url());
    ASSERT_EQ(operator_.ask({"CONFIG", "SET", "requirepass", "hush"}).text, "OK");
    EXPECT_EQ(caller.ask({"PING"}).text, "PONG");
    EXPECT_EQ(caller.connection.last_refusal(), "");
}

TEST(Redis, WorksInItsDatabaseAlsoAfterAReconnect)
{
    test::RedisServer server;
    Caller third(server.url() + "/3");
    Caller first(server.url());
    ASSERT_EQ(third.ask({"SET", "key", "three"}).text, "OK");
    EXPECT_EQ(first.ask({"EXISTS", "key"}).integer, 0);
    third.connection.close();
    EXPECT_EQ(third.ask({"GET", "key"}).text, "three");
    server.flush_all();
    EXPECT_EQ(third.ask({"GET", "key"}).kind, Kind::nil);

    Caller nowhere(server.url() + "/99");
    EXPECT_EQ(nowhere.run({{"SET", "key", "lost"}}).error(), errc::unavailable);
    EXPECT_NE(nowhere.connection.last_refusal().find("out of range"), std::string::npos)
        << nowhere.connection.last_refusal();
    EXPECT_EQ(first.ask({"EXISTS", "key"}).integer, 0) << "not written to another database instead";
}

using End = test::OneShotPeer::End;

/// What comes of one PING to a peer that gives this answer.
error_code failure_of(const std::string& answer, End end, Duration deadline = long_enough)
{
    const test::OneShotPeer peer(answer, end);
    Caller caller(url_of(peer.port()));
    const auto replies = caller.run({{"PING"}}, deadline);
    EXPECT_EQ(caller.connection.is_open(), replies.has_value());
    return replies ? error_code() : replies.error();
}

TEST(Redis, SurvivesAPeerThatIsNoRedis)
{
    EXPECT_EQ(failure_of("HTTP/1.1 400 Bad Request\r\n\r\n", End::hold), errc::malformed);
    EXPECT_EQ(failure_of(":12x\r\n", End::hold), errc::malformed);
    EXPECT_EQ(failure_of("", End::close), errc::closed_early);
    EXPECT_EQ(failure_of("$4\r\nPO", End::close), errc::closed_early);
    EXPECT_EQ(failure_of("$4\r\nPO", End::reset), asio::error::connection_reset);
    EXPECT_EQ(failure_of("$4\r\nPO", End::hold, hasty), errc::timed_out);
    std::string nested;
    for (int i = 0; i < 10'000; ++i) nested += "*1\r\n";
    EXPECT_EQ(failure_of(nested, End::hold), errc::malformed);
}

TEST(Redis, RefusesMoreRepliesThanItAskedFor)
{
    EXPECT_EQ(failure_of("+PONG\r\n", End::hold), error_code());
    EXPECT_EQ(failure_of("+PONG\r\n+PONG\r\n", End::hold), errc::malformed);
    EXPECT_EQ(failure_of("+PONG\r\n+PO", End::hold), errc::malformed);
}

TEST(Redis, DoesNotUseAConnectionThatSaidSomethingUnasked)
{
    const test::RedisServer server;
    Caller caller(server.url());
    const auto id = caller.ask({"CLIENT", "ID"}).integer;
    Caller other(server.url());
    ASSERT_TRUE(caller.run({{"SUBSCRIBE", "news"}}));
    ASSERT_EQ(other.ask({"PUBLISH", "news", "unasked"}).integer, 1);
    // Redis writes what it has for every client before it reads the next command of any.
    ASSERT_EQ(other.ask({"PING"}).text, "PONG");
    EXPECT_GT(caller.ask({"CLIENT", "ID"}).integer, id);
}

TEST(Redis, BoundsTheAnswer)
{
    EXPECT_EQ(failure_of("$20000000\r\n" + std::string(20'000'000, 'x'), End::hold), errc::too_large);
    std::string tiny = "*1000000\r\n";
    for (int i = 0; i < 1'000'000; ++i) tiny += ":1\r\n";
    EXPECT_EQ(failure_of(tiny, End::hold), errc::too_large);
}

TEST(Redis, BoundsTheRequestBeforeItIsSent)
{
    const test::RedisServer server;
    Caller caller(server.url());
    ASSERT_EQ(caller.ask({"PING"}).text, "PONG");
    EXPECT_EQ(caller.run({{"SET", "key", std::string(max_exchange, 'x')}}).error(), errc::too_large);
    EXPECT_TRUE(caller.connection.is_open());
    EXPECT_EQ(caller.ask({"EXISTS", "key"}).integer, 0);
}

TEST(Redis, TakesAReplyOfManyMegabytes)
{
    const test::RedisServer server;
    Caller caller(server.url());
    const std::string large(10'000'000, 'x');
    ASSERT_EQ(caller.ask({"SET", "key", large}).text, "OK");
    EXPECT_TRUE(caller.ask({"GET", "key"}).text == large);
    EXPECT_EQ(caller.run({{"GET", "key"}, {"GET", "key"}}).error(), errc::too_large);
    EXPECT_EQ(caller.ask({"STRLEN", "key"}).integer, 10'000'000);
}

} // namespace TEST_FILE
} // namespace hotspare::storage::redis
