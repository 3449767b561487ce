// The settings of the monitor service.
//
// Filled before the service starts, immutable afterwards.
#pragma once

#include "common/config.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace hotspare::orders::monitor {

struct WatchedService {
    std::string name;
    std::string url; ///< http://HOST[:PORT]; /health is asked for
};

struct Settings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 5004;
    Duration interval = seconds(2);
    Duration fast_interval = milliseconds(500);
    Duration timeout = seconds(5);
    Duration slow = milliseconds(500);
    std::vector<WatchedService> services{{"gateway", "http://127.0.0.1:8080"},
                                         {"order_service", "http://127.0.0.1:5001"},
                                         {"validation_service", "http://127.0.0.1:5002"},
                                         {"external_service", "http://127.0.0.1:5003"}};
    Duration drain = seconds(10);
};

void fields(config::Fields& field, Settings& settings);
/// --service NAME=URL
void flags(config::Flags& list, Settings& settings);
void finish(Settings& settings, const config::Places& places);

} // namespace hotspare::orders::monitor
