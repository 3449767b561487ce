// Tells what supervises this process of its state, as sd_notify(3) does: by a datagram to the Unix socket that
// NOTIFY_SOCKET names. systemd understands it, and so does the suite's own supervisor.
//
// Any thread; no state.
#pragma once

#include "common/error.hpp"
#include "common/socket.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace hotspare::process {

/// The variable that names the socket.
inline constexpr const char* notify_variable = "NOTIFY_SOCKET";

/// Whether there is one to be told.
bool is_supervised() noexcept;

/// Sends `state`, lines of NAME=VALUE, such as "READY=1". Does nothing, and returns false, if NOTIFY_SOCKET is not set
/// or nothing listens there: a daemon runs without a supervisor as well.
bool notify(std::string_view state) noexcept;

struct Notification {
    pid_t sender = 0; ///< as the kernel says it
    std::string state;

    /// The value in the line that begins with `name` and '='; nothing if there is none.
    std::optional<std::string> value(std::string_view name) const;
};

/// The other side: a socket at `path`, in place of what was there, that only the own user and root can send to. Its
/// descriptor is readable when there is something to receive().
class NotifySocket {
public:
    /// Throws StartupError.
    explicit NotifySocket(const std::filesystem::path& path);

    int descriptor() const noexcept { return socket_.get(); }
    /// The next one; nothing if none waits. Does not block.
    std::optional<Notification> receive();

private:
    Fd socket_;
};

} // namespace hotspare::process
