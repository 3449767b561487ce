// PURE: how the validator is asked and what its answers mean (docs/orders.md, "What ends an order").
//
//     200 {"valid":true}                    its word: the order is good
//     200 {"valid":false,"reason":"..."}    its word: it is not
//     400, 422                              it does not take the request; asking again would change nothing
//     refused, no route                     nothing was sent
//     anything else, no answer              a failure of the call; what the validator did is unknown
//
// Only what the validator says about this order may end it. A 401, 403, 404, 409, 421 or 423 is as often the word of a
// gateway, a wrong path or an expired token, and a verdict that names another order_id belongs to another call: both
// are failures of the call, like a 5xx. The order is tried again later, after Retry-After if the answer has one.
//
// Thread: any.
#pragma once

#include "common/error.hpp"
#include "orders/model.hpp"
#include "orders/validation_service/work.hpp"

#include <string>

namespace hotspare::orders {

/// The Idempotency-Key of an order: its order_id in visible ASCII, or a digest of that where it would be longer than a
/// key may be, and the generation that it belongs to, if it has one. It is the same for all its attempts, workers and
/// rounds, so a validator that honours it acts once; and it is another one for an order that has the name of one that
/// was cleared.
std::string validation_key(const std::string& order_id, const std::string& generation);
/// The body of POST /validate.
std::string validation_body(const NewOrder& order);

/// What matters of an answer.
struct ValidatorAnswer {
    unsigned status = 0;
    std::string body;
    std::string retry_after; ///< the header; empty if there is none
};

/// What `answer` to the question about `order_id` means. It may be the reason why there is none. `wall` is now, for a
/// Retry-After that is a date.
CallEnd judge_answer(const result<ValidatorAnswer>& answer, const std::string& order_id, WallTime wall);

} // namespace hotspare::orders
