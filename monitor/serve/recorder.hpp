// Keeps the monitor going: what the checks find goes to the board, what the board yields to the history and to the
// channels, each second or as soon as something was decided. It carries out operators' commands, one at a time, each
// durable before it is answered. It decides nothing itself, and speaks no HTTP with readers (service.hpp does).
//
// While the history cannot be written to, checks and notifications go on, and what is to be stored waits; commands are
// refused. If it lasts until thousands of steps wait, the daemon ends.
//
// If windows are kept in a table (window_table.hpp), a command is written there first, and refused if that fails. Every
// few seconds it is looked what others wrote there.
//
// Thread: the io_context's. Owner: main; it must live until the io_context has run out of work after stop().
#pragma once

#include "common/http/problem.hpp"
#include "common/notify/courier.hpp"
#include "common/task_group.hpp"
#include "common/wait_list.hpp"
#include "monitor/board/board.hpp"
#include "monitor/check/checker.hpp"
#include "monitor/history/history.hpp"
#include "monitor/serve/settings.hpp"
#include "monitor/serve/window_table.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

/// 422 with the field, 404 of a window that does not exist, 409 of one that is over.
http::Problem problem_of(const Refusal& refusal);

class Recorder {
public:
    /// Of the audit log: who does something. What was done, the recorder adds.
    struct Who {
        std::string user{};
        std::string address{};
    };
    template <class T> using Answer = boost::system::result<T, http::Problem>;

    /// `events` is called for what has happened once it is stored; `failed` when the history cannot be used any more.
    /// `table` is null if windows are in the history alone.
    Recorder(asio::io_context& context, const MonitorSettings& settings, History& history, Restored restored,
             std::function<void(const BoardEvent&)> events, std::function<void()> failed, WindowTable* table);

    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    /// Takes up the targets with their past, and the windows of the table if it can be reached. Before start(); throws
    /// StartupError.
    asio::awaitable<void> load();
    void start();
    /// Begins the end: checks end, what waits is stored. After that nothing is left to do in the io_context.
    void stop();

    static Instant now() noexcept { return std::chrono::floor<milliseconds>(std::chrono::system_clock::now()); }

    // Commands. 422 names the field that is refused, 404 what does not exist, 412 that the window is another by now,
    // 503 that it could not be stored.

    asio::awaitable<Answer<Window>> announce(WindowPlan plan, Who who);
    /// Changes a window's plan if its version still is `version`.
    asio::awaitable<Answer<Window>> change(std::uint64_t id, std::uint32_t version, WindowPlan plan, Who who);
    asio::awaitable<Answer<Window>> cancel(std::uint64_t id, std::uint32_t version, Who who);
    asio::awaitable<Answer<void>> post(std::string target, IncidentStatus status, std::string message, Who who);
    /// What this monitor has closed of a balancer from now on (decide/closing.hpp).
    asio::awaitable<Answer<void>> remember_closed(std::string balancer, std::vector<ClosedBackend> closed);
    /// Writes into the audit log what else was done.
    asio::awaitable<Answer<void>> audit(AuditEntry entry);

    /// The report of a push check. False: no target has the token.
    bool report(std::string_view token, PushReport report) { return checker_.report(token, std::move(report)); }

    const Board& board() const noexcept { return board_; }
    const Checker& checker() const noexcept { return checker_; }
    const History& history() const noexcept { return history_; }
    History& history() noexcept { return history_; }
    /// Whether the table of windows can be used; nothing if there is none.
    std::optional<bool> table_up() const noexcept
    {
        return table_ == nullptr ? std::nullopt : std::optional(table_->up());
    }
    std::uint64_t commands_refused() const noexcept { return refused_; }
    std::uint64_t failed_commits() const noexcept { return failed_commits_; }

private:
    class Turn;
    using Prepare = std::function<Accepted<Board::Prepared>(Instant)>;

    bool found(const Finding& finding);
    void meet(const std::string& target);
    asio::awaitable<void> take_up(std::vector<std::string> names);
    asio::awaitable<void> take_up_past(const Target& target, TargetPast& past, Instant at);
    const Watched* find_watched(std::string_view name) const;
    void forget_restored(std::size_t kept);
    asio::awaitable<void> forget();
    asio::awaitable<void> run();
    asio::awaitable<bool> flush();
    asio::awaitable<void> expire();
    asio::awaitable<void> deliver(Delivery delivery);
    asio::awaitable<void> end();
    asio::awaitable<Answer<Window>> command(Prepare prepare, std::string_view action, Who who);
    /// `asked_by` is of a window that follows its row: who the row says asked for it.
    asio::awaitable<Answer<Window>> store(Board::Prepared prepared, std::string_view action, Who who,
                                          std::string asked_by);
    asio::awaitable<std::optional<http::Problem>> write_row(Board::Prepared prepared, Who who);
    void count_failed_commit(const error_code& error);
    asio::awaitable<void> follow_table();
    asio::awaitable<bool> look_at_table(bool running);
    asio::awaitable<bool> carry_out(const RowStep& step, const WindowRows& rows);
    void leave_alone(const WindowRow& row, const Refusal& refusal);
    std::optional<http::Problem> wrong_version(std::uint64_t id, std::uint32_t version) const;
    bool is_self(const TargetSettings& target) const;
    TargetRules rules_of(const Watched& watched) const;
    void hurry();

    const MonitorSettings& settings_;
    History& history_;
    std::function<void(const BoardEvent&)> events_;
    std::function<void()> failed_;
    std::map<std::string, RestoredTarget, std::less<>> restored_;
    std::optional<Instant> last_alive_;
    Board board_;
    Checker checker_;
    notify::Courier courier_;
    WindowTable* table_; ///< null: none

    std::vector<std::string> met_;                   ///< targets of the checker that the board does not know yet
    std::vector<std::string> forgotten_;             ///< backends to be taken off the board and out of the history
    TimePoint forget_restored_at_{};                 ///< when those that were not named since the start are
    WaitList woken_;                                 ///< the loop
    WaitList turns_;                                 ///< who waits to change something
    WaitList table_woken_;                           ///< the one that looks at the table
    bool look_again_ = false;                        ///< at the table, soon
    std::optional<WindowRows> followed_;             ///< rows that ask for nothing (more) while the windows are
    MaintenanceMemory followed_by_;                  ///< these
    std::map<std::string, std::string> left_alone_;  ///< rows of the table -> why
    std::map<std::string, std::string> still_alone_; ///< the same, of the present look
    bool busy_ = false;
    bool hurry_ = false;
    bool stopping_ = false;
    Instant next_expiry_{};
    std::uint64_t refused_ = 0;
    std::uint64_t failed_commits_ = 0;
    log::Throttle throttle_;

    TaskGroup tasks_;
    TaskGroup deliveries_;
    TaskGroup ending_; ///< the one task that ends them
};

} // namespace hotspare::monitor
