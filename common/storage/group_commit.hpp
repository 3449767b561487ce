// One thread that owns a database's writes, and one fsync for many of them. Work that arrives while a commit is on its
// way to the disk waits, and is then done together in one transaction: under load the disk is asked once per batch, not
// once per write (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984: group commit).
//
// A caller gets its result only after the commit that holds its work is durable. If the transaction fails, every piece
// of work in it fails: nothing of it was written.
//
// Thread: run() on any event loop; the work runs on this object's own thread, one piece after the other in the order of
// the calls. Owner: the store whose database it is; its coroutines must have ended before it is destroyed.
#pragma once

#include "common/clock.hpp"
#include "common/storage/sqlite.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace hotspare::storage {

namespace asio = boost::asio;

struct GroupCommitOptions {
    std::size_t most = 512;    ///< pieces of work in one transaction: bounds what the first of them waits
    std::size_t queue = 8'192; ///< that may wait; more are refused with errc::unavailable
    /// Called on the thread before each transaction and once more after its commit, before its callers are told:
    /// whether what is written there can be read back. Its error is theirs.
    std::function<result<void>()> verify{};
    /// Called on the thread after each commit, when its callers have been told: the place for a checkpoint.
    std::function<result<void>()> after_commit{};
    /// Called on the thread whenever nothing was to be done for `idle_after`.
    std::function<result<void>()> when_idle{};
    Duration idle_after = seconds(1);
    /// Called on the thread after errc::storage_broken. The callers have been told by then; every later call fails with
    /// the same. Only a new process, or a new Database, can find out what was written.
    std::function<void()> broken{};
};

class GroupCommit {
public:
    /// `database` must outlive it and is used by nothing else while it lives.
    explicit GroupCommit(Database& database, GroupCommitOptions options = {});
    /// Does what is queued, then ends the thread.
    ~GroupCommit();

    GroupCommit(const GroupCommit&) = delete;
    GroupCommit& operator=(const GroupCommit&) = delete;

    /// Calls `work()`, which returns a result<T>, inside a transaction, and returns what it returned once that is
    /// committed. An errc::storage, storage_full, storage_broken or unavailable that `work` returns takes it all back;
    /// any other error is an answer like a value, and what was written stays.
    template <class Work> asio::awaitable<std::invoke_result_t<Work&>> run(Work work)
    {
        using Result = std::invoke_result_t<Work&>;
        auto done = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::optional<Result>)>(
            Begin<Result>{*this}, asio::use_awaitable, std::move(work));
        co_return *std::move(done);
    }

    struct Counts {
        std::uint64_t commits = 0;
        std::uint64_t pieces = 0; ///< of work in them
        std::uint64_t failed = 0; ///< transactions that were taken back
    };
    Counts counts() const;

private:
    /// A piece of work and the coroutine that waits for it.
    struct Piece {
        virtual ~Piece() = default;
        virtual error_code execute() = 0;
        /// Tells the caller; `error` replaces its result. Called exactly once.
        virtual void finish(error_code error) = 0;
    };

    template <class Result, class Work, class Handler> struct Waiting final : Piece {
        using Executor = decltype(asio::prefer(std::declval<asio::associated_executor_t<Handler>>(),
                                               asio::execution::outstanding_work.tracked));

        Waiting(Work work_, Handler handler_)
            : work(std::move(work_)), handler(std::move(handler_)),
              executor(asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked))
        {
        }

        error_code execute() override
        {
            value.emplace(work());
            return value->has_error() ? value->error() : error_code();
        }

        void finish(error_code error) override
        {
            if (error) value.emplace(error);
            asio::post(executor, [handler = std::move(handler), value = std::move(value)]() mutable {
                std::move(handler)(std::move(value));
            });
        }

        Work work;
        Handler handler;
        Executor executor;
        std::optional<Result> value;
    };

    template <class Result> struct Begin {
        GroupCommit& group;

        template <class Handler, class Work> void operator()(Handler handler, Work work) const
        {
            group.add(std::make_unique<Waiting<Result, Work, Handler>>(std::move(work), std::move(handler)));
        }
    };

    using Pieces = std::vector<std::unique_ptr<Piece>>;

    void add(std::unique_ptr<Piece> piece);
    void run_thread();
    Pieces next_batch();
    void wait_for_work(std::unique_lock<std::mutex>& lock);
    void commit(Pieces& batch);
    void break_down();
    error_code execute(Pieces& batch);

    Database& database_;
    const GroupCommitOptions options_;

    mutable std::mutex mutex_; ///< guards what follows up to thread_
    std::condition_variable changed_;
    Pieces queue_;
    Counts counts_;
    bool stop_ = false;
    bool broken_ = false;

    std::thread thread_; ///< last: started when everything else is there
};

} // namespace hotspare::storage
