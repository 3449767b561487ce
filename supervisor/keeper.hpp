// Keeps one daemon running: starts it once those that it needs are ready, watches it, starts it again as the restart
// policy says, and ends it on request. It holds the daemon's listening sockets, so that clients wait while there is no
// process. A process that an earlier supervisor left is adopted: by its record, NAME.pid in the instance's folder.
//
// A daemon whose sockets are held here replaces its own process on SIGUSR2 and says so (MAINPID,
// common/process/notify): from then on the new process is the daemon, and the old one, with the record NAME.PID.pid,
// ends when it has no client left.
//
// Nothing here ends the daemon when the supervisor ends: it has its own session and writes its output into a file.
//
// Thread: the io_context's. Owner: the Supervisor, whose task group runs the coroutines.
#pragma once

#include "common/process/notify.hpp"
#include "common/process/process.hpp"
#include "common/process/system.hpp"
#include "common/resilience/restart_policy.hpp"
#include "common/socket.hpp"
#include "common/task_group.hpp"
#include "common/wait_list.hpp"
#include "supervisor/report.hpp"
#include "supervisor/settings.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::supervisor {

/// What outlives a supervisor beside the processes.
struct Memory {
    bool wanted = false;
    unsigned restarts = 0;
    std::optional<LastExit> last_exit;
};

class Keeper {
public:
    struct Hooks {
        std::function<std::vector<std::string>()> waits_for; ///< the daemons that must be ready first and are starting
        std::function<void()> changed;                       ///< its state or its Memory has
        std::function<void()> hear; ///< passes on, to notified(), what processes have sent until now
    };

    /// Does nothing yet. `settings` and `tasks` must outlive it. Throws UsageError if a port exceeds 65535.
    Keeper(asio::io_context& context, const Settings& settings, const process::Daemon& daemon, TaskGroup& tasks,
           Hooks hooks);

    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    /// Takes over the process that the record names. False if it does not run. Call before run().
    bool adopt();

    /// What an earlier supervisor knew; one whose daemon has ended meanwhile starts it again if it was wanted. Call
    /// before run(), after adopt().
    void remember(const Memory& memory);

    /// Starts the coroutine that does all this, in the task group. It ends with the group's cancellation.
    void run();

    /// The daemon shall run: at once if it waits for a restart, and also if it had been given up.
    void start();

    /// Its process shall be another one. One that can replace itself is told to: nothing is lost meanwhile, and if it
    /// fails to, it goes on. Another is ended, and started again. The new process is there when generation() is another
    /// and is_ready(), or there is trouble() or upgrade_trouble().
    void restart();

    /// What a process has sent to the socket for notifications.
    void notified(const process::Notification& notification);

    /// It shall not. Its process is asked to end, and killed if it takes longer than `stop_within`.
    void stop();

    /// Another daemon's readiness has changed.
    void wake() { wake_.wake_all(); }

    /// The listening sockets are closed here: what a client sends to a daemon that is ending for good is refused once
    /// that has emptied its queue.
    void close_sockets();

    const process::Daemon& daemon() const noexcept { return daemon_; }
    const Memory& memory() const noexcept { return memory_; }
    State state() const noexcept;
    bool is_ready() const noexcept { return ready_; }
    /// Its own, or one that it has replaced.
    bool has_process() const noexcept { return process_ || !replaced_.empty(); }
    unsigned generation() const noexcept { return generation_; }
    /// Empty unless it has failed since start(): what happened, for the one who asked for it.
    const std::string& trouble() const noexcept { return trouble_; }
    /// Empty unless restart() could not replace the process, which goes on then: why.
    const std::string& upgrade_trouble() const noexcept { return upgrade_trouble_; }
    DaemonStatus status() const;
    std::filesystem::path output() const { return file(".log"); }

private:
    asio::awaitable<void> keep();
    asio::awaitable<void> await_start();
    asio::awaitable<void> probe(unsigned generation);
    asio::awaitable<bool> answers() const;
    asio::awaitable<void> watch(process::Process process, unsigned generation);
    asio::awaitable<void> end_process(process::Process process);
    void adopt_replaced();
    void watch_process();
    void replaced_by(pid_t pid);
    void forget_replaced(pid_t pid);
    void begin();
    bool open_sockets();
    void take_over_sockets();
    void has_ended(const process::Exit& exit);
    void conclude(resilience::Ending ending, const std::string& cause, Duration ran);
    void not_startable(resilience::Ending ending, const std::string& cause);
    void tell(const std::string& what) const;
    std::filesystem::path file(const char* ending) const;
    std::optional<std::filesystem::path> program() const;

    /// A process that another one has replaced and that still has clients.
    struct Replaced {
        process::Process process;
        bool asked_to_end = false;
    };

    asio::io_context& context_;
    const Settings& settings_;
    const process::Daemon daemon_;
    const process::Launch launch_;
    TaskGroup& tasks_;
    Hooks hooks_;
    resilience::RestartPolicy policy_;
    Memory memory_;
    bool due_ = false;      ///< to be started as soon as it may
    bool in_order_ = false; ///< and that is after those that it needs; a restart does not wait for them
    process::Process process_;
    std::vector<Replaced> replaced_;
    unsigned generation_ = 0; ///< counts processes: a coroutine about an earlier one sees that it is
    bool adopted_ = false;
    bool ready_ = false;
    bool asked_to_end_ = false; ///< this process
    TimePoint started_{};
    std::string trouble_;
    std::string upgrade_trouble_;
    std::vector<Fd> sockets_;
    WaitList wake_; ///< keep(), while there is no process
    WaitList gone_; ///< end_process()
};

} // namespace hotspare::supervisor
