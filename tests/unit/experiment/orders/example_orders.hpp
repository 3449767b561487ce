// Histories of the order pipeline for the tests of their readers and judges: one that keeps every promise, and what is
// needed to forge it.
#pragma once

#include "experiment/orders/history.hpp"

#include <string>

namespace hotspare::experiment {

/// `count` orders during a fault of that mode: every fifth exceeds the validator's stock and is rejected, every fourth
/// was tried twice, the first one had Failed and was replayed. Everything is as it should be.
OrdersHistory good_orders(FailureMode mode = FailureMode::down, std::size_t count = 10);

/// order-0, order-1, ...
std::string example_id(std::size_t index);

/// What stands there for that order. Precondition: it does.
CreateRecord& create_of(OrdersHistory& history, const std::string& order_id);
OrderRecord& order_of(OrdersHistory& history, const std::string& order_id);
EffectRecord& effect_of(OrdersHistory& history, const std::string& order_id);

} // namespace hotspare::experiment
