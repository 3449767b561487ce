// The settings of order_service. Filled before the service starts, immutable afterwards.
#pragma once

#include "common/config.hpp"
#include "common/storage/sqlite.hpp"
#include "orders/control_settings.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace hotspare::orders {

struct OrderServiceSettings {
    std::string name = "order_service";
    std::string host = "127.0.0.1";
    std::uint16_t port = 5001;
    ControlSettings control{};
    std::string store{}; ///< a database's URL; empty: `data`
    std::string queue{}; ///< Redis' URL; empty: the store itself
    std::string data = "hotspare-orders.sqlite";
    storage::Synchronous synchronous = storage::Synchronous::full;
    Duration lease = seconds(30);
    Duration answer_within = milliseconds(1500); ///< 2 s are promised, the way there and back included
    Duration drain = seconds(10);
};

void fields(config::Fields& field, OrderServiceSettings& settings);
void finish(OrderServiceSettings& settings, const config::Places& places);

} // namespace hotspare::orders

template <> struct hotspare::config::EnumNames<hotspare::storage::Synchronous> {
    static constexpr std::array<std::pair<std::string_view, hotspare::storage::Synchronous>, 2> names{
        {{"full", hotspare::storage::Synchronous::full}, {"normal", hotspare::storage::Synchronous::normal}}};
};
