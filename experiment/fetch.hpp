// One HTTP request by whoever may wait for it: probes, the backends' control requests. common/http/client with an event
// loop of its own around it.
//
// Thread: any; blocks it for `deadline` at most.
#pragma once

#include "common/config.hpp"
#include "common/http/client.hpp"

#include <string>

namespace hotspare::experiment {

/// Fails as http::fetch() does. `at` is an address, not a name.
result<http::Response> fetch(const config::HostPort& at, http::verb method, std::string path, Duration deadline);

/// The address that a name stands for; an address is returned as it is. Throws UsageError.
config::HostPort resolve(const config::HostPort& name);

} // namespace hotspare::experiment
