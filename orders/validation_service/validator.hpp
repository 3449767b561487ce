// PURE: how the validator is asked and what its answers mean (API.md "System orders", external_service).
//
//     200 {"valid":true}                    its word: the order is good
//     200 {"valid":false,"reason":"..."}    its word: it is not
//     any other 4xx                         it does not take the request; asking again would change nothing
//     408, 425, 429, 5xx                    it is ill or busy: again later, after Retry-After if it says so
//     refused, no route                     nothing was sent
//     anything else, no answer              a failure of the call; what the validator did is unknown
//
// Thread: any.
#pragma once

#include "common/error.hpp"
#include "orders/model.hpp"
#include "orders/validation_service/work.hpp"

#include <string>

namespace hotspare::orders {

/// The Idempotency-Key of an order: its order_id in visible ASCII, or a digest of that where it would be longer than a
/// key may be. It is the same for all its attempts, workers and rounds: a validator that honours it acts once.
std::string validation_key(const std::string& order_id);
/// The body of POST /validate.
std::string validation_body(const NewOrder& order);

/// What matters of an answer.
struct ValidatorAnswer {
    unsigned status = 0;
    std::string body;
    std::string retry_after; ///< the header; empty if there is none
};

/// `answer` may be the reason why there is none. `wall` is now, for a Retry-After that is a date.
CallEnd judge_answer(const result<ValidatorAnswer>& answer, WallTime wall);

} // namespace hotspare::orders
