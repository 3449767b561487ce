#include "balancer/backend_url.hpp"

#include "common/unix_address.hpp"

#include <utility>

namespace hotspare::balancer {
namespace {

constexpr std::string_view scheme = "unix:";

} // namespace

config::Parsed<std::string> parse_unix_url(std::string_view url)
{
    if (!url.starts_with(scheme)) return config::not_valid(url, a_backend_url);
    const std::string_view path = url.substr(scheme.size());
    if (!path.starts_with('/')) return config::not_valid(url, "unix: and an absolute path");
    if (path.size() > longest_socket_path)
        return config::not_valid(url, "a path of at most 107 bytes, the longest address of a Unix socket");
    for (const char c : path)
        if (static_cast<unsigned char>(c) < ' ' || c == 0x7f)
            return config::not_valid(url, "a path without control characters");
    return {boost::system::in_place_value, path};
}

bool is_backend_url(const std::string& url)
{
    return config::is_http_origin(url) || parse_unix_url(url).has_value();
}

void set_address(BackendConfig& backend)
{
    if (auto path = parse_unix_url(backend.url)) {
        backend.socket = std::move(*path);
        backend.host = "localhost";
        backend.port = 80;
        return;
    }
    auto address = config::parse_http_origin(backend.url).value();
    backend.socket.clear();
    backend.host = std::move(address.host);
    backend.port = address.port;
}

} // namespace hotspare::balancer
