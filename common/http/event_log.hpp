// What has happened, for people and programs that were not looking: the latest events with an id each, so that a reader
// who lost the connection can ask for what came after. What an event says is its caller's.
//
// PURE. One thread. Owner: the EventFeed that gives the entries out.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::http {

struct LogEntry {
    std::uint64_t number = 0;
    std::string id;   ///< unique among restarts: "<start of this process>-<number>"
    std::string kind; ///< "failover": the name of the event for readers of an event stream
    std::string json; ///< one line, with the member "id"
    std::string text; ///< one line for people
};

class EventLog {
public:
    /// `origin` distinguishes this run of the process in ids; the latest `capacity` entries, at least one, are kept.
    explicit EventLog(std::string origin, std::size_t capacity = 1024);

    /// `event` is a JSON object, which gets the member "id"; bytes in it that are not UTF-8 are replaced. The entry
    /// stays where it is until `capacity` others have followed.
    const LogEntry& append(std::string kind, nlohmann::json event, std::string text);

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
};

} // namespace hotspare::http
