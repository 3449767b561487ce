// PostgresStore behind PgBouncer, which gives each transaction another session of the server.
#include "orders/order_service/postgres_store.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/pg_bouncer.hpp"
#include "tests/support/postgres_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace hotspare::orders {
namespace TEST_FILE {

class PgBouncerTest : public testing::Test {
protected:
    void SetUp() override
    {
        if (!test::PgBouncer::available()) GTEST_SKIP() << "the package pgbouncer is not installed";
        server_ = std::make_unique<test::PostgresServer>(
            test::PostgresServer::Options{.fsync = false, .settings = {{"synchronous_commit", "off"}}});
    }

    void start(const std::string& mode, unsigned connections)
    {
        bouncer_ = std::make_unique<test::PgBouncer>(server_->port(), mode, connections);
        store_ = std::make_unique<PostgresStore>(context_, storage::postgres::resolve(bouncer_->url(), "--store"),
                                                 PostgresStore::Options{.patience = seconds(5)});
    }

    template <class T> T run(asio::awaitable<T> call)
    {
        context_.restart();
        auto done = asio::co_spawn(context_, std::move(call), asio::use_future);
        context_.run();
        return done.get();
    }

    /// Creates `count` orders at once, so that all connections are used.
    int create(const std::string& prefix, int count)
    {
        context_.restart();
        std::vector<std::future<result<Creation>>> creations;
        for (int i = 0; i < count; ++i) {
            NewOrder order{fmt::format("{}{}", prefix, i), "x", 1};
            creations.push_back(
                asio::co_spawn(context_, store_->create(std::move(order), std::nullopt), asio::use_future));
        }
        context_.run();
        int created = 0;
        for (auto& creation : creations) created += creation.get() ? 1 : 0;
        return created;
    }

    /// From the creation to the verdict, over all that a store does.
    void expect_works()
    {
        EXPECT_EQ(create("a", 40), 40);
        LeaseRequest request{.worker = "w", .most = 100, .lasts = seconds(30)};
        const auto leased = run(store_->lease(std::move(request)));
        ASSERT_TRUE(leased);
        ASSERT_EQ(leased->jobs.size(), 40U);
        std::vector<Settlement> verdicts;
        for (const auto& job : leased->jobs)
            verdicts.push_back({.order_id = job.what.order_id,
                                .epoch = job.epoch,
                                .status = Status::validated,
                                .reason = "fine",
                                .attempts = {},
                                .generation = job.generation});
        const auto settled = run(store_->settle(verdicts));
        ASSERT_TRUE(settled);
        EXPECT_EQ(settled->at(0), Settled::applied);
        EXPECT_EQ(run(store_->find("a0"))->timeline.size(), 3U);
        EXPECT_EQ(run(store_->totals())->validated, 40U);
        EXPECT_EQ(run(store_->list({}))->orders.size(), 40U);
        EXPECT_EQ(run(store_->clear()).value(), 40U);
    }

    std::unique_ptr<test::PostgresServer> server_;
    std::unique_ptr<test::PgBouncer> bouncer_;
    asio::io_context context_{1};
    std::unique_ptr<PostgresStore> store_;
};

TEST_F(PgBouncerTest, InTransactionModeWorks)
{
    start("transaction", 3);
    expect_works();
    EXPECT_FALSE(store_->trouble());
}

TEST_F(PgBouncerTest, InSessionModeWorks)
{
    start("session", 20);
    expect_works();
}

/// The settings of a transaction are ours, and those of the sessions, which others use as well, stay as they were.
TEST_F(PgBouncerTest, SettingsGoWithEachTransactionAndStayInIt)
{
    start("transaction", 1);
    ASSERT_EQ(create("a", 1), 1);
    storage::postgres::Pool pool(context_,
                                 {.target = storage::postgres::resolve(bouncer_->url(), "--store"),
                                  .session = {.settings = {{"statement_timeout", "1234ms"}}, .setup = "SELECT 1"}});
    const auto ask = [](storage::postgres::Pool& pool) -> asio::awaitable<std::string> {
        auto connection = co_await pool.borrow(Clock::now() + seconds(20));
        std::vector<storage::postgres::Command> inside;
        inside.push_back({"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"});
        inside.push_back({"SHOW statement_timeout"});
        const auto first = co_await (*connection)->run(std::move(inside), Clock::now() + seconds(20));
        std::vector<storage::postgres::Command> later;
        later.push_back({"SHOW statement_timeout"});
        later.push_back({"COMMIT"});
        const auto second = co_await (*connection)->run(std::move(later), Clock::now() + seconds(20));
        if (!first || !second) co_return (*connection)->message();
        co_return std::string(first->at(1).text(0, 0)) + " " + std::string(second->at(0).text(0, 0));
    };
    EXPECT_EQ(run(ask(pool)), "1234ms 1234ms");
    const auto seen = test::run(
        "/usr/bin/psql", {"-XAtq", "-d", bouncer_->url(), "-c", "SHOW enable_seqscan", "-c", "SHOW statement_timeout"});
    EXPECT_EQ(seen.out, "on\n0\n") << seen.err;
}

TEST_F(PgBouncerTest, InStatementModeSaysWhyItDoesNotWork)
{
    start("statement", 3);
    EXPECT_EQ(create("a", 1), 0);
    ASSERT_TRUE(store_->trouble());
    EXPECT_NE(store_->trouble()->find("statement pooling"), std::string::npos) << *store_->trouble();
}

/// What is given up is cancelled through it as well.
TEST_F(PgBouncerTest, PassesTheCancellationOn)
{
    start("transaction", 3);
    storage::postgres::Pool pool(context_, {.target = storage::postgres::resolve(bouncer_->url(), "--store"),
                                            .session = {.settings = {{"jit", "off"}}, .setup = "SELECT 1"}});
    const auto ask = [](storage::postgres::Pool& pool) -> asio::awaitable<bool> {
        auto connection = co_await pool.borrow(Clock::now() + seconds(20));
        std::vector<storage::postgres::Command> commands;
        commands.push_back({"SELECT pg_sleep(30)"});
        const auto rows = co_await (*connection)->run(std::move(commands), Clock::now() + milliseconds(300));
        co_return rows.has_value();
    };
    EXPECT_FALSE(run(ask(pool)));
    EXPECT_TRUE(test::eventually(
        [&] {
            return server_->run("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3_)%' "
                                "AND state = 'active' AND pid <> pg_backend_pid()") == "0";
        },
        seconds(20)));
}

} // namespace TEST_FILE
} // namespace hotspare::orders
