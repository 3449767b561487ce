#include "orders/order_service/transition.hpp"

#include <fmt/format.h>

#include <bit>
#include <utility>

namespace hotspare::orders {
namespace {

bool has_room(const Record& record)
{
    return record.events + static_cast<std::int64_t>(record.add.size()) < most_events;
}

/// Whether the lease with this epoch was listed when it was given. A lease and what ends it raise the epoch by one
/// each, so of two epochs in a row one is a lease's.
bool is_listed(Epoch epoch)
{
    const auto ordinal = static_cast<std::uint64_t>(epoch % Generation::epochs);
    return ordinal <= 20 || std::has_single_bit(ordinal) || std::has_single_bit(ordinal - 1);
}

/// The round is over.
void end(Record& record, Status status, const Now& now)
{
    Order& order = record.order;
    order.status = status;
    order.updated = now.wall;
    record.worker.clear();
    record.tried.reset();
    record.add.push_back({terminal_event(status), now.wall, order.epoch, order.reason});
}

void put_back(Record& record, JobTime due)
{
    record.due = due;
    record.worker.clear();
}

milliseconds in_ms(Duration span)
{
    return std::chrono::ceil<milliseconds>(span);
}

/// What the timeline says of a lease that was settled. Returns whether its end belongs there, too.
bool list_attempts(Record& record, const Settlement& settlement, const Now& now)
{
    const auto epoch = record.order.epoch;
    const bool ends = settlement.kind == Settlement::Kind::verdict;
    bool matters = ends;
    for (const auto& attempt : settlement.attempts) matters = matters || attempt.counts;
    const bool listed = is_listed(epoch);
    // A verdict of the validator is the last that the timeline gets: how it came about always fits.
    const bool is_last = ends && settlement.status != Status::failed;
    if (!is_last && !(has_room(record) && (listed || matters))) return false;
    if (!listed) {
        const auto since = settlement.attempts.empty() ? now.wall : settlement.attempts.front().at;
        record.add.push_back({Event::Kind::leased, since, epoch, "by " + record.worker});
    }
    for (const auto& attempt : settlement.attempts)
        record.add.push_back(
            {Event::Kind::attempt, attempt.at, epoch,
             fmt::format("{} ms{}: {}", to_ms(attempt.took), attempt.counts ? "" : ", not counted", attempt.outcome)});
    return true;
}

} // namespace

Counts counts(const Record& record)
{
    Counts out{};
    out[static_cast<std::size_t>(record.order.status)] = 1;
    out[leased_count] = record.order.status == Status::processing && !record.worker.empty() ? 1 : 0;
    return out;
}

Counts operator-(const Counts& after, const Counts& before)
{
    Counts out{};
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = after[i] - before[i];
    return out;
}

Counts& operator+=(Counts& sum, const Counts& more)
{
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
    return sum;
}

Record created(NewOrder what, const Generation& generation, const Now& now)
{
    Record record{.order = {.generation = generation.name,
                            .what = std::move(what),
                            .epoch = generation.first_epoch,
                            .created = now.wall,
                            .updated = now.wall},
                  .due = now.job};
    record.add.push_back({Event::Kind::created, now.wall, 0, {}});
    return record;
}

Lease lease(Record& record, const std::string& worker, Duration lasts, const Now& now)
{
    Order& order = record.order;
    ++order.epoch;
    record.due = now.job + in_ms(lasts);
    record.worker = worker;
    if (is_listed(order.epoch)) record.add.push_back({Event::Kind::leased, now.wall, order.epoch, "by " + worker});
    return {.what = order.what,
            .epoch = order.epoch,
            .attempts = order.attempts,
            .created = order.created,
            .generation = order.generation,
            .tried_for = record.tried ? Duration(now.job - *record.tried) : Duration::zero()};
}

bool extend(Record& record, Epoch epoch, const std::string& generation, Duration lasts, const Now& now)
{
    const Order& order = record.order;
    if (order.status != Status::processing || order.epoch != epoch || record.worker.empty()) return false;
    if (!is_generation(order.generation, generation)) return false;
    record.due = now.job + in_ms(lasts);
    return true;
}

Settled settle(Record& record, const Settlement& settlement, const Now& now)
{
    Order& order = record.order;
    if (!is_generation(order.generation, settlement.generation)) return Settled::unknown;
    const bool ends = settlement.kind == Settlement::Kind::verdict;
    const auto settled = judge_settlement(order.status, order.epoch, settlement.epoch,
                                          ends ? std::optional(settlement.status) : std::nullopt);
    if (settled != Settled::applied) return settled;

    const bool list = list_attempts(record, settlement, now);
    for (const auto& attempt : settlement.attempts) {
        if (!attempt.counts) continue;
        ++order.attempts;
        if (!record.tried) record.tried = now.job;
    }
    order.reason = settlement.reason;
    if (ends) {
        end(record, settlement.status, now);
        return settled;
    }
    const auto pause = in_ms(settlement.pause);
    if (list)
        record.add.push_back(
            {settlement.kind == Settlement::Kind::retry ? Event::Kind::retry : Event::Kind::snoozed, now.wall,
             order.epoch,
             fmt::format("{}: {}", pause.count() == 0 ? "at once" : fmt::format("for {} ms", pause.count()),
                         settlement.reason)});
    order.updated = now.wall;
    ++order.epoch; // a repetition of this settlement must change nothing
    put_back(record, now.job + pause);
    return settled;
}

bool operate(Record& record, Operation operation, const Now& now)
{
    Order& order = record.order;
    const auto list = [&](Event::Kind kind) { record.add.push_back({kind, now.wall, order.epoch, "by an operator"}); };
    switch (operation) {
    case Operation::retry_now:
        if (order.status != Status::processing || !record.worker.empty()) return false;
        if (has_room(record)) list(Event::Kind::hastened);
        put_back(record, now.job);
        break;
    case Operation::cancel:
        if (order.status != Status::processing) return false;
        ++order.epoch; // ends the lease of the worker that holds it
        order.reason = "cancelled by an operator";
        end(record, Status::failed, now);
        break;
    case Operation::replay:
        if (order.status != Status::failed) return false;
        ++order.epoch;
        if (has_room(record))
            list(Event::Kind::replayed);
        else if (record.add.empty())
            --record.events; // the end of the round before
        else
            record.add.pop_back();
        order.status = Status::processing;
        order.reason.clear();
        order.attempts = 0;
        put_back(record, now.job);
        break;
    }
    order.updated = now.wall;
    return true;
}

} // namespace hotspare::orders
