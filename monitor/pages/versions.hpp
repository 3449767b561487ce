// The versions of a service as the balancer in front of them tells of them in its /status: which one is active, what
// state each is in, and the latest failover. The dashboard shows it. Unlike check/balancer_status, which judges by that
// document whether targets are up, this reader is tolerant: what is missing or of another type is not shown.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/instant.hpp"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>
#include <vector>

namespace hotspare::monitor {

struct Version {
    std::string name{};
    std::string url{};
    std::string status{}; ///< the balancer's word: "healthy", "down"; may be empty
    std::optional<Instant> since{};
    std::string cause{};    ///< of the status, a word: "traffic_and_probes"
    std::string evidence{}; ///< the same for people: "500 Internal Server Error"
    bool active = false;
    std::optional<Instant> quarantined_until{};

    friend bool operator==(const Version&, const Version&) = default;
};

struct LastFailover {
    std::string from{};
    std::string to{};
    std::string cause{};
    std::string evidence{};
    std::optional<double> detection_ms{}; ///< from the first failure to the decision
    std::optional<double> failover_ms{};  ///< from the first failure to the new routing
    std::optional<Instant> at{};

    friend bool operator==(const LastFailover&, const LastFailover&) = default;
};

struct Versions {
    std::string active{};            ///< empty: none
    std::vector<Version> versions{}; ///< in the balancer's order
    std::optional<LastFailover> last_failover{};

    friend bool operator==(const Versions&, const Versions&) = default;
};

/// Nothing if the document has no backends. Texts are printable, and at most 300 bytes are kept; of more than 64
/// backends, the first.
std::optional<Versions> read_versions(const nlohmann::json& balancer_status);

} // namespace hotspare::monitor
