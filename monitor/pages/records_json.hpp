// The JSON documents that list what the monitor keeps: one maintenance window, GET /targets, /incidents, /history and
// /audit, and the public GET /status. Lists are newest first, a page at a time: `next` is the value of `before` that
// yields the following page, null on the last one. Times are RFC 3339 in UTC.
//
// Who wrote an update of an incident is in the audit log only, as /incidents needs no credentials.
//
// PURE. Any thread.
#pragma once

#include "monitor/history/rows.hpp"
#include "monitor/pages/view.hpp"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hotspare::monitor {

/// The plan's members as POST /maintenance takes them, with `id`, `state`, `version`, `created_at`, `announced_at`, and
/// `next`: the occurrences that are not over, as upcoming() yields them. `title` is the operator's, and may be empty.
std::string window_json(const Window& window, std::span<const Span> upcoming);

/// A target at one moment.
struct TargetRecord {
    std::string name{};
    std::string kind{}; ///< "http", "tcp", "balancer", "push", "backend"
    State state = State::unknown;
    std::string cause{};                   ///< unless it is up
    std::optional<Instant> since{};        ///< of the state
    std::optional<Instant> checked_at{};   ///< start of the latest check
    std::optional<microseconds> latency{}; ///< of its answer
    Instant watched_since{};
    bool maintenance = false; ///< an announced window about it is in progress
};
std::string targets_json(std::span<const TargetRecord> targets);

/// The name of a target that is or was watched.
using NameOfTarget = std::function<std::string(TargetId)>;

/// An incident that goes on has no end, and lasts until now.
std::string incident_page_json(const Page<StoredIncident>& page, const NameOfTarget& name_of, Instant now);

/// Of one target. `latency_ms` is null without an answer.
std::string samples_json(std::string_view target, const Page<StoredSample>& page);

std::string audit_json(const Page<ChainedEntry>& page);

/// The state of the whole in a word and in a sentence, the components with their uptime over the days that the status
/// page shows (null without known time), the incidents that are open, and the windows that are not over.
std::string own_status_json(const View& view);

} // namespace hotspare::monitor
