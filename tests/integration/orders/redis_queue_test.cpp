// Two order services on one PostgreSQL and one Redis, in this process: who gets which order, whatever Redis does.
#include "orders/order_service/redis_queue.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/postgres_server.hpp"
#include "tests/support/redis_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::orders {
namespace TEST_FILE {

class RedisQueueTest : public testing::Test {
protected:
    /// What one order service has of them.
    struct Service {
        Service(asio::io_context& context, const std::string& store_url, const std::string& redis_url,
                const std::string& name)
            : store(context, storage::postgres::resolve(store_url, "--store"), {.patience = seconds(20)}),
              queue(context, storage::redis::resolve(redis_url, "--queue"), name, store)
        {
        }

        PostgresStore store;
        RedisQueue queue;
    };

    template <class F> auto on_loop(F what)
    {
        std::packaged_task<decltype(what())()> task(std::move(what));
        auto done = task.get_future();
        asio::post(context_, [&task] { task(); });
        return done.get();
    }

    RedisQueueTest()
    {
        for (auto* service : {&one_, &two_}) asio::post(context_, [service] { service->queue.start(); });
        EXPECT_TRUE(test::eventually([&] { return usable(one_) && usable(two_); }));
    }

    ~RedisQueueTest() override
    {
        for (auto* service : {&one_, &two_}) {
            on_loop([service] { service->queue.stop(); });
            asio::co_spawn(context_, service->queue.close(), asio::use_future).get();
        }
        work_.reset();
        thread_.join();
    }

    bool usable(Service& service)
    {
        return on_loop([&] { return !service.queue.trouble(); });
    }

    std::int64_t create(Service& service, const std::string& id)
    {
        NewOrder order{id, "x", 1};
        return asio::co_spawn(context_, service.store.create(std::move(order), std::nullopt), asio::use_future)
            .get()
            .value()
            .order.number;
    }

    void announce(Service& service, std::int64_t number)
    {
        on_loop([&] { service.queue.announce(number); });
    }

    std::future<result<std::vector<Lease>>> take(
        Service& service, Duration wait, std::size_t most = 10, std::function<bool()> gone = [] { return false; })
    {
        LeaseRequest request{.worker = "w", .most = most, .lasts = std::chrono::minutes(5)};
        return asio::co_spawn(context_, service.queue.take(std::move(request), Clock::now() + wait, std::move(gone)),
                              asio::use_future);
    }

    static std::vector<std::string> ids(const result<std::vector<Lease>>& jobs)
    {
        std::vector<std::string> out;
        for (const auto& job : jobs.value()) out.push_back(job.what.order_id);
        return out;
    }

