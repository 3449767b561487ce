#include "common/storage/database_file.hpp"

#include "common/log.hpp"

#include <fmt/format.h>

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace hotspare::storage {
namespace {

/// What the lock is on: a byte that no file reaches and that SQLite, whose own locks are at 1 GiB, does not use.
constexpr off_t lock_byte = 0x4000'0000'0000;

std::string system_message(int code)
{
    return std::generic_category().message(code);
}

result<FileContents> read_contents(Database& database)
{
    FileContents contents;
    const auto number = [&](std::string_view sql) -> result<std::int64_t> {
        auto statement = database.prepare(sql);
        if (!statement) return statement.error();
        if (const auto row = statement->step(); !row) return row.error();
        return statement->integer(0);
    };
    const auto id = number("PRAGMA application_id");
    if (!id) return id.error();
    const auto version = number("PRAGMA user_version");
    if (!version) return version.error();
    contents.application_id = static_cast<std::uint32_t>(*id);
    contents.user_version = *version;
    auto tables = database.prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') "
                                   "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'");
    if (!tables) return tables.error();
    while (true) {
        const auto row = tables->step();
        if (!row) return row.error();
        if (!*row) return contents;
        contents.tables.emplace(tables->text(0));
    }
}

/// The application id in the file's header; 0 if it has none or is no SQLite file.
std::uint32_t id_in_header(const std::string& path)
{
    constexpr std::string_view magic("SQLite format 3\0", 16);
    constexpr std::size_t id_offset = 68; // SQLite, "Database File Format", section 1.3
    std::array<char, 100> header{};
    std::ifstream file(path, std::ios::binary);
    if (!file.read(header.data(), header.size()) || std::string_view(header.data(), magic.size()) != magic) return 0;
    std::uint32_t id = 0;
    for (std::size_t i = 0; i < 4; ++i) id = id << 8 | static_cast<unsigned char>(header[id_offset + i]);
    return id;
}

bool has_bytes(const std::string& path)
{
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

} // namespace

DatabaseFile::DatabaseFile(std::string path, const FileFormat& format, Use use)
    : path_(std::move(path)), format_(format)
{
    struct stat status {};
    const bool exists = ::stat(path_.c_str(), &status) == 0;
    if (exists && !S_ISREG(status.st_mode)) refuse("it is not a regular file");
    if (exists && status.st_size > 0) look();
    if (use == Use::alone) open_and_lock();
}

DatabaseFile::~DatabaseFile()
{
    if (descriptor_ >= 0) ::close(descriptor_);
}

void DatabaseFile::look() const
{
    // The id stands in the first sector, which is whole whenever the process that wrote it was killed. The rest may be
    // in the middle of a checkpoint: claim() looks when SQLite has put it right.
    if (id_in_header(path_) == format_.application_id) return;
    auto database = Database::open_as_is(path_);
    const auto contents = database ? read_contents(*database) : result<FileContents>(database.error());
    if (!contents) {
        // What a process was writing when it was killed may be half there: claim() looks when SQLite has put it right.
        if (has_bytes(path_ + "-journal")) return;
        if (contents.error() == errc::storage_broken) refuse("it is not an SQLite database");
        throw StartupError(fmt::format("cannot use {} for {}: {}", path_, format_.name, contents.error().message()));
    }
    if (const auto reason = why_foreign(*contents, format_)) refuse(*reason);
    // Files of ours have their id before they have a log.
    if (contents->application_id == 0 && contents->tables.empty() && has_bytes(path_ + "-wal"))
        refuse("the write-ahead log beside it belongs to another program");
}

/// The lock belongs to the open file, not to the process (F_OFD_SETLK): closing another descriptor of it, as SQLite
/// does, leaves it in place. It is on the inode, so all names of the file share it.
void DatabaseFile::open_and_lock()
{
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) throw StartupError(fmt::format("cannot open {}: {}", path_, system_message(errno)));
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = lock_byte;
    lock.l_len = 1;
    if (::fcntl(descriptor_, F_OFD_SETLK, &lock) == 0) return;
    const int code = errno;
    // The descriptor stays open: closing it would take away the locks that a store in this process has on the file.
    descriptor_ = -1;
    if (code != EAGAIN && code != EACCES)
        throw StartupError(fmt::format("cannot lock {}: {}", path_, system_message(code)));
    throw StartupError(
        fmt::format("{} is in use by another process, by this or another name of the file; stop that process, or "
                    "choose another file",
                    path_));
}

void DatabaseFile::claim(Database& database) const
{
    const auto failed = [this](error_code error) {
        throw StartupError(fmt::format("cannot use {} for {}: {}", path_, format_.name, error.message()));
    };
    const auto contents = read_contents(database);
    if (!contents) failed(contents.error());
    if (const auto reason = why_foreign(*contents, format_)) refuse(*reason);
    if (contents->application_id == format_.application_id) return;
    const auto marked = database.execute(fmt::format("PRAGMA application_id = {}", format_.application_id));
    if (!marked) failed(marked.error());
}

void DatabaseFile::refuse(std::string_view reason) const
{
    throw UsageError(
        fmt::format("{} does not hold {}: {}. Nothing was changed; choose another file", path_, format_.name, reason));
}

void DatabaseFile::watch(const std::vector<std::string_view>& suffixes)
{
    watched_.clear();
    const auto add = [this](std::string path) {
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0)
            throw StartupError(fmt::format("cannot find {} after opening it: {}", path, system_message(errno)));
        watched_.push_back({std::move(path), status.st_dev, status.st_ino});
    };
    add(path_);
    for (const auto suffix : suffixes) add(path_ + std::string(suffix));
}

result<void> DatabaseFile::verify()
{
    auto found = find_trouble();
    const std::scoped_lock lock(mutex_);
    if (found != trouble_) {
        if (found)
            log::error("{}: {}; requests are refused until the path leads to the open file again. Move the file back "
                       "(while this process runs its contents are in /proc/{}/fd), or restart to use what is there",
                       path_, *found, ::getpid());
        else
            log::info("{} leads to the open file again", path_);
        trouble_ = std::move(found);
    }
    if (trouble_) return error_code(errc::unavailable);
    return {};
}

std::optional<std::string> DatabaseFile::trouble() const
{
    const std::scoped_lock lock(mutex_);
    return trouble_;
}

std::optional<std::string> DatabaseFile::find_trouble() const
{
    for (const auto& file : watched_) {
        struct stat status {};
        const int code = ::stat(file.path.c_str(), &status) == 0 ? 0 : errno;
        if (code == 0 && status.st_dev == file.device && status.st_ino == file.inode) continue;
        const auto name = std::filesystem::path(file.path).filename().string();
        if (code == ENOENT) return fmt::format("{} was deleted or renamed", name);
        if (code != 0) return fmt::format("{} cannot be reached: {}", name, system_message(code));
        return fmt::format("{} was replaced by another file", name);
    }
    return std::nullopt;
}

} // namespace hotspare::storage
