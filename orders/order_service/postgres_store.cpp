#include "orders/order_service/postgres_store.hpp"

#include "common/json_document.hpp"
#include "common/log.hpp"
#include "common/no_throw.hpp"

#include <boost/asio/steady_timer.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <map>

namespace hotspare::orders {
namespace {

using Json = nlohmann::json;
using storage::postgres::Command;
using storage::postgres::Rows;

/// Between two tries whose connections were lost in the middle.
constexpr Duration pause_after_failure = milliseconds(10);

/// One try may take the patience divided by this: another one follows where a connection gets no answer.
constexpr int tries = 3;

// Tables as in SqliteStore, but for `tried`, which is a column, and the totals: many rows, of which each connection
// changes one and a reader adds up all, as a single one would let only one transaction commit at a time. The advisory
// lock keeps services that start together from creating the same table; where the tables exist, none of them is locked.
// The lock's numbers are hotspare's own. Where an index must not be used, a term has a `+ 0`.
constexpr auto schema = R"(
    SELECT pg_advisory_xact_lock(5403011, 1);
    DO $$ BEGIN
    IF to_regclass('orders') IS NULL THEN
        CREATE TABLE hotspare_schema (version integer NOT NULL);
        INSERT INTO hotspare_schema VALUES (2);
        CREATE TABLE orders (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id text NOT NULL UNIQUE, product text NOT NULL,
            quantity bigint NOT NULL, status smallint NOT NULL, reason text NOT NULL, epoch bigint NOT NULL,
            attempts integer NOT NULL, created bigint NOT NULL, updated bigint NOT NULL, events bigint NOT NULL,
            due bigint NOT NULL, worker text NOT NULL, tried bigint)
            WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
        CREATE INDEX orders_due ON orders (due, number) INCLUDE (worker) WHERE status = 0;
        CREATE INDEX orders_by_status ON orders (status, number);
        CREATE TABLE keys (key text PRIMARY KEY, number bigint NOT NULL);
        CREATE TABLE events (
            number bigint, place bigint, kind smallint NOT NULL, at bigint NOT NULL, epoch bigint NOT NULL,
            detail text NOT NULL, PRIMARY KEY (number, place));
        CREATE TABLE totals (
            shard integer PRIMARY KEY, processing bigint NOT NULL, validated bigint NOT NULL, rejected bigint NOT NULL,
            failed bigint NOT NULL, leased bigint NOT NULL DEFAULT 0);
        INSERT INTO totals SELECT shard, 0, 0, 0, 0, 0 FROM generate_series(0, 63) AS shard;
        CREATE TABLE state (
            generation text NOT NULL, first_epoch bigint NOT NULL, after bigint NOT NULL, ahead bigint NOT NULL,
            latest bigint NOT NULL);
        INSERT INTO state VALUES (substr(md5(random()::text || clock_timestamp()::text), 1, 16), 0, 0, 0, 0);
    ELSIF to_regclass('hotspare_schema') IS NULL THEN
        RAISE EXCEPTION 'the table "orders" is not one of hotspare''s; give it a database of its own';
    ELSIF (SELECT version FROM hotspare_schema) = 1 THEN
        ALTER TABLE orders ADD COLUMN tried bigint;
        CREATE INDEX orders_by_status ON orders (status, number);
        DROP INDEX orders_rejected, orders_failed;
        ALTER TABLE totals ADD COLUMN leased bigint NOT NULL DEFAULT 0;
        UPDATE totals SET leased = (SELECT count(*) FROM orders WHERE status = 0 AND worker <> '') WHERE shard = 0;
        CREATE TABLE state (
            generation text NOT NULL, first_epoch bigint NOT NULL, after bigint NOT NULL, ahead bigint NOT NULL,
            latest bigint NOT NULL);
        INSERT INTO state SELECT substr(md5(random()::text || clock_timestamp()::text), 1, 16), 0,
            coalesce((SELECT max(number) FROM orders), 0), 0, 0;
        UPDATE hotspare_schema SET version = 2;
    ELSIF (SELECT version FROM hotspare_schema) <> 2 THEN
        RAISE EXCEPTION 'the tables were made by another version of hotspare; use that, or another database';
    END IF; END $$;
)";

// Every statement about orders is served by one index that suits it, and written so that no other one could; plans that
// were made while a table was small must not say otherwise when it has grown. That makes the few rows of totals, which
// no index serves, look so dear that they would be read by machine code, which takes a thousand times as long to make
// as it saves: no JIT. What a service has begun and cannot end, the server is to end.
storage::postgres::Session session(storage::Synchronous synchronous)
{
    return {.settings = {{"synchronous_commit", synchronous == storage::Synchronous::full ? "on" : "off"},
                         {"enable_seqscan", "off"},
                         {"enable_hashjoin", "off"},
                         {"enable_mergejoin", "off"},
                         {"jit", "off"},
                         {"plan_cache_mode", "force_generic_plan"},
                         {"statement_timeout", "5s"},
                         {"idle_in_transaction_session_timeout", "5s"}},
            .setup = schema};
}

const std::string columns = "number, order_id, product, quantity, status, reason, epoch, attempts, created, updated, "
                            "events, due, worker, tried, "
                            "(SELECT CASE WHEN number > after THEN generation ELSE '' END FROM state)";
constexpr int now_column = 15; ///< of what selects them, {now} and {ahead}

/// $1: milliseconds since 1970, or NULL for the server's clock.
const std::string now_sql = "(SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint))";

/// By how much the job clock is ahead of that one.
const std::string ahead_sql = "(SELECT ahead FROM state)";

/// {columns}, {now}, {ahead} and {job}, which is now by the job clock, are put in.
std::string filled(std::string_view sql)
{
    return fmt::format(fmt::runtime(sql), fmt::arg("columns", columns), fmt::arg("now", now_sql),
                       fmt::arg("ahead", ahead_sql), fmt::arg("job", fmt::format("({} + {})", now_sql, ahead_sql)));
}

constexpr auto begin_sql = "BEGIN";
constexpr auto commit_sql = "COMMIT";
constexpr auto begin_reading_sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

// $2: order_id, product, quantity, key or NULL. A key that exists takes everything back (unique_violation).
const auto create_sql = filled(R"(
    WITH added AS (
        INSERT INTO orders (order_id, product, quantity, status, reason, epoch, attempts, created, updated, events, due,
                            worker)
        SELECT $2, $3, $4::bigint, 0, '', first_epoch, 0, now, now, 1, now + ahead, ''
        FROM {now} AS t (now), state
        ON CONFLICT (order_id) DO NOTHING RETURNING number, created),
    key AS (INSERT INTO keys SELECT $5, number FROM added WHERE $5::text IS NOT NULL),
    event AS (INSERT INTO events SELECT number, 0, 0, created, 0, '' FROM added),
    total AS (UPDATE totals SET processing = processing + 1 FROM added WHERE shard = pg_backend_pid() % 64)
    SELECT number, created FROM added)");

const auto by_id_sql = filled("SELECT {columns} FROM orders WHERE order_id = $1");
const auto find_sql = filled("SELECT {columns}, {now}, {ahead} FROM orders WHERE order_id = $2");
const auto by_key_sql = filled("SELECT {columns} FROM orders WHERE number = (SELECT number FROM keys WHERE key = $1)");
constexpr auto add_key_sql = "INSERT INTO keys SELECT $1, number FROM orders WHERE number = $2 ON CONFLICT DO NOTHING";

const auto due_sql = filled("SELECT {columns}, {now}, {ahead} FROM orders WHERE status = 0 AND due <= {job} "
                            "ORDER BY due, number LIMIT $2 FOR UPDATE SKIP LOCKED");
const auto these_sql = filled("SELECT {columns}, {now}, {ahead} FROM orders WHERE number = ANY ($2::bigint[]) "
                              "AND status + 0 = 0 AND due + 0 <= {job} ORDER BY number + 0 FOR UPDATE SKIP LOCKED");
const auto next_due_sql = filled("SELECT min(due) - {job} FROM orders WHERE status = 0 AND due > {job}");
const auto overdue_sql =
    filled("SELECT number FROM orders WHERE status = 0 AND due <= {job} - $2::bigint ORDER BY due, number LIMIT $3");
// In one order, so that two that lock the same ones do not wait for each other.
const auto lock_sql = filled("SELECT {columns}, {now}, {ahead} FROM orders WHERE order_id = ANY (ARRAY("
                             "SELECT json_array_elements_text($2::json))) ORDER BY number + 0 FOR UPDATE");

/// $2 status, $3 and $4 created, $5 part of the reason.
constexpr auto selected = "status = $2 AND created >= $3 AND created <= $4 AND strpos(reason, $5) > 0";
const auto select_sql =
    filled(fmt::format("SELECT {{columns}}, {{now}}, {{ahead}} FROM orders WHERE {} ORDER BY status, "
                       "number LIMIT $6 FOR UPDATE SKIP LOCKED",
                       selected));
const auto count_selected_sql = filled(fmt::format("SELECT count(*), {{now}} FROM orders WHERE {}", selected));

constexpr auto save_sql = R"(
    UPDATE orders SET status = new.status, reason = new.reason, epoch = new.epoch, attempts = new.attempts,
        updated = new.updated, events = new.events, due = new.due, worker = new.worker, tried = new.tried
    FROM json_to_recordset($1::json) AS new (number bigint, status smallint, reason text, epoch bigint,
        attempts integer, updated bigint, events bigint, due bigint, worker text, tried bigint)
    WHERE orders.number = new.number)";
