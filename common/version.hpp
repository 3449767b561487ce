// Which version of the suite this is; defined in app.cpp.
//
// Any thread.
#pragma once

#include <string_view>

namespace hotspare {

/// E.g. "0.1.0".
std::string_view version() noexcept;

} // namespace hotspare
