// What a daemon starts with: the part of Reader that is used once.
#include "monitor/history/codec.hpp"
#include "monitor/history/fields.hpp"
#include "monitor/history/reader.hpp"
#include "monitor/history/schema.hpp"

#include <algorithm>
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

bool is_instant(std::int64_t at)
{
    return ms(first_instant) <= at && at <= ms(last_instant);
}

} // namespace

result<Restored> Reader::restore()
{
    Restored restored;
    {
        Run all(statements_.targets);
        const auto add = [&]() -> result<void> {
            RestoredTarget next;
            next.target.id = all->integer(0);
            next.target.name = std::string(all->text(1));
            const std::int64_t since = all->integer(2);
            bool sound = is_instant(since);
            next.target.watched_since = from_ms(since);
            for (const Unit unit : all_units) {
                const std::int64_t until = all->integer(3 + static_cast<int>(unit));
                sound = sound && until >= 0 && until <= minute(last_instant);
                next.target.rolled.of(unit) = from_minute(until);
            }
            if (!sound) return damaged("targets", std::to_string(next.target.id), "an instant is out of its range");
            next.record.watched_since = next.target.watched_since;
            restored.targets.push_back(std::move(next));
            return {};
        };
        if (const auto done = for_each(all, add); !done) return done.error();
    }
    for (auto& target : restored.targets)
        if (const auto done = restore_target(target); !done) return done.error();

    if (const auto text = memory("maintenance"); !text) {
        if (text.error() != errc::not_found) return text.error();
    } else {
        auto memory = decode_maintenance_memory(*text);
        if (!memory) return damaged("memories", "maintenance", memory.error().what);
        restored.maintenance = *std::move(memory);
    }
    if (const auto text = memory("notification"); !text) {
        if (text.error() != errc::not_found) return text.error();
    } else {
        auto memory = decode_notification_memory(*text);
        if (!memory) return damaged("memories", "notification", memory.error().what);
        restored.notification = *std::move(memory);
    }
    const auto alive = number(statements_.alive);
    if (!alive) return alive.error();
    if (*alive && !is_instant(**alive)) return damaged("state", "1", "`alive` is out of its range");
    if (*alive) restored.last_alive = from_ms(**alive);
    const auto head = audit_head();
    if (!head) return head.error();
    restored.audit = *head;
    return restored;
}

result<void> Reader::restore_target(RestoredTarget& restored)
{
    const Target& target = restored.target;
    {
        Run select(statements_.tracker);
        const auto row = select->bind(1, target.id).step();
        if (!row) return row.error();
        if (*row) {
            auto memory = decode_incident_memory(select->text(0));
            if (!memory) return damaged("trackers", std::to_string(target.id), memory.error().what);
            restored.memory = *std::move(memory);
        }
    }
    // Samples that changed nothing else are newer than the memory.
    const auto newest = samples({.target = target.id, .most = 1});
    if (!newest) return newest.error();
    if (!newest->rows.empty()) {
        const Instant at = newest->rows.front().at;
        restored.memory.latest = std::max(restored.memory.latest.value_or(at), at);
    }
    const Instant since = target.rolled.of(Unit::month);
    if (auto done = restore_changes(target, since, restored.record); !done) return done;
    if (auto done = restore_spans(statements_.outages, "outages", target, since, restored.record.outages); !done)
        return done;
    return restore_spans(statements_.gaps, "gaps", target, since, restored.record.gaps);
}

result<void> Reader::restore_changes(const Target& target, Instant since, Record& record)
{
    Run select(statements_.changes);
    select->bind(1, target.id).bind(2, ms(since));
    return for_each(select, [&]() -> result<void> {
        const std::int64_t state = select->integer(1);
        if (!is_instant(select->integer(0)) || !is_state(state) || static_cast<State>(state) == State::down)
            return damaged("changes", fmt::format("({}, {})", target.id, select->integer(0)), "no such state or time");
        record.changes.push_back({from_ms(select->integer(0)), static_cast<State>(state)});
        return {};
    });
}

result<void> Reader::restore_spans(Statement& statement, std::string_view table, const Target& target, Instant since,
                                   std::vector<Span>& spans)
{
    Run select(statement);
    select->bind(1, target.id).bind(2, ms(since));
    return for_each(select, [&]() -> result<void> {
        const std::int64_t begin = select->integer(0);
        const std::int64_t end = select->integer(1);
        if (!is_instant(begin) || end < begin || (!is_instant(end) && from_ms(end) != forever))
            return damaged(table, fmt::format("({}, {})", target.id, begin), "it ends before it begins, or never was");
        spans.push_back({from_ms(begin), from_ms(end)});
        return {};
    });
}

result<std::string> Reader::memory(std::string_view name)
{
    Run select(statements_.memory);
    const auto row = select->bind(1, name).step();
    if (!row) return row.error();
    if (!*row) return error_code(errc::not_found);
    return std::string(select->text(0));
}

} // namespace hotspare::monitor
