#include "common/unix_address.hpp"

#include <cerrno>
#include <cstddef>
#include <string>

namespace hotspare {
namespace {

class SocketFileCategory final : public boost::system::error_category {
public:
    const char* name() const noexcept override { return "socket file"; }
    std::string message(int value) const override { return boost::system::system_category().message(value); }
};

} // namespace

error_code connect_failure(int error) noexcept
{
    static const SocketFileCategory file;
    if (error == EAGAIN) error = ECONNREFUSED;
    if (error == EACCES) return {error, file};
    return {error, boost::system::system_category()};
}

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