/// Behind the timeline's end there may be an entry that a replay has taken back.
constexpr auto add_events_sql = R"(
    INSERT INTO events SELECT * FROM json_to_recordset($1::json)
        AS new (number bigint, place bigint, kind smallint, at bigint, epoch bigint, detail text)
    ON CONFLICT (number, place) DO UPDATE SET kind = excluded.kind, at = excluded.at, epoch = excluded.epoch,
        detail = excluded.detail)";
constexpr auto count_sql = R"(
    UPDATE totals SET processing = processing + $1, validated = validated + $2, rejected = rejected + $3,
        failed = failed + $4, leased = leased + $5 WHERE shard = pg_backend_pid() % 64)";

/// As JobClock::at().
const auto keep_clock_sql = filled("UPDATE state SET ahead = greatest(ahead, latest - {now}), "
                                   "latest = greatest(latest, {now} + greatest(ahead, latest - {now}))");

constexpr auto events_sql = "SELECT kind, at, events.epoch, detail FROM events JOIN orders USING (number) "
                            "WHERE order_id = $1 AND place < orders.events ORDER BY place";
const auto list_sql = filled("SELECT {columns} FROM orders WHERE number < $1 ORDER BY number DESC LIMIT $2");
/// In the order of the index by status and number, which no other one has.
const auto list_status_sql =
    filled("SELECT {columns} FROM orders WHERE status = $3 AND number < $1 ORDER BY status DESC, number DESC LIMIT $2");
