#include "orders/order_service/sqlite_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <utility>

namespace hotspare::orders {
namespace {

using storage::Database;
using storage::Run;
using storage::Statement;

// An order that is Processing is a job: `due` is when it may be leased, which for a leased one is when its lease ends.
// orders_due is the queue; every list is read in the order of orders_by_status or of the numbers, so that none takes
// longer because there are more orders. totals has one row, so that no request counts a million orders. `state` has one
// row as well: the present generation, and the job clock. `tried` has a row only for an order with a failed attempt
// that counts. Moments are milliseconds since 1970; `due` and `tried` are the job clock's.
constexpr auto schema = R"(
    CREATE TABLE IF NOT EXISTS orders (
        number INTEGER PRIMARY KEY, order_id TEXT NOT NULL UNIQUE, product TEXT NOT NULL, quantity INTEGER NOT NULL,
        status INTEGER NOT NULL, reason TEXT NOT NULL, epoch INTEGER NOT NULL, attempts INTEGER NOT NULL,
        created INTEGER NOT NULL, updated INTEGER NOT NULL, events INTEGER NOT NULL,
        due INTEGER NOT NULL, worker TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS orders_due ON orders (due, number, worker) WHERE status = 0;
    CREATE INDEX IF NOT EXISTS orders_by_status ON orders (status, number);
    CREATE TABLE IF NOT EXISTS tried (number INTEGER PRIMARY KEY, at INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS events (
        number INTEGER NOT NULL, place INTEGER NOT NULL, kind INTEGER NOT NULL, at INTEGER NOT NULL,
        epoch INTEGER NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (number, place)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS totals (
        id INTEGER PRIMARY KEY CHECK (id = 1), processing INTEGER NOT NULL, validated INTEGER NOT NULL,
        rejected INTEGER NOT NULL, failed INTEGER NOT NULL, leased INTEGER NOT NULL DEFAULT 0);
    INSERT OR IGNORE INTO totals VALUES (1, 0, 0, 0, 0, 0);
    CREATE TABLE IF NOT EXISTS state (
        id INTEGER PRIMARY KEY CHECK (id = 1), generation TEXT NOT NULL, first_epoch INTEGER NOT NULL,
        after INTEGER NOT NULL, ahead INTEGER NOT NULL, latest INTEGER NOT NULL);
    INSERT OR IGNORE INTO state
        SELECT 1, lower(hex(randomblob(8))), 0, coalesce((SELECT max(number) FROM orders), 0), 0, 0;
    PRAGMA user_version = 3;
)";
constexpr std::int64_t schema_version = 3;

/// From version 2, which had neither generations nor a count of the leased ones; run before `schema`. 1 had a table of
/// jobs.
constexpr auto from_version_2 = R"(
    ALTER TABLE totals ADD COLUMN leased INTEGER NOT NULL DEFAULT 0;
    UPDATE totals SET leased = (SELECT count(*) FROM orders WHERE status = 0 AND worker <> '');
    DROP INDEX IF EXISTS orders_rejected;
    DROP INDEX IF EXISTS orders_failed;
)";

const storage::FileFormat format{.name = "the orders of order_service",
                                 .application_id = 0x68'73'6f'72, // "hsor"
                                 .tables_without_id = {"events", "keys", "orders", "totals"},
                                 .version_without_id = 2};

/// As SQLite's own default: 4 MiB of log, which a checkpoint copies in some milliseconds.
constexpr int checkpoint_pages = 1000;

constexpr auto columns =
    "number, order_id, product, quantity, status, reason, epoch, attempts, created, updated, events, due, worker, "
    "(SELECT at FROM tried WHERE tried.number = orders.number), "
    "(SELECT CASE WHEN orders.number > after THEN generation ELSE '' END FROM state)";

/// The orders of a Selection: ?1 status, ?2 and ?3 created, ?4 part of the reason.
constexpr auto selected =
    "FROM orders INDEXED BY orders_by_status WHERE status = ?1 AND created >= ?2 AND created <= ?3 "
    "AND instr(reason, ?4) > 0";

/// Of an operator's request for many orders, in one transaction: those who create meanwhile wait for no more.
constexpr std::size_t changed_at_once = 100;

/// How often the latest moment of the job clock is kept: a clock that is set back while no service runs is noticed to
/// within this.
constexpr milliseconds clock_kept_every = seconds(1);

std::int64_t to_ms(WallTime at)
{
    return std::chrono::floor<milliseconds>(at.time_since_epoch()).count();
}

WallTime from_ms(std::int64_t ms)
{
    return WallTime(milliseconds(ms));
}

JobTime job_time(std::int64_t ms)
{
    return JobTime(milliseconds(ms));
}

std::int64_t to_ms(JobTime at)
{
    return at.time_since_epoch().count();
}

/// Of a statement that selects `columns`.
Record read_record(const Statement& row)
{
    return {.order = {.number = row.integer(0),
                      .generation = std::string(row.text(14)),
                      .what = {std::string(row.text(1)), std::string(row.text(2)), row.integer(3)},
                      .status = static_cast<Status>(row.integer(4)),
                      .reason = std::string(row.text(5)),
                      .epoch = row.integer(6),
                      .attempts = static_cast<unsigned>(row.integer(7)),
                      .created = from_ms(row.integer(8)),
                      .updated = from_ms(row.integer(9))},
            .due = job_time(row.integer(11)),
            .worker = std::string(row.text(12)),
            .tried = row.is_null(13) ? std::nullopt : std::optional(job_time(row.integer(13))),
            .events = row.integer(10)};
}

template <class T> T started(result<T> made, const std::string& path)
{
    if (!made) throw StartupError(fmt::format("cannot use the orders in {}: {}", path, made.error().message()));
    if constexpr (!std::is_void_v<T>) return *std::move(made);
}

result<void> finished(Run& statement)
{
    const auto row = statement->step();
    if (!row) return row.error();
    return {};
}

} // namespace

class SqliteStore::Writer {
public:
    Writer(const storage::DatabaseFile& file, const std::string& path, const Options& options)
        : database_(open(file, path, options.synchronous)), clock_(options.clock)
    {
        const auto prepare = [&](const std::string& sql) { return started(database_.prepare(sql), path); };
        statements_.emplace(Statements{
            .by_id = prepare(fmt::format("SELECT {} FROM orders WHERE order_id = ?1", columns)),
            .by_number = prepare(fmt::format("SELECT {} FROM orders WHERE number = ?1", columns)),
            .key = prepare("SELECT number FROM keys WHERE key = ?1"),
            .add_key = prepare("INSERT INTO keys VALUES (?1, ?2)"),
            .add_order = prepare("INSERT INTO orders VALUES (NULL, ?1, ?2, ?3, 0, '', ?5, 0, ?4, ?4, 1, ?6, '') "
                                 "ON CONFLICT (order_id) DO NOTHING RETURNING number"),
            .update_order = prepare("UPDATE orders SET status = ?2, reason = ?3, epoch = ?4, attempts = ?5, "
                                    "updated = ?6, events = ?7, due = ?8, worker = ?9 WHERE number = ?1"),
            .due = prepare(fmt::format("SELECT {} FROM orders INDEXED BY orders_due WHERE status = 0 AND due <= ?1 "
                                       "ORDER BY due, number LIMIT ?2",
                                       columns)),
            .next_due = prepare("SELECT min(due) FROM orders INDEXED BY orders_due WHERE status = 0"),
            // Behind the timeline's end there may be an entry that a replay has taken back.
            .add_event = prepare("INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
            .add_totals = prepare("UPDATE totals SET processing = processing + ?1, validated = validated + ?2, "
                                  "rejected = rejected + ?3, failed = failed + ?4, leased = leased + ?5"),
            .add_tried = prepare("INSERT OR REPLACE INTO tried VALUES (?1, ?2)"),
            .remove_tried = prepare("DELETE FROM tried WHERE number = ?1"),
            .generation = prepare("SELECT generation, first_epoch, after FROM state"),
            .set_generation = prepare("UPDATE state SET generation = ?1, first_epoch = ?2, after = ?3"),
            .keep_clock = prepare("UPDATE state SET ahead = ?1, latest = ?2"),
        });
        auto state = prepare("SELECT ahead, latest FROM state");
        started(state.step(), path);
        job_clock_ = JobClock({.ahead = milliseconds(state.integer(0)), .latest = job_time(state.integer(1))});
        kept_ = job_clock_.state();
    }

    Database& database() noexcept { return database_; }

    result<Creation> create(const NewOrder& what, const std::optional<std::string>& key)
    {
        if (key) {
            const auto number = find_key(*key);
            if (!number) return number.error();
            if (*number) return compare(find(**number), what, Creation::Kind::other_body);
        }
        const auto now = this->now();
        if (!now) return now.error();
        const auto generation = this->generation();
        if (!generation) return generation.error();
        auto record = created(what, *generation, *now);
        const auto number = insert(record);
        if (!number) return number.error();
        if (!*number) {
            auto creation = compare(find(what.order_id), what, Creation::Kind::other_order);
            if (creation && creation->kind == Creation::Kind::repeated && key)
                if (auto done = remember(*key, creation->order.number); !done) return done.error();
            return creation;
        }
        record.order.number = **number;
        if (key)
            if (auto done = remember(*key, record.order.number); !done) return done.error();
        if (auto done = add_events(record); !done) return done.error();
        if (auto done = count(counts(record)); !done) return done.error();
        return Creation{Creation::Kind::created, std::move(record.order)};
    }

    result<Leased> lease(const LeaseRequest& request)
    {
        const auto now = this->now();
        if (!now) return now.error();
        auto records = due(now->job, request.most);
        if (!records) return records.error();
        Leased leased;
        Counts changes{};
        for (auto& record : *records) {
            const Before before(record);
            leased.jobs.push_back(orders::lease(record, request.worker, request.lasts, *now));
            if (auto done = save(record, before, changes); !done) return done.error();
        }
        if (auto done = count(changes); !done) return done.error();
        if (leased.jobs.size() < request.most) {
            Run next(statements_->next_due);
            const auto found = next->step();
            if (!found) return found.error();
            if (!next->is_null(0)) leased.next_due_in = job_time(next->integer(0)) - now->job;
        }
        return leased;
    }

    result<std::vector<bool>> extend(const std::vector<Held>& held, Duration lasts)
    {
        const auto now = this->now();
        if (!now) return now.error();
        std::vector<bool> still;
        still.reserve(held.size());
        Counts changes{};
        for (const auto& one : held) {
            auto record = find(one.order_id);
            if (!record && record.error() != errc::not_found) return record.error();
            if (!record) {
                still.push_back(false);
                continue;
            }
            const Before before(*record);
            still.push_back(orders::extend(*record, one.epoch, one.generation, lasts, *now));
            if (!still.back()) continue;
            if (auto done = save(*record, before, changes); !done) return done.error();
        }
        return still;
    }

    result<std::vector<Settled>> settle(const std::vector<Settlement>& settlements)
    {
        const auto now = this->now();
        if (!now) return now.error();
        std::vector<Settled> out;
        out.reserve(settlements.size());
        Counts changes{};
        for (const auto& settlement : settlements) {
            auto record = find(settlement.order_id);
            if (!record && record.error() != errc::not_found) return record.error();
            if (!record) {
                out.push_back(Settled::unknown);
                continue;
            }
            const Before before(*record);
            out.push_back(orders::settle(*record, settlement, *now));
            if (out.back() != Settled::applied) continue;
            if (auto done = save(*record, before, changes); !done) return done.error();
        }
        if (auto done = count(changes); !done) return done.error();
        return out;
    }

    result<Order> operate(const std::string& order_id, Operation operation)
    {
        const auto now = this->now();
        if (!now) return now.error();
        auto record = find(order_id);
        if (!record) return record.error();
        const Before before(*record);
        if (!orders::operate(*record, operation, *now)) return error_code(errc::conflict);
        Counts changes{};
        if (auto done = save(*record, before, changes); !done) return done.error();
        if (auto done = count(changes); !done) return done.error();
        return std::move(record->order);
    }

    /// Those of `numbers` that still are of the selection; returns the numbers of those that it changed.
    result<std::vector<std::int64_t>> operate_all(const std::vector<std::int64_t>& numbers, const BulkRequest& request)
    {
        const auto now = this->now();
        if (!now) return now.error();
        std::vector<std::int64_t> changed;
        Counts changes{};
        for (const auto number : numbers) {
            auto record = find(number);
            if (!record && record.error() != errc::not_found) return record.error();
            if (!record || !request.selection.holds(record->order)) continue;
            const Before before(*record);
            if (!orders::operate(*record, request.operation, *now)) continue;
            if (auto done = save(*record, before, changes); !done) return done.error();
            changed.push_back(number);
        }
        if (auto done = count(changes); !done) return done.error();
        return changed;
    }

    /// `name`: of the generation that begins now.
    result<std::uint64_t> clear(const std::string& name)
    {
        const auto generation = this->generation();
        if (!generation) return generation.error();
        if (auto done = database_.execute("DELETE FROM orders"); !done) return done.error();
        const auto count = static_cast<std::uint64_t>(database_.changes());
        if (auto done = database_.execute("DELETE FROM keys; DELETE FROM events; DELETE FROM tried; UPDATE totals SET "
                                          "processing = 0, validated = 0, rejected = 0, failed = 0, leased = 0");
            !done)
            return done.error();
        const auto next = generation->next(name);
        Run set(statements_->set_generation);
        set->bind(1, next.name).bind(2, next.first_epoch).bind(3, next.after);
        if (auto done = finished(set); !done) return done.error();
        return count;
    }

private:
    struct Statements {
        Statement by_id, by_number, key, add_key, add_order, update_order, due, next_due, add_event, add_totals,
            add_tried, remove_tried, generation, set_generation, keep_clock;
    };

    /// What save() must know of a record as it was read.
    struct Before {
        explicit Before(const Record& record) : counts(orders::counts(record)), tried(record.tried) {}
        Counts counts;
        std::optional<JobTime> tried;
    };

    /// Keeps the job clock in the present transaction, from time to time. One that is taken back leaves an older
    /// moment, until the next second.
    result<Now> now()
    {
        const auto now = job_clock_.at(clock_());
        const auto& state = job_clock_.state();
        if (state.ahead == kept_.ahead && state.latest - kept_.latest < clock_kept_every) return now;
        Run keep(statements_->keep_clock);
        keep->bind(1, std::int64_t{state.ahead.count()}).bind(2, to_ms(state.latest));
        if (auto done = finished(keep); !done) return done.error();
        kept_ = state;
        return now;
    }

    result<Generation> generation()
    {
        Run select(statements_->generation);
        const auto row = select->step();
        if (!row) return row.error();
        return Generation{std::string(select->text(0)), select->integer(1), select->integer(2)};
    }

    static Database open(const storage::DatabaseFile& file, const std::string& path, storage::Synchronous synchronous)
    {
        auto database = started(Database::open(path, seconds(5)), path);
        // Before the log: whose file it is must be in the file itself.
        auto transaction = started(storage::Transaction::begin(database), path);
        file.claim(database);
        if (check_version(database, path) == 2) started(database.execute(from_version_2), path);
        started(database.execute(schema), path);
        started(transaction.commit(), path);
        started(database.log_ahead(synchronous), path);
        // What a killed process had written but not yet synced is in the log and is read as if it were durable. Before
        // a repetition of it is acknowledged it must be.
        started(database.checkpoint(), path);
        return database;
    }

    /// The version of the orders that are there; the present one if there are none.
    static std::int64_t check_version(Database& database, const std::string& path)
    {
        auto orders = started(database.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'orders'"), path);
        auto version = started(database.prepare("PRAGMA user_version"), path);
        started(orders.step(), path);
        started(version.step(), path);
        if (orders.integer(0) == 0) return schema_version;
        if (version.integer(0) != schema_version && version.integer(0) != 2)
            throw StartupError(
                fmt::format("the orders in {} were written by another version of hotspare; move the file "
                            "away, or use that version",
                            path));
        return version.integer(0);
    }

    result<Record> find(const std::string& order_id)
    {
        Run select(statements_->by_id);
        select->bind(1, order_id);
        return found(select);
    }

    result<Record> find(std::int64_t number)
    {
        Run select(statements_->by_number);
        select->bind(1, number);
        return found(select);
    }

    static result<Record> found(Run& select)
    {
        const auto row = select->step();
        if (!row) return row.error();
        if (!*row) return error_code(errc::not_found);
        return read_record(*select.operator->());
    }

    result<std::optional<std::int64_t>> find_key(const std::string& key)
    {
        Run select(statements_->key);
        const auto row = select->bind(1, key).step();
        if (!row) return row.error();
        return *row ? std::optional(select->integer(0)) : std::nullopt;
    }

    static result<Creation> compare(result<Record> record, const NewOrder& what, Creation::Kind otherwise)
    {
        if (!record) return record.error();
        const auto kind = record->order.what == what ? Creation::Kind::repeated : otherwise;
        return Creation{kind, std::move(record->order)};
    }

    /// The new order's number; none if there is one with this order_id.
    result<std::optional<std::int64_t>> insert(const Record& record)
    {
        const auto& what = record.order.what;
        Run add(statements_->add_order);
        add->bind(1, what.order_id).bind(2, what.product).bind(3, what.quantity).bind(4, to_ms(record.order.created));
        add->bind(5, record.order.epoch).bind(6, to_ms(record.due));
        const auto row = add->step();
        if (!row) return row.error();
        return *row ? std::optional(add->integer(0)) : std::nullopt;
    }

    result<void> remember(const std::string& key, std::int64_t number)
    {
        Run add(statements_->add_key);
        add->bind(1, key).bind(2, number);
        return finished(add);
    }

    result<std::vector<Record>> due(JobTime now, std::size_t most)
    {
        std::vector<Record> records;
        Run select(statements_->due);
        select->bind(1, to_ms(now)).bind(2, static_cast<std::int64_t>(most));
        while (true) {
            const auto row = select->step();
            if (!row) return row.error();
            if (!*row) return records;
            records.push_back(read_record(*select.operator->()));
        }
    }

    result<void> add_events(const Record& record)
    {
        auto place = record.events;
        for (const auto& event : record.add) {
            Run add(statements_->add_event);
            add->bind(1, record.order.number).bind(2, place++).bind(3, static_cast<std::int64_t>(event.kind));
            add->bind(4, to_ms(event.at)).bind(5, event.epoch).bind(6, event.detail);
            if (auto done = finished(add); !done) return done;
        }
        return {};
    }

    /// Adds what it changes in the totals to `changes`.
    result<void> save(const Record& record, const Before& before, Counts& changes)
    {
        const Order& order = record.order;
        Run update(statements_->update_order);
        update->bind(1, order.number).bind(2, static_cast<std::int64_t>(order.status)).bind(3, order.reason);
        update->bind(4, order.epoch).bind(5, std::int64_t{order.attempts}).bind(6, to_ms(order.updated));
        update->bind(7, record.events + static_cast<std::int64_t>(record.add.size()));
        update->bind(8, to_ms(record.due)).bind(9, record.worker);
        if (auto done = finished(update); !done) return done;
        if (record.tried != before.tried) {
            Run tried(record.tried ? statements_->add_tried : statements_->remove_tried);
            tried->bind(1, order.number);
            if (record.tried) tried->bind(2, to_ms(*record.tried));
            if (auto done = finished(tried); !done) return done;
        }
        changes += counts(record) - before.counts;
        return add_events(record);
    }

    result<void> count(const Counts& changes)
    {
        if (changes == Counts{}) return {};
        Run add(statements_->add_totals);
        for (std::size_t i = 0; i < changes.size(); ++i) add->bind(static_cast<int>(i) + 1, changes.at(i));
        return finished(add);
    }

    Database database_;
    std::optional<Statements> statements_;
    WallClock clock_;
    JobClock job_clock_;
    JobClock::State kept_{}; ///< of job_clock_, in the file
};

class SqliteStore::Reader {
public:
    explicit Reader(const std::string& path) : database_(started(Database::open_to_read(path, seconds(5)), path))
    {
        const auto prepare = [&](const std::string& sql) { return started(database_.prepare(sql), path); };
        statements_.emplace(Statements{
            .by_id = prepare(fmt::format("SELECT {} FROM orders WHERE order_id = ?1", columns)),
            .ahead = prepare("SELECT ahead FROM state"),
            .events = prepare("SELECT kind, at, epoch, detail FROM events WHERE number = ?1 AND place < ?2 "
                              "ORDER BY place"),
            .list =
                prepare(fmt::format("SELECT {} FROM orders WHERE number < ?1 ORDER BY number DESC LIMIT ?2", columns)),
            .list_status =
                prepare(fmt::format("SELECT {} FROM orders INDEXED BY orders_by_status WHERE status = ?3 AND "
                                    "number < ?1 ORDER BY number DESC LIMIT ?2",
                                    columns)),
            .select = prepare(fmt::format("SELECT number {} ORDER BY number LIMIT ?5", selected)),
            .count = prepare(fmt::format("SELECT count(*) {}", selected)),
            .totals = prepare("SELECT processing, validated, rejected, failed, max(leased, 0), "
                              "(SELECT created FROM orders INDEXED BY orders_by_status WHERE status = 0 "
                              "ORDER BY number LIMIT 1) FROM totals"),
        });
    }

    result<OrderFile> find(const std::string& order_id)
    {
        // One transaction: what is read belongs together.
        if (auto begun = database_.execute("BEGIN"); !begun) return begun.error();
        auto file = read(order_id);
        if (auto ended = database_.execute("END"); !ended) return ended.error();
        return file;
    }

    result<Listing> list(const ListQuery& query)
    {
        if (auto begun = database_.execute("BEGIN"); !begun) return begun.error();
        auto out = page(query);
        if (out) {
            if (const auto totals = this->totals())
                out->totals = *totals;
            else
                out = totals.error();
        }
        if (auto ended = database_.execute("END"); !ended) return ended.error();
        return out;
    }

    /// Orders of a selection, the oldest first.
    struct Selected {
        std::vector<std::int64_t> numbers; ///< as many as are wanted
        std::uint64_t all = 0;
    };

    result<Selected> select(const BulkRequest& request)
    {
        if (auto begun = database_.execute("BEGIN"); !begun) return begun.error();
        auto selected = look(request);
        if (auto ended = database_.execute("END"); !ended) return ended.error();
        return selected;
    }

    result<Totals> totals()
    {
        Run select(statements_->totals);
        const auto row = select->step();
        if (!row) return row.error();
        const auto number = [&](int column) { return static_cast<std::uint64_t>(select->integer(column)); };
        Totals out{.processing = number(0),
                   .validated = number(1),
                   .rejected = number(2),
                   .failed = number(3),
                   .leased = number(4)};
        if (!select->is_null(5)) out.oldest = from_ms(select->integer(5));
        return out;
    }

private:
    struct Statements {
        Statement by_id, ahead, events, list, list_status, select, count, totals;
    };

    static void bind(Run& statement, const Selection& selection)
    {
        constexpr auto none = std::numeric_limits<std::int64_t>::max();
        statement->bind(1, static_cast<std::int64_t>(selection.status));
        statement->bind(2, selection.created_from ? to_ms(*selection.created_from) : -none);
        statement->bind(3, selection.created_to ? to_ms(*selection.created_to) : none);
        statement->bind(4, selection.reason);
    }

    result<Selected> look(const BulkRequest& request)
    {
        Selected out;
        Run all(statements_->count);
        bind(all, request.selection);
        if (const auto row = all->step(); !row) return row.error();
        out.all = static_cast<std::uint64_t>(all->integer(0));
        Run select(statements_->select);
        bind(select, request.selection);
        select->bind(5, static_cast<std::int64_t>(request.most));
        while (true) {
            const auto row = select->step();
            if (!row) return row.error();
            if (!*row) return out;
            out.numbers.push_back(select->integer(0));
        }
    }

    result<Listing> page(const ListQuery& query)
    {
        Run select(query.status ? statements_->list_status : statements_->list);
        if (query.status) select->bind(3, static_cast<std::int64_t>(*query.status));
        select->bind(1, query.before.value_or(std::numeric_limits<std::int64_t>::max()));
        select->bind(2, static_cast<std::int64_t>(query.most) + 1);
        Listing out;
        while (true) {
            const auto row = select->step();
            if (!row) return row.error();
            if (!*row) return out;
            if (out.orders.size() == query.most) {
                out.more = true;
                return out;
            }
            out.orders.push_back(read_record(*select.operator->()).order);
        }
    }

    result<OrderFile> read(const std::string& order_id)
    {
        OrderFile file;
        std::int64_t events = 0;
        {
            Run select(statements_->by_id);
            const auto row = select->bind(1, order_id).step();
            if (!row) return row.error();
            if (!*row) return error_code(errc::not_found);
            auto record = read_record(*select.operator->());
            file.order = std::move(record.order);
            events = record.events;
            if (file.order.status == Status::processing) {
                Run ahead(statements_->ahead);
                if (const auto found = ahead->step(); !found) return found.error();
                file.due = from_ms(to_ms(record.due) - ahead->integer(0));
                file.worker = std::move(record.worker);
            }
        }
        Run select(statements_->events);
        select->bind(1, file.order.number).bind(2, events);
        while (true) {
            const auto row = select->step();
            if (!row) return row.error();
            if (!*row) return file;
            file.timeline.push_back({static_cast<Event::Kind>(select->integer(0)), from_ms(select->integer(1)),
                                     select->integer(2), std::string(select->text(3))});
        }
    }

    Database database_;
    std::optional<Statements> statements_;
};

SqliteStore::SqliteStore(const std::string& path, std::function<void()> broken, Options options)
    : file_(path, format, storage::DatabaseFile::Use::alone), writer_(std::make_unique<Writer>(file_, path, options)),
      reader_(open_reader()), lister_(std::make_unique<Reader>(file_.path())),
      selector_(std::make_unique<Reader>(file_.path())),
      commit_(writer_->database(), {.verify = [this] { return file_.verify(); },
                                    .after_commit = [this] { return checkpoint_when_long(); },
                                    .when_idle = [this] { return rest(); },
                                    .broken = std::move(broken)})
{
}

SqliteStore::~SqliteStore() = default;

/// With the first reader all files are there.
std::unique_ptr<SqliteStore::Reader> SqliteStore::open_reader()
{
    auto reader = std::make_unique<Reader>(file_.path());
    started(reader->totals(), file_.path());
    file_.watch({"-wal", "-shm"});
    return reader;
}

result<void> SqliteStore::checkpoint_when_long()
{
    auto& database = writer_->database();
    return database.log_pages() < checkpoint_pages ? result<void>() : database.checkpoint();
}

/// A store that nothing is written to notices as well when its file is gone, and a log that a reader made long, a
/// backup for example, is given back although no commit follows.
result<void> SqliteStore::rest()
{
    if (!file_.verify()) return {}; // known to who asks for trouble()
    std::error_code ignored;
    const auto bytes = std::filesystem::file_size(file_.path() + "-wal", ignored);
    if (ignored || bytes <= static_cast<std::uintmax_t>(Database::log_bytes_kept)) return {};
    return writer_->database().drop_log();
}

/// What is not found by the store's path any more must not be answered from either.
template <class T> result<T> SqliteStore::if_there(result<T> answer)
{
    if (const auto there = file_.verify(); !there) return there.error();
    return answer;
}

asio::awaitable<result<Creation>> SqliteStore::create(NewOrder what, std::optional<std::string> key)
{
    auto work = [this, what = std::move(what), key = std::move(key)] { return writer_->create(what, key); };
    co_return co_await commit_.run(std::move(work));
}

asio::awaitable<result<Leased>> SqliteStore::lease(LeaseRequest request)
{
    auto work = [this, request = std::move(request)] { return writer_->lease(request); };
    co_return co_await commit_.run(std::move(work));
}

asio::awaitable<result<std::vector<bool>>> SqliteStore::extend(std::vector<Held> held, Duration lasts)
{
    auto work = [this, held = std::move(held), lasts] { return writer_->extend(held, lasts); };
    co_return co_await commit_.run(std::move(work));
}

asio::awaitable<result<std::vector<Settled>>> SqliteStore::settle(std::vector<Settlement> settlements)
{
    auto work = [this, settlements = std::move(settlements)] { return writer_->settle(settlements); };
    co_return co_await commit_.run(std::move(work));
}

asio::awaitable<result<Order>> SqliteStore::operate(std::string order_id, Operation operation)
{
    auto work = [this, order_id = std::move(order_id), operation] { return writer_->operate(order_id, operation); };
    co_return co_await commit_.run(std::move(work));
}

asio::awaitable<result<BulkOutcome>> SqliteStore::operate_all(BulkRequest request)
{
    auto look = [this, request] { return if_there(selector_->select(request)); };
    const auto selected = co_await selecting_.run(std::move(look));
    if (!selected) co_return selected.error();
    BulkOutcome out;
    for (std::size_t from = 0; from < selected->numbers.size(); from += changed_at_once) {
        const auto begin = selected->numbers.begin() + static_cast<std::ptrdiff_t>(from);
        const auto count = std::min(changed_at_once, selected->numbers.size() - from);
        std::vector<std::int64_t> some(begin, begin + static_cast<std::ptrdiff_t>(count));
        auto work = [this, some = std::move(some), request] { return writer_->operate_all(some, request); };
        const auto changed = co_await commit_.run(std::move(work));
        if (!changed) co_return changed.error();
        out.changed.insert(out.changed.end(), changed->begin(), changed->end());
    }
    out.left = selected->all - std::min<std::uint64_t>(selected->all, out.changed.size());
    co_return out;
}

asio::awaitable<result<std::uint64_t>> SqliteStore::clear()
{
    auto work = [this, name = random_generation()] { return writer_->clear(name); };
    co_return co_await commit_.run(std::move(work));
}

asio::awaitable<result<OrderFile>> SqliteStore::find(std::string order_id)
{
    auto work = [this, order_id = std::move(order_id)] { return if_there(reader_->find(order_id)); };
    co_return co_await reading_.run(std::move(work));
}

asio::awaitable<result<Listing>> SqliteStore::list(ListQuery query)
{
    auto work = [this, query] { return if_there(lister_->list(query)); };
    co_return co_await listing_.run(std::move(work));
}

asio::awaitable<result<Totals>> SqliteStore::totals()
{
    auto work = [this] { return if_there(reader_->totals()); };
    co_return co_await reading_.run(std::move(work));
}

} // namespace hotspare::orders
