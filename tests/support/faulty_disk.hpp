// A disk under one SQLite database of a daemon that is started with it: it runs full, fails to sync, kills the daemon
// in the middle of a write, and loses power. What the daemon sees is made by a library that is preloaded into it
// (faulty_disk/interpose.cpp); this class steers it, and does to the files what a loss of power does: everything that
// was not synced may be there, or not, or in part.
//
// What it cannot do: lose the existence of a file whose directory was not synced.
//
// Thread: the test's. It outlives the daemons that use it, one at a time.
#pragma once

#include "tests/support/faulty_disk/control.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::test {

class FaultyDisk {
public:
    using Point = faulty_disk::Point;

    /// `database` is the file as the daemon names it, absolute and without symbolic links.
    explicit FaultyDisk(std::filesystem::path database);
    ~FaultyDisk();

    FaultyDisk(const FaultyDisk&) = delete;
    FaultyDisk& operator=(const FaultyDisk&) = delete;

    /// What a daemon is to be started with (Process::Options::environment). Nothing unless available(): then no fault
    /// happens.
    std::vector<std::pair<std::string, std::string>> environment() const;

    /// From now on every write fails with ENOSPC, or no more.
    void set_full(bool full) noexcept { control_->full = full ? 1 : 0; }
    /// The next `count` syncs fail with EIO.
    void fail_syncs(std::uint32_t count) noexcept { control_->failing_syncs = count; }
    /// The daemon gets SIGKILL when it reaches `point` for the `nth` time from now. Once: the next daemon lives.
    void kill_at(Point point, std::uint32_t nth) noexcept;

    /// From now on, and before the daemon starts: lose_power() is going to be called.
    void expect_loss_of_power() noexcept { control_->record = 1; }

    struct Cut {
        std::size_t kept = 0, torn = 0, lost = 0; ///< writes that had not been synced
    };
    /// Power is lost and returns: of the writes that were not synced a random choice survives, some of them in part, by
    /// sectors of 512 bytes. To be called when no process has the database open.
    Cut lose_power(std::uint64_t seed);

    /// Whether the library can be preloaded: not below a sanitizer, which interposes the same functions.
    static bool available() noexcept;

private:
    std::filesystem::path path_of(faulty_disk::File file) const;
    std::filesystem::path writes_path() const;

    std::filesystem::path database_;
    std::filesystem::path control_path_;
    faulty_disk::Control* control_ = nullptr;
};

} // namespace hotspare::test
