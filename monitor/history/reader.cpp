#include "monitor/history/reader.hpp"

#include "common/log.hpp"
#include "monitor/history/codec.hpp"
#include "monitor/history/schema.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

namespace hotspare::monitor {
namespace {

using schema::for_each;
using schema::from_minute;
using schema::from_ms;
using schema::is_state;
using schema::minute;
using schema::ms;
using storage::Run;
using storage::Statement;

constexpr std::int64_t most_number = std::numeric_limits<std::int64_t>::max();

} // namespace

Reader::Reader(const std::string& path)
    : path_(path), database_(schema::started(storage::Database::open_to_read(path, seconds(5)), path)),
      statements_(prepare(database_, path)), units_{prepare_unit(database_, Unit::minute, path),
                                                    prepare_unit(database_, Unit::hour, path),
                                                    prepare_unit(database_, Unit::day, path),
                                                    prepare_unit(database_, Unit::month, path)}
{
}

Reader::Statements Reader::prepare(storage::Database& database, const std::string& path)
{
    const auto prepare = [&](std::string_view sql) { return schema::started(database.prepare(sql), path); };
    constexpr auto audit = "SELECT number, at, user, address, action, target, detail, hash FROM audit ";
    return {
        .targets = prepare("SELECT id, name, watched_since, minutes_until, hours_until, days_until, months_until "
                           "FROM targets ORDER BY id"),
        .tracker = prepare("SELECT memory FROM trackers WHERE target = ?1"),
        .changes = prepare("SELECT at, state FROM changes WHERE target = ?1 AND at >= coalesce((SELECT max(at) FROM "
                           "changes WHERE target = ?1 AND at <= ?2), 0) ORDER BY at"),
        .outages = prepare("SELECT begin, ended FROM outages WHERE target = ?1 AND ended > ?2 ORDER BY begin"),
        .gaps = prepare("SELECT begin, ended FROM gaps WHERE target = ?1 AND ended > ?2 ORDER BY begin"),
        .memory = prepare("SELECT memory FROM memories WHERE name = ?1"),
        .alive = prepare("SELECT alive FROM state"),
        .head = prepare("SELECT audit_number, audit_hash FROM state"),
        .samples = prepare("SELECT ms, state, latency, cause FROM samples WHERE minute = ?1 AND target = ?2 "
                           "AND ms < ?3 ORDER BY ms DESC"),
        .minute_before = prepare("SELECT max(minute) FROM samples WHERE minute < ?1"),
        .incidents = prepare("SELECT id, target, incident FROM incidents WHERE id < ?1 AND (?2 = 0 OR target = ?2) "
                             "ORDER BY id DESC LIMIT ?3"),
        .audit = prepare(std::string(audit) +
                         "WHERE number < ?1 AND at >= ?2 AND at < ?3 AND (?4 = '' OR user = ?4) "
                         "AND (?5 = '' OR action = ?5) AND (?6 = '' OR target = ?6) ORDER BY number DESC LIMIT ?7"),
        .whole_audit = prepare(std::string(audit) + "ORDER BY number"),
        .row_counts = prepare("SELECT name, rows FROM row_counts UNION ALL SELECT 'targets', count(*) FROM targets "
                              "UNION ALL SELECT 'months', count(*) FROM months "
                              "UNION ALL SELECT 'changes', count(*) FROM changes "
                              "UNION ALL SELECT 'outages', count(*) FROM outages "
                              "UNION ALL SELECT 'gaps', count(*) FROM gaps "
                              "UNION ALL SELECT 'incidents', count(*) FROM incidents "
                              "UNION ALL SELECT 'audit', audit_number FROM state"),
        .pages = prepare("PRAGMA page_count"),
        .page_size = prepare("PRAGMA page_size"),
        .free_pages = prepare("PRAGMA freelist_count"),
    };
}

Reader::UnitStatements Reader::prepare_unit(storage::Database& database, Unit unit, const std::string& path)
{
    const auto table = schema::unit_tables.at(static_cast<std::size_t>(unit));
    const auto prepare = [&](const char* sql) {
        return schema::started(database.prepare(fmt::format(fmt::runtime(sql), table)), path);
    };
    return {.row = prepare("SELECT up, degraded, down, unknown, window_up, window_degraded, window_down, "
                           "window_unknown, answers, latency_sum, latency_min, latency_max, incidents FROM {} "
                           "WHERE begin = ?1 AND target = ?2"),
            .oldest = prepare("SELECT min(begin) FROM {}"),
            .newest = prepare("SELECT max(begin) FROM {}")};
}

error_code Reader::damaged(std::string_view table, std::string_view row, std::string_view what)
{
    damage_ = fmt::format("the row {} of its table '{}' is damaged: {}", row, table, what);
    log::error("{}: {}", path_, damage_);
    return errc::storage;
}

result<std::optional<std::int64_t>> Reader::number(Statement& statement)
{
    Run run(statement);
    const auto row = run->step();
    if (!row) return row.error();
    if (!*row || run->is_null(0)) return std::optional<std::int64_t>();
    return std::optional(run->integer(0));
}

/// From the newest minute on, one search for each that has samples of any target.
result<Page<StoredSample>> Reader::samples(const SampleQuery& query)
{
    Page<StoredSample> page;
    std::int64_t end = query.before ? minute(*query.before) + 1 : most_number;
    while (!page.more) {
        const auto at = minute_before(end);
        if (!at) return at.error();
        if (!*at || (query.from && **at < minute(*query.from))) break;
        end = **at;
        Run select(statements_.samples);
        const std::int64_t limit =
            query.before && minute(*query.before) == end ? ms(*query.before) - end * 60'000 : most_number;
        select->bind(1, end).bind(2, query.target).bind(3, limit);
        const auto add = [&]() -> result<void> {
            auto sample = read_sample(*select.operator->(), query.target, end);
            if (!sample) return sample.error();
            if (query.from && sample->at < *query.from) return {};
            if ((page.more = page.more || page.rows.size() == query.most)) return {};
            page.rows.push_back(*std::move(sample));
            return {};
        };
        if (const auto done = for_each(select, add); !done) return done.error();
    }
    return page;
}

/// The latest minute before that one of which there are samples.
result<std::optional<std::int64_t>> Reader::minute_before(std::int64_t minute)
{
    Run select(statements_.minute_before);
    const auto row = select->bind(1, minute).step();
    if (!row) return row.error();
    return select->is_null(0) ? std::optional<std::int64_t>() : std::optional(select->integer(0));
}

result<StoredSample> Reader::read_sample(const Statement& row, TargetId target, std::int64_t minute)
{
    const std::int64_t in_minute = row.integer(0);
    const std::int64_t state = row.integer(1);
    if (in_minute < 0 || in_minute >= 60'000 || !is_state(state) || (!row.is_null(2) && row.integer(2) < 0))
        return damaged("samples", fmt::format("({}, {}, {})", minute, target, in_minute),
                       "no such state, time or latency");
    return StoredSample{.target = target,
                        .at = from_minute(minute) + milliseconds(in_minute),
                        .state = static_cast<State>(state),
                        .latency = row.is_null(2) ? std::nullopt : std::optional(microseconds(row.integer(2))),
                        .cause = row.is_null(3) ? std::string() : std::string(row.text(3))};
}

/// One search for each unit.
result<std::vector<StoredRollup>> Reader::rollups(TargetId target, Unit unit, const Span& period)
{
    std::vector<StoredRollup> rollups;
    const auto index = static_cast<std::size_t>(unit);
    UnitStatements& statements = units_.at(index);
    const auto oldest = number(statements.oldest);
    if (!oldest) return oldest.error();
    const auto newest = number(statements.newest);
    if (!newest) return newest.error();
    if (!*oldest || !*newest) return rollups;
    const Instant end = std::min(period.end, from_minute(**newest) + milliseconds(1));
    Instant at = unit_around(std::max(period.begin, from_minute(**oldest)), unit).begin;
    if (at < period.begin) at = unit_around(at, unit).end;
    for (; at < end; at = unit_around(at, unit).end) {
        Run select(statements.row);
        const auto row = select->bind(1, minute(at)).bind(2, target).step();
        if (!row) return row.error();
        if (!*row) continue;
        auto rollup = read_rollup(*select.operator->(), unit, at);
        if (!rollup)
            return damaged(schema::unit_tables.at(index), fmt::format("({}, {})", minute(at), target),
                           "its times are not those of its unit");
        rollups.push_back(*std::move(rollup));
    }
    return rollups;
}

result<StoredRollup> Reader::read_rollup(const Statement& row, Unit unit, Instant begin)
{
    StoredRollup stored{.rollup = {.begin = begin}};
    const milliseconds whole = unit_around(begin, unit).length();
    bool sound = true;
    int column = 0;
    for (const bool in_window : {false, true})
        for (const State state : {State::up, State::degraded, State::down, State::unknown}) {
            const milliseconds time(row.integer(column++));
            sound = sound && milliseconds(0) <= time && time <= whole;
            stored.rollup.tally.of(state, in_window) = time;
        }
    stored.latency = {row.integer(8), microseconds(row.integer(9)), microseconds(row.integer(10)),
                      microseconds(row.integer(11))};
    stored.incidents = row.integer(12);
    if (!sound || stored.rollup.tally.total() > whole || stored.latency.count < 0 || stored.incidents < 0)
        return error_code(errc::storage);
    return stored;
}

result<Page<StoredIncident>> Reader::incidents(const IncidentQuery& query)
{
    Page<StoredIncident> page;
    Run select(statements_.incidents);
    select->bind(1, query.before.value_or(most_number)).bind(2, query.target.value_or(0));
    select->bind(3, static_cast<std::int64_t>(query.most) + 1);
    const auto add = [&]() -> result<void> {
        if ((page.more = page.rows.size() == query.most)) return {};
        auto incident = decode_incident(select->text(2));
        if (!incident) return damaged("incidents", std::to_string(select->integer(0)), incident.error().what);
        page.rows.push_back({select->integer(0), select->integer(1), *std::move(incident)});
        return {};
    };
    if (const auto done = for_each(select, add); !done) return done.error();
    return page;
}

result<Page<ChainedEntry>> Reader::audit(const AuditQuery& query)
{
    Page<ChainedEntry> page;
    Run select(statements_.audit);
    const auto before = std::min<std::uint64_t>(query.before.value_or(most_number), most_number);
    select->bind(1, static_cast<std::int64_t>(before)).bind(2, query.from ? ms(*query.from) : -most_number);
    select->bind(3, query.until ? ms(*query.until) : most_number);
    select->bind(4, query.user).bind(5, query.action).bind(6, query.target);
    select->bind(7, static_cast<std::int64_t>(query.most) + 1);
    const auto add = [&]() -> result<void> {
        if ((page.more = page.rows.size() == query.most)) return {};
        page.rows.push_back(read_entry(*select.operator->()));
        return {};
    };
    if (const auto done = for_each(select, add); !done) return done.error();
    return page;
}

ChainedEntry Reader::read_entry(const Statement& row)
{
    return {.entry = {.number = static_cast<std::uint64_t>(row.integer(0)),
                      .at = from_ms(row.integer(1)),
                      .user = std::string(row.text(2)),
                      .address = std::string(row.text(3)),
                      .action = std::string(row.text(4)),
                      .target = std::string(row.text(5)),
                      .detail = std::string(row.text(6))},
            .hash = std::string(row.text(7))};
}

result<AuditFinding> Reader::verify_audit()
{
    // One transaction: the head is that of these entries.
    if (const auto begun = database_.execute("BEGIN"); !begun) return begun.error();
    auto finding = follow_audit();
    if (const auto ended = database_.execute("END"); !ended) return ended.error();
    return finding;
}

result<AuditFinding> Reader::follow_audit()
{
    const auto stored = audit_head();
    if (!stored) return stored.error();
    AuditVerifier verifier;
    Run select(statements_.whole_audit);
    while (true) {
        const auto row = select->step();
        if (!row) return row.error();
        if (!*row) return AuditFinding{verifier.head(), verifier.end(*stored)};
        if (auto breach = verifier.next(read_entry(*select.operator->())))
            return AuditFinding{verifier.head(), std::move(breach)};
    }
}

result<AuditHead> Reader::audit_head()
{
    Run select(statements_.head);
    const auto row = select->step();
    if (!row) return row.error();
    if (!*row) return damaged("state", "1", "it is missing");
    return AuditHead{static_cast<std::uint64_t>(select->integer(0)), std::string(select->text(1))};
}

result<Sizes> Reader::sizes()
{
    Sizes sizes;
    const auto pages = number(statements_.pages);
    const auto page_size = number(statements_.page_size);
    const auto free_pages = number(statements_.free_pages);
    for (const auto* value : {&pages, &page_size, &free_pages})
        if (!*value) return value->error();
    const auto size = static_cast<std::uint64_t>(page_size->value_or(0));
    sizes.file_bytes = size * static_cast<std::uint64_t>(pages->value_or(0));
    sizes.free_bytes = size * static_cast<std::uint64_t>(free_pages->value_or(0));
    std::error_code ignored;
    const auto log = std::filesystem::file_size(path_ + "-wal", ignored);
    if (!ignored) sizes.log_bytes = log;
    Run counts(statements_.row_counts);
    const auto add = [&]() -> result<void> {
        sizes.rows.emplace_back(std::string(counts->text(0)), static_cast<std::uint64_t>(counts->integer(1)));
        return {};
    };
    if (const auto done = for_each(counts, add); !done) return done.error();
    return sizes;
}

} // namespace hotspare::monitor
