// PURE: whose database an SQLite file is. Each store of hotspare writes its own application id into the header of its
// files (PRAGMA application_id; https://www.sqlite.org/fileformat2.html, offset 68). A file with another id, or with
// tables and no id, belongs to another program and must not be written to.
//
// Any thread; no state.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace hotspare::storage {

/// The files of one store.
struct FileFormat {
    std::string_view name; ///< for messages: "the orders of order_service"
    std::uint32_t application_id = 0;
    /// What identifies a file that was made before files had an id: exactly these tables, and this user_version.
    std::set<std::string_view> tables_without_id{};
    std::int64_t version_without_id = 0;
};

/// As read from the file, without a change to it.
struct FileContents {
    std::uint32_t application_id = 0;
    std::int64_t user_version = 0;
    std::set<std::string> tables{}; ///< without those of SQLite itself
};

/// Why a file with these contents must not be used as one of `format`; none if it may, because it is one or is empty.
std::optional<std::string> why_foreign(const FileContents& contents, const FileFormat& format);

} // namespace hotspare::storage
