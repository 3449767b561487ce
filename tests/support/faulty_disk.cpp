#include "tests/support/faulty_disk.hpp"

#include "tests/support/own_files.hpp"
#include "tests/support/socket.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <system_error>

namespace hotspare::test {
namespace {

using faulty_disk::Control;
using faulty_disk::Entry;
using faulty_disk::File;

constexpr std::uint64_t sector = 512;

/// A change of a file that no sync has made durable.
struct Change {
    Entry entry;
    std::string bytes; ///< written
    std::string old;   ///< what was there
};
/// By File, in order.
using Changes = std::array<std::vector<Change>, faulty_disk::file_kinds>;

[[noreturn]] void fail(const std::filesystem::path& path)
{
    throw std::system_error(errno, std::generic_category(), path.string());
}

/// Reads the log up to its end, or to an entry that its writer did not live to finish.
Changes unsynced_changes(const std::filesystem::path& path)
{
    std::ifstream in(path, std::ios::binary);
    const std::string log{std::istreambuf_iterator<char>(in), {}};
    Changes changes;
    for (std::size_t at = 0; log.size() - at >= sizeof(Entry);) {
        Change change;
        std::memcpy(&change.entry, log.data() + at, sizeof(Entry));
        at += sizeof(Entry);
        const auto& entry = change.entry;
        if (log.size() - at < entry.size + entry.old_size) break;
        change.bytes = log.substr(at, entry.size);
        change.old = log.substr(at + entry.size, entry.old_size);
        at += entry.size + entry.old_size;
        auto& of_file = changes.at(static_cast<std::size_t>(entry.file));
        if (entry.kind == Entry::Kind::write || entry.kind == Entry::Kind::truncate)
            of_file.push_back(std::move(change));
        else
            of_file.clear();
    }
    return changes;
}

class OpenFile {
public:
    explicit OpenFile(const std::filesystem::path& path) : path_(path), fd_(::open(path.c_str(), O_RDWR | O_CLOEXEC))
    {
        if (!fd_) fail(path);
    }
    void write(std::string_view bytes, std::uint64_t at)
    {
        if (::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)) !=
            static_cast<ssize_t>(bytes.size()))
            fail(path_);
    }
    void resize(std::uint64_t size)
    {
        if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) fail(path_);
    }

private:
    const std::filesystem::path& path_;
    Fd fd_;
};

} // namespace

FaultyDisk::FaultyDisk(std::filesystem::path database)
    : database_(std::move(database)), control_path_(database_.string() + ".fault")
{
    const Fd file(::open(control_path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file || ::ftruncate(file.get(), sizeof(Control)) != 0) fail(control_path_);
    void* const page = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (page == MAP_FAILED) fail(control_path_);
    control_ = static_cast<Control*>(page); // zeroes are a valid Control
}

FaultyDisk::~FaultyDisk()
{
    ::munmap(control_, sizeof(Control));
}

std::vector<std::pair<std::string, std::string>> FaultyDisk::environment() const
{
    if (!available()) return {};
    return {{"LD_PRELOAD", build_file("tests/libfaulty_disk.so")},
            {faulty_disk::database_variable, database_.string()},
            {faulty_disk::control_variable, control_path_.string()}};
}

void FaultyDisk::kill_at(Point point, std::uint32_t nth) noexcept
{
    control_->point = 0;
    control_->countdown = nth;
    control_->point = static_cast<std::uint32_t>(point);
}

FaultyDisk::Cut FaultyDisk::lose_power(std::uint64_t seed)
{
    std::mt19937_64 random(seed);
    // Between everything and nothing: some cuts come right after the disk wrote by itself, some long after.
    const double survives = std::uniform_real_distribution<>(0, 1)(random);
    const auto chance = [&](double p) { return std::bernoulli_distribution(p)(random); };
    Cut cut;
    const auto changes = unsynced_changes(writes_path());
    for (const auto which : {File::data, File::log, File::journal}) {
        const auto& of_file = changes.at(static_cast<std::size_t>(which));
        if (of_file.empty()) continue;
        const auto path = path_of(which);
        if (!std::filesystem::exists(path)) continue; // removed together with the process
        OpenFile file(path);
        // Back to what was synced, and from there forward again, with some of what came.
        std::for_each(of_file.rbegin(), of_file.rend(), [&](const Change& change) {
            file.resize(change.entry.file_size);
            file.write(change.old, change.entry.offset);
        });
        for (const auto& change : of_file) {
            const auto& entry = change.entry;
            if (!chance(survives)) {
                ++cut.lost;
            } else if (entry.kind == Entry::Kind::truncate) {
                file.resize(entry.offset);
                ++cut.kept;
            } else if (chance(0.7)) {
                file.write(change.bytes, entry.offset);
                ++cut.kept;
            } else {
                for (std::uint64_t begin = entry.offset; begin < entry.offset + entry.size;) {
                    const auto end = std::min((begin / sector + 1) * sector, entry.offset + entry.size);
                    if (chance(0.5))
                        file.write(std::string_view(change.bytes).substr(begin - entry.offset, end - begin), begin);
                    begin = end;
                }
                ++cut.torn;
            }
        }
    }
    std::filesystem::remove(database_.string() + "-shm");
    std::filesystem::remove(writes_path());
    return cut;
}

bool FaultyDisk::available() noexcept
{
#ifdef HOTSPARE_SANITIZED
    return false;
#else
    return true;
#endif
}

std::filesystem::path FaultyDisk::path_of(File file) const
{
    switch (file) {
    case File::log: return database_.string() + "-wal";
    case File::journal: return database_.string() + "-journal";
    default: return database_;
    }
}

std::filesystem::path FaultyDisk::writes_path() const
{
    return control_path_.string() + ".writes";
}

} // namespace hotspare::test
