// The library that FaultyDisk (tests/support/faulty_disk.hpp) preloads into a daemon: it stands between SQLite and the
// C library, for the files of one database and nothing else, and makes them run full, fail to sync, or kill the process
// in the middle of a write, as the control page says at that moment. It also keeps the log of what was written and not
// yet synced, which a loss of power may take back.
//
// It interposes what SQLite calls: open64, close, pwrite64, ftruncate64, fsync, fdatasync, unlink.
//
// Thread: those of the daemon; a mutex puts all changes of the files in one order, which is that of the log.
#include "tests/support/faulty_disk/control.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using hotspare::test::faulty_disk::Control;
using hotspare::test::faulty_disk::Entry;
using hotspare::test::faulty_disk::File;
using hotspare::test::faulty_disk::Point;
namespace fd = hotspare::test::faulty_disk;

/// The C library's own function behind the one that is interposed.
template <class Function> Function* next(const char* name)
{
    void* const found = ::dlsym(RTLD_NEXT, name);
    if (!found) std::abort();
    return reinterpret_cast<Function*>(found);
}

int real_open(const char* path, int flags, mode_t mode)
{
    static auto* const real = next<int(const char*, int, ...)>("open64");
    return real(path, flags, mode);
}
ssize_t real_pwrite(int descriptor, const void* bytes, std::size_t size, off64_t at)
{
    static auto* const real = next<ssize_t(int, const void*, std::size_t, off64_t)>("pwrite64");
    return real(descriptor, bytes, size, at);
}
int real_truncate(int descriptor, off64_t size)
{
    static auto* const real = next<int(int, off64_t)>("ftruncate64");
    return real(descriptor, size);
}

/// SQLite never writes more at once than a page and its header in the log.
constexpr std::size_t most_bytes = 128 * 1024;

class Disk {
public:
    Disk()
    {
        const char* const database = std::getenv(fd::database_variable);
        const char* const control = std::getenv(fd::control_variable);
        if (!database || !control || std::strlen(database) >= database_.size() ||
            std::strlen(control) + sizeof ".writes" > log_path_.size())
            return;
        std::strcpy(database_.data(), database);
        std::strcpy(log_path_.data(), control);
        std::strcat(log_path_.data(), ".writes");
        const int descriptor = real_open(control, O_RDWR | O_CLOEXEC, 0);
        if (descriptor < 0) std::abort();
        void* const page = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
        if (page == MAP_FAILED) std::abort();
        control_ = static_cast<Control*>(page);
        steered_ = true;
    }

    void opened(int descriptor, const char* path)
    {
        if (!steered_ || descriptor < 0 || static_cast<std::size_t>(descriptor) >= files_.size()) return;
        files_[static_cast<std::size_t>(descriptor)] = kind_of(path);
    }
    void closed(int descriptor)
    {
        if (descriptor >= 0 && static_cast<std::size_t>(descriptor) < files_.size())
            files_[static_cast<std::size_t>(descriptor)] = File::none;
    }
    File file(int descriptor) const
    {
        if (!steered_ || descriptor < 0 || static_cast<std::size_t>(descriptor) >= files_.size()) return File::none;
        return files_[static_cast<std::size_t>(descriptor)];
    }
    File kind_of(const char* path) const
    {
        const std::size_t length = std::strlen(database_.data());
        if (!steered_ || std::strncmp(path, database_.data(), length) != 0) return File::none;
        const char* const suffix = path + length;
        if (*suffix == '\0') return File::data;
        if (std::strcmp(suffix, "-wal") == 0) return File::log;
        if (std::strcmp(suffix, "-journal") == 0) return File::journal;
        return File::none;
    }