constexpr auto totals_sql = R"(
    SELECT sum(processing)::bigint, sum(validated)::bigint, sum(rejected)::bigint, sum(failed)::bigint,
        greatest(sum(leased), 0)::bigint,
        (SELECT created FROM orders WHERE status = 0 ORDER BY status, number LIMIT 1)
    FROM totals)";

// No transaction adds an order while all are counted and deleted.
constexpr auto patience_sql = "SET LOCAL lock_timeout = '500ms'"; // below that of the caller that waits for an answer
constexpr auto lock_all_sql = "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE";
constexpr auto count_all_sql = "SELECT sum(processing + validated + rejected + failed)::bigint FROM totals";
constexpr auto clear_sql = "TRUNCATE orders, keys, events";
constexpr auto clear_totals_sql =
    "UPDATE totals SET processing = 0, validated = 0, rejected = 0, failed = 0, leased = 0";
/// As Generation::next().
const auto next_generation_sql =
    fmt::format("UPDATE state SET generation = $1, first_epoch = first_epoch + {}, after = 0", Generation::epochs);

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

/// Of a statement that selects `columns`, {now} and {ahead}.
Now read_now(const Rows& rows, std::size_t row)
{
    const auto wall = rows.integer(row, now_column);
    return {from_ms(wall), job_time(wall + rows.integer(row, now_column + 1))};
}

