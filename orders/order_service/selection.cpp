#include "orders/order_service/selection.hpp"

#include "common/config.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace hotspare::orders {
namespace {

constexpr std::size_t longest_reason = 500;
constexpr Duration longest_age = std::chrono::hours(24) * 366 * 100;

struct WrongMember {
    std::string name, expected;
};

WallTime ago(const nlohmann::json& value, const std::string& name, WallTime now)
{
    const auto age = value.is_string() ? config::parse_duration(value.get_ref<const std::string&>())
                                       : config::Parsed<Duration>(config::ParseError{});
    if (!age || *age < Duration::zero() || *age > longest_age) throw WrongMember{name, "a duration such as 30s or 2h"};
    return std::chrono::time_point_cast<WallTime::duration>(now - *age);
}

} // namespace

bool Selection::holds(const Order& order) const
{
    return order.status == status && (!created_from || order.created >= *created_from) &&
           (!created_to || order.created <= *created_to) && order.reason.find(reason) != std::string::npos;
}

boost::system::result<BulkRequest, http::Problem> parse_bulk_request(const nlohmann::json& body, Operation operation,
                                                                     WallTime now)
{
    BulkRequest out{.operation = operation};
    out.selection.status = operation == Operation::replay ? Status::failed : Status::processing;
    try {
        if (!body.is_object()) throw WrongMember{"body", "an object; {} selects all orders"};
        for (const auto& [name, value] : body.items()) {
            if (name == "status") {
                if (!value.is_string() || value.get_ref<const std::string&>() != to_string(out.selection.status))
                    throw WrongMember{name,
                                      fmt::format("{}, as no other order can be {}", to_string(out.selection.status),
                                                  operation == Operation::replay ? "replayed" : "cancelled")};
            } else if (name == "older_than") {
                out.selection.created_to = ago(value, name, now);
            } else if (name == "younger_than") {
                out.selection.created_from = ago(value, name, now);
            } else if (name == "reason") {
                if (!value.is_string() || value.get_ref<const std::string&>().size() > longest_reason)
                    throw WrongMember{name, fmt::format("a text of at most {} bytes", longest_reason)};
                out.selection.reason = value.get<std::string>();
            } else if (name == "limit") {
                if (!value.is_number_integer() || value < 1 || value > BulkRequest::largest)
                    throw WrongMember{name, fmt::format("a whole number from 1 to {}", BulkRequest::largest)};
                out.most = value.get<std::size_t>();
            } else {
                throw WrongMember{name, "one of status, older_than, younger_than, reason, limit"};
            }
        }
    } catch (const WrongMember& wrong) {
        return http::Problem{422,
                             fmt::format("the field '{}' is not valid, expected {}", wrong.name, wrong.expected),
                             {{"field", wrong.name}}};
    }
    return out;
}

} // namespace hotspare::orders
