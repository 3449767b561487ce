// The history of the monitor: an SQLite file with the targets, what is recorded of them, their samples and rollups, the
// incidents, the memories of maintenance and notifications, and the audit log. One connection writes, on its own
// thread, many requests to a commit; another one reads. A write is acknowledged when its commit is durable, and nothing
// that was acknowledged is lost by kill -9. A second process that opens the file is refused. While the path does not
// lead to the open file, nothing is written to it or answered from it.
//
// It decides nothing: steps come from the trackers (decide/incident.hpp), rollups from due_rollups() (retention.hpp),
// memories from the cores. It reads no clock.
//
// When the disk does not keep up, samples are dropped and counted, as they can be spared; commands wait, or are refused
// with errc::unavailable when thousands of them do.
//
// Thread: one event loop; the disk is touched on threads of its own. Owner: main; its coroutines must have ended before
// it is destroyed.
#pragma once

#include "common/storage/database_file.hpp"
#include "common/storage/group_commit.hpp"
#include "common/storage/worker.hpp"
#include "monitor/history/rows.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::monitor {

namespace asio = boost::asio;

class Reader;
class Writer;

struct HistoryOptions {
    storage::Synchronous synchronous = storage::Synchronous::full;
    Retention retention{};
    std::size_t most_waiting_samples = 20'000; ///< more are dropped: 200 s of 1,000 targets, one check in 10 s each
    std::size_t most_waiting_appends = 256;    ///< calls of append_samples() that wait, likewise
};

class History {
public:
    /// Opens or creates `path`. `broken` is called, on another thread, once it is unknown what the file holds: the
    /// process is to end, and the next one to find out. Throws StartupError, and UsageError if the file is another
    /// program's.
    History(const std::string& path, std::function<void()> broken, HistoryOptions options = {});
    ~History();

    History(const History&) = delete;
    History& operator=(const History&) = delete;

    /// What the daemon starts with. At the start, before everything else. Throws StartupError that names the row if
    /// one is damaged.
    Restored restore();

    // Writes. They fail with errc::storage, storage_full, storage_broken or unavailable: nothing was written then.

    /// The targets of these names, in their order; those that are new are watched from `now` on.
    asio::awaitable<result<std::vector<Target>>> watch(std::vector<std::string> names, Instant now);
    /// Forgets targets by name: their records, incidents and months. Their samples and other rollups are found no more,
    /// and expire as all do. A target of such a name is a new one. Unknown names are passed over.
    asio::awaitable<result<void>> forget(std::vector<std::string> names);
    /// Samples that changed nothing but IncidentMemory::latest. Call it once a second with those of that second: each
    /// call may be a commit. `now` becomes Restored::last_alive. errc::unavailable: they were dropped. errc::not_found:
    /// a target is unknown, and none of them was stored. A sample that is there already stays as it is.
    asio::awaitable<result<void>> append_samples(std::vector<StoredSample> samples, Instant now);
    /// All of it or nothing. errc::not_found: a target is unknown. A rollup that is there already stays as it is. The
    /// samples of the time that rollups are about must have been appended before.
    asio::awaitable<result<Committed>> commit(Batch batch);
    /// Deletes what is no longer kept, at most an hour of it at once: if it is `in_part`, call it again. Make
    /// the rollups that are due first.
    asio::awaitable<result<Expired>> expire(Instant now);

    // Reads. They fail with errc::unavailable, or errc::storage if a row is damaged, which is logged then.

    /// Newest first.
    asio::awaitable<result<Page<StoredSample>>> samples(SampleQuery query);
    /// Those of the period that are kept, ascending. A minute or hour without one: nothing is known of it.
    asio::awaitable<result<std::vector<StoredRollup>>> rollups(TargetId target, Unit unit, Span period);
    asio::awaitable<result<Page<StoredIncident>>> incidents(IncidentQuery query);
    asio::awaitable<result<Page<ChainedEntry>>> audit(AuditQuery query);
    /// Follows the whole audit log; other reads wait meanwhile.
    asio::awaitable<result<AuditFinding>> verify_audit();
    asio::awaitable<result<Sizes>> sizes();

    /// Samples that were dropped since the start, or that a failed commit took with it.
    std::uint64_t dropped_samples() const noexcept { return dropped_.load(std::memory_order_relaxed); }
    /// Why its path does not lead to the file that is open; none if it does.
    std::optional<std::string> trouble() const { return file_.trouble(); }
    storage::GroupCommit::Counts commits() const { return commit_.counts(); }

private:
    std::unique_ptr<Reader> open_reader();
    result<void> checkpoint_when_long();
    result<void> rest();
    template <class T> result<T> if_there(result<T> answer);

    HistoryOptions options_;
    storage::DatabaseFile file_; ///< closed after the databases
    std::unique_ptr<Writer> writer_;
    std::unique_ptr<Reader> reader_;
    std::size_t waiting_samples_ = 0;
    std::size_t waiting_appends_ = 0;
    std::atomic<std::uint64_t> dropped_ = 0;
    storage::GroupCommit commit_;
    storage::Worker reading_; ///< last, as commit_: joined before what they work on goes
};

/// Follows the whole audit log of a file that another process may have open, but not this one. Blocks. Throws
/// UsageError or StartupError if the file cannot be read or is no history.
AuditFinding verify_audit(const std::string& path);

} // namespace hotspare::monitor
