#include "orders/order_service/sqlite_store.hpp"

#include "tests/support/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace hotspare::orders {
namespace {

// What every store promises is in tests/integration/orders/store_test.cpp.
class SqliteStoreTest : public testing::Test {
protected:
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
        auto database = storage::Database::open(path_, seconds(1));
        ASSERT_TRUE(database);
        ASSERT_TRUE(database->execute("CREATE TABLE orders (number INTEGER); CREATE TABLE jobs (number INTEGER)"));
    }
    try {
        const SqliteStore store(path_, [] {}, {});
        FAIL() << "it took the file";
    } catch (const StartupError& error) {
        EXPECT_NE(std::string(error.what()).find("another version"), std::string::npos) << error.what();
    }
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

} // namespace
} // namespace hotspare::orders
