#include "common/storage/document_store.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::storage {
namespace {

constexpr auto schema = R"(
    CREATE TABLE IF NOT EXISTS documents (key TEXT PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS last_version (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL);
    INSERT OR IGNORE INTO last_version VALUES (1, 0);
)";

const FileFormat format{.name = "the documents of primary and spare",
                        .application_id = 0x68'73'64'6f, // "hsdo"
                        .tables_without_id = {"documents", "last_version"}};

constexpr Duration opening_timeout = seconds(10);

template <class T> T started(result<T> made, const std::string& path)
{
    if (!made) throw StartupError(fmt::format("cannot use the document store {}: {}", path, made.error().message()));
    if constexpr (!std::is_void_v<T>) return *std::move(made);
}

} // namespace

DocumentStore::DocumentStore(const std::string& path, Duration busy_timeout)
    : file_(path, format, DatabaseFile::Use::shared), database_(open(path, busy_timeout))
{
    file_.watch({});
    const auto prepare = [&](std::string_view sql) { return started(database_.prepare(sql), path); };
    statements_.emplace(Statements{
        prepare("SELECT value, version FROM documents WHERE key = ?1"),
        prepare("SELECT version FROM documents WHERE key = ?1"),
        prepare("UPDATE last_version SET version = version + 1 RETURNING version"),
        prepare("INSERT INTO documents VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET value = ?2, version = ?3"),
        prepare("DELETE FROM documents WHERE key = ?1"),
    });
}

Database DocumentStore::open(const std::string& path, Duration busy_timeout)
{
    auto database = started(Database::open(path, std::max(busy_timeout, opening_timeout)), path);
    started(database.execute("PRAGMA synchronous=FULL"), path);
    auto transaction = started(Transaction::begin(database), path);
    file_.claim(database);
    started(database.execute(schema), path);
    started(transaction.commit(), path);
    started(database.execute("PRAGMA journal_mode=DELETE"), path);
    database.set_busy_timeout(busy_timeout);
    return database;
}

asio::awaitable<result<Document>> DocumentStore::get(std::string key)
{
    auto work = [this, key = std::move(key)] { return read(key); };
    co_return co_await worker_.run(std::move(work));
}

asio::awaitable<result<Written>> DocumentStore::put(std::string key, std::string value, Precondition allowed)
{
    auto work = [this, key = std::move(key), value = std::move(value), allowed = std::move(allowed)] {
        return write(key, value, allowed);
    };
    co_return co_await worker_.run(std::move(work));
}

asio::awaitable<result<void>> DocumentStore::remove(std::string key, Precondition allowed)
{
    auto work = [this, key = std::move(key), allowed = std::move(allowed)] { return erase(key, allowed); };
    co_return co_await worker_.run(std::move(work));
}

result<Document> DocumentStore::read(const std::string& key)
{
    if (const auto there = file_.verify(); !there) return there.error();
    Run select(statements_->select);
    const auto found = select->bind(1, key).step();
    if (!found) return found.error();
    if (!*found) return error_code(errc::not_found);
    return Document{std::string(select->text(0)), select->integer(1)};
}

result<std::optional<Version>> DocumentStore::current(const std::string& key)
{
    Run select(statements_->version);
    const auto found = select->bind(1, key).step();
    if (!found) return found.error();
    return *found ? std::optional(select->integer(0)) : std::nullopt;
}

result<Version> DocumentStore::next_version()
{
    Run update(statements_->next);
    const auto row = update->step();
    if (!row) return row.error();
    return update->integer(0);
}

result<Written> DocumentStore::write(const std::string& key, const std::string& value, const Precondition& allowed)
{
    if (const auto there = file_.verify(); !there) return there.error();
    auto transaction = Transaction::begin(database_);
    if (!transaction) return transaction.error();
    const auto before = current(key);
    if (!before) return before.error();
    if (allowed && !allowed(*before)) return error_code(errc::conflict);
    const auto version = next_version();
    if (!version) return version.error();
    {
        Run upsert(statements_->upsert);
        if (const auto done = upsert->bind(1, key).bind(2, value).bind(3, *version).step(); !done) return done.error();
    }
    if (const auto done = transaction->commit(); !done) return done.error();
    if (const auto there = file_.verify(); !there) return there.error(); // it may have gone meanwhile
    return Written{*version, !before->has_value()};
}

result<void> DocumentStore::erase(const std::string& key, const Precondition& allowed)
{
    if (const auto there = file_.verify(); !there) return there.error();
    auto transaction = Transaction::begin(database_);
    if (!transaction) return transaction.error();
    const auto before = current(key);
    if (!before) return before.error();
    if (allowed && !allowed(*before)) return error_code(errc::conflict);
    if (!*before) return error_code(errc::not_found);
    {
        Run erase(statements_->erase);
        if (const auto done = erase->bind(1, key).step(); !done) return done.error();
    }
    if (const auto done = transaction->commit(); !done) return done.error();
    return file_.verify();
}

} // namespace hotspare::storage
