// The failure modes of the external service and POST /set_failure_mode: {"mode":"slow","delay":"3s","for":"10s",
// "rate":0.5}. They are faults of the backend (common/backend/fault.hpp), which knows when they end and whom they hit,
// under the names that the order pipeline has for them:
//
//     mode    what a call of /validate or /health meets                             fields
//     normal  the answer                                                            none
//     slow    `delay` (3 s), then the answer                                        delay, for, rate
//     error   500, without an effect                                                for, rate
//     down    nothing: the port is closed and what was open is cut                  for
//
// PURE.
#pragma once

#include "common/backend/fault.hpp"
#include "common/http/problem.hpp"

#include <boost/system/result.hpp>
#include <nlohmann/json_fwd.hpp>

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace hotspare::orders::external {

inline constexpr std::array<std::pair<std::string_view, backend::Mode>, 4> mode_names{
    {{"normal", backend::Mode::none},
     {"slow", backend::Mode::slow},
     {"down", backend::Mode::refuse},
     {"error", backend::Mode::error}}};

/// The word for a mode of the table above.
std::string_view word_for(backend::Mode mode) noexcept;

/// Strict: what is missing, unknown, of the wrong kind or without use for the mode is a 422 that names the field.
/// `normal` is Mode::none.
boost::system::result<backend::Fault, http::Problem> parse_failure_mode(const nlohmann::json& body);

/// What it means to the client that asked for it, as a sentence.
std::string describe(const backend::Fault& fault);

} // namespace hotspare::orders::external
