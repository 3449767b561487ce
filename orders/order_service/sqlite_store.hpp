// The store of one order service on one machine: an SQLite file in WAL mode with synchronous=FULL. One connection
// writes and checkpoints, on its own thread, many requests to a commit (common/storage/group_commit). Three others read
// only, each on a thread of its own, so that reading goes on while the disk is full or slow, one order is read while a
// list is, and neither waits while an operator's selection is looked for among all orders. A second process that opens
// the file is refused. While the path does not lead to the open file, because that was deleted or replaced, nothing is
// answered from it.
//
// Thread: as Store. Owner: main.
#pragma once

#include "common/storage/database_file.hpp"
#include "common/storage/group_commit.hpp"
#include "common/storage/sqlite.hpp"
#include "common/storage/worker.hpp"
#include "orders/order_service/store.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace hotspare::orders {

class SqliteStore final : public Store {
public:
    using WallClock = WallTime (*)();

    struct Options {
        storage::Synchronous synchronous = storage::Synchronous::full;
        WallClock clock = std::chrono::system_clock::now;
    };

    /// Opens or creates `path`. `broken` is called, on another thread, once it is unknown what the file holds: the
    /// process is to end, and the next one to find out. Throws StartupError, and UsageError if the file is another
    /// program's.
    SqliteStore(const std::string& path, std::function<void()> broken, Options options);
    ~SqliteStore() override;

    asio::awaitable<result<Creation>> create(NewOrder what, std::optional<std::string> key) override;
    asio::awaitable<result<Leased>> lease(LeaseRequest request) override;
    asio::awaitable<result<std::vector<bool>>> extend(std::vector<Held> held, Duration lasts) override;
    asio::awaitable<result<std::vector<Settled>>> settle(std::vector<Settlement> settlements) override;
    asio::awaitable<result<Order>> operate(std::string order_id, Operation operation) override;
    asio::awaitable<result<BulkOutcome>> operate_all(BulkRequest request) override;
    asio::awaitable<result<std::uint64_t>> clear() override;
    asio::awaitable<result<OrderFile>> find(std::string order_id) override;
    asio::awaitable<result<Listing>> list(ListQuery query) override;
    asio::awaitable<result<Totals>> totals() override;
    std::optional<std::string> trouble() const override { return file_.trouble(); }

    storage::GroupCommit::Counts commits() const { return commit_.counts(); }

private:
    class Writer; ///< the statements that change something; on the group commit's thread
    class Reader; ///< those that do not; on the reader's thread

    std::unique_ptr<Reader> open_reader();
    result<void> checkpoint_when_long();
    result<void> rest();
    template <class T> result<T> if_there(result<T> answer);

    storage::DatabaseFile file_; ///< first: closed after the databases
    std::unique_ptr<Writer> writer_;
    std::unique_ptr<Reader> reader_;
    std::unique_ptr<Reader> lister_;
    std::unique_ptr<Reader> selector_;
    storage::GroupCommit commit_;
    storage::Worker reading_; ///< last, as commit_ and those below: joined before what they work on goes
    storage::Worker listing_;
    storage::Worker selecting_;
};

} // namespace hotspare::orders
