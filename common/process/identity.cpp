#include "common/process/identity.hpp"

#include "common/socket.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>

namespace hotspare::process {
namespace {

std::string boot_id()
{
    std::ifstream in("/proc/sys/kernel/random/boot_id");
    std::string id;
    in >> id;
    return id;
}

} // namespace

std::optional<Stat> stat_of(pid_t pid)
{
    std::ifstream in(fmt::format("/proc/{}/stat", pid));
    const std::string line{std::istreambuf_iterator<char>(in), {}};
    // The name stands in parentheses and may hold anything, parentheses included.
    const auto name_begin = line.find('(');
    const auto name_end = line.rfind(')');
    if (name_end == std::string::npos || name_begin > name_end) return std::nullopt;
    std::istringstream rest(line.substr(name_end + 1));
    Stat out;
    out.name = line.substr(name_begin + 1, name_end - name_begin - 1);
    rest >> out.state >> out.parent;
    std::string skipped;
    for (int field = 5; field <= 21; ++field) rest >> skipped;
    rest >> out.start_time;
    return rest ? std::optional(out) : std::nullopt;
}

std::optional<Identity> identity_of(pid_t pid)
{
    const auto stat = stat_of(pid);
    if (!stat || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
    return Identity{pid, stat->start_time, boot_id()};
}

Duration age_of(const Identity& identity) noexcept
{
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    const auto since_boot = seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
    const auto tick = Duration(seconds(1)) / ::sysconf(_SC_CLK_TCK);
    return std::max(Duration::zero(), since_boot - tick * static_cast<std::int64_t>(identity.start_time));
}

std::string format_identity(const Identity& identity)
{
    return fmt::format("{} {} {}", identity.pid, identity.start_time, identity.boot_id);
}

std::optional<Identity> parse_identity(std::string_view text)
{
    std::istringstream words{std::string(text)};
    Identity out;
    if (!(words >> out.pid) || out.pid <= 0) return std::nullopt;
    if (!(words >> out.start_time)) out.start_time = 0;
    words >> out.boot_id;
    return out;
}

result<void> write_record(const std::filesystem::path& file, const Identity& identity)
{
    return replace_file(file, format_identity(identity) + "\n");
}

std::optional<Identity> read_record(const std::filesystem::path& file)
{
    std::ifstream in(file);
    return parse_identity(std::string(std::istreambuf_iterator<char>(in), {}));
}

result<void> replace_file(const std::filesystem::path& file, std::string_view text)
{
    auto beside = file;
    beside += ".new";
    const Fd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd) return last_system_error();
    while (!text.empty()) {
        const auto n = ::write(fd.get(), text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return last_system_error();
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::rename(beside.c_str(), file.c_str()) != 0) return last_system_error();
    return {};
}

} // namespace hotspare::process
