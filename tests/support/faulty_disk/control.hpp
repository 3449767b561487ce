// What a test and the library that it preloads into a daemon (interpose.cpp) have in common: one page of memory that
// both map from a file, by which the test steers, and the form of the log of writes that a loss of power may undo.
//
// Thread: any, in either process; every field is atomic on its own.
#pragma once

#include <atomic>
#include <cstdint>

namespace hotspare::test::faulty_disk {

/// The files of an SQLite database in WAL mode that are on the disk. Its -shm is memory, whatever it looks like.
enum class File : std::uint8_t { none = 0, data = 1, log = 2, journal = 3 };
inline constexpr std::uint8_t file_kinds = 4;

/// A moment at which the process may die.
enum class Point : std::uint32_t {
    none = 0,
    log_write = 1,  ///< half of a write to the write-ahead log is done: before the commit
    log_synced = 2, ///< a sync that made a commit durable has returned: after it, before any client is told
    data_write = 3, ///< half of a write to the database itself is done: during a checkpoint
};

struct Control {
    std::atomic<std::uint32_t> full;          ///< 1: nothing can be written
    std::atomic<std::uint32_t> failing_syncs; ///< so many more fail
    std::atomic<std::uint32_t> record;        ///< 1: keep the log of unsynced writes
    std::atomic<std::uint32_t> point;         ///< a Point: die there ...
    std::atomic<std::uint32_t> countdown;     ///< ... when it is reached for the so manieth time
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "it is shared between processes");

/// What happened to a file, in order. The file's log is `control file` + ".writes".
struct Entry {
    enum class Kind : std::uint32_t {
        write,    ///< followed by the `size` bytes written and the `old_size` that they replaced
        truncate, ///< to `offset`; followed by the `old_size` bytes cut off
        synced,   ///< everything up to here is durable
        removed,  ///< unlinked; its history ends here
    };
    Kind kind = Kind::write;
    File file = File::none;
    std::uint64_t offset = 0;
    std::uint64_t file_size = 0; ///< before it
    std::uint64_t size = 0;
    std::uint64_t old_size = 0;
};

/// Names in the environment of the daemon.
inline constexpr auto database_variable = "FAULTY_DISK_DATABASE"; ///< absolute path of the database
inline constexpr auto control_variable = "FAULTY_DISK_CONTROL";   ///< of the control file

} // namespace hotspare::test::faulty_disk
