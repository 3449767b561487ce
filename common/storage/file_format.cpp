#include "common/storage/file_format.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::storage {

std::optional<std::string> why_foreign(const FileContents& contents, const FileFormat& format)
{
    if (contents.application_id == format.application_id) return std::nullopt;
    if (contents.application_id != 0)
        return fmt::format("its application id is {:#010x}, that of {} is {:#010x}", contents.application_id,
                           format.name, format.application_id);
    if (contents.tables.empty())
        return contents.user_version == 0 ? std::nullopt
                                          : std::optional(fmt::format("its user_version is {}, set by another program",
                                                                      contents.user_version));
    if (contents.user_version == format.version_without_id &&
        std::ranges::equal(contents.tables, format.tables_without_id))
        return std::nullopt;
    return fmt::format("its table '{}' belongs to another program", *contents.tables.begin());
}

} // namespace hotspare::storage
