// PURE: is the order pipeline's history right? Everything that was promised is looked for in what was observed, and
// what is wrong is told order by order. Nothing of the pipeline's own code is used: what may become of an order is
// written down here once more, so that an error there is not repeated.
//
//     begin      created (epoch 0), exactly once and first                              -> waiting
//     waiting    leased (epoch grows)                                                   -> held
//                hastened                                                               -> waiting
//                failed (epoch grows): an operator cancelled it                         -> over
//     held       leased (epoch grows): the lease had ended                              -> held
//                attempt                                                                -> held
//                retry, snoozed (of this lease's epoch)                                 -> waiting
//                validated, rejected, failed (of this lease's epoch), or failed with a
//                greater one: an operator cancelled it                                  -> over
//     over       after failed alone: replayed (epoch grows), a round of its own         -> waiting
//
// And of an order that is over: its status is that of the last event; it is Validated or Rejected if and only if the
// validator's one effect for it was that. Effects are at most one for each key and each order, at any time.
//
// Any thread.
#pragma once

#include "experiment/judge/verdict.hpp"
#include "experiment/orders/history.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::experiment {

/// The limits that are promised. They are not part of a history: a forged one could relax them.
struct OrdersLimits {
    static constexpr Nanos answer = seconds(2);     ///< of a creation, from the moment it was due
    static constexpr Nanos detection = seconds(10); ///< of a fault, by the monitor, under its right name
    static constexpr Nanos lag = seconds(1); ///< of the load generator: more, and the clients were not what we say
};
/// How long after the end of the last fault, and of the load, nothing may be Processing any more. A worker that was
/// killed keeps its lease for 30 s, which a fault of mode alone does not cause.
Nanos drain_limit(const OrdersHistory& history) noexcept;

enum class Wrong : std::uint8_t {
    late,        ///< a creation was not answered in time
    lost,        ///< acknowledged and gone
    altered,     ///< there, but not what was asked for
    unattempted, ///< there, although not asked for, or after it was refused
    stuck,       ///< Processing at the end
    path,        ///< its timeline is no legal one: ended twice, came back, out of order
    epoch,       ///< its epoch did not grow
    status,      ///< it says one thing here and another there
    doubled,     ///< the validator acted on it more than once
    verdict,     ///< it ended as the validator did not say
};
inline constexpr std::size_t wrong_count = static_cast<std::size_t>(Wrong::verdict) + 1;
std::string_view to_string(Wrong wrong) noexcept;

struct Violation {
    Wrong wrong = Wrong::lost;
    std::string order_id;
    std::string what; ///< a sentence without its end

    bool operator==(const Violation&) const = default;
};

struct OrdersCounts {
    std::size_t attempted = 0; ///< orders that were asked for
    std::size_t acknowledged = 0, refused = 0, unknown = 0;
    std::size_t present = 0;
    std::size_t validated = 0, rejected = 0, failed = 0, processing = 0;
    std::size_t effects = 0;
    std::array<std::size_t, wrong_count> wrong{}; ///< orders (creations, for `late`) by what is wrong

    std::size_t of(Wrong kind) const noexcept { return wrong[static_cast<std::size_t>(kind)]; }
};

/// One of the four.
struct Promise {
    std::string what;
    std::string limit;
    std::string measured;
    bool held = false;
    bool judged = true; ///< false: this history cannot tell
};

struct OrdersJudgement {
    Verdict verdict = Verdict::invalid;
    std::string reason; ///< for invalid and aborted
    OrdersCounts counts;
    std::vector<Violation> violations;                       ///< all of them
    std::optional<Nanos> create_p50, create_p99, create_max; ///< of the acknowledged, from when they were due
    std::string named;                                       ///< the monitor's last word while the fault lasted
    std::optional<Nanos> detection;                          ///< from the fault to the right word
    std::optional<Nanos> drain;                              ///< from the end of faults and load
    std::array<Promise, 4> promises; ///< answered in time, nothing lost, failure named, states consistent
};

OrdersJudgement judge(const OrdersHistory& history);

} // namespace hotspare::experiment
