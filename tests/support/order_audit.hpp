// What clients of the order pipeline asked for, what the pipeline says became of it, and what its validator did, held
// against each other. It shares no code with the pipeline: the states and the legal ways between them are written down
// here a second time.
//
// PURE. Thread: none. Values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hotspare::test {

/// An order as a client sent it, any number of times.
struct PlacedOrder {
    std::string id;
    std::string product;
    std::int64_t quantity = 0;
    bool acknowledged = false; ///< answered with 200; otherwise it may exist or not
};

/// An order as the pipeline tells of it.
struct SeenOrder {
    struct Event {
        std::string word;
        std::int64_t epoch = 0;
    };
    std::string id;
    std::string product;
    std::int64_t quantity = 0;
    std::string status;
    std::vector<Event> timeline;
};

/// The verdicts ("Validated", "Rejected") that the validator came to and acted upon, by order.
using Effects = std::map<std::string, std::vector<std::string>>;

struct OrderAudit {
    std::size_t acknowledged = 0;
    std::map<std::string, std::size_t> by_status;
    std::size_t lost = 0;                ///< acknowledged, and not there
    std::size_t doubled = 0;             ///< there twice, ended twice, or acted upon twice
    std::size_t stuck = 0;               ///< not ended
    std::size_t wrong = 0;               ///< anything else that must not be
    std::vector<std::string> findings{}; ///< a sentence for each of them, up to a bound

    bool clean() const noexcept { return lost + doubled + stuck + wrong == 0; }
    /// "lost 0, doubled 0, stuck 0 of 1234"
    std::string summary() const;
    /// The summary and the findings.
    std::string text() const;
};

/// `seen` is everything that the pipeline has, when nothing is under way any more. `effects` = null: not known.
OrderAudit audit_orders(const std::vector<PlacedOrder>& placed, const std::vector<SeenOrder>& seen,
                        const Effects* effects);

} // namespace hotspare::test
