// Announced maintenance: what an operator says to the clients of backends that are taken out for planned work, and when
// those clients should ask again. A pool whose every backend an operator has taken out cannot answer before the
// operator's next word, so its requests are answered at once instead of being parked.
//
// PURE. Values; part of Routing.
#pragma once

#include "common/clock.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::balancer {

struct Maintenance {
    static constexpr std::size_t longest_message = 500; ///< bytes

    std::optional<WallTime> until{}; ///< when the operator expects the end; the maintenance does not end by itself
    std::string message{};           ///< for clients: one line of UTF-8, not escaped; may be empty

    bool operator==(const Maintenance&) const = default;
};

/// Of two that hold for one pool, whether clients are told `a`: the pool serves again when the first backend returns,
/// so the earlier end goes first, then one with a message.
bool comes_before(const Maintenance& a, const Maintenance& b) noexcept;

/// Retry-After: until the expected end, from 1 s (also past the end) to a day; a minute if none was announced.
seconds retry_after(const Maintenance& maintenance, WallTime now) noexcept;

/// "`sentence` until 2026-12-01T04:00:00.000Z: the message", as far as these were announced.
std::string with_announcement(std::string_view sentence, const Maintenance& maintenance);

} // namespace hotspare::balancer
