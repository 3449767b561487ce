// The settings of the external service.
//
// Filled before the service starts, immutable afterwards.
#pragma once

#include "common/config.hpp"
#include "orders/control_settings.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace hotspare::orders::external {

struct Settings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 5003;
    ControlSettings control{};
    std::uint32_t stock = 1000;
    Duration latency = milliseconds(5);
    std::string ledger{}; ///< empty: none
    std::size_t keys = 1'000'000;
    Duration drain = seconds(10);
};

void fields(config::Fields& field, Settings& settings);

} // namespace hotspare::orders::external
