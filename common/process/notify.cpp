#include "common/process/notify.hpp"

#include "common/unix_address.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace hotspare::process {
namespace {

constexpr std::size_t longest_state = 4096;

} // namespace

bool is_supervised() noexcept
{
    const char* const path = std::getenv(notify_variable);
    return path != nullptr && *path != '\0';
}

bool notify(std::string_view state) noexcept
{
    const char* const path = std::getenv(notify_variable);
    const auto address = path != nullptr ? unix_address(path) : std::nullopt;
    if (!address) return false;
    const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return socket && ::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT, address->get(),
                              address->size) == static_cast<ssize_t>(state.size());
}

std::optional<std::string> Notification::value(std::string_view name) const
{
    std::string_view rest = state;
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        const std::string_view line = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
        if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == '=')
            return std::string(line.substr(name.size() + 1));
    }
    return std::nullopt;
}

NotifySocket::NotifySocket(const std::filesystem::path& path)
{
    const auto fail = [&](const std::string& why) {
        throw StartupError(fmt::format("cannot listen on the Unix socket {}: {}", path.string(), why));
    };
    // The folder's path may be longer than the address of a socket can be.
    const Fd folder(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) fail(last_system_error().message());
    const auto name = fmt::format("/proc/self/fd/{}/{}", folder.get(), path.filename().string());
    const auto address = unix_address(name);
    if (!address) fail("the name is too long");
    ::unlink(name.c_str());
    socket_ = Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    if (!socket_ || ::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        ::bind(socket_.get(), address->get(), address->size) != 0 || ::chmod(name.c_str(), 0600) != 0)
        fail(last_system_error().message());
}

std::optional<Notification> NotifySocket::receive()
{
    std::array<char, longest_state> text{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
    iovec part{.iov_base = text.data(), .iov_len = text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return std::nullopt;
    Notification out{.state = std::string(text.data(), static_cast<std::size_t>(size))};
    for (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(header))) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS) continue;
        ucred sender{};
        std::memcpy(&sender, CMSG_DATA(header), sizeof sender);
        out.sender = sender.pid;
    }
    return out;
}

} // namespace hotspare::process
