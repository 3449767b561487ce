// What the external service is asked and what it decides: a strict reading of POST /validate, and the rule of business,
// by which an order is rejected if and only if its quantity exceeds the stock.
//
// PURE.
#pragma once

#include "common/http/problem.hpp"
#include "orders/external_service/effects.hpp"

#include <boost/system/result.hpp>
#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::orders::external {

inline constexpr std::size_t longest_order_id = 255; ///< bytes
inline constexpr std::size_t longest_product = 1000; ///< bytes
inline constexpr std::size_t longest_key = 255;      ///< bytes
inline constexpr std::uint32_t largest_quantity = 1'000'000;

struct Order {
    std::string order_id;
    std::string product;
    std::uint32_t quantity = 0;
};

/// Fails with a 422 that names the field which is missing, unknown, empty, too long or of the wrong kind.
boost::system::result<Order, http::Problem> parse_order(const nlohmann::json& body);

/// Whether the value of an Idempotency-Key field can be one: 1 to longest_key printable ASCII characters.
std::optional<http::Problem> check_key(std::string_view key);

/// The same for two orders exactly if every field is the same.
Digest digest_of(const Order& order);

/// The effect that a first call has. `at_ms`: milliseconds since the epoch of Unix.
Effect judge(const Order& order, std::uint32_t stock, std::int64_t at_ms);

/// "Validated" or "Rejected".
std::string_view status_of(const Effect& effect) noexcept;

/// Why, as a sentence. `order` is the one that had the effect.
std::string reason_of(const Order& order, const Effect& effect);

} // namespace hotspare::orders::external
