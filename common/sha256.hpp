// SHA-256 (FIPS 180-4): a digest by which a text is known again, and which no other text is known to have. It keeps
// nothing secret.
//
// PURE. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace hotspare {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::string_view text);

/// The digest as 64 digits of lower case.
std::string sha256_hex(std::string_view text);

} // namespace hotspare