/// Of a statement that selects `columns`.
Record read_record(const Rows& rows, std::size_t row)
{
    return {.order = {.number = rows.integer(row, 0),
                      .generation = std::string(rows.text(row, 14)),
                      .what = {std::string(rows.text(row, 1)), std::string(rows.text(row, 2)), rows.integer(row, 3)},
                      .status = static_cast<Status>(rows.integer(row, 4)),
                      .reason = std::string(rows.text(row, 5)),
                      .epoch = rows.integer(row, 6),
                      .attempts = static_cast<unsigned>(rows.integer(row, 7)),
                      .created = from_ms(rows.integer(row, 8)),
                      .updated = from_ms(rows.integer(row, 9))},
            .due = job_time(rows.integer(row, 11)),
            .worker = std::string(rows.text(row, 12)),
            .tried = rows.is_null(row, 13) ? std::nullopt : std::optional(job_time(rows.integer(row, 13))),
            .events = rows.integer(row, 10)};
}

Totals read_totals(const Rows& rows)
{
    const auto number = [&](int column) { return static_cast<std::uint64_t>(rows.integer(0, column)); };
    Totals out{.processing = number(0),
               .validated = number(1),
               .rejected = number(2),
               .failed = number(3),
               .leased = number(4)};
    if (!rows.is_null(0, 5)) out.oldest = from_ms(rows.integer(0, 5));
    return out;
}

/// PostgreSQL's text cannot hold U+0000, which a validator's words may.
std::string storable(std::string text)
{
    for (auto at = text.find('\0'); at != text.npos; at = text.find('\0', at)) text.replace(at, 1, "\xef\xbf\xbd");
    return text;
}

Creation compare(Record record, const NewOrder& what, Creation::Kind otherwise)
{
    const auto kind = record.order.what == what ? Creation::Kind::repeated : otherwise;
    return {kind, std::move(record.order)};
}

} // namespace

PostgresStore::PostgresStore(asio::io_context& context, storage::postgres::Target target, Options options)
    : context_(context), options_(options),
      pool_(context,
            {.target = std::move(target), .session = session(options.synchronous), .connections = options.connections})
{
}

PostgresStore::Parameter PostgresStore::now() const
{
    if (!options_.clock) return std::nullopt;
    return std::to_string(to_ms(options_.clock()));
}

Record* PostgresStore::Locked::find(const std::string& order_id)
{
    const auto found = by_id.find(order_id);
    return found == by_id.end() ? nullptr : &records[found->second];
}

/// Of a statement that selects `columns` and the clocks.
PostgresStore::Locked PostgresStore::read_locked(const Rows& rows)
{
    Locked locked;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        locked.records.push_back(read_record(rows, row));
        locked.by_id.emplace(locked.records.back().order.what.order_id, row);
        locked.now = read_now(rows, row);
    }
    return locked;
}

error_code PostgresStore::failure(const Connection& connection, error_code error)
{
    if ((error == errc::storage || error == errc::storage_full) && connection.message() != failure_) {
        failure_ = connection.message();
        log::error("the database refuses a statement: {}", failure_);
    }
    return error;
}

template <class T, class... Arguments>
asio::awaitable<result<T>> PostgresStore::repeat(Attempt<T, Arguments...> attempt, const Arguments&... arguments)
{
    const auto until = Clock::now() + options_.patience;
    while (true) {
        {
            auto connection = co_await pool_.borrow(until);
            if (!connection) co_return connection.error();
            const auto this_try = std::min(until, Clock::now() + options_.patience / tries);
            if (Clock::now() >= keep_clock_at_) co_await keep_clock(**connection, this_try);
            auto out = co_await (this->*attempt)(**connection, this_try, arguments...);
            if (out || out.error() != errc::unavailable) co_return out;
            if (Clock::now() + pause_after_failure >= until) co_return out;
        }
        asio::steady_timer pause(context_, pause_after_failure);
        co_await pause.async_wait(no_throw);
    }
}

template <class T, class... Arguments>
asio::awaitable<result<T>> PostgresStore::once(Attempt<T, Arguments...> attempt, const Arguments&... arguments)
{
    const auto until = Clock::now() + options_.patience;
    auto connection = co_await pool_.borrow(until);
    if (!connection) co_return connection.error();
    co_return co_await (this->*attempt)(**connection, until, arguments...);
}

/// Notices, for all services, when the clock was set back. A failure is one of the connection, which the next statement
/// meets as well.
asio::awaitable<void> PostgresStore::keep_clock(Connection& connection, TimePoint until)
{
    keep_clock_at_ = Clock::now() + options_.keep_clock;
    std::vector<Command> commands;
    commands.push_back({keep_clock_sql, {now()}});
    (void)co_await connection.run(std::move(commands), until);
}

