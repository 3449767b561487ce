// PURE: which orders an operator's request is about that changes many at once (POST /replay_orders, /cancel_orders),
// and how such a request is read.
//
// Thread: none. Values.
#pragma once

#include "orders/model.hpp"
#include "orders/order_service/transition.hpp"

#include <boost/system/result.hpp>
#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::orders {

/// Orders with one status, by age and reason.
struct Selection {
    Status status = Status::failed;
    std::optional<WallTime> created_from{}, created_to{}; ///< both included
    std::string reason{};                                 ///< part of the order's, byte by byte; empty = any

    bool holds(const Order& order) const;
};

struct BulkRequest {
    static constexpr std::size_t largest = 1'000;

    Operation operation = Operation::replay;
    Selection selection{};
    std::size_t most = largest; ///< orders are changed
};

/// What became of one.
struct BulkOutcome {
    std::vector<std::int64_t> changed{}; ///< their numbers
    std::uint64_t left = 0;              ///< orders of the selection that were not changed
};

/// Reads {"status"?,"older_than"?,"younger_than"?,"reason"?,"limit"?}; an empty object selects all that the operation
/// is possible for. Ages count from the creation to `now`. Fails with a 422 that names the field. Precondition:
/// `operation` is cancel or replay.
boost::system::result<BulkRequest, http::Problem> parse_bulk_request(const nlohmann::json& body, Operation operation,
                                                                     WallTime now);

} // namespace hotspare::orders
