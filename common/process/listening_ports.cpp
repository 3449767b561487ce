#include "common/process/listening_ports.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

namespace hotspare::process {
namespace {

/// The ports of sockets in the state LISTEN, by inode (proc(5), /proc/net/tcp).
std::map<std::string, std::uint16_t> listening_sockets(pid_t pid)
{
    std::map<std::string, std::uint16_t> out;
    for (const char* const family : {"tcp", "tcp6"}) {
        std::ifstream in(fmt::format("/proc/{}/net/{}", pid, family));
        for (std::string line; std::getline(in, line);) {
            std::istringstream words(line);
            std::string slot, local, remote, state, queues, timer, retransmits, user, timeout, inode;
            words >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode;
            const auto colon = local.find(':');
            if (state != "0A" || colon == std::string::npos) continue;
            out[inode] = static_cast<std::uint16_t>(std::stoul(local.substr(colon + 1), nullptr, 16));
        }
    }
    return out;
}

} // namespace

std::vector<std::uint16_t> listening_ports(pid_t pid)
{
    constexpr std::string_view prefix = "socket:[";
    const auto sockets = listening_sockets(pid);
    std::set<std::uint16_t> ports;
    std::error_code error;
    std::filesystem::directory_iterator descriptor(fmt::format("/proc/{}/fd", pid), error);
    for (; !error && descriptor != std::filesystem::directory_iterator(); descriptor.increment(error)) {
        std::error_code gone;
        const auto what = std::filesystem::read_symlink(descriptor->path(), gone).string();
        if (gone || !what.starts_with(prefix)) continue;
        const auto found = sockets.find(what.substr(prefix.size(), what.size() - prefix.size() - 1));
        if (found != sockets.end()) ports.insert(found->second);
    }
    return {ports.begin(), ports.end()};
}

} // namespace hotspare::process
