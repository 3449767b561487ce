#include "common/privileges.hpp"

#include "common/error.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace hotspare {
namespace {

void require(bool done, const std::string& user)
{
    if (!done) throw StartupError(fmt::format("cannot become the user '{}': {}", user, std::strerror(errno)));
}

/// For good: neither this process nor what it executes can get another capability back.
bool keep_only_low_ports()
{
    // Only a process that may change its capabilities can drop them from the bounding set; else they are gone already.
    for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
        if (capability != CAP_NET_BIND_SERVICE) ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
    const auto low_ports = data[0].permitted & 1U << CAP_NET_BIND_SERVICE; // a container may not have it
    data = {{{low_ports, low_ports, 0}, {0, 0, 0}}};
    return ::syscall(SYS_capset, &header, data.data()) == 0;
}

} // namespace

void become_user(const std::string& user)
{
    const passwd* const entry = ::getpwnam(user.c_str()); // NOLINT(concurrency-mt-unsafe): there is one thread
    if (entry == nullptr) throw UsageError(fmt::format("--user: no user '{}', expected one of this machine", user));
    if (entry->pw_uid == ::geteuid()) return;
    if (::geteuid() != 0)
        throw UsageError(
            fmt::format("--user: only root can become the user '{}', expected to be started as root", user));
    require(::initgroups(user.c_str(), entry->pw_gid) == 0, user);
    require(::setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) == 0, user);
    require(::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0, user);
    require(::setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) == 0, user);
    require(keep_only_low_ports(), user);
}

void give_up_capabilities()
{
    if (::geteuid() != 0) return;
    if (!keep_only_low_ports())
        throw StartupError(fmt::format("cannot give up the rights of root: {}", std::strerror(errno)));
}

} // namespace hotspare