// --- Creation --------------------------------------------------------------------------------------------------------

asio::awaitable<result<Creation>> PostgresStore::create(NewOrder what, std::optional<std::string> key)
{
    co_return co_await repeat(&PostgresStore::try_create, what, key);
}

asio::awaitable<result<Creation>> PostgresStore::try_create(Connection& connection, TimePoint until,
                                                            const NewOrder& what, const Parameter& key)
{
    std::vector<Command> commands;
    commands.push_back({create_sql, {now(), what.order_id, what.product, std::to_string(what.quantity), key}});
    auto rows = co_await connection.run(std::move(commands), until);
    if (rows && rows->at(0).size() == 1) {
        Creation creation;
        creation.order = created(what, {}, {.wall = from_ms(rows->at(0).integer(0, 1))}).order;
        creation.order.number = rows->at(0).integer(0, 0);
        co_return creation;
    }
    if (!rows && rows.error() != errc::conflict) co_return failure(connection, rows.error());
    co_return co_await find_created(connection, until, what, key);
}

/// The order or the key was there before, or is just being created by another request.
asio::awaitable<result<Creation>> PostgresStore::find_created(Connection& connection, TimePoint until,
                                                              const NewOrder& what, const Parameter& key)
{
    std::vector<Command> commands;
    commands.push_back({by_key_sql, {key}});
    commands.push_back({by_id_sql, {what.order_id}});
    const auto rows = co_await connection.run(std::move(commands), until);
    if (!rows) co_return failure(connection, rows.error());
    const auto& by_key = rows->at(0);
    const auto& by_id = rows->at(1);
    if (by_key.size() > 0) co_return compare(read_record(by_key, 0), what, Creation::Kind::other_body);
    if (by_id.size() == 0) co_return error_code(errc::unavailable); // who was in the way has given up: again
    auto creation = compare(read_record(by_id, 0), what, Creation::Kind::other_order);
    if (creation.kind == Creation::Kind::repeated && key) {
        std::vector<Command> remember;
        remember.push_back({add_key_sql, {key, std::to_string(creation.order.number)}});
        const auto added = co_await connection.run(std::move(remember), until);
        if (!added) co_return failure(connection, added.error());
        if (added->at(0).affected() == 0) co_return error_code(errc::unavailable); // another request used it: again
    }
    co_return creation;
}

// --- Jobs ------------------------------------------------------------------------------------------------------------

asio::awaitable<result<Leased>> PostgresStore::lease(LeaseRequest request)
{
    co_return co_await repeat(&PostgresStore::try_lease, request);
}

asio::awaitable<result<Leased>> PostgresStore::lease_these(LeaseRequest request, std::vector<std::int64_t> numbers)
{
    co_return co_await repeat(&PostgresStore::try_lease_these, request, numbers);
}

asio::awaitable<result<Leased>> PostgresStore::try_lease(Connection& connection, TimePoint until,
                                                         const LeaseRequest& request)
{
    std::vector<Command> commands;
    commands.push_back({begin_sql});
    commands.push_back({due_sql, {now(), std::to_string(request.most)}});
    commands.push_back({next_due_sql, {now()}});
    const auto rows = co_await connection.run(std::move(commands), until);
    if (!rows) co_return failure(connection, rows.error());
    auto locked = read_locked(rows->at(1));
    if (locked.records.size() < request.most && !rows->at(2).is_null(0, 0))
        locked.next_due_in = milliseconds(rows->at(2).integer(0, 0));
    co_return co_await give(connection, until, std::move(locked), request);
}

asio::awaitable<result<Leased>> PostgresStore::try_lease_these(Connection& connection, TimePoint until,
                                                               const LeaseRequest& request,
                                                               const std::vector<std::int64_t>& numbers)
{
    std::vector<Command> commands;
    commands.push_back({begin_sql});
    commands.push_back({these_sql, {now(), fmt::format("{{{}}}", fmt::join(numbers, ","))}});
    const auto rows = co_await connection.run(std::move(commands), until);
    if (!rows) co_return failure(connection, rows.error());
    auto locked = read_locked(rows->at(1));
    co_return co_await give(connection, until, std::move(locked), request);
}

