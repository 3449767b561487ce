// Runs one instance of a system: a Keeper for each daemon, the order in which they start and end, what is written down
// for the next supervisor (state.json, and the records NAME.pid), what their processes tell (notify.sock), and the size
// of their logs.
//
// Only one supervisor at a time has an instance's folder: a lock, which the kernel takes back when it dies.
//
// Thread: the io_context's. Owner: main; end() must complete before it is destroyed.
#pragma once

#include "common/task_group.hpp"
#include "common/wait_list.hpp"
#include "supervisor/keeper.hpp"
#include "supervisor/settings.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::supervisor {

class Supervisor {
public:
    /// Takes the folder, adopts what runs of the system, and goes on as the supervisor before it did: what was wanted
    /// and has ended is started again. If nothing runs any more, nothing is started. `settings` must outlive it. Throws
    /// StartupError if another supervisor has the folder.
    Supervisor(asio::io_context& context, const Settings& settings);
    ~Supervisor();

    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    /// Starts every daemon that does not run and waits until all are ready. Otherwise a sentence for each that is in
    /// trouble, with the end of its log.
    asio::awaitable<std::string> start_all();

    /// Ends every daemon, each after those that need it, and waits for that.
    asio::awaitable<void> stop_all();

    /// Ends one daemon and waits for that. False if there is none of that name.
    asio::awaitable<bool> stop(std::string name);

    /// Gives one daemon another process, as Keeper::restart() does, and waits until that is ready: empty, or a sentence
    /// that says why it is not. Nothing if there is no daemon of that name.
    asio::awaitable<std::optional<std::string>> restart(std::string name);

    /// No daemon runs, and none shall.
    bool is_idle() const;

    /// stop_all() was called: nothing is started any more.
    bool is_stopping() const noexcept { return stopping_; }

    /// In the order of the file.
    std::vector<DaemonStatus> status() const;

    /// Ends all coroutines; the daemons' processes go on. Call stop_all() first to end those.
    asio::awaitable<void> end();

private:
    void take_folder();
    void recall();
    void changed();
    std::vector<std::string> waits_for(const process::Daemon& daemon) const;
    bool is_needed(const process::Daemon& daemon) const;
    Keeper* find(const std::string& name);
    std::string trouble() const;
    asio::awaitable<void> bound_logs();
    asio::awaitable<void> hear_notifications();
    void hear();
    std::filesystem::path file(const char* name) const;

    asio::io_context& context_;
    const Settings& settings_;
    Fd lock_;
    std::optional<process::NotifySocket> notify_socket_;
    TaskGroup tasks_;
    WaitList changes_;
    std::vector<std::unique_ptr<Keeper>> keepers_; ///< in the order of the file
    std::string written_;                          ///< what state.json holds
    bool stopping_ = false;
    bool recalled_ = false; ///< from here on what changes is written down
};

} // namespace hotspare::supervisor
