#include "common/storage/sqlite.hpp"

#include "common/log.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <optional>
#include <thread>
#include <utility>

namespace hotspare::storage {
namespace {

/// Between two tries for a lock. SQLite's own handler sleeps longer with every try, up to 100 ms: a process that writes
/// without pause then starves every other for seconds. A commit with its fsyncs takes about this long.
constexpr Duration busy_poll = milliseconds(2);

error_code failure(sqlite3* database, int code, std::string_view doing)
{
    const int primary = code & 0xff;
    const bool locked = primary == SQLITE_BUSY || primary == SQLITE_LOCKED;
    // A failed fsync may have thrown written pages away, and the next one succeeds (Rebello et al., "Can Applications
    // Recover from fsync Failures?", 2020): only what is read back after opening the file again can be trusted.
    const bool broken = code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC || primary == SQLITE_CORRUPT ||
                        primary == SQLITE_NOTADB;
    static log::Throttle throttle; // a full disk fails thousands of writes a second, and may be the one of the log
    const auto left_out = broken ? std::optional<std::uint64_t>(0) : throttle.admit(code, Clock::now());
    if (left_out)
        log::warn("sqlite cannot {}: {} (code {}){}", doing, database ? sqlite3_errmsg(database) : sqlite3_errstr(code),
                  code, *left_out > 0 ? fmt::format("; {} more such failures in between", *left_out) : "");
    if (locked) return errc::unavailable;
    if (broken) return errc::storage_broken;
    return primary == SQLITE_FULL ? errc::storage_full : errc::storage;
}

} // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const noexcept
{
    sqlite3_finalize(statement);
}
void Database::Close::operator()(sqlite3* database) const noexcept
{
    sqlite3_close_v2(database);
}

Statement& Statement::bind(int parameter, std::string_view text)
{
    const int code = sqlite3_bind_text64(statement_.get(), parameter, text.data(), text.size(),
                                         SQLITE_TRANSIENT, // NOLINT: SQLite's own macro casts -1 to a pointer
                                         SQLITE_UTF8);
    if (bound_ == SQLITE_OK) bound_ = code;
    return *this;
}

Statement& Statement::bind(int parameter, std::int64_t number)
{
    const int code = sqlite3_bind_int64(statement_.get(), parameter, number);
    if (bound_ == SQLITE_OK) bound_ = code;
    return *this;
}

result<bool> Statement::step()
{
    const int code = bound_ == SQLITE_OK ? sqlite3_step(statement_.get()) : bound_;
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    // Said in full, because an error_code would convert to the bool as well.
    return {boost::system::in_place_error,
            failure(sqlite3_db_handle(statement_.get()), code, sqlite3_sql(statement_.get()))};
}

std::string_view Statement::text(int column) const
{
    const auto* text = sqlite3_column_text(statement_.get(), column);
    return {reinterpret_cast<const char*>(text),
            static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::int64_t Statement::integer(int column) const
{
    return sqlite3_column_int64(statement_.get(), column);
}

bool Statement::is_null(int column) const
{
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

void Statement::reset() noexcept
{
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
    bound_ = SQLITE_OK;
}

int Database::BusyWait::wait(void* self, int calls)
{
    auto& busy = *static_cast<BusyWait*>(self);
    const auto now = Clock::now();
    if (calls == 0) busy.began = now;
    if (now - busy.began >= busy.timeout) return 0;
    std::this_thread::sleep_for(busy_poll);
    return 1;
}

result<Database> Database::open(const std::string& path, Duration busy_timeout)
{
    return open(path, busy_timeout, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
}

result<Database> Database::open_to_read(const std::string& path, Duration busy_timeout)
{
    return open(path, busy_timeout, SQLITE_OPEN_READONLY);
}

result<Database> Database::open_as_is(const std::string& path)
{
    // "immutable" is an URI's parameter: https://www.sqlite.org/uri.html. Every other byte is escaped.
    std::string uri = "file:";
    for (const char c : path) uri += c == '/' ? "/" : fmt::format("%{:02x}", static_cast<unsigned char>(c));
    return open(uri + "?immutable=1", Duration::zero(), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

result<Database> Database::open(const std::string& path, Duration busy_timeout, int flags)
{
    sqlite3* handle = nullptr;
    const int code = sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
    Database database(handle, busy_timeout);
    if (code != SQLITE_OK) return failure(handle, code, "open " + path);
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_busy_handler(handle, BusyWait::wait, database.busy_.get());
    return database;
}

result<void> Database::execute(const std::string& sql)
{
    const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return failure(database_.get(), code, sql);
    return {};
}

result<Statement> Database::prepare(std::string_view sql)
{
    sqlite3_stmt* handle = nullptr;
    const int code = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
    Statement statement(handle);
    if (code != SQLITE_OK) return failure(database_.get(), code, sql);
    return statement;
}

result<void> Database::log_ahead(Synchronous synchronous)
{
    const std::string level = synchronous == Synchronous::full ? "FULL" : "NORMAL";
    if (auto done = execute(fmt::format("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous={}; "
                                        "PRAGMA journal_size_limit={}",
                                        level, log_bytes_kept));
        !done)
        return done;
    const auto count = [](void* pages, sqlite3*, const char*, int in_log) {
        *static_cast<int*>(pages) = in_log;
        return SQLITE_OK;
    };
    sqlite3_wal_hook(database_.get(), count, log_pages_.get());
    return {};
}

result<void> Database::checkpoint()
{
    const int code = sqlite3_wal_checkpoint_v2(database_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    // Busy: a reader still needs older pages; the rest is for the next time.
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) return failure(database_.get(), code, "checkpoint");
    *log_pages_ = 0;
    return {};
}

result<void> Database::drop_log()
{
    const auto timeout = std::exchange(busy_->timeout, Duration::zero());
    const int code = sqlite3_wal_checkpoint_v2(database_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    busy_->timeout = timeout;
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) return failure(database_.get(), code, "empty the log");
    return {};
}

std::int64_t Database::changes() const noexcept
{
    return sqlite3_changes64(database_.get());
}

result<Transaction> Transaction::begin(Database& database)
{
    if (auto begun = database.execute("BEGIN IMMEDIATE"); !begun) return begun.error();
    return Transaction(database.database_.get());
}

Transaction::~Transaction()
{
    if (!database_) return;
    // SQLite rolls back by itself after some failures (disk full, I/O error); then there is nothing left to undo.
    if (sqlite3_get_autocommit(database_) == 0) sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
}

result<void> Transaction::commit()
{
    // A commit may fail because a reader kept its lock for too long; the transaction is then still open and rolled
    // back.
    const int code = sqlite3_exec(database_, "COMMIT", nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return failure(database_, code, "commit");
    database_ = nullptr;
    return {};
}

} // namespace hotspare::storage