asio::awaitable<result<Leased>> PostgresStore::give(Connection& connection, TimePoint until, Locked locked,
                                                    const LeaseRequest& request)
{
    Leased leased;
    leased.next_due_in = locked.next_due_in;
    for (auto& record : locked.records) {
        const auto before = counts(record);
        leased.jobs.push_back(orders::lease(record, request.worker, request.lasts, locked.now));
        locked.counts += counts(record) - before;
        locked.changed.insert(record.order.number);
    }
    const auto saved = co_await save(connection, until, std::move(locked));
    if (!saved) co_return saved.error();
    co_return leased;
}

/// Opens a transaction and locks those that exist.
asio::awaitable<result<PostgresStore::Locked>> PostgresStore::lock(Connection& connection, TimePoint until,
                                                                   std::vector<std::string> order_ids)
{
    std::vector<Command> commands;
    commands.push_back({begin_sql});
    commands.push_back({lock_sql, {now(), json_text(Json(order_ids))}});
    const auto rows = co_await connection.run(std::move(commands), until);
    if (!rows) co_return failure(connection, rows.error());
    auto locked = read_locked(rows->at(1));
    co_return locked;
}

/// Writes what has changed, adds it to the totals, and commits.
asio::awaitable<result<void>> PostgresStore::save(Connection& connection, TimePoint until, Locked locked)
{
    auto orders = Json::array();
    auto events = Json::array();
    for (const auto& record : locked.records) {
        if (!locked.changed.contains(record.order.number)) continue;
        const auto& order = record.order;
        auto place = record.events;
        for (const auto& event : record.add)
            events.push_back({{"number", order.number},
                              {"place", place++},
                              {"kind", event.kind},
                              {"at", to_ms(event.at)},
                              {"epoch", event.epoch},
                              {"detail", storable(event.detail)}});
        orders.push_back({{"number", order.number},
                          {"status", order.status},
                          {"reason", storable(order.reason)},
                          {"epoch", order.epoch},
                          {"attempts", order.attempts},
                          {"updated", to_ms(order.updated)},
                          {"events", place},
                          {"due", to_ms(record.due)},
                          {"worker", storable(record.worker)},
                          {"tried", record.tried ? Json(to_ms(*record.tried)) : Json()}});
    }
    std::vector<Command> commands;
    if (!orders.empty()) commands.push_back({save_sql, {json_text(orders)}});
    if (!events.empty()) commands.push_back({add_events_sql, {json_text(events)}});
    if (locked.counts != Counts{}) {
        commands.push_back({count_sql, {}});
        for (const auto count : locked.counts) commands.back().parameters.emplace_back(std::to_string(count));
    }
    commands.push_back({commit_sql});
    const auto done = co_await connection.run(std::move(commands), until);
    if (!done) co_return failure(connection, done.error());
    co_return result<void>();
}

asio::awaitable<result<std::vector<bool>>> PostgresStore::extend(std::vector<Held> held, Duration lasts)
{
    co_return co_await repeat(&PostgresStore::try_extend, held, lasts);
}

asio::awaitable<result<std::vector<bool>>>
PostgresStore::try_extend(Connection& connection, TimePoint until, const std::vector<Held>& held, const Duration& lasts)
{
    std::vector<std::string> order_ids;
    for (const auto& one : held) order_ids.push_back(one.order_id);
    auto locked = co_await lock(connection, until, std::move(order_ids));
    if (!locked) co_return locked.error();
    std::vector<bool> still;
    for (const auto& one : held) {
        auto* const record = locked->find(one.order_id);
        still.push_back(record && orders::extend(*record, one.epoch, one.generation, lasts, locked->now));
        if (still.back()) locked->changed.insert(record->order.number);
    }
    const auto saved = co_await save(connection, until, std::move(*locked));
    if (!saved) co_return saved.error();
    co_return still;
}

asio::awaitable<result<std::vector<Settled>>> PostgresStore::settle(std::vector<Settlement> settlements)
{
    co_return co_await repeat(&PostgresStore::try_settle, settlements);
}

