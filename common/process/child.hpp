// A program that experiments and tests start, end and start again, with waits that block. Nothing that was started
// survives its owner: the destructor ends it, and the kernel does when the thread that started it ends (so children are
// started by the thread that lives longest). A supervisor, whose children must survive it, uses spawn() instead.
//
// Thread: the owner's, one at a time.
#pragma once

#include "common/clock.hpp"
#include "common/process/spawn.hpp"

#include <filesystem>
#include <string>

namespace hotspare::process {

class Child {
public:
    /// Starts it; what it prints is appended to the file `output`. Of the command, `out`, `err` and `ends_with_us` are
    /// set here; the sockets that it names must stay open while it may be started again. Throws StartupError.
    Child(Command command, std::filesystem::path output);
    ~Child(); ///< end()

    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    /// Starts the same command again, if it does not run. Throws StartupError.
    void start();

    /// SIGCONT, SIGTERM, and SIGKILL for one that has not ended after `patience`. Does nothing if it has ended.
    void end(Duration patience = seconds(5));

    /// False if it has ended already.
    bool signal(int number) const noexcept { return process_.signal(number); }
    bool running() const noexcept { return !process_.ended(); }
    bool stopped() const { return process_.stopped(); } ///< by SIGSTOP
    /// Waits for its end; false after `bound`.
    bool wait_exit(Duration bound) const noexcept { return process_.ended(bound); }
    pid_t pid() const noexcept { return process_.pid(); }
    /// The end of what it printed, on one line.
    std::string last_words() const;

private:
    Command command_;
    std::filesystem::path output_;
    Process process_;
};

} // namespace hotspare::process
