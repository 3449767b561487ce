// The processes of an experiment: those that it starts itself, and existing ones that it was allowed to hit.
//
// Nothing that was started survives the experiment, even if that is killed: the kernel ends a child when the thread
// that started it goes, so children are started by the main thread alone. Children have process groups of their own: a
// ^C in the terminal is the experiment's to act on, not theirs. Nothing is left stopped.
//
// Every signal goes through a pidfd, so a number that the kernel has given to another process is never hit.
//
// Thread: main's.
#pragma once

#include "common/clock.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace hotspare::experiment {

/// An unused port on 127.0.0.1, below the range that outgoing connections take theirs from, so that it can be
/// opened again after its server has died. Throws StartupError if none is found.
std::uint16_t free_port();

class Child {
public:
    struct Command {
        std::filesystem::path program;
        std::vector<std::string> arguments;
        std::filesystem::path log;                                    ///< gets what it prints, appended
        std::vector<std::pair<std::string, std::string>> environment; ///< added to ours
    };

    /// Starts it. Throws StartupError; a program that cannot be executed ends at once.
    explicit Child(Command command);
    ~Child(); ///< end()

    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    /// Starts the same command again; only when it does not run.
    void start();

    /// SIGCONT, SIGTERM, and SIGKILL for one that has not ended after `patience`. Does nothing if it has ended.
    void end(Duration patience = seconds(5));

    /// False if it has ended already.
    bool signal(int number);
    bool running() const; ///< a child that has ended but was not waited for counts as ended
    bool stopped() const; ///< by SIGSTOP: the kernel says so
    /// Waits for its end; false after `bound`.
    bool wait_exit(Duration bound);
    pid_t pid() const noexcept;
    /// The end of its log, on one line.
    std::string last_words() const;

private:
    Command command_;
    pid_t pid_ = -1;
    int pidfd_ = -1;
    bool reaped_ = true;
};

class Foreign {
public:
    /// `which`: a process id, or a file that begins with one and may give the process's start time after it, as run.sh
    /// writes them. Throws UsageError if there is no such process or it is not ours to hit: the first process,
    /// ourselves or what started us, another user's, or one that started at another time than the file says.
    explicit Foreign(std::string which);
    ~Foreign(); ///< SIGCONT to one that was stopped

    Foreign(const Foreign&) = delete;
    Foreign& operator=(const Foreign&) = delete;

    bool signal(int number);
    /// True again when its supervisor has started another and written the file anew.
    bool running();
    bool stopped() const;
    pid_t pid() const noexcept;

private:
    void open();

    std::string which_;
    pid_t pid_ = -1;
    int pidfd_ = -1;
    std::uint64_t start_time_ = 0; ///< clock ticks after boot
    bool has_file_ = false;
    bool we_stopped_ = false;
};

} // namespace hotspare::experiment
