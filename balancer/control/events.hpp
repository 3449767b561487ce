// What has happened, for people and programs that were not looking: the latest events with an id each, so that a reader
// who lost the connection can ask for what came after. Turning an Event into JSON and into a sentence is done here too,
// so that the log, /events, /logs and /status say the same.
//
// Thread: the monitor's. Owner: the Monitor.
#pragma once

#include "balancer/decide/failover.hpp"
#include "common/clock.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

/// An Event with what only the monitor knows of it.
struct ReportedEvent {
    Event event;
    WallTime at{};
    Duration failover{}; ///< failover, failback: first evidence -> new Routing handed to the workers
};

/// {"event":"failover","at":…,"pool":…,"from":"primary","to":"spare","cause":…,"evidence":…,"detection_ms":…,…}
nlohmann::json to_json(const ReportedEvent& reported, const Config& config);
/// One line: "failover of pool 'default' from 'primary' to 'spare' in 2.1 ms (…)".
std::string to_text(const ReportedEvent& reported, const Config& config);

struct LogEntry {
    std::uint64_t number = 0;
    std::string id;   ///< unique among restarts: "<start of this process>-<number>"
    std::string kind; ///< to_string(Event::Kind)
    std::string json;
    std::string text; ///< "<RFC 3339> <sentence>"
};

class EventLog {
public:
    /// `origin` distinguishes this run of the process in ids; the latest `capacity` entries are kept.
    explicit EventLog(std::string origin, std::size_t capacity = 1024);

    void append(const ReportedEvent& reported, const Config& config);

    /// `listener` is called with every further entry.
    void listen(std::function<void(const LogEntry&)> listener) { listeners_.push_back(std::move(listener)); }

    /// The entries after the one with this id. All that are kept, if the id is not of this run or was dropped already:
    /// a reader gets something twice rather than miss it.
    std::vector<const LogEntry*> after(std::string_view id) const;
    /// The latest entries, oldest first.
    std::vector<const LogEntry*> latest(std::size_t count) const;

private:
    std::string origin_;
    std::size_t capacity_;
    std::uint64_t last_number_ = 0;
    std::deque<LogEntry> entries_; ///< numbers are consecutive
    std::vector<std::function<void(const LogEntry&)>> listeners_;
};

} // namespace hotspare::balancer
