// What the `url` of a backend may be: http://HOST[:PORT], or unix:PATH of a socket on this machine.
//
// Any thread; no state.
#pragma once

#include "balancer/config.hpp"
#include "common/config.hpp"

#include <string>
#include <string_view>

namespace hotspare::balancer {

inline constexpr auto a_backend_url = "http://HOST[:PORT] without a path, or unix:/PATH of a socket";

/// The path of unix:PATH: absolute, and no longer than the address of a Unix socket can be (107 bytes, unix(7)).
config::Parsed<std::string> parse_unix_url(std::string_view url);

bool is_backend_url(const std::string& url);

/// Where `backend.url`, which is_backend_url(), leads. A Unix socket's host is "localhost", as nothing else is known to
/// be named in a Host field.
void set_address(BackendConfig& backend);

} // namespace hotspare::balancer
