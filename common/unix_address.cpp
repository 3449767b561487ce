#include "common/unix_address.hpp"

#include <cstddef>

namespace hotspare {

std::optional<UnixAddress> unix_address(std::string_view path) noexcept
{
    if (path.empty() || path.size() > longest_socket_path) return std::nullopt;
    UnixAddress out;
    out.storage.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(out.storage.sun_path), path.size());
    if (path.front() == '@') out.storage.sun_path[0] = '\0';
    out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    return out;
}

} // namespace hotspare
