#include "tests/unit/experiment/orders/example_orders.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::experiment {
namespace {

constexpr std::int64_t stock = 1000;

TimelineEvent event(std::string word, std::int64_t epoch, std::string detail = {})
{
    return {.at = "2026-02-03T04:05:06.789Z", .event = std::move(word), .epoch = epoch, .detail = std::move(detail)};
}

OrderRecord good_order(const OrderContent& what, std::size_t index)
{
    OrderRecord order{.what = what,
                      .status = what.quantity > stock ? "Rejected" : "Validated",
                      .reason = "",
                      .epoch = 0,
                      .attempts = 1,
                      .timeline = {event("created", 0)}};
    auto& epoch = order.epoch;
    if (index == 0) {
        ++epoch;
        order.timeline.insert(order.timeline.end(), {event("leased", epoch, "by w1"), event("attempt", epoch),
                                                     event("failed", epoch, "3 attempts failed")});
        order.timeline.push_back(event("replayed", ++epoch, "by an operator"));
    }
    if (index % 4 == 1) {
        ++epoch;
        order.timeline.insert(order.timeline.end(), {event("leased", epoch, "by w1"), event("attempt", epoch, "failed"),
                                                     event("retry", epoch, "for 100 ms")});
        ++epoch; // putting it back takes the lease away
        order.timeline.push_back(event("hastened", epoch, "by an operator"));
        order.timeline.push_back(event("leased", ++epoch, "by a worker that died"));
    }
    order.timeline.insert(order.timeline.end(), {event("leased", ++epoch, "by w2"), event("attempt", epoch, "valid"),
                                                 event(what.quantity > stock ? "rejected" : "validated", epoch)});
    return order;
}

template <class List, class Name> auto& found(List& list, const std::string& order_id, Name name)
{
    return *std::ranges::find_if(list, [&](const auto& entry) { return name(entry) == order_id; });
}

} // namespace

std::string example_id(std::size_t index)
{
    return fmt::format("order-{}", index);
}

OrdersHistory good_orders(FailureMode mode, std::size_t count)
{
    OrdersHistory history;
    history.mode = mode;
    history.orders = count;
    history.rate = 50;
    history.seed = 7;
    history.target = "an example";
    history.started = "2026-02-03T04:05:06.789Z";
    history.counted = true;
    const bool is_fault = mode != FailureMode::normal;
    const Nanos end = milliseconds(20) * static_cast<int>(count);
    history.healths.push_back({.at = -milliseconds(50), .service = "external_service", .status = "healthy"});
    if (is_fault) {
        history.faults.push_back(
            {.at = -milliseconds(10), .what = fmt::format("external_service: {}", to_string(mode))});
        history.healths.push_back(
            {.at = milliseconds(900), .service = "external_service", .status = std::string(health_word(mode))});
        history.heals.push_back({.at = end + seconds(3), .what = "external_service: normal"});
        history.healths.push_back({.at = end + seconds(5), .service = "external_service", .status = "healthy"});
    }
    history.drained = end + seconds(4);
    for (std::size_t i = 0; i < count; ++i) {
        const OrderContent what{
            .order_id = example_id(i), .product = "Medicine A", .quantity = i % 5 == 4 ? stock + 1 : 10};
        const Nanos due = milliseconds(20) * static_cast<int>(i);
        history.creates.push_back({.what = what,
                                   .due = due,
                                   .invoked = due + microseconds(80),
                                   .ended = due + milliseconds(4),
                                   .outcome = CreateOutcome::ok,
                                   .status = 200});
        history.present.push_back(good_order(what, i));
        const auto& status = history.present.back().status;
        history.listed.insert(history.listed.begin(), {.what = what, .status = status}); // the newest first
        history.effects.push_back({.key = what.order_id,
                                   .order_id = what.order_id,
                                   .verdict = status,
                                   .at_ms = 1'770'091'506'789,
                                   .stock = stock});
    }
    return history;
}

CreateRecord& create_of(OrdersHistory& history, const std::string& order_id)
{
    return found(history.creates, order_id, [](const CreateRecord& create) { return create.what.order_id; });
}

OrderRecord& order_of(OrdersHistory& history, const std::string& order_id)
{
    return found(history.present, order_id, [](const OrderRecord& order) { return order.what.order_id; });
}

EffectRecord& effect_of(OrdersHistory& history, const std::string& order_id)
{
    return found(history.effects, order_id, [](const EffectRecord& effect) { return effect.order_id; });
}

} // namespace hotspare::experiment
