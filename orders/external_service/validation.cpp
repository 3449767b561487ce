#include "orders/external_service/validation.hpp"

#include <fmt/format.h>

namespace hotspare::orders::external {
Digest digest_of(const NewOrder& order)
{
    // The lengths keep two different orders from being one text.
    return digest(fmt::format("{}:{}{}:{}{}", order.order_id.size(), order.order_id, order.product.size(),
                              order.product, order.quantity));
}

Effect judge(const NewOrder& order, std::uint32_t stock, std::int64_t at_ms)
{
    return {.body = digest_of(order), .at_ms = at_ms, .stock = stock, .valid = order.quantity <= stock};
}

std::string_view status_of(const Effect& effect) noexcept
{
    return effect.valid ? "Validated" : "Rejected";
}

std::string reason_of(const NewOrder& order, const Effect& effect)
{
    return fmt::format("the quantity {} {} the stock of {}", order.quantity,
                       effect.valid ? "does not exceed" : "exceeds", effect.stock);
}

} // namespace hotspare::orders::external
