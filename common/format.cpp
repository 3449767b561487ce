#include "common/format.hpp"

#include <fmt/format.h>

#include <iterator>

namespace hotspare {

void vappend(std::string& out, fmt::string_view format, fmt::format_args arguments)
{
    fmt::vformat_to(std::back_inserter(out), format, arguments);
}

} // namespace hotspare
