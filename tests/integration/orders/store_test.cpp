// What every store promises (orders/order_service/store.hpp), asked of each of them.
#include "orders/order_service/postgres_store.hpp"
#include "orders/order_service/sqlite_store.hpp"
#include "tests/support/postgres_server.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hotspare::orders {
namespace TEST_FILE {

std::atomic<std::int64_t> now_ms{1'700'000'000'000};

WallTime test_clock()
{
    return WallTime(milliseconds(now_ms.load()));
}

void pass(milliseconds span)
{
    now_ms += span.count();
}

enum class Engine : std::uint8_t { sqlite, postgres };

std::string name_of(const testing::TestParamInfo<Engine>& engine)
{
    return engine.param == Engine::sqlite ? "Sqlite" : "Postgres";
}

/// What outlives a store: its file or its server.
class Ground {
public:
    explicit Ground(Engine engine) : engine_(engine)
    {
        if (engine == Engine::postgres) server_.emplace(test::PostgresServer::Options{.fsync = false, .settings = {}});
    }

    std::unique_ptr<Store> open(asio::io_context& context) const
    {
        if (engine_ == Engine::sqlite)
            return std::make_unique<SqliteStore>((directory_.path() / "orders.sqlite").string(),
                                                 [] { FAIL() << "the store broke"; },
                                                 SqliteStore::Options{.clock = test_clock});
        return std::make_unique<PostgresStore>(
            context, storage::postgres::resolve(server_->url(), "--store"),
            PostgresStore::Options{.patience = seconds(20), .clock = test_clock, .keep_clock = Duration::zero()});
    }

private:
    Engine engine_;
    test::TempDir directory_;
    std::optional<test::PostgresServer> server_;
};

/// A store with an event loop that runs until the call is done.
class Shop {
public:
    explicit Shop(const Ground& ground) : store_(ground.open(context_)) {}

    template <class T> T run(asio::awaitable<T> call)
    {
        context_.restart();
        auto done = asio::co_spawn(context_, std::move(call), asio::use_future);
        context_.run();
        return done.get();
    }

    Creation create(NewOrder what, std::optional<std::string> key = std::nullopt)
    {
        return run(store_->create(std::move(what), std::move(key))).value();
    }
    Leased lease(std::size_t most = 10, Duration lasts = seconds(30), std::string worker = "w")
    {
        return run(store_->lease({.worker = std::move(worker), .most = most, .lasts = lasts})).value();
    }
    Settled settle(Settlement settlement) { return run(store_->settle({std::move(settlement)})).value().at(0); }
    OrderFile find(const std::string& id) { return run(store_->find(id)).value(); }
    result<Order> operate(const std::string& id, Operation what) { return run(store_->operate(id, what)); }
    Totals totals() { return run(store_->totals()).value(); }

