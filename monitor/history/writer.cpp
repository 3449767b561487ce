#include "monitor/history/writer.hpp"

#include "common/text.hpp"
#include "monitor/history/codec.hpp"
#include "monitor/history/schema.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <string_view>
#include <utility>

namespace hotspare::monitor {
namespace {

using schema::finished;
using schema::minute;
using schema::ms;
using storage::Run;
using storage::Statement;

/// Units that one call of expire() deletes at most, of each kind: an hour of minutes of a thousand targets takes some
/// tenths of a second.
constexpr std::int64_t expired_at_once = 60;

/// The length of a unit in the column `begin`.
std::int64_t width(Unit unit)
{
    return std::chrono::floor<std::chrono::minutes>(unit_around(Instant{}, unit).length()).count();
}

} // namespace

Writer::Writer(const storage::DatabaseFile& file, storage::Synchronous synchronous, const Retention& retention)
    : database_(schema::open(file, synchronous)),
      statements_(prepare(database_, file.path())), units_{prepare_unit(database_, Unit::minute, file.path()),
                                                           prepare_unit(database_, Unit::hour, file.path()),
                                                           prepare_unit(database_, Unit::day, file.path()),
                                                           prepare_unit(database_, Unit::month, file.path())},
      retention_(retention)
{
}

Writer::Statements Writer::prepare(storage::Database& database, const std::string& path)
{
    const auto prepare = [&](std::string_view sql) { return schema::started(database.prepare(sql), path); };
    return {
        .find_target = prepare("SELECT id, watched_since, minutes_until, hours_until, days_until, months_until "
                               "FROM targets WHERE name = ?1"),
        // An id is not used again although its target is forgotten: samples and rollups of it may still be there.
        .add_target =
            prepare("INSERT INTO targets VALUES (1 + max(coalesce((SELECT max(id) FROM targets), 0), "
                    "coalesce((SELECT CAST(memory AS INTEGER) FROM memories WHERE name = 'last_target'), 0)), "
                    "?1, ?2, ?3, ?4, ?5, ?6) RETURNING id"),
        .rolled_target = prepare("UPDATE targets SET minutes_until = max(minutes_until, ?2), hours_until = "
                                 "max(hours_until, ?3), days_until = max(days_until, ?4), months_until = "
                                 "max(months_until, ?5) WHERE id = ?1"),
        .target = prepare("SELECT 1 FROM targets WHERE id = ?1"),
        .all_targets = prepare("SELECT id, months_until FROM targets"),
        .add_sample = prepare("INSERT INTO samples VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING"),
        .alive = prepare("UPDATE state SET alive = ?1"),
        .sample_latency = prepare("SELECT count(latency), sum(latency), min(latency), max(latency) FROM samples "
                                  "WHERE minute = ?1 AND target = ?2 AND state < 2"), // up and degraded
        .add_change = prepare("INSERT OR REPLACE INTO changes VALUES (?1, ?2, ?3)"),
        .add_outage = prepare("INSERT OR REPLACE INTO outages VALUES (?1, ?2, ?3)"),
        .end_outage = prepare("UPDATE outages SET ended = ?2 WHERE target = ?1 AND ended = ?3"),
        .add_gap = prepare("INSERT OR REPLACE INTO gaps VALUES (?1, ?2, ?3)"),
        .end_gap = prepare("UPDATE gaps SET ended = ?2 WHERE target = ?1 AND ended = ?3"),
        .set_tracker = prepare("INSERT OR REPLACE INTO trackers VALUES (?1, ?2)"),
        .set_incident = prepare("INSERT INTO incidents VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6) "
                                "ON CONFLICT (target, number) DO UPDATE SET since = excluded.since, "
                                "ended = excluded.ended, maintenance = excluded.maintenance, "
                                "incident = excluded.incident WHERE incident <> excluded.incident"),
        .count_incidents = prepare("SELECT count(*) FROM incidents WHERE target = ?1 AND since >= ?2 AND since < ?3 "
                                   "AND maintenance = 0"),
        .set_memory = prepare("INSERT OR REPLACE INTO memories VALUES (?1, ?2)"),
        .head = prepare("SELECT audit_number, audit_hash FROM state"),
        .set_head = prepare("UPDATE state SET audit_number = ?1, audit_hash = ?2"),
        .add_audit = prepare("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"),
        .oldest_sample = prepare("SELECT min(minute) FROM samples"),
        .delete_samples = prepare("DELETE FROM samples WHERE minute < ?1"),
        .count_rows = prepare("UPDATE row_counts SET rows = rows + ?2 WHERE name = ?1"),
        // But for the change that holds at that time.
        .trim_changes = prepare("DELETE FROM changes WHERE target = ?1 AND at < "
                                "(SELECT max(at) FROM changes WHERE target = ?1 AND at <= ?2)"),
        .trim_gaps = prepare("DELETE FROM gaps WHERE target = ?1 AND begin < ?2 AND ended <= ?2"),
        .trim_outages = prepare("DELETE FROM outages WHERE target = ?1 AND begin < ?2 AND ended <= ?2"),
        .trim_incidents = prepare("DELETE FROM incidents WHERE target = ?1 AND since < ?2 AND ended <= ?2"),
        .last_target = prepare("INSERT OR REPLACE INTO memories SELECT 'last_target', max(?1, coalesce((SELECT "
                               "CAST(memory AS INTEGER) FROM memories WHERE name = 'last_target'), 0))"),
        .forget_target = {prepare("DELETE FROM targets WHERE id = ?1"),
                          prepare("DELETE FROM trackers WHERE target = ?1"),
                          prepare("DELETE FROM changes WHERE target = ?1"),
                          prepare("DELETE FROM outages WHERE target = ?1"),
                          prepare("DELETE FROM gaps WHERE target = ?1"),
                          prepare("DELETE FROM incidents WHERE target = ?1"),
                          prepare("DELETE FROM months WHERE target = ?1")},
    };
}

Writer::UnitStatements Writer::prepare_unit(storage::Database& database, Unit unit, const std::string& path)
{
    const auto table = schema::unit_tables.at(static_cast<std::size_t>(unit));
    const auto prepare = [&](const char* sql) {
        return schema::started(database.prepare(fmt::format(fmt::runtime(sql), table)), path);
    };
    return {.add = prepare("INSERT INTO {} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) "
                           "ON CONFLICT DO NOTHING"),
            .latency = prepare("SELECT answers, latency_sum, latency_min, latency_max FROM {} "
                               "WHERE begin = ?1 AND target = ?2"),
            .oldest = prepare("SELECT min(begin) FROM {}"),
            .trim = prepare("DELETE FROM {} WHERE begin < ?1")};
}

result<std::vector<Target>> Writer::watch(const std::vector<std::string>& names, Instant now)
{
    std::vector<Target> targets;
    for (const auto& name : names) {
        Target target{.name = name};
        Run find(statements_.find_target);
        const auto found = find->bind(1, name).step();
        if (!found) return found.error();
        if (*found) {
            target.id = find->integer(0);
            target.watched_since = schema::from_ms(find->integer(1));
            for (const Unit unit : all_units)
                target.rolled.of(unit) = schema::from_minute(find->integer(2 + static_cast<int>(unit)));
        } else {
            target.watched_since = now;
            target.rolled = RolledUntil::at(now);
            Run add(statements_.add_target);
            add->bind(1, name).bind(2, ms(now));
            for (const Unit unit : all_units) add->bind(3 + static_cast<int>(unit), minute(target.rolled.of(unit)));
            if (const auto added = add->step(); !added) return added.error();
            target.id = add->integer(0);
        }
        targets.push_back(std::move(target));
    }
    return targets;
}

result<void> Writer::forget(const std::vector<std::string>& names)
{
    for (const auto& name : names) {
        TargetId id = 0;
        {
            Run find(statements_.find_target);
            const auto found = find->bind(1, name).step();
            if (!found) return found.error();
            if (!*found) continue;
            id = find->integer(0);
        }
        {
            Run last(statements_.last_target);
            last->bind(1, id);
            if (auto done = finished(last); !done) return done;
        }
        for (Statement& statement : statements_.forget_target) {
            Run run(statement);
            run->bind(1, id);
            if (auto done = finished(run); !done) return done;
        }
    }
    return {};
}

result<void> Writer::check_targets(const std::set<TargetId>& targets)
{
    for (const TargetId id : targets) {
        Run find(statements_.target);
        const auto found = find->bind(1, id).step();
        if (!found) return found.error();
        if (!*found) return error_code(errc::not_found);
    }
    return {};
}

result<void> Writer::append(const std::vector<StoredSample>& samples, Instant now)
{
    std::set<TargetId> named;
    for (const auto& sample : samples) named.insert(sample.target);
    if (auto known = check_targets(named); !known) return known;
    if (auto done = add_samples(samples); !done) return done;
    Run alive(statements_.alive);
    alive->bind(1, ms(now));
    return finished(alive);
}

result<void> Writer::add_samples(const std::vector<StoredSample>& samples)
{
    std::int64_t added = 0;
    for (const auto& sample : samples) {
        Run add(statements_.add_sample);
        const auto in_minute = ms(sample.at) - minute(sample.at) * 60'000;
        add->bind(1, minute(sample.at)).bind(2, sample.target).bind(3, in_minute);
        add->bind(4, static_cast<std::int64_t>(sample.state));
        if (sample.latency) add->bind(5, std::int64_t{sample.latency->count()});
        const auto cause = shortened(sample.cause, longest_cause);
        if (!cause.empty()) add->bind(6, cause);
        if (auto done = finished(add); !done) return done;
        added += database_.changes();
    }
    return count("samples", added);
}

result<Committed> Writer::commit(const Batch& batch)
{
    std::set<TargetId> named;
    for (const auto& sample : batch.samples) named.insert(sample.target);
    for (const auto& step : batch.steps) named.insert(step.target);
    for (const auto& rollups : batch.rollups) named.insert(rollups.target);
    if (const auto known = check_targets(named); !known) return known.error();
    if (const auto done = add_samples(batch.samples); !done) return done.error();
    for (const auto& step : batch.steps)
        if (const auto done = add_step(step); !done) return done.error();
    for (const auto& rollups : batch.rollups)
        if (const auto done = add_rollups(rollups); !done) return done.error();
    if (batch.maintenance)
        if (const auto done = set_memory("maintenance", encode(*batch.maintenance)); !done) return done.error();
    if (batch.notification)
        if (const auto done = set_memory("notification", encode(*batch.notification)); !done) return done.error();
    const auto head = add_audit(batch.audit);
    if (!head) return head.error();
    return Committed{*head};
}

/// As record() does it in memory.
result<void> Writer::add_step(const TargetStep& step)
{
    const auto span = [&](Statement& statement, Instant at) -> result<void> {
        Run run(statement);
        run->bind(1, step.target).bind(2, ms(at)).bind(3, ms(forever));
        return finished(run);
    };
    const Step& what = step.step;
    if (what.gap_ends)
        if (auto done = span(statements_.end_gap, *what.gap_ends); !done) return done;
    if (what.gap_begins)
        if (auto done = span(statements_.add_gap, *what.gap_begins); !done) return done;
    if (what.outage_begins)
        if (auto done = span(statements_.add_outage, *what.outage_begins); !done) return done;
    if (what.outage_ends)
        if (auto done = span(statements_.end_outage, *what.outage_ends); !done) return done;
    if (what.change) {
        Run add(statements_.add_change);
        add->bind(1, step.target).bind(2, ms(what.change->at));
        add->bind(3, static_cast<std::int64_t>(what.change->state));
        if (auto done = finished(add); !done) return done;
    }
    return add_memory(step);
}

result<void> Writer::add_memory(const TargetStep& step)
{
    {
        Run set(statements_.set_tracker);
        set->bind(1, step.target).bind(2, encode(step.memory));
        if (auto done = finished(set); !done) return done;
    }
    if (!step.memory.incident) return {};
    const Incident& incident = *step.memory.incident;
    Run set(statements_.set_incident);
    set->bind(1, step.target).bind(2, static_cast<std::int64_t>(incident.number)).bind(3, ms(incident.since()));
    set->bind(4, ms(incident.outages.back().end)).bind(5, std::int64_t{incident.maintenance});
    set->bind(6, encode(incident));
    return finished(set);
}

result<void> Writer::add_rollups(const TargetRollups& rollups)
{
    std::array<std::int64_t, all_units.size()> added{};
    for (const auto& [unit, rollup] : rollups.due.rollups) {
        const Span span = unit_around(rollup.begin, unit);
        const auto latency = latency_of(rollups.target, unit, span);
        if (!latency) return latency.error();
        const auto incidents = incidents_in(rollups.target, span);
        if (!incidents) return incidents.error();
        const Tally& tally = rollup.tally;
        Run add(of(unit).add);
        add->bind(1, minute(rollup.begin)).bind(2, rollups.target);
        int column = 3;
        for (const auto time : {tally.up, tally.degraded, tally.down, tally.unknown, tally.window_up,
                                tally.window_degraded, tally.window_down, tally.window_unknown})
            add->bind(column++, std::int64_t{time.count()});
        add->bind(11, latency->count).bind(12, std::int64_t{latency->sum.count()});
        add->bind(13, std::int64_t{latency->least.count()}).bind(14, std::int64_t{latency->most.count()});
        add->bind(15, *incidents);
        if (auto done = finished(add); !done) return done;
        added.at(static_cast<std::size_t>(unit)) += database_.changes();
    }
    for (const Unit unit : {Unit::minute, Unit::hour, Unit::day}) {
        const auto i = static_cast<std::size_t>(unit);
        if (auto done = count(schema::unit_tables.at(i), added.at(i)); !done) return done;
    }
    Run rolled(statements_.rolled_target);
    rolled->bind(1, rollups.target);
    for (const Unit unit : all_units) rolled->bind(2 + static_cast<int>(unit), minute(rollups.due.until.of(unit)));
    return finished(rolled);
}

/// From the samples of a minute, or from the rollups of the next smaller unit.
result<Latency> Writer::latency_of(TargetId target, Unit unit, const Span& span)
{
    Latency sum;
    const Unit part = unit == Unit::minute ? Unit::minute : static_cast<Unit>(static_cast<int>(unit) - 1);
    Statement& statement = unit == Unit::minute ? statements_.sample_latency : of(part).latency;
    for (Instant at = span.begin; at < span.end; at = unit_around(at, part).end) {
        Run select(statement);
        const auto row = select->bind(1, minute(at)).bind(2, target).step();
        if (!row) return row.error();
        if (!*row || select->integer(0) == 0) continue;
        const microseconds least(select->integer(2));
        sum.least = sum.count == 0 ? least : std::min(sum.least, least);
        sum.count += select->integer(0);
        sum.sum += microseconds(select->integer(1));
        sum.most = std::max(sum.most, microseconds(select->integer(3)));
    }
    return sum;
}

result<std::int64_t> Writer::incidents_in(TargetId target, const Span& span)
{
    Run select(statements_.count_incidents);
    const auto row = select->bind(1, target).bind(2, ms(span.begin)).bind(3, ms(span.end)).step();
    if (!row) return row.error();
    return select->integer(0);
}

result<void> Writer::set_memory(std::string_view name, const std::string& text)
{
    Run set(statements_.set_memory);
    set->bind(1, name).bind(2, text);
    return finished(set);
}

/// The head is read anew each time: a transaction that was taken back must not leave its own behind.
result<AuditHead> Writer::add_audit(const std::vector<AuditEntry>& entries)
{
    AuditHead head;
    {
        Run select(statements_.head);
        if (const auto row = select->step(); !row) return row.error();
        head = {static_cast<std::uint64_t>(select->integer(0)), std::string(select->text(1))};
    }
    if (entries.empty()) return head;
    for (const auto& entry : entries) {
        const auto chained = chain(head, entry);
        Run add(statements_.add_audit);
        add->bind(1, static_cast<std::int64_t>(chained.entry.number)).bind(2, ms(chained.entry.at));
        add->bind(3, chained.entry.user).bind(4, chained.entry.address).bind(5, chained.entry.action);
        add->bind(6, chained.entry.target).bind(7, chained.entry.detail).bind(8, chained.hash);
        if (const auto done = finished(add); !done) return done.error();
    }
    Run set(statements_.set_head);
    set->bind(1, static_cast<std::int64_t>(head.number)).bind(2, head.hash);
    if (const auto done = finished(set); !done) return done.error();
    return head;
}

result<Expired> Writer::expire(Instant now)
{
    const Cutoffs before = cutoffs(retention_, now);
    const auto samples =
        expire_rows(statements_.oldest_sample, statements_.delete_samples, "samples", before.samples, 1);
    if (!samples) return samples.error();
    Expired all = *samples;
    for (const Unit of_rollups : {Unit::minute, Unit::hour, Unit::day}) {
        const auto i = static_cast<std::size_t>(of_rollups);
        const auto unit = expire_rows(of(of_rollups).oldest, of(of_rollups).trim, schema::unit_tables.at(i),
                                      before.units.at(i), width(of_rollups));
        if (!unit) return unit.error();
        all = std::max(all, *unit);
    }
    if (const auto done = expire_records(before); !done) return done.error();
    return all;
}

/// Deletes what begins before, at most so many units at once.
result<Expired> Writer::expire_rows(Statement& oldest, Statement& trim, std::string_view table, Instant before,
                                    std::int64_t width)
{
    std::int64_t first = 0;
    {
        Run select(oldest);
        const auto row = select->step();
        if (!row) return row.error();
        if (select->is_null(0)) return Expired::all;
        first = select->integer(0);
    }
    if (first >= minute(before)) return Expired::all;
    const auto end = std::min(minute(before), first + expired_at_once * width);
    Run run(trim);
    run->bind(1, end);
    if (const auto done = finished(run); !done) return done.error();
    if (const auto done = count(table, -database_.changes()); !done) return done.error();
    return end < minute(before) ? Expired::in_part : Expired::all;
}

result<void> Writer::expire_records(const Cutoffs& cutoffs)
{
    std::vector<std::pair<TargetId, Instant>> targets; // and until when their months are final
    {
        Run all(statements_.all_targets);
        while (true) {
            const auto row = all->step();
            if (!row) return row.error();
            if (!*row) break;
            targets.emplace_back(all->integer(0), schema::from_minute(all->integer(1)));
        }
    }
    for (const auto& [target, final_until] : targets) {
        const auto trim = [&, target = target](Statement& statement, Instant before) -> result<void> {
            Run run(statement);
            run->bind(1, target).bind(2, ms(before));
            return finished(run);
        };
        const Instant changes = std::min(cutoffs.changes, final_until);
        const Instant incidents = std::min(cutoffs.incidents, final_until);
        if (auto done = trim(statements_.trim_changes, changes); !done) return done;
        if (auto done = trim(statements_.trim_gaps, changes); !done) return done;
        if (auto done = trim(statements_.trim_outages, incidents); !done) return done;
        if (auto done = trim(statements_.trim_incidents, incidents); !done) return done;
    }
    return {};
}

result<void> Writer::count(std::string_view table, std::int64_t change)
{
    if (change == 0) return {};
    Run add(statements_.count_rows);
    add->bind(1, table).bind(2, change);
    return finished(add);
}

} // namespace hotspare::monitor
