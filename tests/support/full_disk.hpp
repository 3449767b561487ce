// A disk without room, for as long as it lives: no file of this process can grow beyond a size, and a write that would
// make it so is cut short or fails, as with ENOSPC.
//
// Thread: any; it is the whole process that is limited, so one at a time and no output to a file meanwhile.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>

#include <sys/resource.h>

namespace hotspare::test {

class FullDisk {
public:
    /// `size` in bytes.
    explicit FullDisk(std::uint64_t size)
    {
        if (::getrlimit(RLIMIT_FSIZE, &before_) != 0) throw std::system_error(errno, std::generic_category());
        handler_ = std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{size, before_.rlim_max};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) throw std::system_error(errno, std::generic_category());
    }
    ~FullDisk()
    {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }

    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;

private:
    rlimit before_{};
    void (*handler_)(int) = SIG_DFL;
};

} // namespace hotspare::test
