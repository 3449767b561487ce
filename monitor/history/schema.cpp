#include "monitor/history/schema.hpp"

#include "monitor/history/audit_chain.hpp"

namespace hotspare::monitor::schema {
namespace {

using storage::Database;

constexpr std::int64_t version = 1;

// Samples and rollups begin with their time, so that they are written in the order of the table, deleted from its
// begin, and found for one target with one search for each minute or unit.
//
// row_counts has a row for each table that is too long to be counted. `state` has one row: when samples were stored for
// the latest time, and the head of the audit log.
constexpr auto tables = R"(
    CREATE TABLE IF NOT EXISTS targets (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, watched_since INTEGER NOT NULL,
        minutes_until INTEGER NOT NULL, hours_until INTEGER NOT NULL, days_until INTEGER NOT NULL,
        months_until INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS samples (
        minute INTEGER NOT NULL, target INTEGER NOT NULL, ms INTEGER NOT NULL, state INTEGER NOT NULL,
        latency INTEGER, cause TEXT, PRIMARY KEY (minute, target, ms)) WITHOUT ROWID, STRICT;
    CREATE TABLE IF NOT EXISTS changes (
        target INTEGER NOT NULL, at INTEGER NOT NULL, state INTEGER NOT NULL,
        PRIMARY KEY (target, at)) WITHOUT ROWID, STRICT;
    CREATE TABLE IF NOT EXISTS outages (
        target INTEGER NOT NULL, begin INTEGER NOT NULL, ended INTEGER NOT NULL,
        PRIMARY KEY (target, begin)) WITHOUT ROWID, STRICT;
    CREATE TABLE IF NOT EXISTS gaps (
        target INTEGER NOT NULL, begin INTEGER NOT NULL, ended INTEGER NOT NULL,
        PRIMARY KEY (target, begin)) WITHOUT ROWID, STRICT;
    CREATE TABLE IF NOT EXISTS trackers (target INTEGER PRIMARY KEY, memory TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS incidents (
        id INTEGER PRIMARY KEY, target INTEGER NOT NULL, number INTEGER NOT NULL, since INTEGER NOT NULL,
        ended INTEGER NOT NULL, maintenance INTEGER NOT NULL, incident TEXT NOT NULL, UNIQUE (target, number)) STRICT;
    CREATE INDEX IF NOT EXISTS incidents_by_since ON incidents (target, since);
    CREATE TABLE IF NOT EXISTS memories (name TEXT PRIMARY KEY, memory TEXT NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE IF NOT EXISTS audit (
        number INTEGER PRIMARY KEY, at INTEGER NOT NULL, user TEXT NOT NULL, address TEXT NOT NULL,
        action TEXT NOT NULL, target TEXT NOT NULL, detail TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS row_counts (name TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID, STRICT;
    INSERT OR IGNORE INTO row_counts VALUES ('samples', 0), ('minutes', 0), ('hours', 0), ('days', 0);
    CREATE TABLE IF NOT EXISTS state (
        id INTEGER PRIMARY KEY CHECK (id = 1), alive INTEGER, audit_number INTEGER NOT NULL,
        audit_hash TEXT NOT NULL) STRICT;
)";

constexpr auto unit_table = R"(
    CREATE TABLE IF NOT EXISTS {0} (
        begin INTEGER NOT NULL, target INTEGER NOT NULL, up INTEGER NOT NULL, degraded INTEGER NOT NULL,
        down INTEGER NOT NULL, unknown INTEGER NOT NULL, window_up INTEGER NOT NULL, window_degraded INTEGER NOT NULL,
        window_down INTEGER NOT NULL, window_unknown INTEGER NOT NULL, answers INTEGER NOT NULL,
        latency_sum INTEGER NOT NULL, latency_min INTEGER NOT NULL, latency_max INTEGER NOT NULL,
        incidents INTEGER NOT NULL, PRIMARY KEY (begin, target)) WITHOUT ROWID, STRICT;
)";

// An insertion that replaces a row deletes it without a trigger, so it is refused by its number.
constexpr auto triggers = R"(
    CREATE TRIGGER IF NOT EXISTS audit_update BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER IF NOT EXISTS audit_delete BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER IF NOT EXISTS audit_insert BEFORE INSERT ON audit
        WHEN NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM audit)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER IF NOT EXISTS months_update BEFORE UPDATE ON months
        BEGIN SELECT RAISE(ABORT, 'a month is final'); END;
    DROP TRIGGER IF EXISTS months_delete;
    CREATE TRIGGER IF NOT EXISTS watched_months_delete BEFORE DELETE ON months
        WHEN EXISTS (SELECT 1 FROM targets WHERE id = OLD.target)
        BEGIN SELECT RAISE(ABORT, 'a month is final'); END;
)";

void check_version(Database& database, const std::string& path)
{
    auto targets = started(database.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'targets'"), path);
    auto found = started(database.prepare("PRAGMA user_version"), path);
    started(targets.step(), path);
    started(found.step(), path);
    if (found.integer(0) == version || (targets.integer(0) == 0 && found.integer(0) == 0)) return;
    throw StartupError(fmt::format("the history in {} was written by another version of hotspare (format {}, this one "
                                   "knows format {}); move the file away, or use that version",
                                   path, found.integer(0), version));
}

} // namespace

const storage::FileFormat file_format{.name = "the history of the monitor", .application_id = 0x68'73'6d'6f}; // "hsmo"

Database open(const storage::DatabaseFile& file, storage::Synchronous synchronous)
{
    const std::string& path = file.path();
    auto database = started(Database::open(path, seconds(5)), path);
    // Before the log: whose file it is must be in the file itself.
    auto transaction = started(storage::Transaction::begin(database), path);
    file.claim(database);
    check_version(database, path);
    started(database.execute(tables), path);
    for (const auto table : unit_tables) started(database.execute(fmt::format(unit_table, table)), path);
    started(database.execute(triggers), path);
    started(
        database.execute(fmt::format("INSERT OR IGNORE INTO state VALUES (1, NULL, 0, '{}'); PRAGMA user_version = {}",
                                     AuditHead{}.hash, version)),
        path);
    started(transaction.commit(), path);
    started(database.log_ahead(synchronous), path);
    // What a killed process had written but not yet synced is in the log and is read as if it were durable. Before
    // anything is told of it, it must be.
    started(database.checkpoint(), path);
    return database;
}

} // namespace hotspare::monitor::schema
