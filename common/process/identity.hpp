// Which process a number stands for. The kernel gives a process id to another process once the first has been waited
// for, so an id alone names nothing for long. Together with the time at which the process started, counted in clock
// ticks since boot, and the id of that boot it names one process for good. A record of these three in a file outlives
// the process that wrote it, so that another can adopt what it left.
//
// Any thread; no state.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace hotspare::process {

struct Identity {
    pid_t pid = -1;
    std::uint64_t start_time = 0; ///< clock ticks after boot (proc(5), field 22 of stat)
    std::string boot_id{};        ///< empty: unknown, and not compared

    bool operator==(const Identity&) const = default;
};

/// What /proc/PID/stat says.
struct Stat {
    std::string name{}; ///< of the program, at most 15 bytes
    char state = '?';   ///< 'Z': it has ended and was not waited for; 'T': it is stopped
    pid_t parent = 0;
    std::uint64_t start_time = 0;
};

/// Nothing if there is no such process.
std::optional<Stat> stat_of(pid_t pid);

/// Of the process that has this id now; nothing if there is none, or only what is left of one that has ended.
std::optional<Identity> identity_of(pid_t pid);

/// How long ago it started.
Duration age_of(const Identity& identity) noexcept;

/// "PID START-TIME BOOT-ID"; parse_identity() is its inverse, and takes "PID START-TIME" and "PID" as well.
std::string format_identity(const Identity& identity);
std::optional<Identity> parse_identity(std::string_view text);

/// Replaces the file as a whole: a reader, or the next process after a SIGKILL, finds the old record or the new one.
result<void> write_record(const std::filesystem::path& file, const Identity& identity);
/// Nothing if there is no such file, or no record in it.
std::optional<Identity> read_record(const std::filesystem::path& file);

/// Writes `text` under another name beside `file`, which it then becomes. The file is readable for its owner alone.
result<void> replace_file(const std::filesystem::path& file, std::string_view text);

} // namespace hotspare::process
