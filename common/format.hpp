// Text into the end of a string. fmt::format_to() through an iterator compiles fmt's formatters of every type into each
// file that uses it; here they are the library's own.
//
// PURE. Any thread.
#pragma once

#include <fmt/core.h>

#include <string>

namespace hotspare {

void vappend(std::string& out, fmt::string_view format, fmt::format_args arguments);

/// What fmt::format() makes of the arguments, behind what `out` holds.
template <class... Args> void append(std::string& out, fmt::format_string<Args...> format, Args&&... arguments)
{
    vappend(out, fmt::string_view(format), fmt::make_format_args(arguments...));
}

} // namespace hotspare
