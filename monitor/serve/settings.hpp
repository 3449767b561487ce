// The settings of the monitor.
//
// Filled before the daemon starts, immutable afterwards.
#pragma once

#include "common/config.hpp"
#include "monitor/access/authenticator.hpp"
#include "monitor/check/settings.hpp"
#include "monitor/notify/channels.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace hotspare::monitor {

struct MonitorSettings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8000;
    unsigned port_offset = 0; ///< flag only
    std::string name = "monitor";
    std::string title = "Service status";
    std::string url{}; ///< where the public pages are; empty: host and port
    std::string data = "monitor.sqlite";
    std::string store{}; ///< URL of a database for maintenance windows; empty: they are in `data`
    std::vector<TargetSettings> targets{};
    double objective = 99.9; ///< in percent
    Duration jump_tolerance = milliseconds(500);

    std::vector<UserSettings> users{};
    std::vector<std::string> hosts{};   ///< by which pages may be asked for, beside localhost and addresses
    std::vector<std::string> origins{}; ///< of other pages that may read streams
    bool public_pages = true;           ///< false: credentials are needed for everything but /health

    std::vector<Channel> channels{};
    Duration gather = seconds(5);
    std::size_t digest_above = 3;
    Duration cooldown = std::chrono::minutes(15);

    Duration notice = std::chrono::hours(48);

    std::string dashboard{}; ///< name of a target that is a balancer: `/` is the dashboard of its versions
    Duration drain = seconds(10);
};

void fields(config::Fields& field, MonitorSettings& settings);
/// --port-offset
void flags(config::Flags& list, MonitorSettings& settings);
/// Refuses also what is missing in the environment, and a public password where others can connect.
void finish(MonitorSettings& settings, const config::Places& places);
/// Takes the secrets of the channels from the environment. Of complete settings, at the start of the daemon.
void finish_from_environment(MonitorSettings& settings);

/// Of the user of the files of the demonstration.
inline constexpr auto demo_password = "secure123";

} // namespace hotspare::monitor
