// What a file says about routes, and how that becomes RouteConfigs: conditions parsed, pages of errors read, pools
// found by their names.
//
// Used at the start and wherever the configuration is read again. Any thread.
#pragma once

#include "balancer/config.hpp"
#include "common/config.hpp"

#include <string>
#include <vector>

namespace hotspare::balancer {

struct RouteSettings {
    std::string path;
    std::string prefix;
    std::string query;  ///< NAME=VALUE, or NAME alone
    std::string header; ///< "NAME: VALUE", or NAME alone
    std::string rewrite;
    bool repeatable = false;
    Duration timeout{};    ///< 0 = timeouts.request
    Duration body_idle{};  ///< 0 = timeouts.body_idle
    unsigned attempts = 0; ///< 0 = the pool's
    bool hedge = true;
    std::vector<std::string> set_request_headers, remove_request_headers;
    std::vector<std::string> set_response_headers, remove_response_headers;
    std::string error_page;      ///< a file
    std::string error_page_html; ///< that it held when finish() read it
    std::string redirect;
    unsigned redirect_status = 308;
    Builtin builtin = Builtin::none;
    std::string pool; ///< empty = the first one
};

void fields(config::Fields& field, RouteSettings& settings);

/// Fills in what was left to be understood, reads error pages, and checks what spans several keys. `pools`: the names
/// of all, of which there is one. Throws one UsageError for all that is wrong. Doing it again changes nothing.
void complete(std::vector<RouteSettings>& routes, const std::vector<std::string>& pools, const config::Places& places);

/// Of a completed route. Its pool's index is the position in `pools`.
RouteConfig to_config(const RouteSettings& route, const std::vector<std::string>& pools, const TimeoutConfig& timeouts);

} // namespace hotspare::balancer
