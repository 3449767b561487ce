#include "orders/order_service/transition.hpp"

#include <fmt/format.h>

#include <utility>

namespace hotspare::orders {
namespace {

void add(Record& record, Event event)
{
    const bool routine = event.kind == Event::Kind::leased || event.kind == Event::Kind::snoozed ||
                         event.kind == Event::Kind::retry || event.kind == Event::Kind::attempt;
    if (routine && record.events + static_cast<std::int64_t>(record.add.size()) >= most_routine_events) return;
    record.add.push_back(std::move(event));
}

/// The round is over.
void end(Record& record, Status status, WallTime now)
{
    Order& order = record.order;
    order.status = status;
    order.updated = now;
    record.worker.clear();
    add(record, {terminal_event(status), now, order.epoch, order.reason});
}

void put_back(Record& record, WallTime due)
{
    record.due = due;
    record.worker.clear();
}

std::int64_t in_ms(Duration span)
{
    return std::chrono::ceil<milliseconds>(span).count();
}

} // namespace

Record created(NewOrder what, WallTime now)
{
    Record record{.order = {.what = std::move(what), .created = now, .updated = now}, .due = now};
    add(record, {Event::Kind::created, now, 0, {}});
    return record;
}

Lease lease(Record& record, const std::string& worker, Duration lasts, WallTime now)
{
    Order& order = record.order;
    ++order.epoch;
    record.due = now + lasts;
    record.worker = worker;
    add(record, {Event::Kind::leased, now, order.epoch, "by " + worker});
    return {.what = order.what, .epoch = order.epoch, .attempts = order.attempts, .created = order.created};
}

bool extend(Record& record, Epoch epoch, WallTime until)
{
    if (record.order.status != Status::processing || record.order.epoch != epoch || record.worker.empty()) return false;
    record.due = until;
    return true;
}

Settled settle(Record& record, const Settlement& settlement, WallTime now)
{
    Order& order = record.order;
    const bool ends = settlement.kind == Settlement::Kind::verdict;
    const auto settled = judge_settlement(order.status, order.epoch, settlement.epoch,
                                          ends ? std::optional(settlement.status) : std::nullopt);
    if (settled != Settled::applied) return settled;

    for (const auto& attempt : settlement.attempts) {
        order.attempts += attempt.counts ? 1 : 0;
        add(record,
            {Event::Kind::attempt, attempt.at, order.epoch,
             fmt::format("{} ms{}: {}", to_ms(attempt.took), attempt.counts ? "" : ", not counted", attempt.outcome)});
    }
    order.reason = settlement.reason;
    if (ends) {
        end(record, settlement.status, now);
        return settled;
    }
    const auto pause = in_ms(settlement.pause);
    add(record,
        {settlement.kind == Settlement::Kind::retry ? Event::Kind::retry : Event::Kind::snoozed, now, order.epoch,
         fmt::format("{}: {}", pause == 0 ? "for anybody" : fmt::format("for {} ms", pause), settlement.reason)});
    order.updated = now;
    ++order.epoch; // a repetition of this settlement must change nothing
    put_back(record, now + milliseconds(pause));
    return settled;
}

bool operate(Record& record, Operation operation, WallTime now)
{
    Order& order = record.order;
    switch (operation) {
    case Operation::retry_now:
        if (order.status != Status::processing || !record.worker.empty()) return false;
        add(record, {Event::Kind::hastened, now, order.epoch, "by an operator"});
        put_back(record, now);
        break;
    case Operation::cancel:
        if (order.status != Status::processing) return false;
        ++order.epoch; // whoever has it has it no longer
        order.reason = "cancelled by an operator";
        end(record, Status::failed, now);
        break;
    case Operation::replay:
        if (order.status != Status::failed) return false;
        ++order.epoch;
        add(record, {Event::Kind::replayed, now, order.epoch, "by an operator"});
        order.status = Status::processing;
        order.reason.clear();
        order.attempts = 0;
        put_back(record, now);
        break;
    }
    order.updated = now;
    return true;
}

} // namespace hotspare::orders