    Store& store() { return *store_; }

private:
    asio::io_context context_;
    std::unique_ptr<Store> store_;
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

class StoreTest : public testing::TestWithParam<Engine> {
protected:
    Ground ground_{GetParam()};
    const NewOrder order_{"a", "Medicine A", 10};
};

TEST_P(StoreTest, KeepsAnOrderFromItsCreationToItsVerdict)
{
    Shop shop(ground_);
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

TEST_P(StoreTest, RemembersEverythingWhenItIsOpenedAgain)
{
    {
        Shop shop(ground_);
        shop.create(order_, "key-1");
        shop.create({"b", "x", 1});
        const auto leased = shop.lease(1);
        shop.settle(verdict(leased.jobs.at(0), Status::rejected));
    }
    Shop shop(ground_);
    EXPECT_EQ(shop.find("a").order.status, Status::rejected);
    EXPECT_EQ(shop.create(order_, "key-1").kind, Creation::Kind::repeated);
    EXPECT_EQ(shop.totals().rejected, 1U);
    EXPECT_EQ(shop.lease().jobs.at(0).what.order_id, "b");
}

TEST_P(StoreTest, CreatesWhatIsRepeatedOnce)
{
    Shop shop(ground_);
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

TEST_P(StoreTest, GivesEachJobToOneWorkerUntilItsLeaseEnds)
{
    Shop shop(ground_);
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

TEST_P(StoreTest, ProlongsWhatIsStillHeld)
{
    Shop shop(ground_);
    shop.create(order_);
    shop.create({"b", "x", 1});
    const auto leased = shop.lease(2);
    shop.settle(verdict(leased.jobs[1], Status::validated));
    pass(seconds(20));
    const auto still = shop.run(shop.store().extend(
        {{"a", leased.jobs[0].epoch, {}}, {"b", leased.jobs[1].epoch, {}}, {"c", 1, {}}}, seconds(30)));
    EXPECT_EQ(still.value(), (std::vector<bool>{true, false, false}));
    pass(seconds(20));
    EXPECT_TRUE(shop.lease().jobs.empty());
    pass(seconds(10));
    EXPECT_EQ(shop.lease().jobs.size(), 1U);
}

TEST_P(StoreTest, PutsBackWhatIsToBeTriedAgain)
{
    Shop shop(ground_);
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

TEST_P(StoreTest, LeasesThoseThatWaitedLongestFirst)
{
    Shop shop(ground_);
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

TEST_P(StoreTest, DoesWhatOperatorsMayDo)
{
    Shop shop(ground_);
    EXPECT_EQ(shop.operate("a", Operation::cancel).error(), errc::not_found);
    shop.create(order_);
    EXPECT_EQ(shop.operate("a", Operation::replay).error(), errc::conflict);

    auto leased = shop.lease();
    EXPECT_EQ(shop.operate("a", Operation::retry_now).error(), errc::conflict) << "a worker has it";
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

TEST_P(StoreTest, ListsTheNewestFirstPageByPage)
{
    Shop shop(ground_);
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
    page = list({.status = Status::processing, .most = 3});
    ASSERT_EQ(page.orders.size(), 3U);
    EXPECT_EQ(page.orders[0].what.order_id, "o5");
    EXPECT_TRUE(page.more);
    page = list({.status = Status::processing, .before = page.orders[2].number, .most = 3});
    ASSERT_EQ(page.orders.size(), 1U);
    EXPECT_EQ(page.orders[0].what.order_id, "o2");
    EXPECT_FALSE(page.more);
    EXPECT_TRUE(list({.status = Status::validated}).orders.empty());
}

TEST_P(StoreTest, ForgetsEverythingWhenToldSo)
{
    Shop shop(ground_);
    shop.create(order_, "k");
    shop.create({"b", "x", 1});
    EXPECT_EQ(shop.run(shop.store().clear()).value(), 2U);
    EXPECT_EQ(shop.run(shop.store().find("a")).error(), errc::not_found);
    EXPECT_TRUE(shop.lease().jobs.empty());
    EXPECT_EQ(shop.totals().processing, 0U);
    EXPECT_EQ(shop.create(order_, "k").kind, Creation::Kind::created);
}

TEST_P(StoreTest, GivesNothingOfAClearedOrderToTheOneWithItsName)
{
    Lease old;
    {
        Shop shop(ground_);
        shop.create(order_);
        old = shop.lease().jobs.at(0);
        EXPECT_EQ(shop.run(shop.store().clear()).value(), 1U);
    }
    Shop shop(ground_); // also after a restart
    shop.create(order_);
    const auto job = shop.lease().jobs.at(0);
    EXPECT_FALSE(old.generation.empty());
    EXPECT_NE(job.generation, old.generation) << "the validator is asked with another key";
    EXPECT_GT(job.epoch, old.epoch);
    for (const auto& generation : {old.generation, std::string()}) {
        auto late = verdict(old, Status::rejected);
        late.generation = generation;
        EXPECT_NE(shop.settle(late), Settled::applied);
        EXPECT_FALSE(shop.run(shop.store().extend({{"a", old.epoch, generation}}, seconds(30))).value().at(0));
    }
    EXPECT_EQ(shop.find("a").order.status, Status::processing);
    EXPECT_EQ(shop.settle(verdict(job, Status::validated)), Settled::applied);
}

TEST_P(StoreTest, MakesNothingWaitBecauseTheClockWasSetBack)
{
    const auto begun = now_ms.load();
    {
        Shop shop(ground_);
        shop.create(order_);
        shop.create({"b", "x", 1});
        shop.settle(back(shop.lease(1).jobs.at(0), Settlement::Kind::retry, seconds(20)));
        EXPECT_EQ(shop.lease(1).jobs.size(), 1U); // b, for 30 s
        pass(-std::chrono::hours(1));
        shop.create({"c", "x", 1});
        EXPECT_EQ(shop.lease(1).jobs.at(0).what.order_id, "c") << "created by the old clock, due at once";
        pass(seconds(20));
        EXPECT_EQ(shop.lease(1).jobs.at(0).what.order_id, "a") << "20 s have passed, whatever the clock says";
        pass(seconds(2)); // with which it is kept that it was so late
        shop.create({"d", "x", 1});
        EXPECT_LE(shop.find("d").due.value(), test_clock()) << "for people by the wall clock";
    }
    pass(-std::chrono::hours(2));
    Shop shop(ground_); // set back once more, while no service ran
    EXPECT_EQ(shop.lease().jobs.at(0).what.order_id, "d");
    pass(seconds(31));
    std::set<std::string> due;
    for (const auto& job : shop.lease().jobs) due.insert(job.what.order_id);
    EXPECT_EQ(due, (std::set<std::string>{"a", "b", "c", "d"})) << "after one lease at the latest";
    now_ms = begun;
}

TEST_P(StoreTest, TellsHowLongARoundHasBeenTriedAlsoWhenItIsOpenedAgain)
{
    const Attempt attempt{.at = test_clock(), .took = milliseconds(5), .counts = true, .outcome = "failed"};
    {
        Shop shop(ground_);
        shop.create(order_);
        pass(std::chrono::hours(25));
        const auto job = shop.lease().jobs.at(0);
        EXPECT_EQ(job.tried_for, Duration::zero());
        shop.settle(back(job, Settlement::Kind::retry, seconds(1), {attempt}));
    }
    Shop shop(ground_);
    pass(seconds(90));
    const auto job = shop.lease().jobs.at(0);
    EXPECT_EQ(job.tried_for, Duration(seconds(90)));
    shop.settle(verdict(job, Status::failed));
    ASSERT_TRUE(shop.operate("a", Operation::replay));
    EXPECT_EQ(shop.lease().jobs.at(0).tried_for, Duration::zero());
}

TEST_P(StoreTest, KeepsTheTimelineShortWhatsoeverOperatorsDo)
{
    Shop shop(ground_);
    shop.create(order_);
    for (int i = 0; i < 80; ++i) {
        ASSERT_TRUE(shop.operate("a", Operation::cancel));
        ASSERT_EQ(kinds(shop.find("a")).back(), "failed");
        ASSERT_TRUE(shop.operate("a", Operation::replay));
    }
    EXPECT_LE(shop.find("a").timeline.size(), static_cast<std::size_t>(most_events));
    shop.settle(verdict(shop.lease().jobs.at(0), Status::validated));
    EXPECT_EQ(kinds(shop.find("a")).back(), "validated");
}

TEST_P(StoreTest, CountsItsOwnWritesAtOnce)
{
    Shop shop(ground_);
    for (int i = 1; i <= 10; ++i) {
        shop.create({"o" + std::to_string(i), "x", i});
        EXPECT_EQ(shop.totals().processing, static_cast<std::uint64_t>(i));
    }
    const auto leased = shop.lease(4);
    EXPECT_EQ(shop.totals().leased, 4U);
    shop.settle(verdict(leased.jobs[0], Status::failed));
    shop.settle(back(leased.jobs[1], Settlement::Kind::snooze, seconds(0)));
    ASSERT_TRUE(shop.operate("o3", Operation::cancel));
    EXPECT_EQ(shop.totals().leased, 1U);
    pass(seconds(31));
    EXPECT_EQ(shop.lease(1, seconds(30), "another").jobs.size(), 1U);
    ASSERT_TRUE(shop.operate("o1", Operation::replay));
    const auto listing = shop.run(shop.store().list({.status = Status::processing})).value();
    EXPECT_EQ(listing.orders.size(), 9U);
    EXPECT_EQ(listing.totals.processing, 9U);
    EXPECT_EQ(listing.totals.failed, 1U);
    shop.run(shop.store().clear()).value();
    EXPECT_EQ(shop.totals().leased, 0U);
    EXPECT_FALSE(shop.totals().oldest);
}

TEST_P(StoreTest, TellsSinceWhenTheOldestOrderIsProcessing)
{
    Shop shop(ground_);
    for (const auto* id : {"first", "second", "third"}) {
        shop.create({id, "x", 1});
        pass(seconds(10));
    }
    EXPECT_EQ(shop.totals().oldest, shop.find("first").order.created);
    ASSERT_TRUE(shop.operate("first", Operation::cancel));
    EXPECT_EQ(shop.totals().oldest, shop.find("second").order.created);
    shop.lease();
    EXPECT_EQ(shop.totals().oldest, shop.find("second").order.created) << "whether a worker holds it or not";
}

TEST_P(StoreTest, KeepsWhateverAValidatorMaySay)
{
    Shop shop(ground_);
    shop.create({"\xc3\xa4'\"\\", "{1}, %s; DROP TABLE orders", 1});
    const std::string words("a\0b\xf0\x9f\x98\x80'\"\\\n", 11);
    shop.settle(verdict(shop.lease().jobs.at(0), Status::rejected, words));
    const auto file = shop.find("\xc3\xa4'\"\\");
    EXPECT_EQ(file.order.status, Status::rejected);
    EXPECT_EQ(file.order.what.product, "{1}, %s; DROP TABLE orders");
    EXPECT_TRUE(file.order.reason.ends_with("b\xf0\x9f\x98\x80'\"\\\n")) << file.order.reason;
}

TEST_P(StoreTest, SettlesManyOrdersAtOnce)
{
    Shop shop(ground_);
    for (int i = 0; i < 300; ++i) shop.create({"o" + std::to_string(i), "x", 1});
    const auto leased = shop.lease(1'000);
    ASSERT_EQ(leased.jobs.size(), 300U);
    std::vector<Settlement> settlements;
    for (std::size_t i = 0; i < leased.jobs.size(); ++i)
        settlements.push_back(verdict(leased.jobs[i], i % 3 == 0 ? Status::rejected : Status::validated));
    settlements.push_back(settlements[0]);
    settlements.push_back({.order_id = "nobody", .epoch = 1});
    const auto settled = shop.run(shop.store().settle(settlements)).value();
    ASSERT_EQ(settled.size(), 302U);
    EXPECT_EQ(std::ranges::count(settled, Settled::applied), 300);
    EXPECT_EQ(settled[300], Settled::repeated);
    EXPECT_EQ(settled[301], Settled::unknown);
    const auto totals = shop.totals();
    EXPECT_EQ(totals.rejected, 100U);
    EXPECT_EQ(totals.validated, 200U);
    EXPECT_EQ(totals.processing, 0U);
}

asio::awaitable<void> create_each(Store& store, int count, std::vector<Creation::Kind>& kinds)
{
    for (int i = 0; i < count; ++i) {
        NewOrder order{std::to_string(i), "x", 1};
        std::optional<std::string> key("k" + std::to_string(i));
        const auto creation = co_await store.create(std::move(order), std::move(key));
        kinds.push_back(creation.value().kind);
    }
}

TEST_P(StoreTest, CreatesOnceWhatManyAskForAtTheSameTime)
{
    asio::io_context context;
    const auto store = ground_.open(context);
    std::vector<Creation::Kind> kinds;
    std::vector<std::future<void>> done;
    for (int client = 0; client < 16; ++client)
        done.push_back(asio::co_spawn(context, create_each(*store, 20, kinds), asio::use_future));
    context.run();
    for (auto& one : done) one.get();
    EXPECT_EQ(kinds.size(), 320U);
    EXPECT_EQ(std::ranges::count(kinds, Creation::Kind::created), 20);
    EXPECT_EQ(std::ranges::count(kinds, Creation::Kind::repeated), 300);
}

asio::awaitable<void> lease_until_dry(Store& store, std::multiset<std::string>& leased)
{
    while (true) {
        LeaseRequest request{.worker = "w", .most = 7, .lasts = seconds(30)};
        const auto jobs = co_await store.lease(std::move(request));
        if (jobs.value().jobs.empty()) co_return;
        for (const auto& job : jobs->jobs) leased.insert(job.what.order_id);
    }
}

TEST_P(StoreTest, GivesNoJobToTwoWorkersThatAskAtTheSameTime)
{
    asio::io_context context;
    const auto store = ground_.open(context);
    std::vector<Creation::Kind> kinds;
    asio::co_spawn(context, create_each(*store, 200, kinds), asio::use_future);
    context.run();
    context.restart();
    std::multiset<std::string> leased;
    std::vector<std::future<void>> done;
    for (int worker = 0; worker < 8; ++worker)
        done.push_back(asio::co_spawn(context, lease_until_dry(*store, leased), asio::use_future));
    context.run();
    for (auto& one : done) one.get();
    EXPECT_EQ(leased.size(), 200U);
    EXPECT_EQ(std::set<std::string>(leased.begin(), leased.end()).size(), 200U);
}

TEST_P(StoreTest, ReplaysAndCancelsAllOfASelection)
{
    Shop shop(ground_);
    const auto all = [&](Operation operation, std::size_t most = 1'000, Selection more = {}) {
        more.status = operation == Operation::replay ? Status::failed : Status::processing;
        BulkRequest request{.operation = operation, .selection = std::move(more), .most = most};
        return shop.run(shop.store().operate_all(std::move(request))).value();
    };
    const auto status = [&](int i) { return shop.find("a" + std::to_string(i)).order.status; };
    constexpr int orders = 250; // more than one transaction of SqliteStore
    for (int i = 0; i < orders; ++i) {
        shop.create({"a" + std::to_string(i), "x", 1});
        if (i == 99) pass(seconds(10));
    }
    const auto later = test_clock();
    EXPECT_TRUE(all(Operation::replay).changed.empty());

    // By age, the oldest first, and not more than wanted.
    auto cancelled = all(Operation::cancel, 30, {.created_to = later - seconds(5)});
    EXPECT_EQ(cancelled.changed.size(), 30U);
    EXPECT_EQ(cancelled.left, 70U);
    EXPECT_EQ(status(29), Status::failed);
    EXPECT_EQ(status(30), Status::processing);
    cancelled = all(Operation::cancel, 1'000, {.created_from = later - seconds(5)});
    EXPECT_EQ(cancelled.changed.size(), 150U);
    EXPECT_EQ(cancelled.left, 0U);
    EXPECT_EQ(shop.totals().processing, 70U);
    EXPECT_EQ(shop.totals().failed, 180U);

    // By reason: of two kinds of failure, one.
    auto leased = shop.lease(1);
    ASSERT_EQ(leased.jobs.size(), 1U);
    EXPECT_EQ(shop.settle(verdict(leased.jobs[0], Status::failed, "3 attempts failed; HTTP 404")), Settled::applied);
    const auto replayed = all(Operation::replay, 1'000, {.reason = "HTTP 404"});
    EXPECT_EQ(replayed.changed.size(), 1U);
    EXPECT_EQ(replayed.left, 0U);
    EXPECT_EQ(shop.totals().processing, 70U);
    EXPECT_TRUE(all(Operation::replay, 1'000, {.reason = "%"}).changed.empty()) << "it is no pattern";

    // A round of its own for each, and no one that a worker holds is left to it.
    EXPECT_EQ(all(Operation::replay).changed.size(), 180U);
    EXPECT_EQ(kinds(shop.find("a0")), (std::vector<std::string>{"created", "failed", "replayed"}));
    leased = shop.lease(1);
    EXPECT_EQ(all(Operation::cancel).changed.size(), 250U);
    EXPECT_EQ(shop.settle(verdict(leased.jobs.at(0), Status::validated)), Settled::fenced);
    EXPECT_EQ(shop.totals().leased, 0U);
}

INSTANTIATE_TEST_SUITE_P(Engines, StoreTest, testing::Values(Engine::sqlite, Engine::postgres), name_of);

} // namespace TEST_FILE
} // namespace hotspare::orders
