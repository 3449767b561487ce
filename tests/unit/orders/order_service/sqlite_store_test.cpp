#include "orders/order_service/sqlite_store.hpp"

#include "tests/support/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hotspare::orders {
namespace {

std::atomic<std::int64_t> now_ms{1'700'000'000'000};

WallTime test_clock()
{
    return WallTime(milliseconds(now_ms.load()));
}

void pass(milliseconds span)
{
    now_ms += span.count();
}

/// A store with an event loop that runs until the call is done.
class Shop {
public:
    explicit Shop(const std::string& path) : store_(path, [] { FAIL() << "the store broke"; }, {.clock = test_clock}) {}

    template <class T> T run(asio::awaitable<T> call)
    {
        context_.restart();
        auto done = asio::co_spawn(context_, std::move(call), asio::use_future);
        context_.run();
        return done.get();
    }

    Creation create(NewOrder what, std::optional<std::string> key = std::nullopt)
    {
        return run(store_.create(std::move(what), std::move(key))).value();
    }
    Leased lease(std::size_t most = 10, Duration lasts = seconds(30), std::string worker = "w")
    {
        return run(store_.lease({.worker = std::move(worker), .most = most, .lasts = lasts})).value();
    }
    Settled settle(Settlement settlement) { return run(store_.settle({std::move(settlement)})).value().at(0); }
    OrderFile find(const std::string& id) { return run(store_.find(id)).value(); }
    result<Order> operate(const std::string& id, Operation what) { return run(store_.operate(id, what)); }
    Totals totals() { return run(store_.totals()).value(); }

