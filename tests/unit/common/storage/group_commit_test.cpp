#include "common/storage/group_commit.hpp"

#include "tests/support/eventually.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <vector>

namespace hotspare::storage {
namespace TEST_FILE {

class GroupCommitTest : public testing::Test {
protected:
    GroupCommitTest()
    {
        EXPECT_TRUE(database_.log_ahead());
        EXPECT_TRUE(database_.execute("CREATE TABLE t (x INTEGER)"));
    }

    std::int64_t rows()
    {
        auto count = database_.prepare("SELECT count(*) FROM t").value();
        EXPECT_TRUE(count.step().value());
        return count.integer(0);
    }

    result<int> insert(int x)
    {
        if (auto done = database_.execute("INSERT INTO t VALUES (" + std::to_string(x) + ")"); !done)
            return done.error();
        return x;
    }

    template <class Work> auto start(GroupCommit& group, Work work)
    {
        return asio::co_spawn(context_, group.run(std::move(work)), asio::use_future);
    }

    test::TempDir directory_;
    Database database_ = Database::open((directory_.path() / "t.sqlite").string(), seconds(1)).value();
    asio::io_context context_;
};

/// Holds the group's thread, so that what is started meanwhile becomes one batch.
struct Blocker {
    std::promise<void> entered, go;
    auto work()
    {
        return [this]() -> result<int> {
            entered.set_value();
            go.get_future().wait();
            return 0;
        };
    }
};

TEST_F(GroupCommitTest, CommitsTogetherWhatCameWhileItWasBusy)
{
    Blocker blocker;
    std::vector<std::future<result<int>>> done;
    {
        GroupCommit group(database_);
        auto first = start(group, blocker.work());
        context_.poll();
        blocker.entered.get_future().wait();
        for (int i = 0; i < 10; ++i) done.push_back(start(group, [this, i] { return insert(i); }));
        context_.poll();
        blocker.go.set_value();
        context_.run();
        EXPECT_EQ(group.counts().commits, 2U);
        EXPECT_EQ(group.counts().pieces, 11U);
        EXPECT_TRUE(first.get());
    }
    for (int i = 0; i < 10; ++i) EXPECT_EQ(done[static_cast<std::size_t>(i)].get().value(), i);
    EXPECT_EQ(rows(), 10);
}

TEST_F(GroupCommitTest, AFailureTakesTheWholeBatchBackAndTellsEveryCaller)
{
    Blocker blocker;
    GroupCommit group(database_);
    auto first = start(group, blocker.work());
    context_.poll();
    blocker.entered.get_future().wait();
    auto good = start(group, [this] { return insert(1); });
    auto bad = start(group, []() -> result<int> { return errc::storage; });
    auto never = start(group, [this] { return insert(2); });
    context_.poll();
    blocker.go.set_value();
    context_.run();
    EXPECT_EQ(good.get().error(), errc::storage);
    EXPECT_EQ(bad.get().error(), errc::storage);
    EXPECT_EQ(never.get().error(), errc::storage);
    EXPECT_EQ(rows(), 0);
    context_.restart();
    auto later = start(group, [this] { return insert(3); });
    context_.run();
    EXPECT_TRUE(later.get()) << "the next batch is not harmed";
    EXPECT_EQ(rows(), 1);
}

TEST_F(GroupCommitTest, AnAnswerThatIsAnErrorDoesNotHarmTheBatch)
{
    Blocker blocker;
    GroupCommit group(database_);
    auto first = start(group, blocker.work());
    context_.poll();
    blocker.entered.get_future().wait();
    auto good = start(group, [this] { return insert(1); });
    auto absent = start(group, []() -> result<int> { return errc::not_found; });
    context_.poll();
    blocker.go.set_value();
    context_.run();
    EXPECT_TRUE(good.get());
    EXPECT_EQ(absent.get().error(), errc::not_found);
    EXPECT_EQ(rows(), 1);
}

TEST_F(GroupCommitTest, AnExceptionFailsTheBatchAndNotTheThread)
{
    GroupCommit group(database_);
    auto bad = start(group, []() -> result<int> { throw std::runtime_error("a bug"); });
    context_.run();
    EXPECT_EQ(bad.get().error(), errc::storage);
    context_.restart();
    auto good = start(group, [this] { return insert(1); });
    context_.run();
    EXPECT_TRUE(good.get());
}

TEST_F(GroupCommitTest, WritesNothingMoreOnceItIsUnknownWhatTheFileHolds)
{
    std::atomic<int> broken = 0;
    GroupCommit group(database_, {.broken = [&] { ++broken; }});
    auto bad = start(group, []() -> result<int> { return errc::storage_broken; });
    context_.run();
    EXPECT_EQ(bad.get().error(), errc::storage_broken);
    context_.restart();
    auto after = start(group, [this] { return insert(1); });
    context_.run();
    EXPECT_EQ(after.get().error(), errc::storage_broken);
    EXPECT_EQ(rows(), 0);
    EXPECT_TRUE(test::eventually([&] { return broken == 1; }));
}

TEST_F(GroupCommitTest, AcknowledgesNothingThatCannotBeReadBack)
{
    std::atomic<int> asked = 0;
    std::atomic<int> good = 0; // so often
    GroupCommitOptions options;
    options.verify = [&]() -> result<void> {
        if (asked++ < good) return {};
        return error_code(errc::unavailable);
    };
    GroupCommit group(database_, options);
    const auto insert_one = [&] {
        auto done = start(group, [this] { return insert(1); });
        context_.restart();
        context_.run();
        return done.get();
    };
    EXPECT_EQ(insert_one().error(), errc::unavailable);
    EXPECT_EQ(rows(), 0) << "nothing is written where it is lost";

    good = asked + 1;
    EXPECT_EQ(insert_one().error(), errc::unavailable) << "it went between the two looks";

    good = asked + 2;
    EXPECT_TRUE(insert_one());
}

TEST_F(GroupCommitTest, DoesWhatIsForIdleTimes)
{
    std::atomic<int> rests = 0;
    GroupCommitOptions options;
    options.idle_after = milliseconds(1);
    options.when_idle = [&]() -> result<void> {
        ++rests;
        return {};
    };
    GroupCommit group(database_, options);
    EXPECT_TRUE(test::eventually([&] { return rests > 1; }));
    auto done = start(group, [this] { return insert(1); });
    context_.run();
    EXPECT_TRUE(done.get());
}

TEST_F(GroupCommitTest, RefusesMoreThanItsQueueHolds)
{
    Blocker blocker;
    GroupCommit group(database_, {.queue = 2});
    auto first = start(group, blocker.work());
    context_.poll();
    blocker.entered.get_future().wait();
    std::vector<std::future<result<int>>> done;
    for (int i = 0; i < 5; ++i) done.push_back(start(group, [this, i] { return insert(i); }));
    context_.poll();
    blocker.go.set_value();
    context_.run();
    std::size_t refused = 0;
    for (auto& one : done) refused += one.get() == result<int>(errc::unavailable) ? 1 : 0;
    EXPECT_EQ(refused, 3U);
}

TEST_F(GroupCommitTest, BoundsWhatOneTransactionHolds)
{
    Blocker blocker;
    GroupCommit group(database_, {.most = 3});
    auto first = start(group, blocker.work());
    context_.poll();
    blocker.entered.get_future().wait();
    std::vector<std::future<result<int>>> done;
    for (int i = 0; i < 9; ++i) done.push_back(start(group, [this, i] { return insert(i); }));
    context_.poll();
    blocker.go.set_value();
    context_.run();
    for (auto& one : done) EXPECT_TRUE(one.get());
    EXPECT_GE(group.counts().commits, 4U);
    EXPECT_EQ(rows(), 9);
}

} // namespace TEST_FILE
} // namespace hotspare::storage
