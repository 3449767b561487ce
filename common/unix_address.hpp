// The address of a Unix socket (unix(7)).
//
// Any thread; no state.
#pragma once

#include "common/error.hpp"

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

/// What a failed connect() to a Unix socket means, by its errno. A full queue (EAGAIN) is a refusal. A permission that
/// the file denies (EACCES) is an error that is_own_shortage() does not take for one, as it does that of other sockets:
/// it says something about this server and nothing about the next one.
error_code connect_failure(int error) noexcept;

} // namespace hotspare
