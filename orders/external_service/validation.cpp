#include "orders/external_service/validation.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::orders::external {
namespace {

using Json = nlohmann::json;

http::Problem wrong(std::string_view field, std::string_view what, std::string_view expected)
{
    return {422, fmt::format("the field '{}' {}, expected {}", field, what, expected), Json{{"field", field}}};
}

/// What is wrong with a text, or nothing.
std::optional<http::Problem> check_text(const Json& body, const char* field, std::size_t longest)
{
    const auto expected = fmt::format("a text of 1 to {} bytes", longest);
    const auto found = body.find(field);
    if (found == body.end()) return wrong(field, "is missing", expected);
    if (!found->is_string()) return wrong(field, "is not a text", expected);
    const auto size = found->get_ref<const std::string&>().size();
    if (size == 0) return wrong(field, "is empty", expected);
    if (size > longest) return wrong(field, "is too long", expected);
    return std::nullopt;
}

std::optional<http::Problem> check_quantity(const Json& body)
{
    const auto expected = fmt::format("a whole number from 1 to {}", largest_quantity);
    const auto found = body.find("quantity");
    if (found == body.end()) return wrong("quantity", "is missing", expected);
    if (!found->is_number_integer()) return wrong("quantity", "is not a whole number", expected);
    if (*found < 1 || *found > largest_quantity) return wrong("quantity", "is out of range", expected);
    return std::nullopt;
}

} // namespace

boost::system::result<Order, http::Problem> parse_order(const Json& body)
{
    if (!body.is_object())
        return http::Problem{
            422, R"(the body is not a JSON object such as {"order_id":"a-1","product":"Medicine A","quantity":10})"};
    for (const auto& [name, value] : body.items())
        if (name != "order_id" && name != "product" && name != "quantity")
            return wrong(name, "is unknown", "one of order_id, product, quantity");
    if (auto problem = check_text(body, "order_id", longest_order_id)) return *std::move(problem);
    if (auto problem = check_text(body, "product", longest_product)) return *std::move(problem);
    if (auto problem = check_quantity(body)) return *std::move(problem);
    return Order{body["order_id"].get<std::string>(), body["product"].get<std::string>(),
                 body["quantity"].get<std::uint32_t>()};
}

std::optional<http::Problem> check_key(std::string_view key)
{
    const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
    if (!key.empty() && key.size() <= longest_key && std::all_of(key.begin(), key.end(), printable))
        return std::nullopt;
    return wrong("Idempotency-Key", "is not valid",
                 fmt::format("1 to {} printable ASCII characters, or no such field", longest_key));
}

Digest digest_of(const Order& order)
{
    // The lengths keep two different orders from being one text.
    return digest(fmt::format("{}:{}{}:{}{}", order.order_id.size(), order.order_id, order.product.size(),
                              order.product, order.quantity));
}

Effect judge(const Order& order, std::uint32_t stock, std::int64_t at_ms)
{
    return {.body = digest_of(order), .at_ms = at_ms, .stock = stock, .valid = order.quantity <= stock};
}

std::string_view status_of(const Effect& effect) noexcept
{
    return effect.valid ? "Validated" : "Rejected";
}

std::string reason_of(const Order& order, const Effect& effect)
{
    return fmt::format("the quantity {} {} the stock of {}", order.quantity,
                       effect.valid ? "does not exceed" : "exceeds", effect.stock);
}

} // namespace hotspare::orders::external
