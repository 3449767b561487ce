// The documents behind /data/{key}: one SQLite file that several processes share, so that what one of them acknowledged
// is read back through another after it died. A write is on the disk before it returns (rollback journal,
// synchronous=FULL; not WAL, whose shared memory would tie the processes together).
//
// Thread: the public calls on one event loop; the disk is touched on a worker thread only. Owner: the service; its
// coroutines must have ended before the store is destroyed.
#pragma once

#include "common/storage/database_file.hpp"
#include "common/storage/sqlite.hpp"
#include "common/storage/worker.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace hotspare::storage {

/// Strictly greater for every write to the store, whatever the key: a document that was deleted and created again never
/// gets a version that a client may still hold.
using Version = std::int64_t;

struct Document {
    std::string value;
    Version version = 0;
};

struct Written {
    Version version = 0;
    bool created = false; ///< there was no such document before
};

/// Whether a write may go ahead, given the version that it would replace (none: no such document). Asked inside the
/// transaction, on the worker thread. Empty = always.
using Precondition = std::function<bool(std::optional<Version>)>;

class DocumentStore {
public:
    /// Opens or creates `path`. Throws StartupError when that fails, UsageError when it is the file of another program;
    /// it waits for up to 10 s for a lock, because a process that is restarted beside one that writes all the time must
    /// come up.
    explicit DocumentStore(const std::string& path, Duration busy_timeout = seconds(2));

    /// Fails with errc::not_found, errc::unavailable (another process held the lock for longer than the busy timeout,
    /// or trouble()) or errc::storage, errc::storage_full, errc::storage_broken.
    asio::awaitable<result<Document>> get(std::string key);
    /// Also errc::conflict when the precondition said no. A failure of any kind means that nothing was written
    /// that can be read back.
    asio::awaitable<result<Written>> put(std::string key, std::string value, Precondition allowed);
    asio::awaitable<result<void>> remove(std::string key, Precondition allowed);

    /// Why its path does not lead to the file that is open; none if it does.
    std::optional<std::string> trouble() const { return file_.trouble(); }

private:
    Database open(const std::string& path, Duration busy_timeout);
    result<Document> read(const std::string& key);
    result<std::optional<Version>> current(const std::string& key);
    result<Version> next_version();
    result<Written> write(const std::string& key, const std::string& value, const Precondition& allowed);
    result<void> erase(const std::string& key, const Precondition& allowed);

    struct Statements {
        Statement select, version, next, upsert, erase;
    };

    DatabaseFile file_;
    Database database_;
    std::optional<Statements> statements_;
    Worker worker_; ///< last: joined before the database closes
};

} // namespace hotspare::storage
