// Real programs under test as child processes: what they print is collected, and the waits block. Starting, signals and
// exits are those of common/process.
//
// Thread: one reader per Process collects what the child prints; the public functions belong to the test's thread.
// Lifetime: the destructor continues, kills and reaps the child, so a failing test leaves nothing behind; a child whose
// test process dies is killed by the kernel. A sanitizer's report in what the child printed fails the test then: the
// child may well have gone on as if nothing had happened. Start a Process from the thread that outlives it (the
// test's), because that is the thread whose end the kernel watches.
#pragma once

#include "common/process/process.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/socket.hpp"

#include <nlohmann/json_fwd.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace hotspare::test {

/// Whether a program's output contains the report of a sanitizer.
bool has_sanitizer_report(std::string_view output);

class Process {
public:
    struct Options {
        std::vector<std::pair<std::string, std::string>> environment; ///< added to ours
        std::string directory;                                        ///< empty = ours
        std::optional<std::size_t> descriptors;                       ///< its RLIMIT_NOFILE
        bool own_group = false;                                       ///< as a terminal's foreground job has it
    };

    /// Starts `program` (a path). Throws std::system_error if that is impossible.
    explicit Process(std::string program, std::vector<std::string> arguments = {})
        : Process(program, arguments, Options{})
    {
    }
    Process(std::string program, std::vector<std::string> arguments, Options options);
    ~Process();

    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    /// Waits for the log line with `"event":"ready"` and returns its port. Throws std::runtime_error with everything
    /// that the child printed if it exits first or takes longer than `bound`.
    std::uint16_t wait_ready(milliseconds bound = patience);
    /// The ready line itself. Call wait_ready() first.
    nlohmann::json ready_event() const;
    /// From the start of the process to its ready line. Call wait_ready() first.
    Clock::duration time_to_ready() const;

    /// False if the child has exited already.
    bool signal(int number);
    /// The same for everything in its group, as a terminal does for ^C. Only with Options::own_group.
    bool signal_group(int number);
    /// Exit code, or 128 + the signal that ended the child; nothing if it still runs after `bound`.
    std::optional<int> wait_exit(milliseconds bound = patience);
    bool running() { return !wait_exit(milliseconds(0)); }

    /// Waits for a line on either stream that contains `text` and returns it; nothing after `bound`.
    std::optional<std::string> wait_line(std::string_view text, milliseconds bound = patience);

    /// Waits until the child and everything that inherited its output have closed it; false after `bound`.
    bool wait_output_end(milliseconds bound = patience);

    std::string out() const;
    std::string err() const;
    std::string description() const; ///< command line, exit and output, for a failing assertion

    pid_t pid() const noexcept { return process_.pid(); }
    std::size_t resident_kib() const; ///< 0 if it has exited

private:
    void read_output();
    bool drain(Fd& from, std::string& into);

    std::string command_;
    process::Process process_;
    TimePoint started_;
    std::optional<int> exit_;
    WakeUp stop_;
    Fd out_pipe_, err_pipe_;
    std::thread reader_;

    mutable std::mutex mutex_; ///< guards the rest
    mutable std::condition_variable changed_;
    std::string out_, err_;
    std::size_t examined_ = 0; ///< of err_, by the search for the ready line
    std::string ready_;        ///< the ready line, once it was there
    TimePoint ready_at_;
    bool ended_ = false; ///< both streams are closed
};

struct Finished {
    int code = -1; ///< as Process::wait_exit; -1 if it had to be killed
    std::string out, err;
};

/// Runs a program to its end, which must come within `bound`.
Finished run(const std::string& program, const std::vector<std::string>& arguments, Process::Options options = {},
             milliseconds bound = patience);

} // namespace hotspare::test
