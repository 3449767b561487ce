#include "orders/model.hpp"

#include "common/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace hotspare::orders {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<Status, std::string_view>, 4> status_words{{{Status::processing, "Processing"},
                                                                           {Status::validated, "Validated"},
                                                                           {Status::rejected, "Rejected"},
                                                                           {Status::failed, "Failed"}}};

http::Problem wrong(std::string_view field, std::string_view is, std::string_view expected)
{
    return {422, fmt::format("the field '{}' {}, expected {}", field, is, expected), {{"field", std::string(field)}}};
}

bool is_utf8(std::string_view text)
{
    try {
        (void)Json(std::string(text)).dump(); // strict: a JSON text is UTF-8 (RFC 8259 §8.1)
        return true;
    } catch (const Json::type_error&) {
        return false;
    }
}

boost::system::result<std::string, http::Problem> text_field(const Json& body, std::string_view field, std::size_t most)
{
    const auto expected =
        fmt::format("a text of 1 to {} bytes, without control characters or line separators and not only blanks", most);
    const auto found = body.find(field);
    if (found == body.end()) return wrong(field, "is missing", expected);
    if (!found->is_string()) return wrong(field, fmt::format("is a JSON {}", found->type_name()), expected);
    const auto& text = found->get_ref<const std::string&>();
    if (text.empty()) return wrong(field, "is empty", expected);
    if (text.size() > most) return wrong(field, fmt::format("has {} bytes", text.size()), expected);
    if (has_control_character(text)) return wrong(field, "holds a control character or a line separator", expected);
    if (is_blank(text)) return wrong(field, "is blank", expected);
    return text;
}

boost::system::result<std::int64_t, http::Problem> quantity_field(const Json& body)
{
    const auto expected = fmt::format("a whole number from 1 to {}", OrderLimits::quantity);
    const auto found = body.find("quantity");
    if (found == body.end()) return wrong("quantity", "is missing", expected);
    if (!found->is_number_integer()) return wrong("quantity", fmt::format("is {}", found->dump()), expected);
    // Compared as JSON numbers: one that does not fit 64 bits is a float there and was refused above.
    if (*found < 1 || *found > OrderLimits::quantity)
        return wrong("quantity", fmt::format("is {}", found->dump()), expected);
    return {boost::system::in_place_value, found->get<std::int64_t>()};
}

} // namespace

std::string_view to_string(Status status) noexcept
{
    return status_words[static_cast<std::size_t>(status)].second;
}

std::optional<Status> status_named(std::string_view word) noexcept
{
    for (const auto& [status, name] : status_words)
        if (name == word) return status;
    return std::nullopt;
}

bool may_be_order_id(std::string_view text)
{
    return !text.empty() && text.size() <= OrderLimits::order_id && is_utf8(text);
}

boost::system::result<NewOrder, http::Problem> parse_new_order(const Json& body)
{
    if (!body.is_object())
        return http::Problem{
            422, R"(the body is not a JSON object such as {"order_id":"a-1","product":"Medicine A","quantity":10})"};
    for (const auto& [name, value] : body.items())
        if (name != "order_id" && name != "product" && name != "quantity")
            return wrong(name, "is unknown", "only order_id, product and quantity");
    NewOrder order;
    auto order_id = text_field(body, "order_id", OrderLimits::order_id);
    if (!order_id) return order_id.error();
    auto product = text_field(body, "product", OrderLimits::product);
    if (!product) return product.error();
    const auto quantity = quantity_field(body);
    if (!quantity) return quantity.error();
    return NewOrder{.order_id = *std::move(order_id), .product = *std::move(product), .quantity = *quantity};
}

boost::system::result<std::string, http::Problem> parse_idempotency_key(std::string_view value)
{
    const bool visible = std::ranges::all_of(value, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
    if (value.empty() || value.size() > OrderLimits::idempotency_key || !visible)
        return http::Problem{422,
                             fmt::format("the header 'Idempotency-Key' is not valid, expected 1 to {} visible ASCII "
                                         "characters without spaces",
                                         OrderLimits::idempotency_key),
                             {{"field", "Idempotency-Key"}}};
    return std::string(value);
}

std::string_view to_string(Event::Kind kind) noexcept
{
    switch (kind) {
    case Event::Kind::created: return "created";
    case Event::Kind::leased: return "leased";
    case Event::Kind::attempt: return "attempt";
    case Event::Kind::snoozed: return "snoozed";
    case Event::Kind::retry: return "retry";
    case Event::Kind::validated: return "validated";
    case Event::Kind::rejected: return "rejected";
    case Event::Kind::failed: return "failed";
    case Event::Kind::replayed: return "replayed";
    case Event::Kind::hastened: return "hastened";
    }
    return "unknown";
}

Event::Kind terminal_event(Status status) noexcept
{
    switch (status) {
    case Status::validated: return Event::Kind::validated;
    case Status::rejected: return Event::Kind::rejected;
    default: return Event::Kind::failed;
    }
}

std::string_view to_string(Settled settled) noexcept
{
    switch (settled) {
    case Settled::applied: return "applied";
    case Settled::repeated: return "repeated";
    case Settled::fenced: return "fenced";
    case Settled::unknown: return "unknown";
    }
    return "unknown";
}

Settled judge_settlement(Status status, Epoch held, Epoch offered, std::optional<Status> wanted) noexcept
{
    if (held != offered) return Settled::fenced;
    if (status == Status::processing) return Settled::applied;
    // The epoch is ours and the round has ended: only we, or an operator's cancellation, can have ended it.
    return wanted && *wanted == status ? Settled::repeated : Settled::fenced;
}

} // namespace hotspare::orders
