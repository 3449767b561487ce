#include "orders/order_service/store.hpp"

#include <fmt/format.h>

#include <random>

namespace hotspare::orders {

std::string random_generation()
{
    std::random_device random;
    const auto word = [&] { return static_cast<std::uint32_t>(random()); };
    const auto first = word();
    return fmt::format("{:08x}{:08x}", first, word());
}

} // namespace hotspare::orders