    test::PostgresServer postgres_{{.fsync = false, .settings = {}}};
    test::RedisServer redis_;
    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    Service one_{context_, postgres_.url(), redis_.url(), "one"};
    Service two_{context_, postgres_.url(), redis_.url(), "two"};
    std::thread thread_{[this] { context_.run(); }};
};

TEST_F(RedisQueueTest, AWorkerGetsAtOnceWhatAnotherServiceWasGiven)
{
    auto soonest = Duration::max();
    for (int i = 0; i < 5; ++i) {
        const auto id = "o" + std::to_string(i);
        auto waiting = take(two_, seconds(20));
        ASSERT_TRUE(test::eventually([&] { return on_loop([&] { return two_.queue.waiting(); }) == 1; }));
        const auto number = create(one_, id);
        const auto begun = Clock::now();
        announce(one_, number);
        EXPECT_EQ(ids(waiting.get()), std::vector<std::string>{id});
        soonest = std::min(soonest, Clock::now() - begun);
    }
    // A sweep would take 200 ms at least to find it.
    EXPECT_LT(soonest, milliseconds(180));
    EXPECT_TRUE(test::eventually([&] { return redis_.ask("XLEN hotspare:orders") == ":0"; })) << "what is done goes";
}

TEST_F(RedisQueueTest, GivesNothingToAWorkerThatHasGone)
{
    std::atomic<bool> gone = false;
    auto first = take(one_, seconds(60), 10, [&] { return gone.load(); });
    ASSERT_TRUE(test::eventually([&] { return on_loop([&] { return one_.queue.waiting(); }) == 1; }));
    auto second = take(one_, seconds(60));
    ASSERT_TRUE(test::eventually([&] { return on_loop([&] { return one_.queue.waiting(); }) == 2; }));
    gone = true;
    announce(one_, create(one_, "a"));
    EXPECT_EQ(ids(second.get()), std::vector<std::string>{"a"});
    EXPECT_TRUE(ids(first.get()).empty());
}

TEST_F(RedisQueueTest, FindsWhatWasNotAnnounced)
{
    auto waiting = take(one_, seconds(30));
    create(two_, "a");
    EXPECT_EQ(ids(waiting.get()), std::vector<std::string>{"a"});
}

TEST_F(RedisQueueTest, GivesEachOrderToOneWorker)
{
    std::set<std::string> placed;
    std::multiset<std::string> got;
    std::vector<std::future<result<std::vector<Lease>>>> takers;
    for (int i = 0; i < 100; ++i) {
        const auto id = std::to_string(i);
        auto& service = i % 2 == 0 ? one_ : two_;
        const auto number = create(service, id);
        for (int twice = 0; twice < 2; ++twice) announce(service, number); // a hint may be repeated
        placed.insert(id);
    }
    ASSERT_TRUE(test::eventually([&] {
        takers.clear();
        for (int i = 0; i < 8; ++i) takers.push_back(take(i % 2 == 0 ? one_ : two_, milliseconds(500), 3));
        for (auto& taker : takers)
            for (const auto& id : ids(taker.get())) got.insert(id);
        return got.size() >= placed.size();
    }));
    EXPECT_EQ(got.size(), placed.size());
    EXPECT_EQ(std::set<std::string>(got.begin(), got.end()), placed);
}

TEST_F(RedisQueueTest, LosesNothingThatRedisForgets)
{
    for (int i = 0; i < 20; ++i) announce(one_, create(one_, std::to_string(i)));
    redis_.flush_all();
    std::set<std::string> got;
    ASSERT_TRUE(test::eventually([&] {
        for (const auto& id : ids(take(two_, seconds(2), 5).get())) got.insert(id);
        return got.size() == 20;
    }));
}

TEST_F(RedisQueueTest, AsksTheStoreWhileRedisIsAway)
{
    auto waiting = take(one_, seconds(30));
    redis_.kill();
    announce(two_, create(two_, "a"));
    EXPECT_EQ(ids(waiting.get()), std::vector<std::string>{"a"});
    ASSERT_TRUE(test::eventually([&] { return !usable(one_); }));
    EXPECT_NE(on_loop([&] { return *one_.queue.trouble(); }).find("straight from the database"), std::string::npos);
    redis_.start();
    ASSERT_TRUE(test::eventually([&] { return usable(one_) && usable(two_); }));
    waiting = take(one_, seconds(30));
    announce(two_, create(two_, "b"));
    EXPECT_EQ(ids(waiting.get()), std::vector<std::string>{"b"});
}

TEST_F(RedisQueueTest, AsksTheStoreWhileRedisStandsStill)
{
    auto waiting = take(one_, seconds(30));
    redis_.freeze();
    create(two_, "a");
    EXPECT_EQ(ids(waiting.get()), std::vector<std::string>{"a"});
    redis_.thaw();
    EXPECT_TRUE(test::eventually([&] { return usable(one_); }));
}

TEST_F(RedisQueueTest, TellsAgainWhatADeadServiceWasTold)
{
    ASSERT_TRUE(test::eventually([&] { return redis_.ask("EXISTS hotspare:orders") == ":1"; }));
    announce(one_, create(one_, "a"));
    ASSERT_TRUE(test::eventually([&] {
        redis_.ask("XREADGROUP GROUP order_services dead COUNT 10 STREAMS hotspare:orders >");
        return redis_.ask("XPENDING hotspare:orders order_services - + 10 dead") == "*1";
    }));
    std::set<std::string> got;
    ASSERT_TRUE(test::eventually(
        [&] {
            for (const auto& id : ids(take(two_, seconds(2)).get())) got.insert(id);
            return got.size() == 1;
        },
        seconds(60)));
}

TEST_F(RedisQueueTest, KeepsRedisSmallWhateverTheBacklogIs)
{
    const auto most = DispatchWindow::most;
    // The store answers slowly meanwhile: the second service must not sweep beside the first, or both fill the stream.
    postgres_.run(
        "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; "
        "INSERT INTO orders (order_id, product, quantity, status, reason, epoch, attempts, created, updated, "
        "events, due, worker) SELECT i, 'x', 1, 0, '', 0, 0, 0, 0, 0, 0, '' FROM generate_series(1, 10000) AS i; "
        "SELECT pg_sleep(0.4); COMMIT");
    const auto length = [&] { return std::stoul(redis_.ask("XLEN hotspare:orders").substr(1)); };
    ASSERT_TRUE(test::eventually([&] { return length() == most; })) << length();
    for (int i = 0; i < 100; ++i) announce(one_, create(one_, "more" + std::to_string(i)));
    EXPECT_LE(length(), most + 100);
    std::size_t got = 0;
    ASSERT_TRUE(test::eventually(
        [&] {
            got += take(one_, seconds(1), 1'000).get().value().size();
            got += take(two_, seconds(1), 1'000).get().value().size();
            EXPECT_LE(length(), most + 100);
            return got == 10'100;
        },
        seconds(100)))
        << got;
}

TEST_F(RedisQueueTest, SharesRedisWithAPipelineThatHasAnotherPrefix)
{
    test::PostgresServer store{{.fsync = false, .settings = {}}};
    Service other(context_, store.url(), redis_.url() + "/0?prefix=other:", "other");
    asio::post(context_, [&] { other.queue.start(); });
    EXPECT_TRUE(test::eventually([&] { return redis_.ask("EXISTS other:hotspare:orders") == ":1"; }));
    // Numbers begin with 1 in each store.
    announce(one_, create(one_, "ours"));
    announce(other, create(other, "theirs"));
    EXPECT_EQ(ids(take(other, seconds(20)).get()), std::vector<std::string>{"theirs"});
    EXPECT_EQ(ids(take(one_, seconds(20)).get()), std::vector<std::string>{"ours"});
    on_loop([&] { other.queue.stop(); });
    asio::co_spawn(context_, other.queue.close(), asio::use_future).get();
}

TEST_F(RedisQueueTest, SendsAwayWhoWaitsWhenItStops)
{
    auto waiting = take(one_, std::chrono::minutes(1));
    ASSERT_TRUE(test::eventually([&] { return on_loop([&] { return one_.queue.waiting(); }) == 1; }));
    on_loop([&] { one_.queue.stop(); });
    EXPECT_TRUE(waiting.get().value().empty());
}

} // namespace TEST_FILE
} // namespace hotspare::orders
