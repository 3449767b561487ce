// A process that runs, known by a pidfd: a signal through it reaches this process or none, whatever becomes of its
// number. Either one that we started (spawn.hpp), whose exit status we learn, or one that we adopted, of which we only
// learn that it has ended: the kernel tells the status to its parent.
//
// It starts nothing and ends nothing by itself: the process goes on when the object goes. To wait for the end on an
// event loop, see end_of() in watch.hpp.
//
// One thread at a time; owned by what is answerable for the process.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/process/identity.hpp"
#include "common/socket.hpp"

#include <optional>
#include <string>

namespace hotspare::process {

/// How a process ended.
struct Exit {
    enum class Kind : std::uint8_t {
        exited,  ///< `value` is the exit code
        killed,  ///< `value` is the signal
        unknown, ///< it was not our child
    };
    Kind kind = Kind::unknown;
    int value = 0;
    bool dumped_core = false;

    bool operator==(const Exit&) const = default;
};

/// "exited with 1", "was ended by SIGKILL", "ended": ends a sentence that begins with the name of the process.
std::string describe(const Exit& exit);
/// The exit code, or 128 + the signal, as a shell has it; -1 if unknown.
int shell_code(const Exit& exit) noexcept;

class Process {
public:
    /// No process.
    Process() = default;
    /// `pidfd` refers to the process `identity`.
    Process(Identity identity, Fd pidfd) noexcept : identity_(std::move(identity)), pidfd_(std::move(pidfd)) {}

    /// The process that a record names, if it still runs. errc::not_found: it has ended, or its id belongs to another
    /// process now; else why the kernel refuses.
    static result<Process> open(const Identity& identity);

    explicit operator bool() const noexcept { return static_cast<bool>(pidfd_); }
    const Identity& identity() const noexcept { return identity_; }
    pid_t pid() const noexcept { return identity_.pid; }
    int pidfd() const noexcept { return pidfd_.get(); }

    /// False if it has ended already, or may not be signalled.
    bool signal(int number) const noexcept;

    /// Whether it has ended, also if it was not waited for; waits for that at most `bound`. Without a process: true.
    bool ended(Duration bound = Duration::zero()) const noexcept;

    /// Whether it stands still by SIGSTOP or its kin: the kernel says so.
    bool stopped() const;

    /// How it ended, and frees its id; nothing while it runs. Later calls give the same answer.
    std::optional<Exit> reap() noexcept;

private:
    Identity identity_;
    Fd pidfd_;
    std::optional<Exit> exit_;
};

/// An unused port of 127.0.0.1, below the range that outgoing connections take theirs from, so that it can be opened
/// again after its server has died. No port is given twice by one process. Throws StartupError if none is found.
std::uint16_t free_port();

} // namespace hotspare::process
