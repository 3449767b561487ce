// What a balancer says in its /status of who is out by an operator's order, as the decision about closed pools needs it
// (decide/closing.hpp).
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/closing.hpp"

#include <boost/system/result.hpp>

#include <string>
#include <string_view>

namespace hotspare::monitor {

/// Fails with a clause for people when the text is not the status of a balancer.
boost::system::result<PoolStatus, std::string> read_pool_status(std::string_view text);

} // namespace hotspare::monitor
