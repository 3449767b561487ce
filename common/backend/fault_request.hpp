// What POST /fail asks for, read from its query and its JSON body: {"mode":"slow","delay":"2s","for":"5s","rate":0.5}.
// Strict: an unknown field, a value of the wrong kind, or one that the mode has no use for is a 422 that names the
// field.
//
// PURE.
#pragma once

#include "common/backend/fault.hpp"
#include "common/http/problem.hpp"

#include <boost/system/result.hpp>
#include <nlohmann/json_fwd.hpp>

#include <string>
#include <utility>
#include <vector>

namespace hotspare::backend {

/// `query` holds decoded names and values, `body` a JSON object (empty when there was none) that
/// overrides them. `default_mode` is meant when no mode is named.
boost::system::result<Fault, http::Problem> parse_fault(const std::vector<std::pair<std::string, std::string>>& query,
                                                        const nlohmann::json& body, Mode default_mode);

} // namespace hotspare::backend
