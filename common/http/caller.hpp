// What a request that the Server has read says of its sender, for the guard (guard.hpp).
//
// Any thread that owns the request.
#pragma once

#include "common/http/guard.hpp"
#include "common/http/message.hpp"

namespace hotspare::http {

/// The views refer to `request`, which must outlive them and not change.
Caller caller_of(const Request& request);

} // namespace hotspare::http
