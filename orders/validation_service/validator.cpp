#include "orders/validation_service/validator.hpp"

#include "common/json_document.hpp"
#include "common/resilience/retry.hpp"

#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace hotspare::orders {
namespace {

using Json = nlohmann::json;

/// What the answer says went wrong, as far as it says so; never more than a line.
std::string complaint(const ValidatorAnswer& answer)
{
    const auto body = read_json_document(answer.body);
    if (!body.is_object()) return {};
    for (const char* field : {"detail", "error", "message"}) {
        const auto found = body.find(field);
        if (found != body.end() && found->is_string()) return ": " + found->get<std::string>();
    }
    return {};
}

CallEnd judge_verdict(const ValidatorAnswer& answer, const std::string& order_id)
{
    const auto body = read_json_document(answer.body);
    const auto valid = body.is_object() ? body.find("valid") : body.end();
    if (!body.is_object() || valid == body.end() || !valid->is_boolean())
        return {.kind = CallEnd::Kind::failed, .text = "status 200 without a verdict that can be read"};
    if (const auto about = body.find("order_id"); about != body.end() && *about != order_id)
        return {.kind = CallEnd::Kind::failed, .text = "status 200 with a verdict about another order"};
    const auto reason = body.find("reason");
    auto text = reason != body.end() && reason->is_string() ? reason->get<std::string>() : std::string();
    return {.kind = valid->get<bool>() ? CallEnd::Kind::valid : CallEnd::Kind::rejected, .text = std::move(text)};
}

} // namespace

std::string validation_key(const std::string& order_id, const std::string& generation)
{
    // Behind a percent sign that is encoded below there are two digits, so no order_id ends in what looks like this.
    const auto suffix = generation.empty() ? std::string() : "%." + generation;
    std::string key;
    for (const char c : order_id) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte < 0x7f && c != '%')
            key += c;
        else
            key += fmt::format("%{:02X}", byte);
    }
    if (key.size() + suffix.size() <= OrderLimits::idempotency_key) return key + suffix;
    // Two percent signs: what is encoded above never has them, so a digest equals no encoded order_id.
    const boost::uuids::name_generator_sha1 digest(boost::uuids::ns::oid());
    return "%%" + to_string(digest(order_id)) + suffix;
}

std::string validation_body(const NewOrder& order)
{
    return json_text(Json{{"order_id", order.order_id}, {"product", order.product}, {"quantity", order.quantity}});
}

CallEnd judge_answer(const result<ValidatorAnswer>& answer, const std::string& order_id, WallTime wall)
{
    if (!answer) {
        namespace errors = boost::system::errc;
        const auto& error = answer.error();
        const bool unsent = error == errors::connection_refused || error == errors::host_unreachable ||
                            error == errors::network_unreachable || is_own_shortage(error);
        return {.kind = unsent ? CallEnd::Kind::unreachable : CallEnd::Kind::failed, .text = error.message()};
    }
    if (answer->status == 200) return judge_verdict(*answer, order_id);
    CallEnd end{.text = fmt::format("status {}{}", answer->status, complaint(*answer))};
    if (answer->status == 400 || answer->status == 422) end.kind = CallEnd::Kind::refused;
    if (!answer->retry_after.empty()) end.retry_after = resilience::parse_retry_after(answer->retry_after, wall);
    return end;
}

} // namespace hotspare::orders
