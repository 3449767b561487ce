// What daemons print, in files of bounded size. A daemon writes into its file by itself, opened for appending, and not
// into a pipe of its supervisor, which would end it or block it when that dies. So a file cannot be moved away from
// under the daemon. Rotation copies it aside and then empties it; a line that is written between these two steps, a few
// microseconds, is lost.
//
// Any thread; no state.
#pragma once

#include "common/error.hpp"
#include "common/socket.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace hotspare::process {

/// Opens the file for appending, and makes it if need be, readable for its owner alone.
result<Fd> open_output(const std::filesystem::path& file);

/// If the file has more than `limit` bytes, these become FILE.1 and it is empty again.
result<void> rotate_output(const std::filesystem::path& file, std::uint64_t limit);

/// Appends a line of ours to what the daemon prints.
void append_line(const std::filesystem::path& file, std::string_view line) noexcept;

/// The last lines of the file, at most so many and of at most 4 KiB together.
std::string last_lines(const std::filesystem::path& file, std::size_t lines);

} // namespace hotspare::process
