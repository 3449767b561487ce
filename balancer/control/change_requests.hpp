// What operators' requests that change the configuration say, and what they are answered.
//
// It only reads and writes values. Any thread.
#pragma once

#include "balancer/control/change_report.hpp"
#include "balancer/decide/topology.hpp"
#include "common/http/problem.hpp"

#include <boost/system/result.hpp>

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

/// The body of PUT /admin/pools/{pool}/backends: {"backends":[{"name","url","weight","order"}]}. In the order of
/// preference: by `order` where it is given, which is 0 where it is not, and else as they are listed. Fails with a 422
/// that names the field, as backends[2].url, or a 400 for what is no JSON.
boost::system::result<std::vector<BackendConfig>, http::Problem> read_members(std::string_view text);

/// {"pool","generation","source","backends":[{"name","url","weight"}]}, in the order of preference. `source` is
/// "configuration" or "request".
nlohmann::json members_json(const Topology& topology, PoolIndex pool);

/// The body of PUT /admin/routes: {"routes":[...]} with the keys of a route in the configuration, of which `dynamic`
/// may be left out. `topology` names the pools that there are. No file is read: error pages are without their HTML.
/// Fails as read_members().
boost::system::result<std::vector<RouteSettings>, http::Problem> read_routes(std::string_view text,
                                                                             const Topology& topology);

/// {"generation","source","routes":[...]}, in the order in which they are matched, each with the keys that differ from
/// their defaults. `source` is "configuration" or "request": where the dynamic ones are from.
nlohmann::ordered_json routes_json(const Topology& topology);
/// Of one that is done: {"generation","changed","needs_restart","replaced","routes_replaced"}.
nlohmann::json to_json(const ChangeReport& report);
/// Of another one.
http::Problem to_problem(const ChangeReport& report);

/// The entity tag of what a generation says.
std::string tag_of(std::uint64_t generation);

} // namespace hotspare::balancer
