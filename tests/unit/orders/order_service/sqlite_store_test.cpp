#include "orders/order_service/sqlite_store.hpp"

#include "common/storage/document_store.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <set>
#include <string>
#include <utility>

namespace hotspare::orders {
namespace TEST_FILE {

// What every store promises is in tests/integration/orders/store_test.cpp.
class SqliteStoreTest : public testing::Test {
protected:
    template <class T> T run(asio::awaitable<T> call)
    {
        asio::io_context context;
        auto done = asio::co_spawn(context, std::move(call), asio::use_future);
        context.run();
        return done.get();
    }

    test::TempDir directory_;
    std::string path_ = (directory_.path() / "orders.sqlite").string();
};

TEST_F(SqliteStoreTest, LetsNoSecondProcessIn)
{
    const SqliteStore store(path_, [] {}, {});
    EXPECT_THROW(SqliteStore(path_, [] {}, {}), StartupError);
}

TEST_F(SqliteStoreTest, RefusesAFileOfAnotherVersion)
{
    {
        const SqliteStore store(path_, [] {}, {});
    }
    {
        auto database = storage::Database::open(path_, seconds(1));
        ASSERT_TRUE(database->execute("PRAGMA user_version = 1"));
    }
    try {
        const SqliteStore store(path_, [] {}, {});
        FAIL() << "it took the file";
    } catch (const StartupError& error) {
        EXPECT_NE(std::string(error.what()).find("another version"), std::string::npos) << error.what();
    }
}

TEST_F(SqliteStoreTest, RefusesTheFileOfABackendAndTheOtherWayRound)
{
    const auto documents = (directory_.path() / "data.sqlite").string();
    {
        const storage::DocumentStore backend(documents);
    }
    EXPECT_THROW(SqliteStore(documents, [] {}, {}), UsageError);
    {
        const SqliteStore store(path_, [] {}, {});
    }
    EXPECT_THROW(storage::DocumentStore{path_}, UsageError);
}

/// As version 2 made it, with an order that a worker holds and one that has failed.
constexpr auto version_2 = R"(
    CREATE TABLE orders (
        number INTEGER PRIMARY KEY, order_id TEXT NOT NULL UNIQUE, product TEXT NOT NULL, quantity INTEGER NOT NULL,
        status INTEGER NOT NULL, reason TEXT NOT NULL, epoch INTEGER NOT NULL, attempts INTEGER NOT NULL,
        created INTEGER NOT NULL, updated INTEGER NOT NULL, events INTEGER NOT NULL,
        due INTEGER NOT NULL, worker TEXT NOT NULL);
    CREATE INDEX orders_due ON orders (due, number, worker) WHERE status = 0;
    CREATE INDEX orders_rejected ON orders (number) WHERE status = 2;
    CREATE INDEX orders_failed ON orders (number) WHERE status = 3;
    CREATE TABLE keys (key TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE events (
        number INTEGER NOT NULL, place INTEGER NOT NULL, kind INTEGER NOT NULL, at INTEGER NOT NULL,
        epoch INTEGER NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (number, place)) WITHOUT ROWID;
    CREATE TABLE totals (
        id INTEGER PRIMARY KEY CHECK (id = 1), processing INTEGER NOT NULL, validated INTEGER NOT NULL,
        rejected INTEGER NOT NULL, failed INTEGER NOT NULL);
    INSERT INTO totals VALUES (1, 1, 0, 0, 1);
    INSERT INTO orders VALUES (1, 'a', 'x', 1, 0, '', 1, 0, 1000, 1000, 2, 31000, 'w');
    INSERT INTO orders VALUES (2, 'b', 'x', 1, 3, 'why', 3, 3, 1000, 1000, 1, 0, '');
    INSERT INTO events VALUES (1, 0, 0, 1000, 0, ''), (1, 1, 1, 1000, 1, 'by w'), (2, 0, 0, 1000, 0, '');
    PRAGMA user_version = 2;
)";

TEST_F(SqliteStoreTest, TakesOverAFileOfTheVersionBefore)
{
    {
        auto database = storage::Database::open(path_, seconds(1));
        ASSERT_TRUE(database);
        ASSERT_TRUE(database->execute(version_2));
    }
    asio::io_context context;
    const auto run = [&](auto call) {
        context.restart();
        auto done = asio::co_spawn(context, std::move(call), asio::use_future);
        context.run();
        return done.get();
    };
    SqliteStore store(path_, [] {}, {});
    const auto totals = run(store.totals()).value();
    EXPECT_EQ(totals.processing, 1U);
    EXPECT_EQ(totals.leased, 1U);
    EXPECT_EQ(totals.failed, 1U);
    EXPECT_EQ(run(store.list({.status = Status::failed})).value().orders.at(0).what.order_id, "b");
    EXPECT_EQ(run(store.settle({{.order_id = "a", .epoch = 1, .status = Status::validated}})).value().at(0),
              Settled::applied)
        << "a worker that held it may end it";
    EXPECT_EQ(run(store.operate("b", Operation::replay)).value().generation, "")
        << "the validator knows it by the key that it had";
    NewOrder order{"c", "x", 1};
    EXPECT_FALSE(run(store.create(std::move(order), std::nullopt)).value().order.generation.empty());
    EXPECT_EQ(run(store.find("a")).value().timeline.size(), 3U);
}

asio::awaitable<void> create_many(Store& store, int from, int to, std::set<std::string>& created)
{
    for (int i = from; i < to; ++i) {
        const auto id = std::to_string(i);
        NewOrder order{id, "x", 1};
        const auto creation = co_await store.create(std::move(order), std::nullopt);
        if (creation) created.insert(id);
    }
}

TEST_F(SqliteStoreTest, WritesManyOrdersWithOneCommit)
{
    asio::io_context context;
    SqliteStore store(path_, [] {}, {});
    std::set<std::string> created;
    for (int client = 0; client < 32; ++client)
        asio::co_spawn(context, create_many(store, client * 20, client * 20 + 20, created), asio::use_future);
    context.run();
    EXPECT_EQ(created.size(), 640U);
    const auto counts = store.commits();
    EXPECT_EQ(counts.pieces, 640U);
    EXPECT_LT(counts.commits, 320U) << "at least two share one, although the disk may be quick";
}

TEST_F(SqliteStoreTest, AnswersNothingOnceItsFileIsGone)
{
    SqliteStore store(path_, [] {}, {});
    ASSERT_TRUE(run(store.create({"a", "x", 1}, std::nullopt)));
    const auto aside = path_ + ".aside";
    std::filesystem::rename(path_, aside);
    EXPECT_TRUE(test::eventually([&] { return store.trouble().has_value(); })) << "also without writes";
    EXPECT_EQ(store.trouble(), "orders.sqlite was deleted or renamed");
    EXPECT_EQ(run(store.create({"b", "x", 1}, std::nullopt)).error(), errc::unavailable);
    EXPECT_EQ(run(store.find("a")).error(), errc::unavailable);

    std::filesystem::rename(aside, path_);
    EXPECT_TRUE(test::eventually([&] { return !store.trouble(); }));
    EXPECT_TRUE(run(store.create({"b", "x", 1}, std::nullopt)));
}

TEST_F(SqliteStoreTest, AcknowledgesNothingOnceItsLogIsGone)
{
    SqliteStore store(path_, [] {}, {});
    ASSERT_TRUE(run(store.create({"a", "x", 1}, std::nullopt)));
    std::filesystem::remove(path_ + "-wal");
    EXPECT_EQ(run(store.create({"b", "x", 1}, std::nullopt)).error(), errc::unavailable);
    EXPECT_EQ(store.trouble(), "orders.sqlite-wal was deleted or renamed");
}

/// As a backup does, while orders come in: until it ends nothing can leave the log.
TEST_F(SqliteStoreTest, GivesBackWhatTheLogGrewToWhileAReaderHeldIt)
{
    SqliteStore store(path_, [] {}, {});
    const auto log_size = [this] { return std::filesystem::file_size(path_ + "-wal"); };
    const auto kept = static_cast<std::uintmax_t>(storage::Database::log_bytes_kept);
    auto backup = storage::Database::open_to_read(path_, seconds(1)).value();
    ASSERT_TRUE(backup.execute("BEGIN; SELECT count(*) FROM orders"));
    asio::io_context context;
    std::set<std::string> created;
    for (int i = 0; log_size() <= kept + kept / 2; i += 200) {
        asio::co_spawn(context, create_many(store, i, i + 200, created), asio::use_future);
        context.restart();
        context.run();
    }
    ASSERT_TRUE(backup.execute("COMMIT"));
    EXPECT_TRUE(test::eventually([&] { return log_size() <= kept; })) << log_size();
}

} // namespace TEST_FILE
} // namespace hotspare::orders
