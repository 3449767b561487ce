#include "monitor/history/retention.hpp"

#include <algorithm>

namespace hotspare::monitor {
namespace {

bool nothing_known(const Tally& tally) noexcept
{
    return tally.known() == milliseconds(0);
}

} // namespace

Cutoffs cutoffs(const Retention& retention, Instant now)
{
    Cutoffs result;
    result.samples = unit_around(now - retention.samples, Unit::minute).begin;
    const auto of = [&](Unit unit, milliseconds kept) {
        result.units[static_cast<std::size_t>(unit)] = unit_around(now - kept, unit).begin;
    };
    of(Unit::minute, retention.minutes);
    of(Unit::hour, retention.hours);
    of(Unit::day, retention.days);
    result.units[static_cast<std::size_t>(Unit::month)] = Instant::min();
    result.changes = now - retention.changes;
    result.incidents = now - retention.incidents;
    return result;
}

Instant settled_until(const IncidentMemory& memory) noexcept
{
    if (!memory.latest) return Instant::min();
    const bool row = memory.down_row > 0 || memory.good_row > 0;
    return row ? std::min(*memory.latest, memory.row_begin) : *memory.latest;
}

RolledUntil RolledUntil::at(Instant at) noexcept
{
    RolledUntil result;
    for (const Unit unit : all_units) result.of(unit) = unit_around(at, unit).begin;
    return result;
}

DueRollups due_rollups(const Record& record, const RolledUntil& rolled, Instant settled, const Retention& retention,
                       Instant now)
{
    DueRollups due;
    due.until = rolled;
    Instant limit = std::min(settled, now);
    if (limit <= record.watched_since) return due;
    const Cutoffs kept = cutoffs(retention, now);
    for (const Unit unit : all_units) {
        Span period{due.until.of(unit), unit_around(limit, unit).begin};
        if (unit != Unit::month) {
            // What would be deleted at once is not made.
            period.begin = std::max(period.begin, kept.units[static_cast<std::size_t>(unit)]);
            const Instant most = period.begin + most_rollups_at_once * unit_around(period.begin, unit).length();
            due.more = due.more || most < period.end;
            period.end = std::min(period.end, most);
        }
        for (const Rollup& rollup : rollups(record, period, unit, limit)) {
            const bool coarse = unit == Unit::day || unit == Unit::month;
            if (coarse || !nothing_known(rollup.tally)) due.rollups.push_back({unit, rollup});
        }
        due.until.of(unit) = std::max(due.until.of(unit), period.end);
        // An hour waits for its minutes, from which its latency is added up.
        limit = std::min(limit, due.until.of(unit));
    }
    return due;
}

void trim(Record& record, Instant before)
{
    const auto later = std::upper_bound(record.changes.begin(), record.changes.end(), before,
                                        [](Instant at, const StateChange& change) { return at < change.at; });
    if (later - record.changes.begin() > 1) record.changes.erase(record.changes.begin(), later - 1);
    const auto over = [before](const Span& span) { return span.end <= before; };
    std::erase_if(record.outages, over);
    std::erase_if(record.gaps, over);
    std::erase_if(record.announced, over);
}

} // namespace hotspare::monitor