asio::awaitable<result<std::vector<Settled>>> PostgresStore::try_settle(Connection& connection, TimePoint until,
                                                                        const std::vector<Settlement>& settlements)
{
    std::vector<std::string> order_ids;
    for (const auto& one : settlements) order_ids.push_back(one.order_id);
    auto locked = co_await lock(connection, until, std::move(order_ids));
    if (!locked) co_return locked.error();
    std::vector<Settled> out;
    for (const auto& one : settlements) {
        auto* const record = locked->find(one.order_id);
        if (!record) {
            out.push_back(Settled::unknown);
            continue;
        }
        const auto before = counts(*record);
        out.push_back(orders::settle(*record, one, locked->now));
        if (out.back() == Settled::applied) locked->changed.insert(record->order.number);
        locked->counts += counts(*record) - before;
    }
    const auto saved = co_await save(connection, until, std::move(*locked));
    if (!saved) co_return saved.error();
    co_return out;
}

/// Ends a transaction that has nothing to write; if that fails, the connection is closed, which ends it as well.
asio::awaitable<void> PostgresStore::roll_back(Connection& connection, TimePoint until)
{
    std::vector<Command> commands;
    commands.push_back({"ROLLBACK"});
    (void)co_await connection.run(std::move(commands), until);
}

// --- Operators -------------------------------------------------------------------------------------------------------

asio::awaitable<result<Order>> PostgresStore::operate(std::string order_id, Operation operation)
{
    co_return co_await once(&PostgresStore::try_operate, order_id, operation);
}

asio::awaitable<result<Order>> PostgresStore::try_operate(Connection& connection, TimePoint until,
                                                          const std::string& order_id, const Operation& operation)
{
    std::vector<std::string> order_ids{order_id};
    auto locked = co_await lock(connection, until, std::move(order_ids));
    if (!locked) co_return locked.error();
    if (locked->records.empty()) {
        co_await roll_back(connection, until);
        co_return error_code(errc::not_found);
    }
    auto& record = locked->records[0];
    locked->changed.insert(record.order.number);
    const auto before = counts(record);
    if (!orders::operate(record, operation, locked->now)) {
        co_await roll_back(connection, until);
        co_return error_code(errc::conflict);
    }
    locked->counts += counts(record) - before;
    auto order = record.order;
    const auto saved = co_await save(connection, until, std::move(*locked));
    if (!saved) co_return saved.error();
    co_return order;
}

asio::awaitable<result<BulkOutcome>> PostgresStore::operate_all(BulkRequest request)
{
    co_return co_await once(&PostgresStore::try_operate_all, request);
}

asio::awaitable<result<BulkOutcome>> PostgresStore::try_operate_all(Connection& connection, TimePoint until,
                                                                    const BulkRequest& request)
{
    const auto& selection = request.selection;
    constexpr auto none = std::numeric_limits<std::int64_t>::max();
    const auto from = selection.created_from ? to_ms(*selection.created_from) : -none;
    const auto to = selection.created_to ? to_ms(*selection.created_to) : none;
    std::vector<Parameter> parameters{now(), std::to_string(static_cast<int>(selection.status)), std::to_string(from),
                                      std::to_string(to), selection.reason};
    std::vector<Command> commands;
    commands.push_back({begin_sql});
    commands.push_back({count_selected_sql, parameters});
    parameters.emplace_back(std::to_string(request.most));
    commands.push_back({select_sql, std::move(parameters)});
    const auto rows = co_await connection.run(std::move(commands), until);
    if (!rows) co_return failure(connection, rows.error());
    const auto all = static_cast<std::uint64_t>(rows->at(1).integer(0, 0));
    auto locked = read_locked(rows->at(2));
    BulkOutcome out;
    for (auto& record : locked.records) {
        const auto before = counts(record);
        if (!orders::operate(record, request.operation, locked.now)) continue;
        locked.counts += counts(record) - before;
        locked.changed.insert(record.order.number);
        out.changed.push_back(record.order.number);
    }
    const auto saved = co_await save(connection, until, std::move(locked));
    if (!saved) co_return saved.error();
    out.left = all - std::min<std::uint64_t>(all, out.changed.size());
    co_return out;
}

asio::awaitable<result<std::uint64_t>> PostgresStore::clear()
{
    const auto name = random_generation();
    co_return co_await once(&PostgresStore::try_clear, name);
}

asio::awaitable<result<std::uint64_t>> PostgresStore::try_clear(Connection& connection, TimePoint until,
                                                                const std::string& name)
{
    std::vector<Command> commands;
    for (const auto* sql : {begin_sql, patience_sql, lock_all_sql, count_all_sql, clear_sql, clear_totals_sql})
        commands.push_back({sql});
    commands.push_back({next_generation_sql, {name}});
    commands.push_back({commit_sql});
    const auto rows = co_await connection.run(std::move(commands), until);
    if (!rows) co_return failure(connection, rows.error());
    co_return static_cast<std::uint64_t>(rows->at(3).integer(0, 0));
}

