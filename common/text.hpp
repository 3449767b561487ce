// Texts of others, as they may stand in ours.
//
// PURE. Any thread.
#pragma once

#include <cstddef>
#include <string>

namespace hotspare {

/// At most the first `most` bytes of UTF-8, and "..." if that is not all; never half a character.
std::string shortened(std::string text, std::size_t most);

} // namespace hotspare
