// The settings of validation_service. Filled before the service starts, immutable afterwards.
#pragma once

#include "common/config.hpp"
#include "orders/control_settings.hpp"
#include "orders/validation_service/work.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace hotspare::orders {

struct ValidationServiceSettings {
    std::string name = "validation_service";
    std::string host = "127.0.0.1";
    std::uint16_t port = 5002;
    ControlSettings control{};
    /// Empty: hotspare-validation-PORT.state in the working directory, or no file if the port is any free one, as the
    /// next start would not find it.
    std::string state{};
    std::string orders = "http://127.0.0.1:5001";
    std::string validator = "http://127.0.0.1:5003";
    /// Longer than the seed's slow validator takes, so that what is only slow still comes to a verdict.
    Duration call_timeout = seconds(5);
    Duration poll = seconds(1); ///< how long the order service may keep a request for jobs; a stop waits for it
    Duration drain = seconds(10);
    WorkSettings work{};
};

void fields(config::Fields& field, ValidationServiceSettings& settings);
void finish(ValidationServiceSettings& settings, const config::Places& places);

} // namespace hotspare::orders

namespace hotspare::resilience {

void fields(config::Fields& field, BreakerSettings& settings);
void fields(config::Fields& field, RetrySettings& settings);

} // namespace hotspare::resilience

template <> struct hotspare::config::EnumNames<hotspare::resilience::WindowKind> {
    static constexpr std::array<std::pair<std::string_view, hotspare::resilience::WindowKind>, 2> names{
        {{"count", hotspare::resilience::WindowKind::count}, {"time", hotspare::resilience::WindowKind::time}}};
};
