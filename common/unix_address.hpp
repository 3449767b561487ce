// The address of a Unix socket (unix(7)).
//
// Any thread; no state.
#pragma once

#include <optional>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>

namespace hotspare {

/// Bytes that the path of a Unix socket has at most.
inline constexpr std::size_t longest_socket_path = sizeof(sockaddr_un::sun_path) - 1;

struct UnixAddress {
    sockaddr_un storage{};
    socklen_t size = 0;

    const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Of a path; one that begins with '@' is a name in the abstract namespace, as systemd writes it. Nothing if it is
/// empty or longer than longest_socket_path.
std::optional<UnixAddress> unix_address(std::string_view path) noexcept;

} // namespace hotspare
