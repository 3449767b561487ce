#include "common/process/predecessor.hpp"

#include "common/clock.hpp"
#include "common/process/listen_sockets.hpp"
#include "common/process/notify.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hotspare::process {
namespace {

/// The document is written at once.
constexpr Duration patience = seconds(5);
constexpr std::size_t largest_document = 16 << 20;
constexpr std::size_t longest_reason = 2000;

} // namespace

Predecessor::Predecessor() : channel_(take_channel(predecessor_name)) {}

std::string Predecessor::document()
{
    std::string out;
    const TimePoint late = Clock::now() + patience;
    std::array<char, 16384> part{};
    while (channel_ && out.size() < largest_document) {
        pollfd readable{channel_.get(), POLLIN, 0};
        const auto left = std::chrono::duration_cast<milliseconds>(late - Clock::now()).count();
        const int found = ::poll(&readable, 1, static_cast<int>(std::max<decltype(left)>(left, 0)));
        if (found < 0 && errno == EINTR) continue;
        if (found <= 0) return {};
        const ssize_t n = ::recv(channel_.get(), part.data(), part.size(), 0);
        if (n == 0) return out;
        if (n < 0 && errno != EINTR && errno != EAGAIN) return {};
        if (n > 0) out.append(part.data(), static_cast<std::size_t>(n));
    }
    return {};
}

bool Predecessor::tell_ready()
{
    if (!channel_) return true;
    const bool told = tell("ready\n");
    channel_.reset();
    return told || !is_supervised();
}

void Predecessor::tell_failure(std::string_view why) noexcept
{
    if (!channel_) return;
    try {
        std::string line = "failed " + std::string(why.substr(0, longest_reason));
        std::ranges::replace(line, '\n', ';');
        tell(line + "\n");
    } catch (const std::bad_alloc&) { // it sees that the channel is closed
    }
    channel_.reset();
}

bool Predecessor::tell(const std::string& line) noexcept
{
    return ::send(channel_.get(), line.data(), line.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(line.size());
}

} // namespace hotspare::process
