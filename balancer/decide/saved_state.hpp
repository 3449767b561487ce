// What a balancer knows, for the process that takes its place: the health and the flaps of its backends, what operators
// said, which backend is active. Its successor begins with that instead of with `unknown`.
//
// Backends and pools go by their names: the successor may have another configuration. What it does not know of is
// ignored, and so is a backend whose address has changed. Times are of the steady clock, which is one for all processes
// since the machine was booted (CLOCK_MONOTONIC).
//
// PURE. Values.
#pragma once

#include "balancer/decide/failover.hpp"
#include "common/clock.hpp"
#include "common/resilience/health.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::balancer {

struct SavedBackend {
    std::string name;
    std::string url;
    std::string address; ///< as BackendConfig::address
    resilience::Verdict verdict;
    std::string observed; ///< evidence of the verdict
    TimePoint since{};    ///< of the status, which an operator's word may hide the verdict with
    std::string cause;
    std::string evidence;
    std::optional<OperatorWord> word; ///< drain or maintenance
    std::optional<Maintenance> maintenance;

    bool operator==(const SavedBackend&) const = default;
};

struct SavedMember {
    std::string backend;
    std::optional<TimePoint> quarantined_until;
    std::optional<TimePoint> serving_since; ///< nothing: it does not serve
    std::vector<TimePoint> failures;        ///< that count towards quarantine

    bool operator==(const SavedMember&) const = default;
};

struct SavedPool {
    std::string name;
    std::string active;      ///< empty: none
    std::string last_active; ///< survives an outage; empty: none was
    std::string preferred;   ///< empty: none
    bool can_answer = true;
    bool fail_open = false;
    std::vector<SavedMember> members;

    bool operator==(const SavedPool&) const = default;
};

struct SavedState {
    std::uint64_t generation = 0; ///< of the topology
    std::vector<SavedBackend> backends;
    std::vector<SavedPool> pools;

    bool operator==(const SavedState&) const = default;
};

} // namespace hotspare::balancer
