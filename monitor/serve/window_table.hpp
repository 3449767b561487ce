// The table `system_maintenance` of a PostgreSQL database, in which the maintenance windows are rows: reads them, and
// writes what became of a window. What follows from the rows, decide/window_rows.hpp decides; the recorder drives both.
// It creates the table if there is none, and adds the columns that are missing to one that is there.
//
// The table is the truth about windows, and the history keeps a copy of it with what the table does not hold: which
// notices were sent, and stretches that are over. So a command is written here first, then into the history, then it is
// answered. If the process dies
//  - before the row is committed: neither has it, and it was not acknowledged.
//  - between the row's commit and the history's: the next start reads a row with a number, or a version, that is not in
//    the history, and takes it up (restore). A row of another client has its number by then, and is taken up the same
//    way. A cancelled row ends its window then. The command was not acknowledged, but does no harm: it was accepted.
//    The audit log has a line of the restoration, which tells who asked for it: the row says so (`hotspare_user`). The
//    same happens without a death if the history cannot be written to: at the next look, or the first one after that.
//  - after the history's commit: both have it, answered or not.
// What time brings (a window begins, a series goes on) is stored in the history first, as the table may be out of
// reach, and is written into the row at the next look. The row's version tells a row that is behind in that way from
// one that others changed: their changes leave it as it is. Numbers are never given twice, even when the history is
// lost or rows are deleted: `hotspare_monitor.last_window` is raised in the transaction that inserts a row. It also
// tells a window whose row was deleted from one that never had one. Each write is bound to the row as it was read
// (`stamp`), so that it overwrites no change that it does not know.
//
// Thread: the io_context's, which never waits for the database. Owner: main; its coroutines must have ended before it
// is destroyed.
#pragma once

#include "common/log.hpp"
#include "common/storage/postgres.hpp"
#include "monitor/decide/window_rows.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

namespace asio = boost::asio;

class WindowTable {
public:
    WindowTable(asio::io_context& context, storage::postgres::Target target);

    WindowTable(const WindowTable&) = delete;
    WindowTable& operator=(const WindowTable&) = delete;

    /// All rows of windows that are not over, or since less than about 100 days. Takes seconds at most. Fails with
    /// errc::unavailable or errc::storage; trouble() says why.
    asio::awaitable<result<WindowRows>> read();

    enum class Written : std::uint8_t {
        done,
        changed_meanwhile, ///< others changed or deleted the row, or gave the number to another window: read() again
        refused,           ///< not written, by the word of the server or as it cannot be reached
        unknown,           ///< no answer: read() will tell
    };
    /// A row for a window that has none. `user` is who asked for it; nothing: the monitor follows the table.
    asio::awaitable<Written> insert(Window window, std::optional<std::string> user);
    /// What the window is, into the row of its number.
    asio::awaitable<Written> update(Window window, std::optional<std::string> user);
    /// The same, into this row. Without `whole` only the number, the version, the state and the user: the row says the
    /// rest.
    asio::awaitable<Written> update(const WindowRow& row, Window window, bool whole, std::optional<std::string> user);

    /// Whether the latest read or write succeeded, so that windows may be announced.
    bool up() const noexcept { return up_; }
    /// Why it is not.
    const std::string& trouble() const noexcept { return trouble_; }
    /// What was read before the latest of these is older than it.
    std::uint64_t writes() const noexcept { return writes_; }
    const std::string& shown() const noexcept { return shown_; }

private:
    using Commands = std::vector<storage::postgres::Command>;
    struct Row {
        std::string id;
        std::string stamp;
    };

    asio::awaitable<result<std::vector<storage::postgres::Rows>>> run(Commands commands);
    asio::awaitable<Written> write(std::string_view sql, std::vector<std::optional<std::string>> parameters,
                                   std::uint64_t window);
    void note(std::string trouble);

    std::string shown_;
    storage::postgres::Pool pool_;
    std::map<std::uint64_t, Row> rows_; ///< by window, as of the latest read or write
    bool up_ = false;
    bool reached_ = false; ///< the latest run() sent its commands
    std::string trouble_ = "it was not read yet";
    std::uint64_t writes_ = 0;
};

} // namespace hotspare::monitor
