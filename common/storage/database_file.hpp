// The file below a Database: whose it is, whether another process uses it, and whether its name still leads to it.
// SQLite asks none of that in time. It adds tables to any database that it is given, keeps the write-ahead log beside
// the name that a file was opened by (so that two names are two logs), and goes on writing to a file that was deleted.
//
// Thread: verify() and trouble() on any; the rest on the thread that opens the store. Owner: the store, which destroys
// it after its Databases: to close any descriptor of a file takes away the locks that SQLite holds on it
// (https://www.sqlite.org/howtocorrupt.html, 2.2).
#pragma once

#include "common/error.hpp"
#include "common/storage/file_format.hpp"
#include "common/storage/sqlite.hpp"

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::storage {

class DatabaseFile {
public:
    enum class Use : std::uint8_t {
        shared, ///< by several processes
        alone,  ///< a second process that opens the file, by whatever name, is refused
    };

    /// Before the database is opened. Throws UsageError if the file belongs to another program (nothing has been
    /// written then), StartupError if it cannot be opened or is in use. An absent file is created, empty, if it is to
    /// be used alone.
    DatabaseFile(std::string path, const FileFormat& format, Use use);
    ~DatabaseFile();

    DatabaseFile(const DatabaseFile&) = delete;
    DatabaseFile& operator=(const DatabaseFile&) = delete;

    /// Inside the first write transaction: looks once more, now that no other process can write, and marks the file as
    /// one of this format. Throws as the constructor.
    void claim(Database& database) const;

    /// From now on verify() compares: the file itself, and those beside it with these suffixes. To be called when they
    /// all exist, before verify().
    void watch(const std::vector<std::string_view>& suffixes);
    /// Whether each name still leads to the file that was opened: if not, what is written is lost when the process
    /// ends. errc::unavailable then. Costs one stat() a name.
    result<void> verify();
    /// What the latest verify() found, for people; names the file without its folder.
    std::optional<std::string> trouble() const;

    const std::string& path() const noexcept { return path_; }

private:
    struct Watched {
        std::string path;
        dev_t device = 0;
        ino_t inode = 0;
    };

    void look() const;
    void open_and_lock();
    [[noreturn]] void refuse(std::string_view reason) const;
    std::optional<std::string> find_trouble() const;

    const std::string path_;
    const FileFormat& format_;
    int descriptor_ = -1; ///< with the lock; none if the file is shared
    std::vector<Watched> watched_;

    mutable std::mutex mutex_; ///< guards trouble_
    std::optional<std::string> trouble_;
};

} // namespace hotspare::storage
