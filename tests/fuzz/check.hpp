// What every fuzz target needs: a property that fails loudly, and an input cut into the pieces in which a network might
// deliver it. Targets assert properties, they do not only wait for crashes; a broken one aborts, and the driver of the
// target (libFuzzer, or replay.cpp) keeps the input that did it.
//
// One thread. Owns nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::fuzz {

/// Aborts, saying `what` (a sentence about what should hold) and `seen`, unless `holds`.
inline void check(bool holds, std::string_view what, std::string_view seen = {})
{
    if (holds) return;
    std::cerr << "\nbroken: " << what << '\n' << seen << std::endl;
    std::abort();
}

/// `bytes` in consecutive pieces, each of 1 to `longest` bytes. Which ones follows from the bytes, so that an input
/// that was found behaves the same for ever. `longest` 1 = byte by byte.
inline std::vector<std::string_view> pieces(std::string_view bytes, std::size_t longest)
{
    std::uint64_t state = 0x9e3779b97f4a7c15; // FNV-1a over the bytes, then a xorshift
    for (const char c : bytes) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    std::vector<std::string_view> out;
    while (!bytes.empty()) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        const auto size = std::min<std::size_t>(bytes.size(), 1 + state % longest);
        out.push_back(bytes.substr(0, size));
        bytes.remove_prefix(size);
    }
    return out;
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size)
{
    return {reinterpret_cast<const char*>(data), size};
}

} // namespace hotspare::fuzz
