#include "common/process/output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>

namespace hotspare::process {
namespace {

constexpr int append_flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;

} // namespace

result<Fd> open_output(const std::filesystem::path& file)
{
    Fd fd(::open(file.c_str(), append_flags, 0600));
    if (!fd) return last_system_error();
    return fd;
}

result<void> rotate_output(const std::filesystem::path& file, std::uint64_t limit)
{
    const Fd from(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    struct stat now {};
    if (!from || ::fstat(from.get(), &now) != 0) return last_system_error();
    if (static_cast<std::uint64_t>(now.st_size) <= limit) return {};
    auto aside = file;
    aside += ".1";
    auto beside = file;
    beside += ".1.new";
    const Fd to(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!to) return last_system_error();
    std::array<char, 64 * 1024> buffer{};
    for (;;) {
        const auto n = ::read(from.get(), buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return last_system_error();
        if (n == 0) break; // all that is there by now
        for (ssize_t done = 0; done < n;) {
            const auto w = ::write(to.get(), buffer.data() + done, static_cast<std::size_t>(n - done));
            if (w < 0 && errno != EINTR) {
                // A full disk: an empty file is worth more than an old one.
                static_cast<void>(!::ftruncate(from.get(), 0));
                const auto why = last_system_error();
                ::unlink(beside.c_str());
                return why;
            }
            if (w > 0) done += w;
        }
    }
    if (::ftruncate(from.get(), 0) != 0 || ::rename(beside.c_str(), aside.c_str()) != 0) return last_system_error();
    return {};
}

void append_line(const std::filesystem::path& file, std::string_view line) noexcept
{
    const Fd fd(::open(file.c_str(), append_flags, 0600));
    if (!fd) return;
    const std::string text = std::string(line) + "\n";
    static_cast<void>(!::write(fd.get(), text.data(), text.size()));
}

std::string last_lines(const std::filesystem::path& file, std::size_t lines)
{
    constexpr std::streamoff most = 4096;
    std::ifstream in(file, std::ios::binary | std::ios::ate);
    if (!in) return {};
    const std::streamoff size = in.tellg();
    in.seekg(std::max<std::streamoff>(0, size - most));
    std::string text{std::istreambuf_iterator<char>(in), {}};
    auto begin = text.size();
    while (begin > 0 && text[begin - 1] == '\n') --begin;
    text.resize(begin);
    for (; begin > 0; --begin)
        if (text[begin - 1] == '\n' && --lines == 0) break;
    return text.substr(begin);
}

} // namespace hotspare::process
