// A process of an existing system that an experiment was allowed to hit. It is never ended by us but on request, and
// never left stopped.
//
// Thread: the owner's, one at a time.
#pragma once

#include "common/process/process.hpp"

#include <string>

namespace hotspare::process {

class Foreign {
public:
    /// `which`: a process id, or a file that begins with one, as the supervisor's records do; what follows it there,
    /// its start time and the boot, must be true. Throws UsageError if there is no such process or it is not ours to
    /// hit: the first process, ourselves or what started us, or another user's.
    explicit Foreign(std::string which);
    ~Foreign(); ///< SIGCONT to one that was stopped

    Foreign(const Foreign&) = delete;
    Foreign& operator=(const Foreign&) = delete;

    bool signal(int number);
    /// True again when its supervisor has started another and written the file anew.
    bool running();
    bool stopped() const { return process_.stopped(); }
    pid_t pid() const noexcept { return process_.pid(); }

private:
    void open();

    std::string which_;
    Process process_;
    bool has_file_ = false;
    bool we_stopped_ = false;
};

} // namespace hotspare::process
