// PostgresStore on connections that fail: what clients see of it, and that nothing is done twice or half.
#include "orders/order_service/postgres_store.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/gate.hpp"
#include "tests/support/postgres_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <stdexcept>
#include <string>

namespace hotspare::orders {
namespace TEST_FILE {

class PostgresFaults : public testing::Test {
protected:
    explicit PostgresFaults(Duration patience = seconds(3)) : patience_(patience) {}

    template <class T> T run(asio::awaitable<T> call)
    {
        context_.restart();
        auto done = asio::co_spawn(context_, std::move(call), asio::use_future);
        context_.run();
        return done.get();
    }

    result<Creation> create(const std::string& id)
    {
        NewOrder order{id, "x", 1};
        return run(store_.create(std::move(order), std::nullopt));
    }

    const Duration patience_;
    test::PostgresServer server_{{.fsync = false, .settings = {}}};
    test::Gate gate_{server_.port()};
    asio::io_context context_{1};
    PostgresStore store_{context_,
                         storage::postgres::resolve(
                             "postgres://hotspare@127.0.0.1:" + std::to_string(gate_.port()) + "/orders", "--store"),
                         {.patience = patience_}};
};

TEST_F(PostgresFaults, ACommitWhoseAnswerIsLostIsOneOrder)
{
    ASSERT_TRUE(create("a"));
    gate_.set(test::Fault::cut_after(1)); // the server has committed when it answers
    auto creation = std::async(std::launch::async, [this] { return create("b"); });
    ASSERT_TRUE(
        test::eventually([&] { return server_.run("SELECT count(*) FROM orders WHERE order_id = 'b'") == "1"; }));
    gate_.set(test::Fault::pass());
    const auto created = creation.get();
    ASSERT_TRUE(created);
    EXPECT_EQ(created->order.what.order_id, "b");
    EXPECT_EQ(server_.run("SELECT count(*), sum(processing) FROM orders, totals GROUP BY order_id LIMIT 1"), "64|2");
    EXPECT_EQ(server_.run("SELECT count(*) FROM events"), "2");
}

TEST_F(PostgresFaults, ASilentConnectionIsLeftForAnother)
{
    ASSERT_TRUE(create("a"));
    gate_.set(test::Fault::black_hole());
    auto creation = std::async(std::launch::async, [this] { return create("b"); });
    const auto before = gate_.counts().to_server;
    ASSERT_TRUE(test::eventually([&] { return gate_.counts().to_server > before; }));
    gate_.set(test::Fault::pass()); // what was swallowed stays lost: only a new connection gets through
    EXPECT_TRUE(creation.get());
}

TEST_F(PostgresFaults, ADatabaseThatNeverAnswersIsGivenUpInTime)
{
    gate_.set(test::Fault::black_hole());
    const auto begun = Clock::now();
    EXPECT_EQ(create("a").error(), errc::unavailable);
    EXPECT_LT(Clock::now() - begun, patience_ + seconds(5));
    ASSERT_TRUE(store_.trouble());
    EXPECT_NE(store_.trouble()->find("in time"), std::string::npos) << *store_.trouble();
    gate_.set(test::Fault::pass());
    EXPECT_TRUE(create("a"));
    EXPECT_FALSE(store_.trouble());
}

TEST_F(PostgresFaults, AnOperatorsWordIsNotRepeated)
{
    ASSERT_TRUE(create("a"));
    gate_.set(test::Fault::half_open());
    EXPECT_EQ(run(store_.operate("a", Operation::cancel)).error(), errc::unavailable);
    EXPECT_EQ(server_.run("SELECT status FROM orders"), "0");
    gate_.set(test::Fault::pass());
    EXPECT_TRUE(run(store_.operate("a", Operation::cancel)));
    EXPECT_EQ(run(store_.operate("a", Operation::cancel)).error(), errc::conflict);
    EXPECT_EQ(run(store_.operate("b", Operation::cancel)).error(), errc::not_found);
}

TEST_F(PostgresFaults, ARefusedOperationCostsNoConnection)
{
    ASSERT_TRUE(create("a"));
    const auto accepted = gate_.counts().accepted;
    for (int i = 0; i < 5; ++i) EXPECT_EQ(run(store_.operate("b", Operation::cancel)).error(), errc::not_found);
    EXPECT_TRUE(create("c"));
    EXPECT_EQ(gate_.counts().accepted, accepted);
}

/// A lock on the table keeps every statement waiting; each try is another connection.
TEST_F(PostgresFaults, ALockedTableTakesNoConnectionsAway)
{
    ASSERT_TRUE(create("a"));
    const auto connections = [this] {
        return std::stoi(server_.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hotspare'"));
    };
    auto lock = std::async(std::launch::async, [this] {
        try {
            server_.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(100); COMMIT");
        } catch (const std::runtime_error&) { // cancelled below
        }
    });
    ASSERT_TRUE(test::eventually([&] {
        return server_.run(
                   "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = "
                   "'orders'::regclass") == "1";
    }));
    int most = 0;
    for (int i = 0; i < 2; ++i) { // 3 s each, of three tries
        EXPECT_EQ(create("b" + std::to_string(i)).error(), errc::unavailable);
        most = std::max(most, connections());
    }
    EXPECT_LE(most, 2) << "those that were given up are gone";
    server_.run("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    lock.get();
    EXPECT_TRUE(create("b0"));
}

TEST_F(PostgresFaults, AForeignTableIsNotTouched)
{
    server_.run("CREATE TABLE orders (mine text); INSERT INTO orders VALUES ('precious')");
    // On a busy machine the server may not have answered in time, and that is told then.
    EXPECT_TRUE(test::eventually([&] {
        EXPECT_EQ(create("a").error(), errc::unavailable);
        const auto trouble = store_.trouble();
        return trouble && trouble->find("not one of hotspare's") != std::string::npos;
    }));
    EXPECT_EQ(server_.run("SELECT mine FROM orders"), "precious");
}

TEST_F(PostgresFaults, ABacklogDoesNotSlowALeaseDown)
{
    // The plans are made while nothing is there, and the server has not looked at the tables since.
    ASSERT_TRUE(create("a"));
    const auto lease_these = [this](std::int64_t from) {
        std::vector<std::int64_t> numbers;
        for (auto number = from; number < from + 64; ++number) numbers.push_back(number);
        LeaseRequest request{.worker = "w", .most = 64, .lasts = seconds(30)};
        return run(store_.lease_these(std::move(request), std::move(numbers)));
    };
    const auto jobs = lease_these(1);
    ASSERT_TRUE(jobs);
    Settlement settlement{.order_id = "a", .epoch = jobs->jobs.at(0).epoch, .status = Status::validated};
    ASSERT_TRUE(run(store_.settle({settlement})));
    server_.run(
        "INSERT INTO orders (order_id, product, quantity, status, reason, epoch, attempts, created, updated, events, "
        "due, worker) SELECT i, 'x', 1, 0, '', 0, 0, 0, 0, 0, 0, '' FROM generate_series(1, 200000) AS i");
    const auto read = [this] {
        return std::stoll(server_.run("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'orders'"));
    };
    server_.run("SELECT pg_stat_force_next_flush()");
    const auto before = read();
    for (std::int64_t from = 1'000; from < 2'000; from += 64) ASSERT_EQ(lease_these(from)->jobs.size(), 64U);
    // The statistics of a session come when it is idle, at most once a second, and at its end.
    (void)server_.terminate_backends();
    ASSERT_TRUE(test::eventually([&] { return read() > before; }));
    EXPECT_LT(read() - before, 50'000) << "some went through the whole backlog";
}

} // namespace TEST_FILE
} // namespace hotspare::orders