    Store& store() { return store_; }

private:
    asio::io_context context_;
    SqliteStore store_;
};

Settlement verdict(const Lease& lease, Status status, std::string reason = "because")
{
    return {.order_id = lease.what.order_id,
            .epoch = lease.epoch,
            .kind = Settlement::Kind::verdict,
            .status = status,
            .reason = std::move(reason),
            .attempts = {{.at = test_clock(), .took = milliseconds(2), .counts = true, .outcome = "valid"}}};
}

Settlement back(const Lease& lease, Settlement::Kind kind, Duration pause, std::vector<Attempt> attempts = {})
{
    return {.order_id = lease.what.order_id,
            .epoch = lease.epoch,
            .kind = kind,
            .reason = "later",
            .pause = pause,
            .attempts = std::move(attempts)};
}

std::vector<std::string> kinds(const OrderFile& file)
{
    std::vector<std::string> out;
    for (const auto& event : file.timeline) out.emplace_back(to_string(event.kind));
    return out;
}

class SqliteStoreTest : public testing::Test {
protected:
    test::TempDir directory_;
    std::string path_ = (directory_.path() / "orders.sqlite").string();
    const NewOrder order_{"a", "Medicine A", 10};
};

TEST_F(SqliteStoreTest, KeepsAnOrderFromItsCreationToItsVerdict)
{
    Shop shop(path_);
    EXPECT_EQ(shop.create(order_).kind, Creation::Kind::created);
    EXPECT_EQ(shop.find("a").order.status, Status::processing);
    const auto leased = shop.lease();
    ASSERT_EQ(leased.jobs.size(), 1U);
    EXPECT_EQ(leased.jobs[0].what, order_);
    EXPECT_EQ(shop.find("a").worker, "w");
    EXPECT_EQ(shop.totals().leased, 1U);
    EXPECT_EQ(shop.settle(verdict(leased.jobs[0], Status::validated)), Settled::applied);
    const auto file = shop.find("a");
    EXPECT_EQ(file.order.status, Status::validated);
    EXPECT_EQ(file.order.attempts, 1U);
    EXPECT_FALSE(file.due);
    EXPECT_EQ(kinds(file), (std::vector<std::string>{"created", "leased", "attempt", "validated"}));
    const auto totals = shop.totals();
    EXPECT_EQ(totals.processing, 0U);
    EXPECT_EQ(totals.validated, 1U);
    EXPECT_EQ(totals.leased, 0U);
    EXPECT_FALSE(totals.oldest);
    EXPECT_TRUE(shop.lease().jobs.empty());
}

TEST_F(SqliteStoreTest, RemembersEverythingWhenItIsOpenedAgain)
{
    {
        Shop shop(path_);
        shop.create(order_, "key-1");
        shop.create({"b", "x", 1});
        const auto leased = shop.lease(1);
        shop.settle(verdict(leased.jobs.at(0), Status::rejected));
    }
    Shop shop(path_);
    EXPECT_EQ(shop.find("a").order.status, Status::rejected);
    EXPECT_EQ(shop.create(order_, "key-1").kind, Creation::Kind::repeated);
    EXPECT_EQ(shop.totals().rejected, 1U);
    EXPECT_EQ(shop.lease().jobs.at(0).what.order_id, "b");
}

TEST_F(SqliteStoreTest, CreatesWhatIsRepeatedOnce)
{
    Shop shop(path_);
    EXPECT_EQ(shop.create(order_, "k").kind, Creation::Kind::created);
    EXPECT_EQ(shop.create(order_, "k").kind, Creation::Kind::repeated);
    EXPECT_EQ(shop.create(order_).kind, Creation::Kind::repeated) << "the order_id alone is a key as well";
    EXPECT_EQ(shop.create(order_, "other").kind, Creation::Kind::repeated);
    EXPECT_EQ(shop.create({"a", "Medicine A", 11}).kind, Creation::Kind::other_order);
    EXPECT_EQ(shop.create({"b", "Medicine A", 10}, "k").kind, Creation::Kind::other_body);
    EXPECT_EQ(shop.create({"b", "Medicine A", 10}, "other").kind, Creation::Kind::other_body)
        << "a key that came with a repetition is remembered, too";
    EXPECT_EQ(shop.totals().processing, 1U);
    EXPECT_EQ(shop.lease().jobs.size(), 1U);
}

TEST_F(SqliteStoreTest, GivesEachJobToOneWorkerUntilItsLeaseEnds)
{
    Shop shop(path_);
    shop.create(order_);
    const auto first = shop.lease(10, seconds(30), "w1");
    ASSERT_EQ(first.jobs.size(), 1U);
    pass(milliseconds(29'999));
    EXPECT_TRUE(shop.lease(10, seconds(30), "w2").jobs.empty());
    pass(milliseconds(1));
    const auto second = shop.lease(10, seconds(30), "w2");
    ASSERT_EQ(second.jobs.size(), 1U);
    EXPECT_GT(second.jobs[0].epoch, first.jobs[0].epoch);
    EXPECT_EQ(shop.settle(verdict(first.jobs[0], Status::validated)), Settled::fenced) << "it woke up too late";
    EXPECT_EQ(shop.find("a").order.status, Status::processing);
    EXPECT_EQ(shop.settle(verdict(second.jobs[0], Status::rejected)), Settled::applied);
    EXPECT_EQ(shop.settle(verdict(second.jobs[0], Status::rejected)), Settled::repeated);
    EXPECT_EQ(shop.settle(verdict(second.jobs[0], Status::validated)), Settled::fenced);
    EXPECT_EQ(shop.find("a").order.status, Status::rejected);
    EXPECT_EQ(shop.find("a").timeline.size(), 5U) << "the repetition left no trace";
}

TEST_F(SqliteStoreTest, ProlongsWhatIsStillHeld)
{
    Shop shop(path_);
    shop.create(order_);
    shop.create({"b", "x", 1});
    const auto leased = shop.lease(2);
    shop.settle(verdict(leased.jobs[1], Status::validated));
    pass(seconds(20));
    const auto still = shop.run(
        shop.store().extend({{"a", leased.jobs[0].epoch}, {"b", leased.jobs[1].epoch}, {"c", 1}}, seconds(30)));
    EXPECT_EQ(still.value(), (std::vector<bool>{true, false, false}));
    pass(seconds(20));
    EXPECT_TRUE(shop.lease().jobs.empty());
    pass(seconds(10));
    EXPECT_EQ(shop.lease().jobs.size(), 1U);
}

TEST_F(SqliteStoreTest, PutsBackWhatIsToBeTriedAgain)
{
    Shop shop(path_);
    shop.create(order_);
    auto leased = shop.lease();
    const Attempt attempt{.at = test_clock(), .took = milliseconds(5), .counts = true, .outcome = "failed: refused"};
    auto settlement = back(leased.jobs[0], Settlement::Kind::retry, seconds(1), {attempt});
    EXPECT_EQ(shop.settle(settlement), Settled::applied);
    EXPECT_EQ(shop.settle(settlement), Settled::fenced) << "its answer was lost: it changes nothing a second time";
    const auto none = shop.lease();
    EXPECT_TRUE(none.jobs.empty());
    EXPECT_EQ(none.next_due_in, Duration(seconds(1)));
    pass(seconds(1));
    leased = shop.lease();
    ASSERT_EQ(leased.jobs.size(), 1U);
    EXPECT_EQ(leased.jobs[0].attempts, 1U);
    auto probe = attempt;
    probe.counts = false;
    EXPECT_EQ(shop.settle(back(leased.jobs[0], Settlement::Kind::retry, seconds(0), {probe})), Settled::applied);
    leased = shop.lease();
    EXPECT_EQ(leased.jobs.at(0).attempts, 1U) << "a probe of the breaker is no attempt";
    EXPECT_EQ(shop.settle(back(leased.jobs[0], Settlement::Kind::snooze, seconds(0))), Settled::applied);
    EXPECT_EQ(kinds(shop.find("a")), (std::vector<std::string>{"created", "leased", "attempt", "retry", "leased",
                                                               "attempt", "retry", "leased", "snoozed"}));
}

TEST_F(SqliteStoreTest, LeasesThoseThatWaitedLongestFirst)
{
    Shop shop(path_);
    for (const char* id : {"a", "b", "c"}) {
        shop.create({id, "x", 1});
        pass(milliseconds(1));
    }
    EXPECT_EQ(shop.lease(1).jobs.at(0).what.order_id, "a");
    const auto rest = shop.lease(5);
    ASSERT_EQ(rest.jobs.size(), 2U);
    EXPECT_EQ(rest.jobs[0].what.order_id, "b");
    EXPECT_EQ(rest.jobs[1].what.order_id, "c");
}

TEST_F(SqliteStoreTest, DoesWhatOperatorsMayDo)
{
    Shop shop(path_);
    EXPECT_EQ(shop.operate("a", Operation::cancel).error(), errc::not_found);
    shop.create(order_);
    EXPECT_EQ(shop.operate("a", Operation::replay).error(), errc::conflict);

    auto leased = shop.lease();
    EXPECT_EQ(shop.operate("a", Operation::retry_now).error(), errc::conflict) << "somebody has it";
    shop.settle(back(leased.jobs[0], Settlement::Kind::retry, seconds(100)));
    EXPECT_TRUE(shop.lease().jobs.empty());
    EXPECT_TRUE(shop.operate("a", Operation::retry_now));
    leased = shop.lease();
    ASSERT_EQ(leased.jobs.size(), 1U);

    ASSERT_TRUE(shop.operate("a", Operation::cancel));
    EXPECT_EQ(shop.find("a").order.status, Status::failed);
    EXPECT_EQ(shop.settle(verdict(leased.jobs[0], Status::validated)), Settled::fenced);
    EXPECT_EQ(shop.settle(verdict(leased.jobs[0], Status::failed)), Settled::fenced);
    EXPECT_EQ(shop.operate("a", Operation::cancel).error(), errc::conflict);
    EXPECT_EQ(shop.totals().failed, 1U);

    ASSERT_TRUE(shop.operate("a", Operation::replay));
    EXPECT_EQ(shop.find("a").order.attempts, 0U);
    leased = shop.lease();
    ASSERT_EQ(leased.jobs.size(), 1U);
    EXPECT_EQ(shop.settle(verdict(leased.jobs[0], Status::validated)), Settled::applied);
    EXPECT_EQ(shop.operate("a", Operation::replay).error(), errc::conflict);
    EXPECT_EQ(shop.totals().failed, 0U);
    EXPECT_EQ(shop.totals().validated, 1U);
}

TEST_F(SqliteStoreTest, ListsTheNewestFirstPageByPage)
{
    Shop shop(path_);
    for (int i = 1; i <= 5; ++i) shop.create({"o" + std::to_string(i), "x", i});
    shop.settle(verdict(shop.lease(1).jobs.at(0), Status::failed));
    const auto list = [&](ListQuery query) { return shop.run(shop.store().list(query)).value(); };
    auto page = list({.most = 2});
    ASSERT_EQ(page.orders.size(), 2U);
    EXPECT_EQ(page.orders[0].what.order_id, "o5");
    EXPECT_TRUE(page.more);
    page = list({.before = page.orders[1].number, .most = 3});
    ASSERT_EQ(page.orders.size(), 3U);
    EXPECT_EQ(page.orders[2].what.order_id, "o1");
    EXPECT_FALSE(page.more);
    page = list({.status = Status::failed});
    ASSERT_EQ(page.orders.size(), 1U);
    EXPECT_EQ(page.orders[0].what.order_id, "o1");
}

TEST_F(SqliteStoreTest, ForgetsEverythingWhenToldSo)
{
    Shop shop(path_);
    shop.create(order_, "k");
    shop.create({"b", "x", 1});
    EXPECT_EQ(shop.run(shop.store().clear()).value(), 2U);
    EXPECT_EQ(shop.run(shop.store().find("a")).error(), errc::not_found);
    EXPECT_TRUE(shop.lease().jobs.empty());
    EXPECT_EQ(shop.totals().processing, 0U);
    EXPECT_EQ(shop.create(order_, "k").kind, Creation::Kind::created);
}

TEST_F(SqliteStoreTest, LetsNoSecondProcessIn)
{
    Shop shop(path_);
    EXPECT_THROW(SqliteStore(path_, [] {}, {}), StartupError);
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
