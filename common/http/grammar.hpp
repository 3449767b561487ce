// The small judgements that every strict reader of HTTP in the suite makes, the control plane's and the balancer's: in
// one place, so that the two cannot differ about what is well formed.
//
// PURE. Any thread.
#pragma once

#include <string_view>

namespace hotspare::http {

/// uri-host [":" port] without userinfo (RFC 9110 §7.2); may be empty. What could be read as something else is refused,
/// not what a name server would refuse.
bool is_host(std::string_view text) noexcept;

/// Whether a client's X-Request-Id is passed on and logged: 1 to 128 visible characters that upset no log line and no
/// JSON.
bool is_request_id(std::string_view text) noexcept;

} // namespace hotspare::http
