// SQLite with owners instead of handles and results instead of return codes; no more than the stores here need.
//
// errc::unavailable means that another process held the lock for longer than the busy timeout: try again later.
// errc::storage_broken means that the disk could not be made to keep what was written, or that the file makes no sense:
// nothing is known of it until it is opened again. Every other failure is errc::storage, or errc::storage_full: nothing
// was written. The details are logged where they occur, each kind at most once a second.
//
// Thread: one at a time per Database, statements included. Every call may block on the disk.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;

namespace hotspare::storage {

/// A prepared statement. Parameters and columns count as SQLite does: parameters from 1, columns from 0.
class Statement {
public:
    Statement& bind(int parameter, std::string_view text);
    Statement& bind(int parameter, std::int64_t number);

    /// Runs up to the next row: true when there is one, false at the end. A failed bind() shows here.
    result<bool> step();

    /// Of the current row; valid until the next step() or reset().
    std::string_view text(int column) const;
    std::int64_t integer(int column) const;
    bool is_null(int column) const;

    /// Makes it ready to run again and releases its locks; forgets the parameters.
    void reset() noexcept;

private:
    friend class Database;
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const noexcept;
    };
    explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
    int bound_ = 0; ///< the first failure of bind()
};

/// What a commit to the write-ahead log waits for (PRAGMA synchronous).
enum class Synchronous : std::uint8_t {
    normal, ///< nothing: a loss of power may take the latest commits with it, though never a part of one
    full,   ///< the disk
};

class Database {
public:
    /// Opens or creates a file (":memory:" for none). Waiting for a lock ends after `busy_timeout`.
    static result<Database> open(const std::string& path, Duration busy_timeout);
    /// A connection that never writes, and therefore never checkpoints either. The file must exist.
    static result<Database> open_to_read(const std::string& path, Duration busy_timeout);
    /// To look at a file that may be another program's: reads what the file itself holds at this moment. Takes no lock,
    /// creates nothing, and ignores a log or journal beside it.
    static result<Database> open_as_is(const std::string& path);
    void set_busy_timeout(Duration busy_timeout) noexcept { busy_->timeout = busy_timeout; }

    /// From now on commits go to a write-ahead log, and with `full` are durable when they return. Nothing moves them on
    /// to the file itself but checkpoint(). At most one connection per file may do this: SQLite 3.40 may corrupt a file
    /// that two of them checkpoint or write at once.
    result<void> log_ahead(Synchronous synchronous = Synchronous::full);
    /// The size that the log's file goes back to when all of it is in the database.
    static constexpr std::int64_t log_bytes_kept = 8 * 1024 * 1024;
    /// In the log and not known to be checkpointed, in pages of 4 KiB.
    int log_pages() const noexcept { return *log_pages_; }
    /// Copies what no reader needs any more from the log to the file, and makes it durable there.
    result<void> checkpoint();
    /// Gives the log's disk space back, all of it, unless a reader needs the log at this moment: success as well.
    result<void> drop_log();

    /// Rows that the latest INSERT, UPDATE or DELETE wrote.
    std::int64_t changes() const noexcept;

    /// `sql` may be several statements; their rows are ignored.
    result<void> execute(const std::string& sql);
    result<Statement> prepare(std::string_view sql);

private:
    friend class Transaction;
    struct Close {
        void operator()(sqlite3* database) const noexcept;
    };
    /// One wait for a lock, as SQLite's busy handler sees it.
    struct BusyWait {
        Duration timeout;
        TimePoint began{};
        static int wait(void* self, int calls);
    };

    static result<Database> open(const std::string& path, Duration busy_timeout, int flags);

    Database(sqlite3* database, Duration busy_timeout)
        : busy_(std::make_unique<BusyWait>(busy_timeout)), database_(database)
    {
    }

    std::unique_ptr<BusyWait> busy_;                            ///< SQLite holds its address
    std::unique_ptr<int> log_pages_ = std::make_unique<int>(0); ///< SQLite holds its address
    std::unique_ptr<sqlite3, Close> database_;
};

/// A write transaction: takes the write lock at once, so that what was read inside it cannot change before the commit.
/// Rolls back unless commit() succeeded.
class Transaction {
public:
    static result<Transaction> begin(Database& database);
    ~Transaction();
    Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
    Transaction& operator=(Transaction&&) = delete;

    result<void> commit();

private:
    explicit Transaction(sqlite3* database) : database_(database) {}

    sqlite3* database_; ///< null once committed
};

/// A statement that is reset at the end of the scope, so that no read lock outlives it.
class Run {
public:
    explicit Run(Statement& statement) : statement_(statement) {}
    ~Run() { statement_.reset(); }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    Statement* operator->() const noexcept { return &statement_; }

private:
    Statement& statement_;
};

} // namespace hotspare::storage
