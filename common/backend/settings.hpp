// The settings of a backend, with the defaults that primary and spare share; their main() sets the rest.
//
// Filled before the service starts, immutable afterwards.
#pragma once

#include "common/backend/fault.hpp"
#include "common/config.hpp"

#include <cstdint>
#include <string>

namespace hotspare::backend {

struct Settings {
    std::string role; ///< of the program, not a setting: "primary" or "spare"
    std::string name; ///< how it calls itself in its answers
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    std::uint16_t control_port = 0;
    std::string version = "v1";
    std::string data = "hotspare-data.sqlite";
    std::string ledger{}; ///< empty: none
    Mode fail_mode = Mode::error;
    Duration drain = seconds(10);
};

void fields(config::Fields& field, Settings& settings);

} // namespace hotspare::backend

template <> struct hotspare::config::EnumNames<hotspare::backend::Mode> {
    static constexpr auto names = hotspare::backend::mode_names;
};