// --- Reading ---------------------------------------------------------------------------------------------------------

asio::awaitable<result<OrderFile>> PostgresStore::find(std::string order_id)
{
    co_return co_await repeat(&PostgresStore::try_find, order_id);
}

asio::awaitable<result<OrderFile>> PostgresStore::try_find(Connection& connection, TimePoint until,
                                                           const std::string& order_id)
{
    std::vector<Command> commands;
    commands.push_back({begin_reading_sql});
    commands.push_back({find_sql, {now(), order_id}});
    commands.push_back({events_sql, {order_id}});
    commands.push_back({commit_sql});
    const auto rows = co_await connection.run(std::move(commands), until);
    if (!rows) co_return failure(connection, rows.error());
    if (rows->at(1).size() == 0) co_return error_code(errc::not_found);
    auto record = read_record(rows->at(1), 0);
    OrderFile file;
    file.order = std::move(record.order);
    if (file.order.status == Status::processing) {
        const auto now = read_now(rows->at(1), 0);
        file.due = now.wall + (record.due - now.job);
        file.worker = std::move(record.worker);
    }
    const auto& events = rows->at(2);
    for (std::size_t row = 0; row < events.size(); ++row)
        file.timeline.push_back({static_cast<Event::Kind>(events.integer(row, 0)), from_ms(events.integer(row, 1)),
                                 events.integer(row, 2), std::string(events.text(row, 3))});
    co_return file;
}

asio::awaitable<result<Listing>> PostgresStore::list(ListQuery query)
{
    co_return co_await repeat(&PostgresStore::try_list, query);
}

asio::awaitable<result<Listing>> PostgresStore::try_list(Connection& connection, TimePoint until,
                                                         const ListQuery& query)
{
    const auto before = query.before.value_or(std::numeric_limits<std::int64_t>::max());
    std::vector<Command> commands;
    commands.push_back({begin_reading_sql});
    commands.push_back({list_sql, {std::to_string(before), std::to_string(query.most + 1)}});
    if (query.status) {
        commands.back().sql = list_status_sql;
        commands.back().parameters.emplace_back(std::to_string(static_cast<int>(*query.status)));
    }
    commands.push_back({totals_sql});
    commands.push_back({commit_sql});
    const auto rows = co_await connection.run(std::move(commands), until);
    if (!rows) co_return failure(connection, rows.error());
    Listing out;
    out.more = rows->at(1).size() > query.most;
    for (std::size_t row = 0; row < std::min(rows->at(1).size(), query.most); ++row)
        out.orders.push_back(read_record(rows->at(1), row).order);
    out.totals = read_totals(rows->at(2));
    co_return out;
}

asio::awaitable<result<Totals>> PostgresStore::totals()
{
    co_return co_await repeat(&PostgresStore::try_totals);
}

asio::awaitable<result<Totals>> PostgresStore::try_totals(Connection& connection, TimePoint until)
{
    std::vector<Command> commands;
    commands.push_back({totals_sql});
    const auto rows = co_await connection.run(std::move(commands), until);
    if (!rows) co_return failure(connection, rows.error());
    co_return read_totals(rows->at(0));
}

asio::awaitable<result<std::vector<std::int64_t>>> PostgresStore::due(std::size_t most, Duration since)
{
    co_return co_await repeat(&PostgresStore::try_due, most, since);
}

asio::awaitable<result<std::vector<std::int64_t>>>
PostgresStore::try_due(Connection& connection, TimePoint until, const std::size_t& most, const Duration& since)
{
    const auto since_ms = std::chrono::ceil<milliseconds>(since).count();
    std::vector<Command> commands;
    commands.push_back({overdue_sql, {now(), std::to_string(since_ms), std::to_string(most)}});
    const auto rows = co_await connection.run(std::move(commands), until);
    if (!rows) co_return failure(connection, rows.error());
    std::vector<std::int64_t> numbers;
    for (std::size_t row = 0; row < rows->at(0).size(); ++row) numbers.push_back(rows->at(0).integer(row, 0));
    co_return numbers;
}

} // namespace hotspare::orders
