// What a file or an operator's request says about routes, by one set of rules, and how that becomes RouteConfigs:
// conditions parsed, pages of errors read, pools found by their names.
//
// Any thread.
#pragma once

#include "balancer/config.hpp"
#include "common/config.hpp"

#include <boost/system/result.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace hotspare::balancer {

void fields(config::Fields& field, RouteSettings& settings);

/// Gives the HTML of an error page by the name of its file, or says what is wrong with that.
using ErrorPages = std::function<boost::system::result<std::string, std::string>(const std::string& file)>;
/// Reads it, at most 64 KiB.
boost::system::result<std::string, std::string> read_error_page(const std::string& file);

constexpr std::size_t most_routes = 10'000;
bool is_route_list(const std::vector<RouteSettings>& list);
inline constexpr auto a_route_list = "at most 10000 routes";

/// What two routes of a list must not have in common, as they would be for the same requests.
using MatchKey = std::array<std::string, 4>;
MatchKey match_key(const RouteSettings& route);

/// Fills in what was left to be understood and checks what spans several keys; they are those of `routes[0]`,
/// `routes[1]` and so on. `pools`: the names of all, of which there is one. Throws one UsageError for all that is
/// wrong. Doing it again changes nothing.
void complete(std::vector<RouteSettings>& routes, const std::vector<std::string>& pools, const ErrorPages& pages,
              const config::Places& places);

/// Of a completed route. Its pool's index is the position in `pools`.
RouteConfig to_config(const RouteSettings& route, const std::vector<std::string>& pools, const TimeoutConfig& timeouts);

} // namespace hotspare::balancer
