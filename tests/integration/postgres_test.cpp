// storage::postgres against a real server that is asked, killed, restarted and refuses: every failure has its meaning.
#include "common/storage/postgres.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/gate.hpp"
#include "tests/support/postgres_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::storage::postgres {
namespace TEST_FILE {

using Batch = std::vector<Command>;

asio::awaitable<result<std::vector<Rows>>> ask(Pool& pool, Batch batch, TimePoint until)
{
    auto connection = co_await pool.borrow(until);
    if (!connection) co_return connection.error();
    co_return co_await (*connection)->run(std::move(batch), until);
}

class Postgres : public testing::Test {
protected:
    result<std::vector<Rows>> run(Batch batch, Duration deadline = seconds(20))
    {
        return run_on(pool_, std::move(batch), deadline);
    }

    result<std::vector<Rows>> run_on(Pool& pool, Batch batch, Duration deadline)
    {
        context_.restart();
        auto answer = asio::co_spawn(context_, ask(pool, std::move(batch), Clock::now() + deadline), asio::use_future);
        context_.run();
        return answer.get();
    }

    test::PostgresServer server_{{.fsync = false, .settings = {}}};
    asio::io_context context_{1};
    Pool pool_{context_,
               {.target = resolve(server_.url(), "--store"),
                .session = {.settings = {{"synchronous_commit", "on"}}, .setup = "SELECT 1"}}};
};

TEST_F(Postgres, RunsSeveralStatementsAtOnce)
{
    for (int i = 0; i < 3; ++i) {
        const auto rows = run({{"SELECT $1::bigint + 1, $2::text, NULL", {"41", "a'\"\\\n"}},
                               {"SELECT * FROM generate_series(1, $1::integer)", {"1000"}},
                               {"SELECT $1::text IS NULL", {std::nullopt}}});
        ASSERT_TRUE(rows);
        ASSERT_EQ(rows->size(), 3U);
        EXPECT_EQ(rows->at(0).integer(0, 0), 42);
        EXPECT_EQ(rows->at(0).text(0, 1), "a'\"\\\n");
        EXPECT_TRUE(rows->at(0).is_null(0, 2));
        EXPECT_EQ(rows->at(1).size(), 1000U);
        EXPECT_EQ(rows->at(2).text(0, 0), "t");
    }
}

TEST_F(Postgres, TakesEverythingBackWhereOneStatementFails)
{
    ASSERT_TRUE(run({{"CREATE TABLE things (name text PRIMARY KEY)"}}));
    constexpr auto insert = "INSERT INTO things VALUES ($1)";
    ASSERT_TRUE(run({{insert, {"a"}}}));
    EXPECT_EQ(run({{insert, {"b"}}, {insert, {"a"}}, {insert, {"c"}}}).error(), errc::conflict);
    EXPECT_EQ(run({{insert, {"d"}}, {"SELECT 1 / $1::integer", {"0"}}}).error(), errc::storage);
    EXPECT_EQ(server_.run("SELECT string_agg(name, ',') FROM things"), "a");
    // A statement that was not prepared because another one failed is prepared the next time.
    EXPECT_EQ(run({{"SELECT 1 / $1::integer", {"0"}}, {"SELECT 'later'"}}).error(), errc::storage);
    const auto rows = run({{"SELECT 'later'"}});
    ASSERT_TRUE(rows);
    EXPECT_EQ(rows->at(0).text(0, 0), "later");
}

TEST_F(Postgres, BelievesInACommitOnlyWhenItIsThere)
{
    // Checked by the server when everything has run, as a commit that its disk refuses would be.
    ASSERT_TRUE(run({{"CREATE TABLE things (name text UNIQUE DEFERRABLE INITIALLY DEFERRED)"}}));
    constexpr auto insert = "INSERT INTO things VALUES ($1)";
    ASSERT_TRUE(run({{insert, {"a"}}}));
    EXPECT_FALSE(run({{insert, {"a"}}}));
    EXPECT_TRUE(run({{insert, {"b"}}}));
    EXPECT_EQ(server_.run("SELECT string_agg(name, ',') FROM things"), "a,b");
}

TEST_F(Postgres, DoesNotLendAConnectionThatIsInATransaction)
{
    ASSERT_TRUE(run({{"CREATE TABLE things (name text)"}}));
    ASSERT_TRUE(run({{"BEGIN"}, {"INSERT INTO things VALUES ('a')"}})); // without a commit
    ASSERT_TRUE(run({{"INSERT INTO things VALUES ('b')"}}));
    EXPECT_EQ(server_.run("SELECT string_agg(name, ',') FROM things"), "b");
}

TEST_F(Postgres, GivesUpInTime)
{
    const auto begun = Clock::now();
    EXPECT_EQ(run({{"SELECT pg_sleep(30)"}}, milliseconds(200)).error(), errc::unavailable);
    EXPECT_LT(Clock::now() - begun, seconds(10));
    EXPECT_TRUE(run({{"SELECT 1"}})) << "on another connection";
}

TEST_F(Postgres, CancelsAtTheServerWhatItGivesUp)
{
    const auto running = [this] {
        return server_.run("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3_)%' "
                           "AND pid <> pg_backend_pid()");
    };
    EXPECT_EQ(run({{"SELECT pg_sleep(30)"}}, milliseconds(200)).error(), errc::unavailable);
    EXPECT_TRUE(test::eventually([&] { return running() == "0"; }, seconds(20))) << "it would take 30 s";
    // The same while a session begins.
    Pool blocked(context_, {.target = resolve(server_.url(), "--store"), .session = {.setup = "SELECT pg_sleep(31)"}});
    EXPECT_EQ(run_on(blocked, {{"SELECT 1"}}, milliseconds(200)).error(), errc::unavailable);
    EXPECT_TRUE(test::eventually([&] { return running() == "0"; }, seconds(20)));
}

TEST_F(Postgres, EndsWhileACancelRequestIsNotAnswered)
{
    test::Gate gate(server_.port());
    const auto url = "postgres://hotspare@127.0.0.1:" + std::to_string(gate.port()) + "/orders";
    const auto begun = Clock::now();
    {
        Pool pool(context_, {.target = resolve(url, "--store"), .session = {.setup = "SELECT 1"}});
        ASSERT_TRUE(run_on(pool, {{"SELECT 1"}}, seconds(20)));
        gate.set(test::Fault::black_hole());
        EXPECT_EQ(run_on(pool, {{"SELECT 1"}}, milliseconds(200)).error(), errc::unavailable);
    }
    EXPECT_LT(Clock::now() - begun, seconds(25));
}

TEST_F(Postgres, IsUsableAgainAsSoonAsOneOfItsConnectionsIs)
{
    test::Gate gate(server_.port());
    const auto url = "postgres://hotspare@127.0.0.1:" + std::to_string(gate.port()) + "/orders";
    Pool pool(context_, {.target = resolve(url, "--store"), .session = {.setup = "SELECT 1"}, .connections = 2});
    ASSERT_TRUE(run_on(pool, {{"SELECT 1"}}, seconds(20)));
    context_.restart();
    auto both = [](Pool& pool, test::Gate& gate) -> asio::awaitable<bool> {
        auto first = co_await pool.borrow(Clock::now() + seconds(20));
        gate.set(test::Fault::refuse()); // which the connection that is there survives
        const auto second = co_await pool.borrow(Clock::now() + milliseconds(300));
        co_return first && !second;
    };
    auto done = asio::co_spawn(context_, both(pool, gate), asio::use_future);
    context_.run();
    ASSERT_TRUE(done.get());
    ASSERT_TRUE(pool.trouble());
    gate.set(test::Fault::pass());
    EXPECT_TRUE(run_on(pool, {{"SELECT 1"}}, seconds(20)));
    EXPECT_FALSE(pool.trouble());
}

TEST_F(Postgres, SaysThatAConnectionWasCut)
{
    ASSERT_TRUE(run({{"SELECT 1"}}));
    auto cut = std::async(std::launch::async, [this] {
        return test::eventually([&] {
            return server_.run("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3_)%' "
                               "AND pid <> pg_backend_pid()") == "1" &&
                   server_.terminate_backends() > 0;
        });
    });
    EXPECT_EQ(run({{"SELECT pg_sleep(30)"}}).error(), errc::unavailable);
    EXPECT_TRUE(cut.get());
    EXPECT_TRUE(run({{"SELECT 1"}}));
}

TEST_F(Postgres, NoticesThatTheServerWasRestarted)
{
    ASSERT_TRUE(run({{"SELECT 1"}}));
    server_.restart_at_once();
    EXPECT_TRUE(run({{"SELECT 1"}})) << "the idle connection leads nowhere, and is not used";
}

TEST_F(Postgres, WaitsForAServerThatIsAway)
{
    server_.kill();
    EXPECT_EQ(run({{"SELECT 1"}}, milliseconds(300)).error(), errc::unavailable);
    ASSERT_TRUE(pool_.trouble());
    EXPECT_NE(pool_.trouble()->find("refused"), std::string::npos) << *pool_.trouble();
    auto waiting = std::async(std::launch::async, [this] { return run({{"SELECT 1"}}); });
    server_.start(); // on the thread that stays: the server ends with the one that started it
    EXPECT_TRUE(waiting.get());
    EXPECT_FALSE(pool_.trouble());
}

TEST_F(Postgres, TellsWhyItIsNotLetIn)
{
    test::Gate gate(server_.port());
    const auto url = "postgres://hotspare@127.0.0.1:" + std::to_string(gate.port()) + "/nowhere";
    Pool nowhere(context_, {.target = resolve(url, "--store"), .session = {.setup = "SELECT 1"}});
    const auto ask_in_vain = [&](Duration deadline) {
        EXPECT_EQ(run_on(nowhere, {{"SELECT 1"}}, deadline).error(), errc::unavailable);
        return nowhere.trouble().value_or("");
    };
    const auto says = [](const std::string& words, const char* part) { return words.find(part) != words.npos; };
    constexpr auto of_the_server = "\"nowhere\" does not exist";
    EXPECT_TRUE(test::eventually([&] { return says(ask_in_vain(milliseconds(500)), of_the_server); }));

    // An attempt is 100 ms after the one before. So that of the second of these has 40 ms, too few to find out anything
    // else.
    EXPECT_TRUE(test::eventually([&] {
        gate.set(test::Fault::pass());
        if (!says(ask_in_vain(milliseconds(450)), of_the_server)) return false;
        gate.set(test::Fault::black_hole());
        const auto attempts = gate.counts().accepted;
        return says(ask_in_vain(milliseconds(90)), of_the_server) && gate.counts().accepted > attempts;
    }));
    EXPECT_TRUE(test::eventually([&] { return says(ask_in_vain(milliseconds(500)), "in time"); }));
}

asio::awaitable<void> count_alone(Pool& pool, int& inside, int& most)
{
    auto connection = co_await pool.borrow(Clock::now() + seconds(30));
    most = std::max(most, ++inside);
    Batch batch{{"SELECT pg_sleep(0.01)"}};
    const auto rows = co_await (*connection)->run(std::move(batch), Clock::now() + seconds(30));
    --inside;
    EXPECT_TRUE(rows);
}

TEST_F(Postgres, LendsNoMoreThanItHas)
{
    int inside = 0;
    int most = 0;
    std::vector<std::future<void>> all;
    for (int i = 0; i < 50; ++i)
        all.push_back(asio::co_spawn(context_, count_alone(pool_, inside, most), asio::use_future));
    context_.run();
    for (auto& one : all) one.get();
    EXPECT_LE(most, 8);
    EXPECT_GE(most, 2);
}

TEST(PostgresTarget, IsReadAsLibpqDoes)
{
    const auto target = resolve("postgres://me:secret@127.0.0.1:6000/orders", "--store");
    EXPECT_EQ(target.shown, "postgres://me@127.0.0.1:6000/orders");
    EXPECT_EQ(target.address, "127.0.0.1");
    EXPECT_EQ(resolve("postgres://localhost/orders", "--store").address, "127.0.0.1");
    EXPECT_EQ(resolve("postgres:///orders?host=/var/run/postgresql", "--store").address, "");
    for (const auto* wrong :
         {"postgres://me:secret@h:p:q/x", "postgres://me:secret@[::1/x", "postgres://me:secret@h/x?nonsense=1",
          "postgres://me:%ZZsecret@h/x", "postgres://me:secret@127.0.0.1:0/x", "postgres://me:secret@127.0.0.1:65536/x",
          "postgres://me:secret@127.0.0.1:5x/x", "postgres://localhost:sec/secret@h/x",
          "postgres://me:secret@127.0.0.1,127.0.0.2/x"}) {
        try {
            resolve(wrong, "--store");
            FAIL() << wrong;
        } catch (const UsageError& error) {
            EXPECT_TRUE(std::string(error.what()).starts_with("--store: ")) << error.what();
            EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos) << error.what();
        }
    }
}

} // namespace TEST_FILE
} // namespace hotspare::storage::postgres
