#include "common/process/process.hpp"

#include <fmt/format.h>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <set>

extern "C" {
#include <sys/pidfd.h> // glibc 2.36 forgot to say that its functions are C
}

namespace hotspare::process {

std::string describe(const Exit& exit)
{
    switch (exit.kind) {
    case Exit::Kind::exited: return fmt::format("exited with {}", exit.value);
    case Exit::Kind::killed: {
        const char* const name = ::sigabbrev_np(exit.value);
        const auto signal = name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", exit.value);
        return fmt::format("was ended by {}{}", signal, exit.dumped_core ? " (core dumped)" : "");
    }
    case Exit::Kind::unknown: return "ended";
    }
    return {};
}

int shell_code(const Exit& exit) noexcept
{
    switch (exit.kind) {
    case Exit::Kind::exited: return exit.value;
    case Exit::Kind::killed: return 128 + exit.value;
    case Exit::Kind::unknown: return -1;
    }
    return -1;
}

result<Process> Process::open(const Identity& identity)
{
    Fd pidfd(::pidfd_open(identity.pid, 0));
    if (!pidfd)
        return errno == ESRCH ? error_code(errc::not_found) : error_code(errno, boost::system::system_category());
    // From here on the id cannot be given to another process without our noticing.
    const auto now = identity_of(identity.pid);
    const bool same_boot = now && (identity.boot_id.empty() || now->boot_id == identity.boot_id);
    const bool same_start = now && (identity.start_time == 0 || now->start_time == identity.start_time);
    if (!same_boot || !same_start) return error_code(errc::not_found);
    return Process(*now, std::move(pidfd));
}

bool Process::signal(int number) const noexcept
{
    // To one that has ended and was not waited for, the kernel would deliver it without effect.
    return !ended() && ::pidfd_send_signal(pidfd_.get(), number, nullptr, 0) == 0;
}

bool Process::ended(Duration bound) const noexcept
{
    if (!pidfd_ || exit_) return true;
    const TimePoint deadline = Clock::now() + bound;
    for (;;) {
        pollfd end{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
        const auto left = to_timespec(deadline - Clock::now());
        const int ready = ::ppoll(&end, 1, &left, nullptr);
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR) return false;
    }
}

bool Process::stopped() const
{
    if (!pidfd_ || exit_) return false;
    const auto stat = stat_of(identity_.pid);
    return stat && stat->state == 'T' && stat->start_time == identity_.start_time;
}

std::optional<Exit> Process::reap() noexcept
{
    if (exit_ || !ended()) return exit_;
    siginfo_t info{};
    int done = 0;
    do {
        done = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
    } while (done != 0 && errno == EINTR);
    exit_ = Exit{};
    if (done == 0 && info.si_pid != 0)
        exit_ = Exit{.kind = info.si_code == CLD_EXITED ? Exit::Kind::exited : Exit::Kind::killed,
                     .value = info.si_status,
                     .dumped_core = info.si_code == CLD_DUMPED};
    return exit_;
}

std::uint16_t free_port()
{
    constexpr std::uint16_t first = 20000, last = 32000; // Linux gives outgoing connections 32768 and above
    static std::mt19937 random{std::random_device{}()};
    std::uniform_int_distribution<std::uint16_t> draw(first, last);
    static std::set<std::uint16_t> given; // the last one may not be bound yet
    for (int tries = 0; tries < 10000; ++tries) {
        const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!fd) break;
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(draw(random));
        if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
            given.insert(ntohs(address.sin_port)).second)
            return ntohs(address.sin_port);
    }
    throw StartupError(fmt::format("no free port on 127.0.0.1 between {} and {}", first, last));
}

} // namespace hotspare::process
