// PURE: what order_service and validation_service say to each other, as JSON (docs/orders.md, "The work protocol").
// Each message is written and read here, so that the two sides cannot disagree: what one writes the other reads,
// however long a call took and whatever the clocks say, as the writer cuts down to the limits of the reader. Reading is
// strict, and fails with a problem that names the field. `generation` and `tried_ms` may be left out, as earlier
// versions do.
//
//     POST /jobs/lease   {"worker":"w1","most":64,"wait_ms":5000}      -> {"jobs":[...],"lease_ms":30000}
//     POST /jobs/extend  {"jobs":[{"order_id":"a","epoch":3}]}         -> {"held":[true]}
//     POST /jobs/settle  {"results":[{"order_id":"a","epoch":3,...}]}  -> {"results":["applied"]}
//     POST /jobs/presence {"worker":"w1","paused":true}                -> {}
#pragma once

#include "orders/model.hpp"

#include <boost/system/result.hpp>
#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace hotspare::orders::wire {

using Json = nlohmann::json;
template <class T> using Parsed = boost::system::result<T, http::Problem>;

/// Bounds of one message: jobs or results in it.
inline constexpr std::size_t most_jobs = 1'024;

struct LeaseCall {
    std::string worker{};
    std::size_t most = 1;
    Duration wait{}; ///< for work, if there is none
};
struct LeaseAnswer {
    std::vector<Lease> jobs{};
    Duration lasts{};
};

Json to_json(const LeaseCall& call);
Parsed<LeaseCall> parse_lease_call(const Json& body);
Json to_json(const LeaseAnswer& answer);
Parsed<LeaseAnswer> parse_lease_answer(const Json& body);

/// Of a worker that asks for no jobs.
struct PresenceCall {
    std::string worker{};
    bool paused = false;
};

Json to_json(const PresenceCall& call);
Parsed<PresenceCall> parse_presence_call(const Json& body);

Json extend_call(const std::vector<Held>& held);
Parsed<std::vector<Held>> parse_extend_call(const Json& body);
Json extend_answer(const std::vector<bool>& held);
Parsed<std::vector<bool>> parse_extend_answer(const Json& body, std::size_t expected);

Json settle_call(const std::vector<Settlement>& settlements);
Parsed<std::vector<Settlement>> parse_settle_call(const Json& body);
Json settle_answer(const std::vector<Settled>& settled);
Parsed<std::vector<Settled>> parse_settle_answer(const Json& body, std::size_t expected);

} // namespace hotspare::orders::wire