    ssize_t write(int descriptor, const void* bytes, std::size_t size, off64_t at)
    {
        const Lock lock(mutex_);
        if (control_->full != 0) {
            errno = ENOSPC;
            return -1;
        }
        const File which = file(descriptor);
        if (control_->record != 0) record_write(descriptor, which, bytes, size, at);
        const auto point = which == File::log    ? Point::log_write
                           : which == File::data ? Point::data_write
                                                 : Point::none;
        if (dies_at(point)) {
            real_pwrite(descriptor, bytes, size / 2, at);
            // A caller that was told too early that the write is done has the time to tell its clients.
            ::usleep(20'000);
            die();
        }
        if (which == File::log && size >= 512) commit_pending_ = true; // a page, and not only a header
        return real_pwrite(descriptor, bytes, size, at);
    }

    int truncate(int descriptor, off64_t size)
    {
        const Lock lock(mutex_);
        if (control_->record != 0) record_truncate(descriptor, file(descriptor), size);
        return real_truncate(descriptor, size);
    }

    int sync(int descriptor, int (*real)(int))
    {
        const Lock lock(mutex_);
        if (control_->failing_syncs != 0) {
            --control_->failing_syncs;
            errno = EIO;
            return -1;
        }
        const int done = real(descriptor);
        if (done != 0) return done;
        const File which = file(descriptor);
        if (control_->record != 0) record({.kind = Entry::Kind::synced, .file = which}, nullptr, nullptr);
        if (which == File::log && commit_pending_) {
            commit_pending_ = false;
            if (dies_at(Point::log_synced)) die();
        }
        return 0;
    }

    int remove(const char* path, int (*real)(const char*))
    {
        const Lock lock(mutex_);
        if (control_->record != 0) record({.kind = Entry::Kind::removed, .file = kind_of(path)}, nullptr, nullptr);
        return real(path);
    }

private:
    class Lock {
    public:
        explicit Lock(pthread_mutex_t& mutex) : mutex_(mutex) { ::pthread_mutex_lock(&mutex_); }
        ~Lock() { ::pthread_mutex_unlock(&mutex_); }
        Lock(const Lock&) = delete;
        Lock& operator=(const Lock&) = delete;

    private:
        pthread_mutex_t& mutex_;
    };

    bool dies_at(Point point)
    {
        if (point == Point::none) return false;
        return control_->point == static_cast<std::uint32_t>(point) && control_->countdown.fetch_sub(1) == 1;
    }

    [[noreturn]] static void die()
    {
        ::kill(::getpid(), SIGKILL);
        for (;;) ::pause();
    }

    static std::uint64_t size_of(int descriptor)
    {
        struct stat64 status {};
        if (::fstat64(descriptor, &status) != 0) std::abort();
        return static_cast<std::uint64_t>(status.st_size);
    }

    void record_write(int descriptor, File which, const void* bytes, std::size_t size, off64_t at)
    {
        if (size > most_bytes) std::abort();
        const auto old_size = ::pread64(descriptor, old_.data(), size, at);
        if (old_size < 0) std::abort();
        record({.kind = Entry::Kind::write,
                .file = which,
                .offset = static_cast<std::uint64_t>(at),
                .file_size = size_of(descriptor),
                .size = size,
                .old_size = static_cast<std::uint64_t>(old_size)},
               bytes, old_.data());
    }

    /// What is cut off is kept up to a bound; SQLite cuts the log back by more only after everything in it is synced
    /// elsewhere, and then it is not needed.
    void record_truncate(int descriptor, File which, off64_t size)
    {
        const auto old_size = ::pread64(descriptor, old_.data(), most_bytes, size);
        if (old_size < 0) std::abort();
        record({.kind = Entry::Kind::truncate,
                .file = which,
                .offset = static_cast<std::uint64_t>(size),
                .file_size = size_of(descriptor),
                .size = 0,
                .old_size = static_cast<std::uint64_t>(old_size)},
               nullptr, old_.data());
    }

    void record(const Entry& entry, const void* bytes, const void* old)
    {
        if (entry.file == File::none) return;
        if (log_ < 0) open_log();
        append(&entry, sizeof entry);
        if (bytes) append(bytes, entry.size);
        if (old) append(old, entry.old_size);
        const bool durable = entry.kind == Entry::Kind::synced || entry.kind == Entry::Kind::removed;
        unsynced_[static_cast<std::size_t>(entry.file)] = !durable;
        for (const bool unsynced : unsynced_)
            if (unsynced) return;
        if (real_truncate(log_, 0) != 0) std::abort(); // nothing in it could be lost any more
    }

    /// What a process before this one left unsynced is still to be lost; an entry that it could not finish is not.
    void open_log()
    {
        log_ = real_open(log_path_.data(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (log_ < 0) std::abort();
        const auto size = size_of(log_);
        std::uint64_t whole = 0;
        for (Entry entry; whole + sizeof entry <= size;) {
            if (::pread64(log_, &entry, sizeof entry, static_cast<off64_t>(whole)) != sizeof entry) std::abort();
            const auto end = whole + sizeof entry + entry.size + entry.old_size;
            if (end > size) break;
            whole = end;
            unsynced_[static_cast<std::size_t>(entry.file)] = true;
        }
        if (real_truncate(log_, static_cast<off64_t>(whole)) != 0) std::abort();
    }

    void append(const void* bytes, std::size_t size) const
    {
        if (size > 0 && ::write(log_, bytes, size) != static_cast<ssize_t>(size)) std::abort();
    }

    bool steered_ = false; ///< otherwise everything passes
    Control nothing_{};
    Control* control_ = &nothing_;
    std::array<char, 4096> database_{};
    std::array<char, 4096> log_path_{};
    std::array<std::atomic<File>, 65536> files_{}; ///< by descriptor

    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER; ///< guards the rest, and the files themselves
    int log_ = -1;
    std::array<bool, fd::file_kinds> unsynced_{};
    bool commit_pending_ = false; ///< the write-ahead log holds pages that are not synced
    std::array<char, most_bytes> old_{};
};

Disk& disk()
{
    static Disk the_disk;
    return the_disk;
}

int opened(const char* path, int flags, mode_t mode)
{
    const int descriptor = real_open(path, flags, mode);
    disk().opened(descriptor, path);
    return descriptor;
}

} // namespace

#define INTERPOSED extern "C" __attribute__((visibility("default")))

INTERPOSED int open64(const char* path, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
        std::va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return opened(path, flags, mode);
}

INTERPOSED int close(int descriptor)
{
    static auto* const real = next<int(int)>("close");
    disk().closed(descriptor);
    return real(descriptor);
}

INTERPOSED ssize_t pwrite64(int descriptor, const void* bytes, std::size_t size, off64_t at)
{
    if (disk().file(descriptor) == File::none) return real_pwrite(descriptor, bytes, size, at);
    return disk().write(descriptor, bytes, size, at);
}

INTERPOSED int ftruncate64(int descriptor, off64_t size) noexcept
{
    if (disk().file(descriptor) == File::none) return real_truncate(descriptor, size);
    return disk().truncate(descriptor, size);
}

INTERPOSED int fsync(int descriptor)
{
    static auto* const real = next<int(int)>("fsync");
    return disk().file(descriptor) == File::none ? real(descriptor) : disk().sync(descriptor, real);
}

INTERPOSED int fdatasync(int descriptor)
{
    static auto* const real = next<int(int)>("fdatasync");
    return disk().file(descriptor) == File::none ? real(descriptor) : disk().sync(descriptor, real);
}

INTERPOSED int unlink(const char* path) noexcept
{
    static auto* const real = next<int(const char*)>("unlink");
    return disk().kind_of(path) == File::none ? real(path) : disk().remove(path, real);
}
