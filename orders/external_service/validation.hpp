// What the external service decides: the rule of business, by which an order is rejected if and only if its quantity
// exceeds the stock.
//
// PURE.
#pragma once

#include "orders/external_service/effects.hpp"
#include "orders/model.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace hotspare::orders::external {

/// The same for two orders exactly if every field is the same.
Digest digest_of(const NewOrder& order);

/// The effect that a first call has. `at_ms`: milliseconds since the epoch of Unix.
Effect judge(const NewOrder& order, std::uint32_t stock, std::int64_t at_ms);

/// "Validated" or "Rejected".
std::string_view status_of(const Effect& effect) noexcept;

/// Why, as a sentence. `order` is the one that had the effect.
std::string reason_of(const NewOrder& order, const Effect& effect);

} // namespace hotspare::orders::external
